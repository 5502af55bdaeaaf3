"""MF-OMI: the projection onto flows, the iterates, and the games where it converges."""

import numpy as np
import pytest
import torch

import mfdsl
from mfdsl.runtime.solvers.base import SolverError
from mfdsl.runtime.solvers.flow_polytope import dense_moves, project, reached
from mfdsl.runtime.solvers.loop import solve
from mfdsl.runtime.views.finite import FiniteView
from tests.runtime import oracle
from tests.runtime.solvers.games import RING, Array, gaps, program, run

STEPS = 4
RATE = 0.05


def slow_projection(game: oracle.Game, kernels: list[Array], point: Array) -> Array:
    """Dykstra's alternating projections onto the flow equations and onto what is not negative."""
    legal = np.stack([game.legal(t) for t in range(game.stages)])
    stages, states, _ = legal.shape
    rows = np.zeros((stages, states, *legal.shape))
    for t in range(stages):
        for s in range(states):
            rows[t, s, t, s] = 1
            if t:
                rows[t, s, t - 1] -= kernels[t - 1][:, :, s]
    matrix = rows.reshape(stages * states, -1) * legal.reshape(-1)
    right = np.zeros((stages, states))
    right[0] = game.initial
    inverse = np.linalg.pinv(matrix)
    onto, shift = np.eye(legal.size) - inverse @ matrix, inverse @ right.reshape(-1)
    x, kept = np.where(legal, point, 0).reshape(-1), np.zeros(legal.size)
    for _ in range(40_000):
        y = onto @ x + shift + kept
        x_next = np.maximum(y, 0)
        steps = x_next - x, y - x_next - kept
        kept, x = y - x_next, x_next
        if np.abs(steps).max() < 1e-13:  # what 40,000 of these steps add up to is not seen
            break
    return x.reshape(legal.shape)


def slow_steps(game: oracle.Game, discount: float, perturbation: float) -> list[float]:
    policy, found = oracle.uniform(game), []
    weights = discount ** np.arange(game.stages + 1)
    for _ in range(STEPS):
        joints, last = oracle.flow(game, policy)
        kernels = [game.kernel(t, joints[t]) for t in range(game.stages)]
        slope = np.stack([w * game.reward(t, joints[t]) for t, w in enumerate(weights[:-1])])
        slope[-1] += weights[-1] * kernels[-1] @ game.final(last)
        flow = np.stack(joints)
        mass = slow_projection(game, kernels, flow + RATE * (slope - perturbation * flow))
        total = mass.sum(-1, keepdims=True)
        policy = np.where(
            total > 1e-9, mass / np.where(total > 1e-9, total, 1), oracle.uniform(game)
        )
        found.append(oracle.exploitability(game, policy, discount))
    return found


@pytest.mark.parametrize("perturbation", [0.0, 0.3])
def test_iterates_are_those_of_the_algorithm(perturbation: float) -> None:
    options = {"learning_rate": RATE, "perturbation": perturbation}
    for played in (program("ring"), program("cycle")):
        game, discount = oracle.dense_game(played, played.params()), played.discount
        expected = slow_steps(game, discount, perturbation)
        found = gaps(run(played, "mf_omi", STEPS, **options))[1:]
        assert found == pytest.approx(expected, abs=1e-6)


def test_moves_that_read_the_law_are_those_of_the_present_flow() -> None:
    queue = oracle.load("masked_queue")
    game = oracle.dense_game(queue, queue.params())
    found = gaps(run(queue, "mf_omi", STEPS, learning_rate=RATE))[1:]
    assert found == pytest.approx(slow_steps(game, 1.0, 0.0), abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_projection_is_a_flow_and_optimal(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(3)
    exact = 1e-10 if dtype == torch.float64 else 1e-4
    games, stages, states, actions = 3, 7, 6, 3
    # many states cannot be reached, some actions are illegal, half of the moves are certain
    chances = torch.rand(1, states, actions, states, generator=generator, dtype=dtype)
    chances[:, :3] = torch.nn.functional.one_hot(chances[:, :3].argmax(-1), states).to(dtype)
    moves = (chances / chances.sum(-1, keepdim=True))[:, None]
    initial = torch.eye(states, dtype=dtype)[:games]
    legal = torch.ones(games, stages, states, actions, dtype=torch.bool)
    legal[:, :, 4, 2] = False
    support = reached(moves, initial, legal)
    point = torch.randn(games, stages, states, actions, generator=generator, dtype=dtype) * 5
    mass, dual = project(
        point, moves, initial, support, torch.zeros(games, stages, states).to(dtype)
    )
    comes = torch.einsum("sat,bhsa->bht", moves[0, 0], mass[:, :-1])
    laws = torch.cat([initial[:, None], comes], 1)
    assert (mass.sum(-1) - laws).abs().max() < exact
    assert mass.min() >= 0 and (mass[~support] == 0).all()
    # optimality: <point - mass, other - mass> <= 0 for every flow; the best other is a dynamic
    # programme over rewards point - mass
    rewards, value = point - mass, torch.zeros(games, states, dtype=dtype)
    for t in reversed(range(stages)):
        q = rewards[:, t] + torch.einsum("sat,bt->bsa", moves[0, 0], value)
        value = q.masked_fill(~legal[:, t], -torch.inf).amax(-1)
    gain = (initial * value).sum(-1) - (rewards * mass).sum((1, 2, 3))
    assert (gain.abs() < exact * 100).all()
    again, _ = project(point, moves, initial, support, dual)
    torch.testing.assert_close(again, mass, atol=exact, rtol=0)


def test_dense_moves_are_those_of_every_kind_of_kernel() -> None:
    for name in ("ring", "sis", "masked_queue"):
        played = oracle.load(name) if name == "masked_queue" else program(name)
        view = FiniteView.build(played)
        flow = view.flow(view.uniform())
        assert flow.problem is not None
        game = oracle.dense_game(played, played.params())
        for t in (0, played.horizon - 1):
            found = dense_moves(flow.problem.kernels[t], flow.problem.rewards[t])[0]
            expected = game.kernel(t, flow.joint[0, t].numpy())
            np.testing.assert_allclose(found.numpy(), expected, atol=1e-14)
    swept = program("sis")
    view = FiniteView.build(swept, swept.params({"infection": [0.2, 0.9]}))
    flow = view.flow(view.uniform())
    assert flow.problem is not None
    found = dense_moves(flow.problem.kernels[0], flow.problem.rewards[0])
    for b, rate in enumerate((0.2, 0.9)):
        game = oracle.dense_game(swept, swept.params({"infection": rate}))
        np.testing.assert_allclose(
            found[b].numpy(), game.kernel(0, flow.joint[b, 0].numpy()), atol=1e-14
        )


@pytest.mark.parametrize("name", ["dynamic_rps", "cycle", "ring"])
def test_golden_ratio_steps_solve_monotone_games(name: str) -> None:
    found = gaps(run(program(name), "mf_omi", 150))
    assert found[-1] < 1e-4 * found[0]


def test_constant_steps_cycle_where_golden_ones_converge() -> None:
    # without congestion the game is skew, and a forward step leads outwards
    biased = mfdsl.load("nfg_biased_rps").program
    constant = gaps(run(biased, "mf_omi", 300, learning_rate=0.5))
    assert constant[-1] > 0.1 * constant[0]
    assert gaps(run(biased, "mf_omi", 300))[-1] < 1e-8


def test_games_whose_moves_read_the_law() -> None:
    found = gaps(run(mfdsl.load("random_linear").program, "mf_omi", 200))
    assert found[-1] < 1e-6 * found[0]


def test_a_stationary_horizon_and_blocks_beyond_memory_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SolverError, match=r"mf_omi needs stages in time.*stationary horizon"):
        run(program("contraction"), "mf_omi", 1)
    name = "mfdsl.runtime.solvers.occupation_inclusion.memory_of"
    monkeypatch.setattr(name, lambda device: 1000)
    with pytest.raises(SolverError, match=r"blocks of 3 x 3 .*: take omd"):
        run(program("cycle"), "mf_omi", 1)


def test_an_endless_horizon_pays_its_tail() -> None:
    lines = [line for line in RING.splitlines() if "final" not in line]
    text = "\n".join(lines).replace("horizon 5", "horizon infinite")
    endless = mfdsl.load(text=text.replace("discount 0.9", "discount 0.4"))
    found = gaps(solve(endless.program, None, "mf_omi", iterations=60, tolerance=1e-9))
    assert found[-1] < 0.02 * found[0]
