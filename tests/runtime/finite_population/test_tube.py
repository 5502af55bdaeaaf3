"""The tube around the flow, against populations that are simulated, with a player that disturbs."""

import numpy as np
import pytest

from mfdsl.runtime.finite_population.tube import tube

STEPS = 4
INFECTION, RECOVERY = 0.5, 0.4


def flow() -> np.ndarray:
    """Share of the sick in the limit where nobody stays at home."""
    sick = [0.5]
    for _ in range(STEPS - 1):
        sick.append(sick[-1] * (1 - RECOVERY) + (1 - sick[-1]) * INFECTION * sick[-1])
    return np.array(sick)


def modulus() -> np.ndarray:
    """Of the push of laws of two states: the largest slope of the map of the sick, from the flow.

    x (1 - r) + (1 - x) b x has the secant 1 - r + b (1 - x - y) between x and y, at y = 0 or 1.
    """
    sick = flow()
    ends = [1 - RECOVERY + INFECTION * (1 - sick - y) for y in (0, 1)]
    return np.asarray(np.abs(ends).max(0))


def leaving(players: int, radii: np.ndarray, episodes: int) -> float:
    """Share of the episodes in which the others leave the tube while player 0 is always sick."""
    rng = np.random.default_rng(0)
    sick = rng.uniform(size=(episodes, players)) < 0.5
    out = np.zeros(episodes, dtype=bool)
    for h in range(STEPS):
        sick[:, 0] = True
        out |= 2 * np.abs(sick[:, 1:].mean(1) - flow()[h]) > radii[h]
        others = (sick.sum(1, keepdims=True) - sick) / (players - 1)
        sick = rng.uniform(size=sick.shape) < np.where(sick, 1 - RECOVERY, INFECTION * others)
    return float(out.mean())


def test_the_others_stay_in_the_tube() -> None:
    slope = np.full(STEPS, INFECTION)
    for players, delta in ((10, 0.3), (100, 0.3), (1000, 0.05)):
        radii = tube(modulus(), slope, 2, players, delta)
        assert leaving(players, radii, 2000) <= delta
    assert leaving(1000, 0.1 * radii, 200) > 0.5


def test_figures_and_monotonicity() -> None:
    radii = tube(np.ones(3), np.full(3, 0.5), 2, 101, 0.1)
    noise = 0.1 + np.sqrt(2 * np.log(30) / 100)
    assert radii == pytest.approx([noise, 2 * noise + 0.01, 3 * noise + 0.02])
    more = tube(np.ones(3), np.full(3, 0.5), 2, 1001, 0.1)
    assert (more < radii).all()
    unlike = tube(np.ones(3), np.full(3, 0.5), 2, 101, 0.1, others_transitions=np.full(3, 0.1))
    assert unlike - radii == pytest.approx([0.0, 0.1, 0.2])
    assert tube(np.full(9, 3.0), np.ones(9), 4, 10, 0.1).max() == 2.0
    with pytest.raises(ValueError, match="delta"):
        tube(np.ones(3), np.ones(3), 2, 101, 0.0)
