"""Histograms of members as compiled loops (needs numba): each adds to the few cells that it is in.

The tensor code of `encoders.Histogram` multiplies the shares of all cells instead; it stays the
reference, has gradients and runs on other devices.
"""

import numpy as np
from numba import njit

KINDS = ("line", "circle", "names")
LINE, CIRCLE, NAMES = 0, 1, 2  # their places


@njit(cache=True)
def spread(at, weights, kinds, sizes, found):  # type: ignore[no-untyped-def]
    """Add members of mass `weights` [B, M] (or [1, 1] for all) to `found` [B, cells].

    They are at `at` [B, k, M], on each axis in cells from the centre of the first: from 0 to its
    size - 1, on a circle from -1/2 to its size - 1/2, and whole numbers among names. A member
    between two centres is shared by both cells; one that is nowhere makes a cell nan.
    """
    number, axes = at.shape[2], len(kinds)
    corner, jump = np.empty(number, np.int64), np.empty((axes, number), np.int64)
    upper = np.empty((axes, number))
    place, mass = np.empty(1 << axes, np.int64), np.empty(1 << axes)
    for b in range(len(at)):
        corner[:] = 0
        between = 0  # axes on which members are between cells
        for k in range(axes):
            for e in range(between):
                for i in range(number):
                    jump[e, i] *= sizes[k]
            _add(at, b, k, kinds[k] == CIRCLE, sizes[k], corner, jump, upper, between)
            between += 1 if kinds[k] != NAMES else 0
        for i in range(number):
            place[0] = corner[i]
            mass[0] = weights[b, i] if len(weights) > 1 else weights[0, 0]
            count = 1
            for k in range(between):
                for e in range(count):
                    place[count + e] = place[e] + jump[k, i]
                    mass[count + e] = mass[e] * upper[k, i]
                    mass[e] -= mass[count + e]
                count *= 2
            for e in range(count):
                found[b, place[e]] += mass[e]


@njit(cache=True)
def _add(at, b, k, circle, size, corner, jump, upper, row):  # type: ignore[no-untyped-def]
    """The first cell of each member, the way to the next one, and how much is there."""
    for i in range(at.shape[2]):
        value = at[b, k, i]
        low = int(np.floor(value)) if value == value else 0
        upper[row, i] = value - low
        following = low + 1
        if circle:
            low += size if low < 0 else 0
            following -= size if following == size else 0
        else:
            following -= 1 if following == size else 0
        jump[row, i] = following - low
        corner[i] = corner[i] * size + low
