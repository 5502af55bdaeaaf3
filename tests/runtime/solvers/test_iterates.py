"""The new solvers against slow statements of their algorithms; masks, discounts, final rewards."""

import numpy as np
import pytest
import torch

import mfdsl
from mfdsl.runtime.solvers.base import SolverError
from mfdsl.runtime.solvers.loop import solve
from mfdsl.runtime.status import Status
from tests.runtime import oracle
from tests.runtime.solvers.games import RING, Array, gaps, program, run, soft_values, tables

STEPS = 8
RATE = 0.3


def prox(
    game: oracle.Game, discount: float, prior: Array, flow: tuple[list[Array], Array]
) -> Array:
    joints, last = flow
    legal, rewards, kernels = tables(game, joints)
    w = RATE * discount ** np.arange(game.stages + 1)
    scaled = [w[t] * reward for t, reward in enumerate(rewards)]
    return soft_values(legal, scaled, kernels, w[-1] * game.final(last), 1.0, prior)


def slow_mirror_prox(game: oracle.Game, discount: float) -> list[float]:
    policy = oracle.uniform(game)
    mass, found = np.zeros_like(policy), []
    for _ in range(STEPS):
        half = prox(game, discount, policy, oracle.flow(game, policy))
        ahead = oracle.flow(game, half)
        policy = prox(game, discount, policy, ahead)
        mass = mass + np.stack(ahead[0])
        total = mass.sum(-1, keepdims=True)
        average = np.where(total > 0, mass / np.where(total > 0, total, 1), oracle.uniform(game))
        found.append(oracle.exploitability(game, average, discount))
    return found


def slow_frank_wolfe(game: oracle.Game, discount: float) -> list[float]:
    policy, found = oracle.uniform(game), []
    for k in range(STEPS):
        joints, last = oracle.flow(game, policy)
        q = oracle.q_values(game, joints, last, None, discount)
        best = np.eye(q.shape[-1])[np.argmax(q >= q.max(-1, keepdims=True) - 1e-12, -1)]
        mass = np.stack(joints) + 2 / (k + 2) * (
            np.stack(oracle.flow(game, best)[0]) - np.stack(joints)
        )
        total = mass.sum(-1, keepdims=True)
        policy = np.where(total > 0, mass / np.where(total > 0, total, 1), oracle.uniform(game))
        found.append(oracle.exploitability(game, policy, discount))
    return found


def slow_pmd(game: oracle.Game, discount: float, temperature: float) -> list[float]:
    policy, found = oracle.uniform(game), []
    for k in range(STEPS):
        joints, last = oracle.flow(game, policy)
        value, following = game.final(last), np.zeros_like(policy)
        rate = 4 / (temperature * (k + 4))
        for t in reversed(range(game.stages)):
            q = game.reward(t, joints[t]) + discount * game.kernel(t, joints[t]) @ value
            log = np.log(np.where(policy[t] > 0, policy[t], 1))
            value = (policy[t] * (q - temperature * log)).sum(-1)
            weight = game.legal(t) * np.exp((1 - temperature * rate) * log + rate * (q - q.max()))
            following[t] = weight / weight.sum(-1, keepdims=True)
        policy = following
        found.append(oracle.exploitability(game, policy, discount))
    return found


def slow_soft(game: oracle.Game, discount: float, temperature: float) -> list[float]:
    policy, found = oracle.uniform(game), []
    for _ in range(STEPS):
        joints, last = oracle.flow(game, policy)
        legal, rewards, kernels = tables(game, joints)
        warm = [reward / temperature for reward in rewards]
        final = game.final(last) / temperature
        policy = soft_values(legal, warm, kernels, final, discount)
        found.append(oracle.exploitability(game, policy, discount))
    return found


@pytest.mark.parametrize("name", ["ring", "cycle", "dynamic_rps"])
def test_iterates_are_those_of_the_algorithm(name: str) -> None:
    played = program(name)
    game, discount = oracle.dense_game(played, played.params()), played.discount
    constant = {"learning_rate": RATE, "growth": 1}
    expected = slow_mirror_prox(game, discount)
    assert gaps(run(played, "mirror_prox", STEPS, **constant))[1:] == pytest.approx(expected)
    expected = slow_frank_wolfe(game, discount)
    assert gaps(run(played, "frank_wolfe", STEPS, step="open"))[1:] == pytest.approx(expected)
    expected = slow_pmd(game, discount, 0.2)
    assert gaps(run(played, "pmd", STEPS, temperature=0.2))[1:] == pytest.approx(expected)
    expected = slow_soft(game, discount, 0.5)
    found = gaps(run(played, "soft_fixed_point", STEPS, temperature=0.5))[1:]
    assert found == pytest.approx(expected)


def test_moves_that_read_the_law_and_change_with_time() -> None:
    queue = oracle.load("masked_queue")
    game = oracle.dense_game(queue, queue.params())
    found = gaps(run(queue, "pmd", STEPS, temperature=0.2))[1:]
    assert found == pytest.approx(slow_pmd(game, 1.0, 0.2))
    found = gaps(run(queue, "soft_fixed_point", STEPS, temperature=0.5))[1:]
    assert found == pytest.approx(slow_soft(game, 1.0, 0.5))


@pytest.mark.parametrize("solver", ["mirror_prox", "frank_wolfe"])
def test_averages_of_flows_are_refused_where_they_mean_nothing(solver: str) -> None:
    with pytest.raises(SolverError, match=f"{solver} .* `dynamics_independent_of_mu`"):
        run(oracle.load("masked_queue"), solver, 1)
    with pytest.raises(SolverError, match=f"{solver} .* stationary horizon"):
        run(program("contraction"), solver, 1)


@pytest.mark.parametrize("solver", ["mirror_prox", "frank_wolfe", "pmd", "soft_fixed_point"])
def test_a_batch_solves_each_game_and_a_resumed_run_goes_on(solver: str) -> None:
    played = oracle.load("beach_bar")
    bars, options = [2.0, 0.0, 1.0], {"iterations": 6, "tolerance": 0}
    batch = solve(played, played.params({"bar": bars}), solver, **options)
    for g, bar in enumerate(bars):
        alone = solve(played, played.params({"bar": bar}), solver, **options)
        assert batch.exploitability.per_game[g] == pytest.approx(alone.exploitability.value)
    first = solve(played, None, solver, iterations=2, tolerance=0)
    rest = solve(played, None, solver, state=first.state, history=first.history, **options)
    whole = solve(played, None, solver, **options)
    assert gaps(rest) == gaps(whole)
    assert torch.equal(rest.policy.probs, whole.policy.probs)


def test_a_stationary_game_in_the_soft_solvers() -> None:
    # By symmetry the regularised equilibrium holds one half in each place, where switching costs 2
    # and changes nothing else: staying has probability sigmoid(2 / temperature).
    for solver in ("pmd", "soft_fixed_point"):
        solution = run(program("contraction"), solver, 300, temperature=1.0)
        assert solution.flow.laws[0, 0].tolist() == pytest.approx([0.5, 0.5], abs=1e-6)
        stay = solution.policy.probs[0, 0, :, 0].tolist()
        assert stay == pytest.approx([1 / (1 + np.exp(-2))] * 2, abs=1e-6)


def test_a_discount_without_end_is_cut_where_nothing_is_left() -> None:
    lines = [line for line in RING.splitlines() if "final" not in line]
    endless = mfdsl.load(text="\n".join(lines).replace("horizon 5", "horizon infinite"))
    solution = run(endless.program, "mirror_prox", 60)
    assert solution.status is Status.max_iterations
    assert gaps(solution)[-1] < 0.1 * gaps(solution)[0]
