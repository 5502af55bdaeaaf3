"""MF-OMO by gradients: the objective, the steps, and the games that they solve."""

import numpy as np
import pytest
import torch

import mfdsl
from mfdsl.runtime.evaluate import Evaluation, build_view
from mfdsl.runtime.layout import inner
from mfdsl.runtime.program import Program
from mfdsl.runtime.solvers import occupation_gradient
from mfdsl.runtime.solvers.base import make_solver
from mfdsl.runtime.solvers.loop import solve
from mfdsl.runtime.solvers.occupation_gradient import TRIED, balanced, to_simplex
from mfdsl.runtime.solvers.occupation_residual import Residual, residual
from mfdsl.runtime.status import Status
from mfdsl.runtime.views.finite import FiniteView
from mfdsl.runtime.views.stationary import StationaryView
from tests.runtime import oracle
from tests.runtime.solvers.games import Array, gaps, program, run

STEP = 1e-6


def slow_objective(
    game: oracle.Game, discount: float, point: tuple[Array, Array, Array], scale: float
) -> tuple[float, float, float]:
    """The three residuals, summed state by state from their definitions; no stage is shared."""
    mass, values, costs = point
    flow = np.square(mass[0].sum(-1) - game.initial).sum()
    bellman = worth = 0.0
    law = game.initial
    for t in range(game.stages):
        kernel = game.kernel(t, mass[t])
        law = np.einsum("sa,sax->x", mass[t], kernel)
        if t + 1 < game.stages:
            flow += np.square(mass[t + 1].sum(-1) - law).sum()
            ahead = values[t + 1]
        else:
            ahead = game.final(law) / scale
        for s, a in zip(*np.nonzero(game.legal(t)), strict=True):
            q = game.reward(t, mass[t])[s, a] / scale + discount * kernel[s, a] @ ahead
            bellman += (q - values[t][s] + costs[t][s, a]) ** 2
        worth += discount**t * (costs[t] * mass[t]).sum()
    return flow, bellman, worth


def some_point(played: Program) -> tuple[FiniteView, tuple[Array, Array, Array]]:
    view = FiniteView.build(played)
    legal = view.uniform().probs[0].numpy() > 0
    draws = np.random.default_rng(1)
    mass = draws.random(legal.shape) * legal
    mass /= mass.sum((1, 2), keepdims=True)
    return view, (mass, draws.normal(size=legal.shape[:2]), draws.random(legal.shape) * legal)


def tensors(point: tuple[Array, Array, Array]) -> list[torch.Tensor]:
    return [torch.from_numpy(part)[None].clone().requires_grad_() for part in point]


def fast(view: FiniteView, parts: list[torch.Tensor], scale: float) -> torch.Tensor:
    mass, values, costs = parts
    found = residual(
        view, inner(mass), values.permute(1, 2, 0), inner(costs), torch.tensor([scale])
    )
    return torch.cat([found.flow, found.values, found.gaps])


@pytest.mark.parametrize("name", ["ring", "masked_queue", "sis"])
def test_the_objective_and_its_gradient_are_those_of_the_definition(name: str) -> None:
    played = oracle.load(name) if name == "masked_queue" else program(name)
    if name == "sis":
        played = mfdsl.load("sis", params={"T": 3}).program
    view, point = some_point(played)
    game = oracle.dense_game(played, played.params())
    parts = tensors(point)
    found = fast(view, parts, 2.5)
    expected = slow_objective(game, played.discount, point, 2.5)
    assert found.tolist() == pytest.approx(expected, rel=1e-12)
    slopes = torch.autograd.grad(found.sum(), parts)
    legal = view.uniform().probs[0].numpy() > 0
    draws = np.random.default_rng(2)
    for part, slope in enumerate(slopes):
        for _ in range(6):
            change = draws.normal(size=point[part].shape)
            if part != 1:
                change = change * legal
            ends = []
            for sign in (1, -1):
                moved = list(point)
                moved[part] = point[part] + sign * STEP * change
                ends.append(sum(slow_objective(game, played.discount, tuple(moved), 2.5)))
            expected_slope = (ends[0] - ends[1]) / (2 * STEP)
            assert float((slope[0].numpy() * change).sum()) == pytest.approx(
                expected_slope, rel=1e-5, abs=1e-6
            )


def test_it_starts_at_the_exploitability_of_the_uniform_policy() -> None:
    for name in ("ring", "dynamic_rps", "cycle"):
        played = program(name)
        view = FiniteView.build(played)
        state = make_solver("mf_omo", {"route": "gradient"}).init(view)
        found = residual(
            view,
            inner(state.mass),
            state.values.permute(1, 2, 0),
            inner(state.gaps),
            state.scale,
        )
        start = view.exploitability(view.uniform())
        torch.testing.assert_close(found.gaps * state.scale, start)
        assert found.flow.item() < 1e-25 and found.values.item() < 1e-25


def test_a_stationary_objective_is_zero_at_an_equilibrium() -> None:
    # By symmetry nobody switches in `contraction`, at any even law.
    played = program("contraction")
    view = StationaryView.build(played)
    policy = view.policy(torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]]]).to(torch.float64))
    flow = view.flow(policy)
    best = view.q_values(flow)
    values = best.amax(-1)
    one = torch.ones(1, dtype=torch.float64)
    found = residual(
        view, inner(flow.joint), values.permute(1, 2, 0), inner(values[..., None] - best), one
    )
    assert found.flow.item() < 1e-20 and found.values.item() < 1e-20
    assert found.gaps.item() == pytest.approx(float(view.exploitability(policy)), abs=1e-12)


def test_a_step_is_adam_and_a_projection() -> None:
    played = program("cycle")
    view = FiniteView.build(played)
    options = {"route": "gradient", "start": "flow", "learning_rate": 0.05, "updates": 2}
    solver = make_solver("mf_omo", options)
    state = solver.init(view)
    point = [part.clone() for part in (state.mass, state.values, state.gaps)]
    moments = [(part * 0, part * 0) for part in point]
    for k in (1, 2):
        parts = [part.requires_grad_() for part in point]
        slopes = torch.autograd.grad(fast(view, parts, float(state.scale)).sum(), parts)
        moved = []
        for n, (part, slope) in enumerate(zip(parts, slopes, strict=True)):
            first = 0.9 * moments[n][0] + 0.1 * slope
            second = 0.999 * moments[n][1] + 0.001 * slope**2
            moments[n] = first, second
            size = (second / (1 - 0.999**k)).sqrt() + 2.0**-26
            rate = 0.05 / 6**0.5 if n == 0 else 0.05  # three states, two actions
            moved.append((part - rate * first / (1 - 0.9**k) / size).detach())
        flat = moved[0].flatten(2)
        moved[0] = slow_simplex(flat).view_as(moved[0])
        moved[2] = moved[2].clamp(min=0)
        point = moved
    with torch.no_grad():
        after = solver.step(Evaluation(view, view.uniform()), state)
    for found, expected in zip((after.mass, after.values, after.gaps), point, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-10, rtol=1e-8)


@pytest.mark.parametrize("name", ["cycle", "contraction"])
def test_the_even_start_is_adam_in_units_of_rewards(name: str) -> None:
    played = program(name)
    view = build_view(played)
    options = {"route": "gradient", "start": "even", "updates": 1, "learning_rate": 0.05}
    solver = make_solver("mf_omo", options)
    assert isinstance(view, FiniteView | StationaryView)
    with torch.no_grad():
        state = solver.init(view)
        after = solver.step(Evaluation(view, view.uniform()), state)
    scale = float(state.scale)
    share = 1 / state.values.shape[-1]
    torch.testing.assert_close(state.mass.sum(-1), torch.full_like(state.values, share))
    point = [p.clone() for p in (state.mass, state.values * scale, state.gaps * scale)]
    parts = [part.requires_grad_() for part in point]
    residuals = fast(view, parts, 1.0)
    assert residuals[1] < 1e-18  # the best response to the even law fits its gaps
    assert (residuals[0] > 1e-3) == (name == "cycle")  # everybody may stay in `contraction`
    slopes = torch.autograd.grad(residuals.sum(), parts)
    steps = [slope / (slope.abs() + 1e-8) for slope in slopes]
    mass, values, gaps = (p.detach() - 0.05 * s for p, s in zip(point, steps, strict=True))
    there = residuals.new_tensor(scale)
    for slope, found, expected in (
        (slopes[0], after.mass, slow_simplex(mass.flatten(2)).view_as(mass)),
        (slopes[1], after.values * there, values),
        (slopes[2], after.gaps * there, gaps.clamp(min=0)),
    ):
        sure = (slope.abs() > 1e-3) if slope is not slopes[0] else torch.ones_like(found).bool()
        torch.testing.assert_close(found[sure], expected[sure], atol=1e-4, rtol=1e-4)


def test_the_better_start_is_chosen_game_by_game() -> None:
    """With steps from both, the runs of the starts themselves tell which one goes on."""
    program = mfdsl.load("sis", params={"T": 12}).program
    params = program.params({"mu0": [0.05, 0.3, 0.6, 0.9], "c_home": [0.5, 0.3, 0.5, 0.7]})

    def ends(start: str, updates: int) -> list[torch.Tensor]:
        options = {"route": "gradient", "start": start, "updates": updates}
        state = solve(program, params, "mf_omo", options, iterations=1, tolerance=0.0).state
        return [state[name] for name in ("probs", "rates", "weights")]

    def scores(start: str) -> torch.Tensor:
        view = build_view(program, params)
        options = {"route": "gradient", "start": start, "updates": TRIED}
        solver = make_solver("mf_omo", options)
        with torch.no_grad():
            state = solver.step(Evaluation(view, view.uniform()), solver.init(view))
            return Evaluation(view, view.policy(state.probs)).exploitability.per_game

    even_wins = [a < b for a, b in zip(scores("even"), scores("flow"), strict=True)]
    assert len(set(even_wins)) == 2
    found = (ends(start, 3) for start in ("auto", "flow", "even"))
    for auto, flow, even in zip(*found, strict=True):
        for place, wins in enumerate(even_wins):
            assert torch.equal(auto[place], (even if wins else flow)[place])


def test_large_games_begin_at_the_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    played = mfdsl.load("conservative_treasure_hunting").program
    options = {"route": "gradient", "updates": 2}
    tried = run(played, "mf_omo", 1, **options)
    monkeypatch.setattr(occupation_gradient, "MOST_TRIED", 1)
    large = run(played, "mf_omo", 1, **options)
    flow = run(played, "mf_omo", 1, start="flow", **options)
    assert torch.equal(large.policy.probs, flow.policy.probs)
    assert not torch.equal(large.policy.probs, tried.policy.probs)


def slow_simplex(points: torch.Tensor, total: float = 1.0) -> torch.Tensor:
    """By bisection for the threshold."""
    low, high = points.amin(-1, keepdim=True) - total, points.amax(-1, keepdim=True)
    for _ in range(200):
        middle = (low + high) / 2
        over = (points - middle).clamp(min=0).sum(-1, keepdim=True) > total
        low, high = torch.where(over, middle, low), torch.where(over, high, middle)
    return (points - high).clamp(min=0)


def test_projections_onto_a_simplex() -> None:
    points = torch.randn(20, 7, generator=torch.Generator().manual_seed(0)).to(torch.float64)
    for total in (0.3, 1.0, 40.0):
        found = to_simplex(points, torch.full((20,), total, dtype=torch.float64))
        torch.testing.assert_close(found, slow_simplex(points, total))
    barred = points.clone()
    barred[:, 2] = -torch.inf
    found = to_simplex(barred, torch.ones(20, dtype=torch.float64))
    assert (found[:, 2] == 0).all()
    rest = [0, 1, 3, 4, 5, 6]
    torch.testing.assert_close(found[:, rest], slow_simplex(points[:, rest]))


@pytest.mark.parametrize("name", ["left_right", "rock_paper_scissors", "nfg_coop"])
def test_small_games_of_the_peers_are_solved(name: str) -> None:
    played = mfdsl.load(name).program
    start = run(played, "mf_omo", 0).exploitability.value
    found = solve(
        played, None, "mf_omo", {"route": "gradient"}, iterations=100, tolerance=1e-6 * start
    )
    assert found.status is Status.converged


def test_weights_follow_the_residuals() -> None:
    """Three games: the flow is far off, the values are, and all three are alike."""
    found = Residual(
        torch.tensor([20.0, 1.0, 1.0]),
        torch.tensor([1.0, 30.0, 1.0]),
        torch.tensor([1.0, 2.0, 1.0]),
    )
    weights = balanced(torch.full((2, 3), 4.0), found)
    assert weights.tolist() == [[8.0, 2.0, 4.0], [2.0, 8.0, 4.0]]


def test_the_run_uses_the_weights_it_balances() -> None:
    played = mfdsl.load("rock_paper_scissors").program
    options: dict[str, str | float] = {"route": "gradient", "updates": 5}
    even = gaps(run(played, "mf_omo", 12, **options))
    assert gaps(run(played, "mf_omo", 12, balance=1, **options)) != even
