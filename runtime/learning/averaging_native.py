"""Slopes of averaged hidden layers as compiled loops (needs numba): one look at each tangent."""

import numpy as np
from numba import njit


@njit(cache=True, fastmath={"contract"})
def slopes(members, tangents, slope, found):  # type: ignore[no-untyped-def]
    """Add to `found` [d, h] the slopes of a loss in the layer that bends `members` [B, M, d] into
    `tangents` [B, M, h], from those in the sum over the members of each game, `slope` [B, h].

    Each game is summed in the digits of the tangents, and then added to what is kept.
    """
    axes, hidden = members.shape[2], tangents.shape[2]
    rows = np.empty((axes, hidden), tangents.dtype)
    here = np.empty(hidden, tangents.dtype)
    one = here.dtype.type(1)  # a whole number would make all of it float64
    for b in range(members.shape[0]):
        rows[:] = 0
        for i in range(members.shape[1]):
            for j in range(hidden):
                here[j] = slope[b, j] * (one - tangents[b, i, j] * tangents[b, i, j])
            for c in range(axes):
                for j in range(hidden):
                    rows[c, j] += members[b, i, c] * here[j]
        found += rows
