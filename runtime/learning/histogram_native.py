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

    Members are the inner loops until the last, so that a processor works on several of them.
    """
    number, axes = at.shape[2], len(kinds)
    low, after, upper = np.empty(number, np.int32), np.empty(number, np.int32), np.empty(number)
    place, mass = np.empty((1 << axes, number), np.int32), np.empty((1 << axes, number))
    for b in range(len(at)):
        place[0] = 0
        for i in range(number):
            mass[0, i] = weights[b, i] if len(weights) > 1 else weights[0, 0]
        count = 1  # cells that a member has a share in
        for k in range(axes):
            _ends(at[b, k], kinds[k] == CIRCLE, sizes[k], low, after, upper)
            for e in range(count):
                if kinds[k] == NAMES:
                    _move(place[e], sizes[k], low)
                else:
                    other = count + e
                    _part(place[e], mass[e], place[other], mass[other], sizes[k], low, after, upper)
            count *= 1 if kinds[k] == NAMES else 2
        for i in range(number):
            for e in range(count):
                found[b, place[e, i]] += mass[e, i]


@njit(cache=True)
def _ends(at, circle, size, low, after, upper):  # type: ignore[no-untyped-def]
    """The first cell of each member on an axis, the one after it, and how much is there."""
    for i in range(len(at)):
        value = at[i]
        first = np.int32(np.floor(value if value == value else 0))
        upper[i] = value - first
        following = first + 1
        if circle:
            low[i] = first + size if first < 0 else first
            after[i] = following - size if following == size else following
        else:
            low[i] = first
            after[i] = first if following == size else following


@njit(cache=True)
def _move(place, size, low):  # type: ignore[no-untyped-def]
    """Go on to the cell of an axis."""
    for i in range(len(low)):
        place[i] = place[i] * size + low[i]


@njit(cache=True)
def _part(place, mass, other, more, size, low, after, upper):  # type: ignore[no-untyped-def]
    """Go on to the first of two cells of an axis, and leave the rest of the mass in the other."""
    for i in range(len(low)):
        start, share = place[i] * size, mass[i] * upper[i]
        other[i], more[i] = start + after[i], share
        place[i] = start + low[i]
        mass[i] -= share
