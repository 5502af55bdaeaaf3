"""Games of economics, finance and security against computations that know nothing of mfdsl."""

import numpy as np
import pytest

import mfdsl


def saved(capital: float, count: int = 25, most: float = 12.0) -> float:
    """What households of `incomplete_markets` own on average where prices are those of `capital`.

    Value iteration on the grid, and the stationary law by a linear system.
    """
    owned, work = np.linspace(0, most, count), np.array([0.6, 1.4])
    turns = np.array([[0.7, 0.3], [0.3, 0.7]])
    rent, wage = 0.36 * capital**-0.64 - 0.1, 0.64 * capital**0.36
    means = (1 + rent) * owned[:, None] + wage * work
    utility = np.log(np.maximum(0.001, means[..., None] - owned))  # [k, y, to]
    values = np.zeros((count, 2))
    for _ in range(700):
        worth = utility + 0.95 * (turns @ values.T)
        values = worth.max(-1)
    chosen = worth.argmax(-1)
    chain = np.zeros((count, 2, count, 2))
    for k, y in np.ndindex(count, 2):
        chain[k, y, chosen[k, y]] = turns[y]
    flat = chain.reshape(2 * count, 2 * count)
    system = np.vstack([flat.T - np.eye(2 * count), np.ones(2 * count)])
    law = np.linalg.lstsq(system, np.r_[np.zeros(2 * count), 1.0], rcond=None)[0]
    return float(law.reshape(count, 2).sum(1) @ owned)


def test_capital_is_what_households_save_at_its_prices() -> None:
    solution = mfdsl.solve("incomplete_markets", "omd", iterations=200, tolerance=1e-9)
    law = solution.flow.laws[0, 0].numpy().reshape(25, 2)
    capital = float(law.sum(1) @ np.linspace(0, 12, 25))
    assert capital == pytest.approx(4.9340436, abs=1e-6)
    assert saved(capital) == pytest.approx(capital, abs=1e-5)
    assert saved(capital - 0.1) > saved(capital + 0.1)  # dearer capital, less of it


def test_traders_sell_as_fast_as_cardaliaguet_and_lehalle_say() -> None:
    kappa, alpha, phi, left = 0.2, 0.4, 0.1, 2.0
    roots = np.roots([2 * kappa, alpha, -2 * phi])
    ends = np.array([np.ones(2), (kappa * roots + left) * np.exp(roots)])
    weights = np.linalg.solve(ends, [1.0, 0.0])
    errors = []
    for stages in (50, 500):
        solution = mfdsl.solve("trade_crowding", params={"T": stages})
        times = np.linspace(0, 1, stages + 1)
        exact = np.exp(np.outer(times, roots)) @ weights
        errors.append(float(abs(solution.flow.means[:, 0] - exact).max()))
    assert errors[0] == pytest.approx(1.73e-3, rel=0.01)
    assert errors[1] == pytest.approx(errors[0] / 10, rel=0.02)  # of the first order in dt


def test_nobody_gains_by_another_defence_by_plain_loops() -> None:
    solution = mfdsl.solve("botnet", iterations=200, tolerance=1e-9)
    count, dt, change = 50, 0.2, 0.8
    attack, recover, spread = (0.1, 0.4), (0.5, 0.3), ((0.1, 0.6), (0.2, 0.8))
    wishes = solution.policy.probs[0].numpy().reshape(count, 2, 2, 2)[..., 1]
    law, rates = np.full((2, 2), 0.25), []
    for t in range(count):
        ill = law[:, 1]
        rates.append(
            [0.3 * attack[d] + ill[0] * spread[0][d] + ill[1] * spread[1][d] for d in (0, 1)]
        )
        after = np.zeros((2, 2))
        for d, i in np.ndindex(2, 2):
            sick = 1 - dt * recover[d] if i else dt * rates[t][d]
            moved = law[d, i] * change * dt * wishes[t, d, i]
            for end, mass in ((d, law[d, i] - moved), (1 - d, moved)):
                after[end] += mass * np.array([1 - sick, sick])
        law = after
    best, own = np.zeros((2, 2)), np.zeros((2, 2))
    for t in reversed(range(count)):
        old_best, old_own, best, own = best, own, np.zeros((2, 2)), np.zeros((2, 2))
        for d, i in np.ndindex(2, 2):
            sick = 1 - dt * recover[d] if i else dt * rates[t][d]
            chances = np.array([1 - sick, sick])
            paid = -dt * (0.1 * (d == 0) + 0.5 * i)
            for worth, old, wish in ((best, old_best, None), (own, old_own, wishes[t, d, i])):
                stays, leaves = chances @ old[d], chances @ old[1 - d]
                gain = change * dt * (leaves - stays)
                worth[d, i] = paid + stays + (max(gain, 0.0) if wish is None else wish * gain)
    assert solution.exploitability.value <= 1e-9
    assert best.mean() - own.mean() == pytest.approx(solution.exploitability.value, abs=1e-12)
    assert own.mean() == pytest.approx(-1.8934268, abs=1e-7)
    assert solution.flow.laws[0, -1].numpy() == pytest.approx(law.ravel(), abs=1e-12)
