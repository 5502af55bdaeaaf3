"""Major-minor games on a grid of laws: tables, trees by hand, the reference games, control."""

import time
from functools import cache

import pytest
import torch

import mfdsl
from mfdsl.errors import UsageError
from mfdsl.runtime.solvers.simplex_grid import Policies, equilibrium, evaluate, uniform
from mfdsl.runtime.solvers.simplex_places import nearest, neighbours, points_of
from mfdsl.simplex import OnSimplex, control_on_simplex, on_simplex, solve_on_simplex

SHORT = """
model short
enum Choice { go_on, protect }
objective nash
horizon 3
major government {
  state  harsh : bool ~ bernoulli(0.3)
  action strict : bool
  noise  turns : bool ~ bernoulli(0.2 + 0.5 * prob(q.ill for q in person))
  harsh' = if turns then not harsh else harsh
  cost illness = 2 * prob(q.ill for q in person)
  cost closing = 0.3 * ind(strict)
}
population person as mu {
  state  ill : bool ~ bernoulli(0.25)
  action a : Choice
  let odds = (if government.strict then 0.4 else 0.8) * mu[ill = true]
  ill' ~ if ill then mix { 0.5 -> false, else -> true }
         else if a == protect then false else mix { odds -> true, else -> false }
  cost illness = ind(ill) * (1 + ind(government.harsh))
  cost care    = 0.2 * ind(a == protect)
}
"""


@cache
def table(name: str, points: int, projection: str = "interpolate") -> OnSimplex:
    params = {"T": 8} if name.startswith("m3fg") else {}
    game = mfdsl.load(text=SHORT) if name == "short" else mfdsl.load(name, params=params)
    return on_simplex(game, points, projection)  # type: ignore[arg-type]


@pytest.mark.parametrize("cells", [2, 3, 4])
def test_neighbours_keep_the_mean_and_points_are_themselves(cells: int) -> None:
    grid = points_of(6, cells)
    draws = torch.rand(50, cells, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    laws = torch.cat([draws / draws.sum(-1, keepdim=True), grid])
    places, weights = neighbours(laws, 6)
    assert (weights >= -1e-12).all()
    torch.testing.assert_close((weights[..., None] * grid[places]).sum(1), laws)
    near, _ = nearest(grid, 6)
    assert near[:, 0].tolist() == list(range(len(grid)))


def test_a_grid_of_many_points_is_as_quick_to_read_as_it_is_large() -> None:
    began = time.process_time()
    places, weights = neighbours(torch.tensor([[0.25, 0.75]], dtype=torch.float64), 1_000_000)
    assert places[0, weights[0] > 0].tolist() == [250_000]
    assert time.process_time() - began < 1  # a table of all binomials would have 10^12 entries


def test_tables_are_those_of_the_spec() -> None:
    made = table("short", 4)
    game, ill = made.game, 3 / 4
    assert made.commons == ((0,), (1,)) and made.acts == ((0,), (1,))
    g = [round(float(x), 9) for x in game.laws[:, 1]].index(ill)
    # harsh, strict, three quarters ill
    assert game.paid[1, 1, g] == pytest.approx(-2 * ill - 0.3)
    assert game.chances[1, 1, g].tolist() == pytest.approx([0.2 + 0.5 * ill, 0.8 - 0.5 * ill])
    assert game.moves[1, 1, g, 0, 0].tolist() == pytest.approx([1 - 0.4 * ill, 0.4 * ill])
    assert game.moves[1, 0, g, 0, 1].tolist() == pytest.approx([1, 0])
    assert game.rewards[1, 0, g, 1].tolist() == pytest.approx([-2, -2.2])


def by_hand(made: OnSimplex, policies: Policies) -> tuple[float, float]:
    """Values along the tree of all common states and major actions, with the laws as they are."""
    game = made.game

    def spread(t: int, c: int, law: torch.Tensor, chance: float) -> tuple[float, float]:
        if t == game.stages:
            return 0.0, 0.0
        ill = float(law[1])
        member, major = policies.member[t, c, 0], policies.major[t, c, 0]
        minor = paid = 0.0
        for u in range(2):
            odds = (0.4 if u else 0.8) * ill
            caught = float(law[0]) * float(member[0, 0]) * odds
            after = caught + 0.5 * ill
            care = 0.2 * float((law * member[:, 1]).sum())
            here = -ill * (1 + c) - care
            p = chance * float(major[u])
            minor, paid = minor + p * here, paid + p * (-2 * ill - 0.3 * u)
            turned = 0.2 + 0.5 * ill
            for to, q in ((1 - c, turned), (c, 1 - turned)):
                then = spread(t + 1, to, torch.tensor([1 - after, after]).to(law), p * q)
                minor, paid = minor + then[0], paid + then[1]
        return minor, paid

    start = torch.tensor([0.75, 0.25], dtype=torch.float64)
    parts = [spread(0, c, start, p) for c, p in ((0, 0.7), (1, 0.3))]
    return sum(p[0] for p in parts), sum(p[1] for p in parts)


def test_values_converge_to_the_tree_as_the_grid_gets_finer() -> None:
    errors = []
    for points in (20, 200):
        made = table("short", points)
        policies = uniform(made.game)
        tilted = Policies(
            torch.tensor([0.7, 0.3]).to(policies.member).expand_as(policies.member),
            torch.tensor([0.4, 0.6]).to(policies.major).expand_as(policies.major),
        )
        _, score = evaluate(made.game, tilted)
        minor, paid = by_hand(made, tilted)
        errors.append(max(abs(score.member - minor), abs(score.major - paid)))
    assert errors[1] < 1e-5 and errors[1] < errors[0]


def test_members_start_as_the_common_state_says() -> None:
    """With chance 0.7 half of them are ill at first, else none; one stage costs what they do."""
    text = SHORT.replace("ill : bool ~ bernoulli(0.25)", "ill : bool ~ bernoulli(0.5 * START)")
    text = text.replace("START", "ind(not government.harsh)").replace("horizon 3", "horizon 1")
    made = on_simplex(mfdsl.load(text=text), 10)
    policies = uniform(made.game)
    still = Policies(policies.member, torch.tensor([1.0, 0.0]).double().expand(1, 2, 11, 2))
    _, score = evaluate(made.game, still)
    assert score.member == pytest.approx(-0.7 * 0.5 - 0.5 * 0.2)
    assert score.major == pytest.approx(-0.7 * 0.5 * 2)


def test_nobody_gains_by_any_pure_deviation_more_than_is_said() -> None:
    game = table("short", 10).game
    policies = uniform(game)
    _, score = evaluate(game, policies)
    generator = torch.Generator().manual_seed(0)
    for _ in range(30):
        pick = torch.randint(0, 2, policies.major.shape[:-1], generator=generator)
        major = torch.nn.functional.one_hot(pick, 2).to(policies.major)
        _, other = evaluate(game, Policies(policies.member, major))
        assert other.major <= score.major + score.major_gain + 1e-12
    best, _ = evaluate(game, policies)
    greedy = torch.nn.functional.one_hot(best.best_major.argmax(-1), 2).to(policies.major)
    _, reached = evaluate(game, Policies(policies.member, greedy))
    assert reached.major == pytest.approx(score.major + score.major_gain, abs=1e-12)


@pytest.mark.parametrize("method", ["fixed_point", "fictitious_play", "omd"])
@pytest.mark.parametrize("name", ["m3fg_sis", "m3fg_advertisement"])
def test_the_reference_games_come_near_to_equilibrium(name: str, method: str) -> None:
    with torch.no_grad():
        found = equilibrium(table(name, 10).game, method, iterations=20)  # type: ignore[arg-type]
    assert found.score.exploitability == pytest.approx(min(found.history))
    assert min(found.history) < 0.35 * found.history[0]
    assert found.score.member_gain >= -1e-9 and found.score.major_gain >= -1e-9


def test_nearest_points_are_a_choice() -> None:
    for projection in ("interpolate", "nearest"):
        game = table("m3fg_sis", 10, projection).game
        _, score = evaluate(game, uniform(game))
        assert score.member < 0 and score.major < 0


def test_control_is_at_least_as_good_as_equilibria_and_the_uniform_plan() -> None:
    game = mfdsl.load("m3fg_advertisement", params={"T": 3})
    made, policies, value = control_on_simplex(game, points=10)
    _, score = evaluate(made.game, uniform(made.game))
    assert value >= score.member + score.major
    _, found = solve_on_simplex(game, "omd", points=10, iterations=10)
    assert value >= found.score.member + found.score.major - 0.05
    assert policies.member.sum(-1).eq(1).all() and policies.major.sum(-1).eq(1).all()


def test_what_has_no_grid_is_refused() -> None:
    for name, words in (
        ("left_right", "beside one major"),
        ("stationary_sis", "needs an end"),
        ("two_bars", "needs an end"),
    ):
        with pytest.raises(UsageError, match=words):
            on_simplex(mfdsl.load(name), 10)
    with pytest.raises(UsageError, match="masked"):
        text = SHORT.replace("action a : Choice", "action a : Choice where not ill or a == go_on")
        on_simplex(mfdsl.load(text=text), 10)
