"""Flows, gradients and gaps along drawn paths of a common noise, beside tables with all pasts."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

import mfdsl
from mfdsl.drawn import path_game
from mfdsl.errors import UsageError
from mfdsl.runtime.evaluate import Evaluation
from mfdsl.runtime.solvers.networks.along import Moves, PathGame, best, walk
from mfdsl.runtime.solvers.networks.dense import unpacked
from mfdsl.runtime.solvers.networks.options import StructuralConfig
from mfdsl.runtime.solvers.networks.path_bounds import causal_gap
from mfdsl.runtime.solvers.networks.path_gradient import (
    PathPolicy,
    _scores,
    climb,
    fresh_policy,
    return_slope,
)
from mfdsl.runtime.views.finite import FiniteView

WALK = """\
model walk

objective nash
horizon 5

environment weather {
  state wet : int in 0..2 = 1
  noise turn : int in -1..1 ~ mix { 0.5 -> -1, else -> 1 }
  wet' = clip(wet + turn, 0, 2)
}

population person as mu {
  state  x : int in 0..3 ~ uniform
  action a : int in -1..1
  noise  e : int in 0..1 ~ mix { 0.8 -> 0, else -> 1 }
  x' = clip(x + a * (1 - e))
  reward shelter = 3 * (if x == weather.wet + 1 then 1 else 0)
  cost   effort  = abs(a)
  cost   crowd   = mu[x] * weather.wet
  observe x, t, weather.wet
}
"""
FELT = WALK.replace(
    "x' = clip(x + a * (1 - e))", "x' = clip(x + a * (1 - e) + weather.turn)"
).replace("abs(a)", "abs(a - weather.turn) / 2")
SMALL = {"wealths": 20, "incomes": 3, "shares": 5, "T": 10}
CONFIG = StructuralConfig(hidden=16)


def moving(game: PathGame, config: StructuralConfig = CONFIG) -> PathPolicy:
    """A policy away from the uniform one."""
    policy = fresh_policy(game, config, game.drawn(0, 4))
    source = torch.Generator().manual_seed(5)
    shaken = policy.weights.values + 0.3 * torch.randn(
        policy.weights.values.shape, generator=source
    )
    return replace(policy, weights=replace(policy.weights, values=shaken))


@pytest.fixture(scope="module")
def game() -> PathGame:
    return path_game(mfdsl.load(text=WALK))


def test_walks_are_those_of_tables_with_the_path_as_a_parameter(game: PathGame) -> None:
    paths = game.drawn(3, 6)
    params = game.params(paths.values)
    flow = walk(game, params, moving(game).along(game, paths))
    view = FiniteView.build(game.program, params)
    evaluation = Evaluation(view, view.policy(torch.stack(flow.probs, 1)))
    torch.testing.assert_close(torch.stack(flow.laws, 1), evaluation.flow.laws, atol=1e-12, rtol=0)
    values, gains = flow.first(flow.sweep(flow.of_policy)), flow.first(flow.sweep(best))
    torch.testing.assert_close(values, evaluation.value)
    torch.testing.assert_close(gains, evaluation.best_value)
    assert len(set(values.tolist())) > 2


def test_compiled_moves_are_those_of_tensors(
    game: PathGame, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = torch.Generator().manual_seed(1)
    places = torch.randint(7, (3, 10, 4), generator=source, dtype=torch.int32)
    chances = torch.rand(3, 10, 4, generator=source, dtype=torch.float64)
    mass, value = (torch.rand(3, n, generator=source, dtype=torch.float64) for n in (10, 7))
    compiled = Moves(places, chances)
    if not compiled.compiled:
        pytest.skip("numba is not installed")
    found = compiled.push(mass, 7), compiled.expect(value, mass, 0.9)
    monkeypatch.setattr("mfdsl.runtime.views.native.available", lambda: False)
    torch.testing.assert_close(compiled.push(mass, 7), found[0])
    torch.testing.assert_close(compiled.expect(value, mass, 0.9), found[1])


def test_slopes_are_those_of_the_return_with_flows_held_fixed(game: PathGame) -> None:
    """A central difference along a random direction of the weights."""
    policy, paths = moving(game), game.drawn(7, 5)
    flow = walk(game, game.params(paths.values), policy.along(game, paths))
    source = torch.Generator().manual_seed(2)
    way = torch.randn(policy.weights.values.shape, generator=source)

    def held(step: float) -> float:
        moved = replace(policy.weights, values=policy.weights.values + step * way)
        other = replace(policy, weights=moved)
        leaves = [leaf.detach() for leaf in unpacked(other.shape, moved.values)]

        def choose(t: int, q: Tensor) -> Tensor:
            scores = _scores(other, leaves, flow, t, torch.arange(q[..., 0].numel()))
            return (torch.softmax(scores, -1).view_as(q) * q).sum(-1)

        return float(flow.first(flow.sweep(choose)).mean())

    slope = -float((return_slope(policy, CONFIG, flow, 0) * way).sum())
    assert slope == pytest.approx((held(1e-3) - held(-1e-3)) / 2e-3, rel=1e-3)
    assert abs(slope) > 0.1
    drawn = return_slope(policy, CONFIG.model_copy(update={"batch": 50_000}), flow, 0)
    assert -float((drawn * way).sum()) == pytest.approx(slope, rel=0.05)


def test_the_causal_gap_lies_between_its_bounds_and_the_foreseen_one_above() -> None:
    """All pasts fit into tables here: the uniform policy's exact gap is known."""
    text = WALK
    whole = mfdsl.load(text=text).program
    view = FiniteView.build(whole)
    exact = Evaluation(view, view.uniform()).exploitability.value
    game = path_game(mfdsl.load(text=text))
    uniform = fresh_policy(game, CONFIG, game.drawn(0, 4))
    found = causal_gap(game, uniform, paths=1000, futures=64)
    assert found.least - 3 * found.least_error < exact
    assert exact < found.most + 3 * found.most_error
    assert found.foreseen > 1.15 * exact
    assert found.most - found.least < 0.15 * (found.foreseen - found.least)


def test_draws_that_members_feel_are_known_to_nobody_who_decides() -> None:
    """Moves and rewards read the shock of the stage itself; tables with all pasts are exact."""
    whole = mfdsl.load(text=FELT).program
    view = FiniteView.build(whole)
    exact = Evaluation(view, view.uniform())
    game = path_game(mfdsl.load(text=FELT))
    assert set(game.noises.values()) == {("weather", "turn")}
    paths = game.drawn(5, 4000)
    uniform = fresh_policy(game, CONFIG, paths)
    flow = walk(game, game.params(paths.values), uniform.along(game, paths))
    values = flow.first(flow.sweep(flow.of_policy))
    error = float(values.std()) / len(values) ** 0.5
    assert float(values.mean()) == pytest.approx(float(exact.value), abs=4 * error)
    found = causal_gap(game, uniform, paths=600, futures=32)
    gap = exact.exploitability.value
    assert found.least - 3 * found.least_error < gap < found.most + 3 * found.most_error
    assert found.foreseen > 1.3 * gap
    assert found.most - found.least < 0.15 * (found.foreseen - found.least)


def test_a_policy_that_sees_nothing_common_and_one_from_whom_nothing_is_hidden() -> None:
    blind = path_game(mfdsl.load(text=WALK.replace("observe x, t, weather.wet", "observe x, t")))
    assert blind.seen == ()
    open_ = path_game(mfdsl.load(text=WALK.replace("observe x, t, weather.wet", "")))
    assert open_.seen == ("weather.wet",)
    for game in (blind, open_):
        with torch.no_grad():
            policy, records = climb(game, CONFIG, iterations=4, paths=8, measure_every=4)
            found = causal_gap(game, policy, paths=8, futures=4)
        assert records[1].value > records[0].value and found.least < found.most


def test_mfax_endogenous_is_that_of_its_authors_without_shocks() -> None:
    """Their code (commit e22ab469, single precision): the uniform policy is worth -157.7360, and
    rent and wage after 5 steps are 0.2127596, 0.8603243.
    """
    game = path_game(mfdsl.load("mfax_endogenous", params={"nu": 0.0}))
    paths = game.drawn(0, 1)
    flow = walk(game, game.params(paths.values), lambda t, seen: torch.full((1, 1000, 20), 0.05))
    assert flow.seen[5][0].tolist() == pytest.approx([0.2127596, 0.8603243], rel=1e-5)
    assert float(flow.first(flow.sweep(flow.of_policy))) == pytest.approx(-157.7360, rel=1e-5)


def test_a_few_steps_on_other_paths_each_take_most_of_the_gain() -> None:
    game = path_game(mfdsl.load("mfax_endogenous", params=SMALL))
    first, last = (
        climb(game, CONFIG, iterations=8, paths=4, measured=4, measure_every=8)[1] for _ in range(2)
    )
    assert first == last
    assert first[1].gain < 0.5 * first[0].gain
    assert first[0].std_error > 0


X = "state  x : int in 0..3 ~ uniform"
STEP = "wet' = clip(wet + turn, 0, 2)"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (STEP, "wet' = clip(wet + round(mean(q.x for q in person)), 0, 2)", "the law moves"),
        ("horizon 5", "horizon infinite\ndiscount 0.9", "that end"),
        (X, f"{X}\n  noise y : real ~ normal(0, std = 1)", "continuous"),
        ("cost   crowd ", "final reward left = -weather.wet\n  cost   crowd ", "a final reward of"),
        ("noise  e :", "trait  k : int in 0..1 ~ uniform\n  noise  e :", "has traits"),
    ],
)
def test_games_without_paths_are_refused(old: str, new: str, why: str) -> None:
    assert old in WALK
    with pytest.raises(UsageError, match=why):
        path_game(mfdsl.load(text=WALK.replace(old, new)))


def test_a_game_without_common_states_that_matter_is_refused() -> None:
    text = WALK.replace("weather.wet + 1", "1").replace(" * weather.wet", "")
    with pytest.raises(UsageError, match="nothing that person does or sees"):
        path_game(mfdsl.load(text=text.replace(", weather.wet", "")))
    with pytest.raises(UsageError, match="no common state"):
        path_game(mfdsl.load("left_right"))


def test_members_start_as_their_path_does() -> None:
    game = path_game(mfdsl.load(text=STARTING))
    paths = game.drawn(0, 12)
    harsh = paths.values["sky_harsh"][:, 0].bool()
    laws = game.program.module.initial_law(game.params(paths.values)).reshape(12, 2)
    assert harsh.any() and not harsh.all()
    assert torch.allclose(laws[:, 1], torch.where(harsh, 0.55, 0.05).double())


STARTING = """model starting
objective nash
horizon 2
environment sky {
  state harsh : bool ~ bernoulli(0.5)
  harsh' = harsh
}
population p as mu {
  state  x : int in 0..1 ~ mix { 0.5 * ind(sky.harsh) + 0.05 -> 1, else -> 0 }
  action a : int in 0..1
  x' = a
  reward r = x - 0.1 * a - mu[x = 1] * ind(sky.harsh)
}
"""
