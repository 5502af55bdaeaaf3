"""Exact optimal transport between two small clouds of equal masses, by shortest augmenting paths.

Slow and short: the oracle of faster ones (Kuhn 1955; the version with potentials of Jonker and
Volgenant 1987).
"""

from math import gcd

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def squared_distance(x: Array, y: Array) -> float:
    """The squared 2-Wasserstein distance between equal masses on the rows of x [N, d] and y [M, d].

    Rows are repeated to a common number, so that an optimal plan is a matching.
    """
    common = len(x) * len(y) // gcd(len(x), len(y))
    a, b = np.repeat(x, common // len(x), 0), np.repeat(y, common // len(y), 0)
    cost = ((a[:, None] - b[None]) ** 2).sum(-1)
    return float(cost[np.arange(common), matching(cost)].mean())


def matching(cost: Array) -> NDArray[np.int64]:
    """The column of each row in a matching of smallest total cost of a square matrix."""
    count = len(cost)
    row_price, column_price = np.zeros(count + 1), np.zeros(count + 1)
    row_of = np.full(count + 1, count)  # the last column is a stand-in for where a path starts
    for row in range(count):
        row_of[count], column = row, count
        least = np.full(count, np.inf)
        before = np.full(count, count)
        seen = np.zeros(count + 1, dtype=bool)
        while row_of[column] != count or column == count:
            seen[column] = True
            at = row_of[column]
            reduced = cost[at] - row_price[at] - column_price[:count]
            better = ~seen[:count] & (reduced < least)
            least[better], before[better] = reduced[better], column
            open_ = np.where(seen[:count], np.inf, least)
            nearest = int(open_.argmin())
            step = open_[nearest]
            row_price[row_of[seen]] += step
            column_price[seen] -= step
            least[~seen[:count]] -= step
            column = nearest
        while column != count:
            row_of[column] = row_of[before[column]]
            column = int(before[column])
    found = np.empty(count, dtype=np.int64)
    found[row_of[:count]] = np.arange(count)
    return found
