"""alpha and beta where there are too many profiles to enumerate: what samples do and do not say.

A configuration is (player, state, action, cells of the others in order); its distance is how far
the player's kernel or reward there is from the symmetrised one. Searching gives a lower bound of
the largest distance, with a witness; independent draws bound how often a larger one turns up, or
the mean; an upper bound of the largest distance needs structure besides (`transposition_bound`).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mfdsl.runtime.finite_population.enumerate import Swap
from mfdsl.runtime.finite_population.grid import FloatArray, IntArray

Distance = Callable[[int, int, int, IntArray], float]


@dataclass(frozen=True)
class Sizes:
    """Numbers of players, states and actions."""

    players: int
    states: int
    actions: int


def climb(
    distance: Distance,
    sizes: Sizes,
    generator: np.random.Generator,
    *,
    starts: int = 8,
    rounds: int = 200,
    first: IntArray | None = None,
) -> Swap:
    """A configuration of large distance, by hill climbing: a lower bound of the largest.

    A move changes the player, the state, the action or the cell of one other, or swaps two others;
    it is kept when the distance does not fall. `first` [starts, others] are profiles to begin
    with, for example sorted by weights. The value of the witness is evaluated once more.
    """
    best: Swap | None = None
    for k in range(starts):
        others = _random_profile(sizes, generator)
        if first is not None and k < len(first):
            others = first[k].copy()
        place = [int(generator.integers(n)) for n in (sizes.players, sizes.states, sizes.actions)]
        value = distance(place[0], place[1], place[2], others)
        for _ in range(rounds):
            moved, crowd = _moved(place, others, sizes, generator)
            found = distance(moved[0], moved[1], moved[2], crowd)
            if found >= value:
                place, others, value = moved, crowd, found
        if best is None or value > best.value:
            again = distance(place[0], place[1], place[2], others)
            best = Swap(place[0], (place[1], place[2]), tuple(others.tolist()), again)
    assert best is not None
    return best


def _random_profile(sizes: Sizes, generator: np.random.Generator) -> IntArray:
    cells = sizes.states * sizes.actions
    return generator.integers(cells, size=sizes.players - 1, dtype=np.int64)


def _moved(
    place: list[int], others: IntArray, sizes: Sizes, generator: np.random.Generator
) -> tuple[list[int], IntArray]:
    place, others = list(place), others.copy()
    kind = int(generator.integers(5))
    if kind < 3:
        place[kind] = int(generator.integers((sizes.players, sizes.states, sizes.actions)[kind]))
    elif kind == 3:
        others[generator.integers(len(others))] = generator.integers(sizes.states * sizes.actions)
    else:
        pair = generator.integers(len(others), size=2)
        others[pair] = others[pair[::-1]]
    return place, others


@dataclass(frozen=True)
class Quantile:
    """With `confidence`, less than `fraction` of the configurations drawn as here exceed `largest`.

    Says nothing about the largest distance of all.
    """

    largest: float
    fraction: float
    confidence: float
    draws: int


def quantile_statement(distances: FloatArray, delta: float) -> Quantile:
    """The statement from n independent draws: fraction ln(1 / delta) / n.

    The largest draw falls below the quantile of a fraction p with probability (1 - p)^n, at most
    exp(-p n).

    Raises:
        ValueError: there are no draws, or delta is not between 0 and 1.
    """
    _check(len(distances), delta)
    fraction = min(1.0, math.log(1 / delta) / len(distances))
    return Quantile(float(distances.max()), fraction, 1 - delta, len(distances))


def quantile_draws(fraction: float, delta: float) -> int:
    """Draws that a quantile statement with this fraction needs."""
    return math.ceil(math.log(1 / delta) / fraction)


@dataclass(frozen=True)
class Mean:
    """With `confidence` the mean of what is drawn lies in [lower, upper]."""

    estimate: float
    lower: float
    upper: float
    confidence: float
    draws: int


def hoeffding_mean(values: FloatArray, delta: float, width: float = 1.0) -> Mean:
    """Two-sided interval from independent values in an interval of this width. Hoeffding (1963)."""
    _check(len(values), delta)
    radius = width * math.sqrt(math.log(2 / delta) / (2 * len(values)))
    middle = float(values.mean())
    return Mean(middle, middle - radius, middle + radius, 1 - delta, len(values))


def hoeffding_draws(radius: float, delta: float, width: float = 1.0) -> int:
    """Draws that a two-sided interval of this radius needs."""
    return math.ceil(width**2 * math.log(2 / delta) / (2 * radius**2))


def bernstein_mean(values: FloatArray, delta: float, width: float = 1.0) -> Mean:
    """Two-sided interval that is shorter when values vary little. Audibert, Munos, Szepesvari 2009.

    Independent values in an interval of this width.
    """
    _check(len(values), delta)
    count, level = len(values), math.log(3 / delta)
    radius = float(values.std()) * math.sqrt(2 * level / count) + 3 * width * level / count
    middle = float(values.mean())
    return Mean(middle, middle - radius, middle + radius, 1 - delta, count)


def law_radius(outcomes: int, draws: int, delta: float) -> float:
    """l1 distance of a histogram of draws from its law, except with probability delta.

    Weissman et al. (2003).
    """
    return math.sqrt(2 * (outcomes * math.log(2) + math.log(1 / delta)) / draws)


def mean_law_radius(outcomes: int, draws: int, delta: float) -> float:
    """The same for a mean of drawn laws: sqrt(S / m) + sqrt(2 ln(1 / delta) / m). McDiarmid."""
    return math.sqrt(outcomes / draws) + math.sqrt(2 * math.log(1 / delta) / draws)


def transposition_bound(others: int, largest_swap: float) -> float:
    """Upper bound of the non-anonymity when swapping two others changes at most `largest_swap`.

    A random order is a product of K minus its number of cycles swaps, of which the mean is K - H_K.
    """
    return (others - sum(1 / k for k in range(1, others + 1))) * largest_swap


def _check(draws: int, delta: float) -> None:
    if draws < 1 or not 0 < delta < 1:
        raise ValueError(f"{draws} draws and delta = {delta:g}: give draws and 0 < delta < 1")
