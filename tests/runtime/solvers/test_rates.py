"""The promised rates: measured exploitability against the bounds, at several T."""

import math

import numpy as np
import pytest
import torch

import mfdsl
from mfdsl.runtime.evaluate import Evaluation, View, build_view
from mfdsl.runtime.program import Program
from mfdsl.runtime.solvers import rates
from mfdsl.runtime.solvers.base import make_solver
from mfdsl.runtime.solvers.loop import solve
from mfdsl.runtime.solvers.soft import entropy_q_values
from mfdsl.runtime.views.finite import FiniteView
from tests.runtime.solvers.games import GAMES, Game, gaps, program, run

COUNTS = (1, 2, 5, 20, 100, 400)
# Played once against the law, two stages: half spans of the slopes 1 and 1.
SHIPPED = {
    "left_right": Game("", 2, 3, 2.0, 1.0, 2.0),
    "rps_standard": Game("", 2, 4, 2.0, 1.0, 2.0),
}
GIVEN = GAMES | SHIPPED


def lopsided(view: View) -> torch.Tensor:
    """A policy far from uniform: the first legal action almost always."""
    uniform = view.uniform().probs
    weights = uniform * torch.logspace(0, -4, uniform.shape[-1], dtype=uniform.dtype)
    return weights / weights.sum(-1, keepdim=True)


@pytest.mark.parametrize("growth", [1.0, 1.5])
@pytest.mark.parametrize("name", ["dynamic_rps", "ring", "cycle", "left_right"])
def test_mirror_prox_keeps_its_promise(name: str, growth: float) -> None:
    game = GIVEN[name]
    options = {"learning_rate": 1 / game.modulus, "growth": growth}
    found = gaps(run(program(name), "mirror_prox", max(COUNTS), **options))
    for count in COUNTS:
        skew = name == "dynamic_rps"
        bound = rates.mirror_prox_bound(
            count, game.modulus, game.stages, game.actions, skew_affine=skew
        )
        assert found[count] <= bound


def test_rock_paper_scissors_over_six_stages() -> None:
    # The bounds are those of the derivation; the game is ours, so the figures are regressions.
    found = gaps(run(program("dynamic_rps"), "mirror_prox", 2000, learning_rate=1 / 2.4, growth=1))
    bounds = [rates.mirror_prox_bound(t, 2.4, 6, 3, skew_affine=True) for t in (20, 200, 2000)]
    assert bounds == pytest.approx([0.79, 0.079, 0.0079], rel=0.01)
    assert [found[t] for t in (20, 200, 2000)] == pytest.approx([0.394, 0.0646, 0.00646], rel=0.01)
    grown = gaps(run(program("dynamic_rps"), "mirror_prox", 200, learning_rate=1 / 2.4))
    assert grown[200] < 1e-2 * found[200]


def test_steps_without_a_modulus_are_found_by_the_test_of_the_proof() -> None:
    # H log|A| / sum of the steps bounds the dual gap, so the exploitability of a skew game.
    solution = run(program("dynamic_rps"), "mirror_prox", 100)
    total = solution.state["total"].item()
    assert gaps(solution)[-1] <= 6 * math.log(3) / total
    assert total >= 100 / 2.4 / 4


@pytest.mark.parametrize("step", ["open", "search"])
@pytest.mark.parametrize("name", ["ring", "left_right"])
def test_frank_wolfe_keeps_its_promise_on_concave_potentials(name: str, step: str) -> None:
    found = gaps(run(program(name), "frank_wolfe", max(COUNTS), step=step))
    for count in COUNTS[1:]:
        least = min(found[1 : count + 1])
        assert least <= rates.frank_wolfe_bound(count, GIVEN[name].modulus)


@pytest.mark.parametrize("name", ["ring", "company", "left_right"])
def test_short_steps_keep_their_promise_on_any_potential(name: str) -> None:
    game = GIVEN[name]
    options = {"step": "short", "curvature": 4 * game.modulus}
    found = gaps(run(program(name), "frank_wolfe", max(COUNTS), **options))
    for count in COUNTS:
        bound = rates.frank_wolfe_short_bound(count, game.modulus, game.stages * game.span)
        assert min(found[: count + 1]) <= bound


def test_short_steps_come_down_where_company_is_sought() -> None:
    options = {"step": "short", "curvature": 4 * GAMES["company"].modulus}
    found = gaps(run(program("company"), "frank_wolfe", 400, **options))
    assert found[-1] < found[0] / 10


def test_a_search_stops_where_the_slope_of_the_potential_vanishes() -> None:
    # From uniform, the best response of left_right goes left: L = (1 + w) / 2, R = (1 - w) / 2,
    # and the slope -L + 2 R of the potential vanishes at w = 1 / 3, the equilibrium.
    solution = run(program("left_right"), "frank_wolfe", 1)
    assert solution.flow.laws[0, 1].tolist() == pytest.approx([0, 2 / 3, 1 / 3], abs=1e-8)


@pytest.mark.parametrize("name", ["crowd_1d", "crowd_2d"])
def test_shipped_crowds_with_a_bounded_slope(name: str) -> None:
    # With eps = 1 the slope of -log(mu + eps) lies in [-1, -1/2], so M = 10 * 1/2.
    crowd = mfdsl.load(name, params={"eps": 1}).program
    prox = gaps(run(crowd, "mirror_prox", 100, learning_rate=1 / 5))
    search, steps = (gaps(run(crowd, "frank_wolfe", 100, step=s)) for s in ("search", "open"))
    for count in (2, 5, 20, 100):
        promised = rates.mirror_prox_bound(count, 5.0, 10, crowd.action_count, skew_affine=False)
        assert prox[count] <= promised
        for found in (search, steps):
            assert min(found[: count + 1]) <= rates.frank_wolfe_bound(count, 5.0)


def test_single_precision_does_not_stop_the_steps() -> None:
    game = program("dynamic_rps")
    params = game.params(dtype=torch.float32)
    solution = solve(game, params, "mirror_prox", iterations=100, tolerance=0, patience=None)
    assert solution.policy.probs.dtype == torch.float32
    assert solution.exploitability.value < 0.01


def regularised(view: View, temperature: float) -> torch.Tensor:
    """The equilibrium of the regularised game, to the point where a step changes nothing."""
    solver = make_solver("pmd", {"temperature": temperature, "learning_rate": 0.2})
    state = solver.init(view)
    for _ in range(4000):
        last = state.probs
        state = solver.step(Evaluation(view, view.policy(last)), state)
        if (state.probs - last).abs().max() < 1e-14:
            return state.probs
    raise AssertionError("the steps do not settle")


def divergence(view: View, target: torch.Tensor, probs: torch.Tensor) -> float:
    """Phi: KL(target | probs) in the states that the target visits, summed over the stages."""
    joint = view.flow(view.policy(target)).joint
    return (joint * (target.log() - probs.log())).where(joint > 0, 0).sum().item()


# The two-sided theorem is stated without discount and final rewards.
MONOTONE = ("dynamic_rps", "cycle", "left_right")


@pytest.mark.parametrize("rate", [0.0, 0.5])
@pytest.mark.parametrize("name", MONOTONE)
def test_one_step_of_pmd_comes_closer_as_fast_as_proved(name: str, rate: float) -> None:
    temperature = 0.3
    view = build_view(program(name))
    target = regularised(view, temperature)
    solver = make_solver("pmd", {"temperature": temperature, "learning_rate": rate})
    for start in (view.uniform().probs, lopsided(view)):
        state = solver.init(view)
        scores = torch.where(start > 0, start, 1).log()
        state = type(state)(0, start, scores)
        for k in range(60):
            evaluation = Evaluation(view, view.policy(state.probs))
            q = entropy_q_values(view, evaluation.flow, evaluation.policy, temperature)
            high, low = q.amax(-1), q.where(q > -torch.inf, torch.inf).amin(-1)
            noise = 0.5 * ((high - low).amax(-1) ** 2).sum().item()
            own = state.probs.log().where(state.probs > 0, 0)
            spread = (own.amax(-1) - own.where(start > 0, torch.inf).amin(-1)).amax(-1)
            # The proof needs span(log pi) <= span(q) / temperature; true from uniform by induction.
            noise = max(noise, 0.5 * ((temperature * spread) ** 2).sum().item())
            step = rate or 4 / (temperature * (k + 4))
            before = divergence(view, target, state.probs)
            state = solver.step(evaluation, state)
            after = divergence(view, target, state.probs)
            assert after <= (1 - temperature * step / 2) * before + noise * step**2 + 1e-12


@pytest.mark.parametrize("temperature", [0.3, 1.0])
@pytest.mark.parametrize("name", MONOTONE)
def test_pmd_keeps_its_promise(name: str, temperature: float) -> None:
    game, view = GIVEN[name], build_view(program(name))
    target = regularised(view, temperature)
    constants = (game.modulus, game.stages, game.actions, game.span)
    found = run(program(name), "pmd", max(COUNTS), temperature=temperature)
    for count in COUNTS:
        assert gaps(found)[count] <= rates.pmd_bound(count, temperature, *constants)
    spans = [
        k * game.span + (k - 1) * temperature * math.log(game.actions)
        for k in range(1, game.stages + 1)
    ]
    noise = 0.5 * sum(s * s for s in spans)
    last = divergence(view, target, found.policy.probs)
    assert last <= 16 * noise / temperature**2 / (max(COUNTS) + 4)
    equilibrium = Evaluation(view, view.policy(target)).exploitability.value
    assert equilibrium <= temperature * game.stages * math.log(game.actions)


def random_game(seed: int, stages: int) -> tuple[Program, float]:
    """Random moves and rewards that are affine in the law, and the l1 modulus of the rewards."""
    rng = np.random.default_rng(seed)
    slopes = rng.uniform(-1, 1, (3, 2, 3))
    moves = rng.dirichlet(np.ones(3), (3, 2))
    text = f"""
model random_affine
param P : real[3, 2, 3] = {moves.tolist()}
param R : real[3, 2, 3] = {slopes.tolist()}
objective nash
horizon {stages}
population p as mu {{
  state  x : int in 0..2 ~ mix {{ 0.5 -> 0, 0.3 -> 1, else -> 2 }}
  action a : int in 0..1
  x' ~ choose(y in 0..2, weight = P[x, a, y] / sum(P[x, a, k] for k in 0..2))
  reward r = sum(R[x, a, k] * mu[k] for k in 0..2)
}}
"""
    return mfdsl.load(text=text).program, float(np.ptp(slopes, axis=-1).max() / 2)


@pytest.mark.parametrize("seed", range(12))
def test_soft_fixed_points_contract_as_fast_as_proved(seed: int) -> None:
    stages = 2 + seed % 4
    game, modulus = random_game(seed, stages)
    root, weights = rates.contraction(stages, modulus)
    view = build_view(game)
    assert isinstance(view, FiniteView)
    temperature = 1.2 * root
    norm = torch.tensor(weights, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    solver = make_solver("soft_fixed_point", {"temperature": temperature})

    def joint(probs: torch.Tensor) -> torch.Tensor:
        return view.flow(view.policy(probs)).joint

    for _ in range(5):
        pair = []
        for _ in range(2):
            draw = torch.rand(view.uniform().probs.shape, generator=generator, dtype=norm.dtype)
            start = (8 * draw).softmax(-1)
            state = solver.init(view)
            state = solver.step(Evaluation(view, view.policy(start)), state)
            pair.append((joint(start), joint(state.probs)))
        (one, one_next), (other, other_next) = pair
        before = ((one - other).abs().sum((0, 2, 3)) / norm).max()
        after = ((one_next - other_next).abs().sum((0, 2, 3)) / norm).max()
        assert after <= root / temperature * before
    found = gaps(run(game, "soft_fixed_point", 20, temperature=temperature))
    for count in (1, 2, 5, 20):
        bound = rates.soft_fixed_point_bound(count, temperature, modulus, stages, 2, stages)
        assert found[count] <= bound


def test_thresholds_of_known_games() -> None:
    assert rates.contraction(2, 1.0)[0] == pytest.approx((3 + math.sqrt(5)) / 2)
    assert rates.contraction(2, 4.5)[0] == pytest.approx(11.8, abs=0.05)
    for laws in (1, 3, 7):
        h = np.arange(1, laws + 1)
        matrix = 0.7 * np.minimum(h[:, None], h[None])
        root, weights = rates.contraction(laws, 0.7)
        assert matrix @ np.array(weights) == pytest.approx(root * np.array(weights))
        assert root == pytest.approx(np.linalg.eigvalsh(matrix).max())


def test_the_least_count_is_the_least() -> None:
    for bound, tolerance in (
        (lambda t: rates.mirror_prox_bound(t, 2.4, 6, 3, skew_affine=True), 0.01),
        (lambda t: rates.mirror_prox_bound(t, 2.4, 6, 3, skew_affine=False), 0.3),
        (lambda t: rates.frank_wolfe_bound(t, 3.0), 0.01),
        (lambda t: rates.frank_wolfe_short_bound(t, 3.0, 2.0), 0.5),
    ):
        count = rates.least_iterations(bound, tolerance)
        assert count is not None
        assert bound(count) <= tolerance < bound(count - 1)
    assert rates.least_iterations(lambda t: 1.0, 0.5) is None
    assert rates.least_iterations(lambda t: 1 / t, 0.0) is None


def test_before_the_square_root_the_bound_is_that_of_the_whole_shift() -> None:
    # At T < H log|A| / 4 the best shift is the whole way: G + 4 M, above 4 sqrt(G M).
    bound = rates.mirror_prox_bound(1, 1.0, 20, 3, skew_affine=False)
    gap = 20 * math.log(3)
    assert bound == pytest.approx(gap + 4) and bound >= 4 * math.sqrt(gap)


def test_the_contraction_factor_is_attained() -> None:
    # One choice between two actions, each paid 3 times the share of its own action: slopes e_a, so
    # L = tau* = 3 / 2, and near the uniform policy the soft response moves by L / temperature.
    game = mfdsl.load(
        text="""
model herd
enum Seat { here }
objective nash
horizon 1
population p {
  state  seat : Seat = here
  action a    : bool
  seat' = here
  reward company = 3 * prob(q.a == a for q in p)
}
"""
    ).program
    assert rates.contraction(1, 1.5)[0] == pytest.approx(1.5)
    view = build_view(game)
    solver = make_solver("soft_fixed_point", {"temperature": 2.0})
    start = torch.tensor([0.5 + 1e-4, 0.5 - 1e-4], dtype=torch.float64).view(1, 1, 1, 2)
    state = solver.step(Evaluation(view, view.policy(start)), solver.init(view))
    ratio = (state.probs - 0.5).abs().sum() / (start - 0.5).abs().sum()
    assert ratio.item() == pytest.approx(1.5 / 2.0, rel=1e-4)
