"""Bounds of learned values and of mirror descent with them, against games solved exactly."""

import itertools
import math

import numpy as np
import pytest

from mfdsl.runtime.finite_population.sampled_values import (
    Moduli,
    divergence_bound,
    gain_bound,
    sample_error,
    value_bias,
)

Floats = np.ndarray


def values_of_three(
    kernel: Floats, pull: Floats, paid: Floats, policy: Floats, stages: int
) -> tuple[list[Floats], list[Floats], list[Floats]]:
    """Q of the first of three players from the law of all their states, Q of the limit, and the
    visits of the first player; moves are (kernel + pull . law), rewards paid . law, of the others.
    """
    joint, law = np.full((2, 2, 2), 1 / 8), np.full(2, 0.5)
    seen, limit, visits = [], [], []
    own_moves, limit_moves = [], []
    for _ in range(stages):
        weight, reward, move = np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((2, 2, 2))
        after = np.zeros((2, 2, 2))
        for s in itertools.product(range(2), repeat=3):
            for a in itertools.product(range(2), repeat=3):
                chance = joint[s] * np.prod([policy[s[i], a[i]] for i in range(3)])
                nexts = []
                for i in range(3):
                    others = np.zeros((2, 2))
                    for j in range(3):
                        if j != i:
                            others[s[j], a[j]] += 0.5
                    up = kernel[s[i], a[i]] + (pull * others).sum()
                    nexts.append(np.array([1 - up, up]))
                    if i == 0:
                        weight[s[0], a[0]] += chance
                        reward[s[0], a[0]] += chance * (paid[s[0], a[0]] * others).sum()
                        move[s[0], a[0]] += chance * nexts[0]
                after += chance * np.einsum("i,j,k->ijk", *nexts)
        visits.append(weight)
        seen.append(reward / weight)
        own_moves.append(move / weight[..., None])
        mean = law[:, None] * policy
        up = kernel + (pull * mean).sum()
        limit.append((paid * mean).sum((2, 3)))
        limit_moves.append(np.stack([1 - up, up], -1))
        joint = after
        law = np.einsum("sa,sat->t", mean, limit_moves[-1])
    found = []
    for rewards, moves in ((seen, own_moves), (limit, limit_moves)):
        q, ahead = [], np.zeros(2)
        for h in reversed(range(stages)):
            q.append(rewards[h] + moves[h] @ ahead)
            ahead = (policy * q[-1]).sum(1)
        found.append(q[::-1])
    return found[0], found[1], visits


@pytest.mark.parametrize("seed", range(6))
def test_values_of_one_of_three_players_are_within_the_bias(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kernel, pull = rng.uniform(0.3, 0.6, (2, 2)), rng.uniform(-0.1, 0.1, (2, 2))
    paid, policy = rng.uniform(0, 0.3, (2, 2, 2, 2)), rng.dirichlet((1, 1), 2)
    stages = 3
    seen, limit, visits = values_of_three(kernel, pull, paid, policy, stages)
    spans = [np.ptp((policy * q).sum(1)) for q in limit]
    slope = np.ptp(pull)  # twice the half span: both next states move
    moduli = Moduli(slope, np.ptp(paid, axis=(2, 3)).max() / 2, np.ptp(kernel), 0, 0, 0, 4)
    bounds = value_bias(moduli, np.array([*spans, 0.0]), 3, 1.0)
    for h in range(stages):
        apart = math.sqrt((visits[h] * (seen[h] - limit[h]) ** 2).sum())
        assert apart <= bounds[h]
    apart = math.sqrt((visits[0] * (seen[0] - limit[0]) ** 2).sum())
    none = value_bias(Moduli(0, 0, np.ptp(kernel), 0, 0, 0, 4), np.array([*spans, 0.0]), 3, 1.0)
    assert none.max() == 0 < apart  # so that the bound cannot do without its moduli


def test_the_bias_by_hand_and_how_it_moves() -> None:
    moduli = Moduli(0.2, 0.5, 0.7, 0.1, 0.05, 0.03, 5)
    spans = np.array([3.0, 2.0, 1.0])
    first = math.sqrt(4 / 100)
    second = first + 0.05 + 0.2 * (first + 2 / 100) + 1 / 10
    last = 0.03 + 0.5 * second + 0.5 * 1 * (0.1 + 0.2 * second)
    whole = 0.03 + 0.5 * first + 0.9 * 0.5 * 2 * (0.1 + 0.2 * first) + 0.9 * last
    found = value_bias(moduli, spans, 101, 0.9)
    assert found[1] == pytest.approx(0.03 + 0.5 * second + 0.9 * 0.5 * (0.1 + 0.2 * second))
    assert found[0] == pytest.approx(whole + 0.9 * (found[1] - last))
    assert (value_bias(moduli, spans, 1001, 0.9) < found).all()
    with pytest.raises(ValueError, match="no others"):
        value_bias(moduli, spans, 1, 1.0)


def test_errors_of_means_are_rarely_beyond_their_bound() -> None:
    """Two stages, one state, two actions with coins as rewards, 40 visits of each."""
    rng = np.random.default_rng(0)
    chances = np.array([0.3, 0.6])
    visits = np.full((2, 1, 2), 40.0)
    beyond = 0
    for _ in range(400):
        paid = rng.binomial(40, chances, (2, 2)) / 40
        last = paid[1]
        first = paid[0] + last.mean()
        bounds = sample_error(visits, np.zeros(3), 1.0, 1.0)
        apart = np.abs(first - chances - chances.mean()).max(), np.abs(last - chances).max()
        beyond += apart[0] > bounds[0] or apart[1] > bounds[1]
    assert beyond <= 20
    radius = math.sqrt(math.log(4 * 2 * 2 / 0.05) / 80)
    assert bounds.tolist() == pytest.approx([2 * radius, radius])
    visits[1, 0, 1] = 0
    assert sample_error(visits, np.zeros(3), 1.0, 1.0).tolist() == [math.inf, math.inf]


def regularised(matrix: Floats, temperature: float) -> Floats:
    """The mu = softmax(matrix mu / temperature) of a monotone matrix."""
    mu = np.full(len(matrix), 1 / len(matrix))
    for _ in range(20000):
        goal = np.exp((matrix @ mu) / temperature)
        mu = 0.99 * mu + 0.01 * goal / goal.sum()
    return mu


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_mirror_steps_stay_within_their_divergence(noise: float) -> None:
    """One stage of rock, paper, scissors with unequal stakes: rewards M mu, M antisymmetric."""
    rng = np.random.default_rng(1)
    matrix = np.array([[0, -0.2, 0.5], [0.2, 0, -0.3], [-0.5, 0.3, 0]])
    temperature, steps = 0.2, 4 / (0.2 * (np.arange(40) + 8.0))
    best = regularised(matrix, temperature)
    policy = np.full(3, 1 / 3)
    errors, square = 0.0, 0.0
    for k, step in enumerate(steps):
        error = rng.uniform(-noise, noise, 3)
        values = matrix @ policy + error
        errors, square = max(errors, np.ptp(error) ** 2), max(square, np.ptp(values) ** 2)
        scores = (1 - temperature * step) * np.log(policy) + step * values
        policy = np.exp(scores - scores.max())
        policy /= policy.sum()
        divergence = float((best * np.log(best / policy)).sum())
        bound = divergence_bound(steps[: k + 1], temperature, math.log(3), square, errors)
        assert divergence <= bound
        gain = (matrix @ policy).max() - policy @ matrix @ policy
        span = float(np.ptp(matrix @ policy))
        assert gain <= gain_bound(divergence, temperature, 1, 3, 0.5, span)
    assert bound < 0.7 * math.log(3)
    with pytest.raises(ValueError, match="between 0 and 1"):
        divergence_bound(np.array([6.0]), 0.2, 1.0, 1.0, 0.0)
