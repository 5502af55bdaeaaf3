"""Profiles of the others, their tallies, and the grid of laws that K players can have."""

import math
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

LARGEST = 2.0**62  # sums of floats are this certain to fit


def grid_size(others: int, cells: int) -> int:
    """Number of laws of `others` players on `cells` cells: C(K + X - 1, X - 1)."""
    return math.comb(others + cells - 1, cells - 1)


def tallies(others: int, cells: int) -> IntArray:
    """All count vectors [points, cells] that sum to `others`, in lexicographic order.

    Raises:
        ValueError: there is no cell, or a negative number of players.
    """
    if cells < 1 or others < 0:
        raise ValueError(f"no tallies of {others} players on {cells} cells")
    slots = others + cells - 1
    rows = np.array(list(combinations(range(slots), cells - 1)), dtype=np.int64)
    rows = rows.reshape(grid_size(others, cells), cells - 1)
    edges = np.full((len(rows), 1), -1), rows, np.full((len(rows), 1), slots)
    return np.diff(np.concatenate(edges, axis=1), axis=1) - 1


def all_profiles(others: int, cells: int) -> IntArray:
    """All profiles [cells ** others, others]: the cell of each other player, the last fastest."""
    places = np.indices((cells,) * others).reshape(others, -1)
    return np.ascontiguousarray(places.T, dtype=np.int64)


def tally(profiles: IntArray, cells: int) -> IntArray:
    """Count vectors [..., cells] of profiles [..., others]."""
    ones: IntArray = (profiles[..., None] == np.arange(cells)).sum(-2)
    return ones


def position(counts: IntArray) -> IntArray:
    """Places [...] of count vectors [..., cells] in the order of `tallies`.

    The vectors before n are those that agree up to a cell and have fewer players in it; with r
    players left for m cells there are C(r + m - 1, m - 1), so what is skipped sums to a
    difference of two binomials (hockey stick).
    """
    cells = counts.shape[-1]
    left = counts.sum(-1)
    table = _binomials(int(left.max(initial=0)) + cells, cells)
    place = np.zeros(counts.shape[:-1], dtype=np.int64)
    for cell in range(cells - 1):
        later = cells - cell - 1
        rest = left - counts[..., cell]
        place += table[left + later, later] - table[rest + later, later]
        left = rest
    return place


@lru_cache(maxsize=4)
def _binomials(most: int, cells: int) -> IntArray:
    """C(n, k) for n up to `most` and k below `cells`, by Pascal's rule down each column; what may
    be too large for an integer of 64 bits is the largest one.
    """
    table = np.ones((most + 1, cells), dtype=np.int64)
    for k in range(1, cells):
        earlier = table[:-1, k - 1]
        fits = np.cumsum(earlier, dtype=np.float64) < LARGEST
        table[0, k] = 0
        table[1:, k] = np.where(fits, np.cumsum(earlier), np.iinfo(np.int64).max)
    return table
