"""Nearest members as compiled loops (needs numba): one look at each pair, and the few best kept.

The tensor code of `surroundings.py` writes all displacements and distances to memory and sorts them
instead; it stays the reference and runs on other devices.
"""

import numpy as np
from numba import njit


@njit(cache=True)
def closest(place, there, oneself, order):  # type: ignore[no-untyped-def]
    """Fill `order` [B, N, k] with the numbers of the k nearest of `there` [B, M, d] to each of
    `place` [B, N, d], the first one first and of equals the earlier one.

    With `oneself` both are the same points, of which none is near itself; k is at most the number
    that is left.
    """
    count, axes = order.shape[2], place.shape[2]
    far = np.empty(count, place.dtype)
    for b in range(len(place)):
        for i in range(place.shape[1]):
            filled = 0
            for j in range(there.shape[1]):
                if oneself and i == j:
                    continue
                apart = there[b, j, 0] - place[b, i, 0]
                square = apart * apart
                for axis in range(1, axes):
                    apart = there[b, j, axis] - place[b, i, axis]
                    square += apart * apart
                if filled == count:
                    if not square < far[count - 1]:
                        continue
                    at = count - 1
                else:
                    at = filled
                    filled += 1
                while at > 0 and square < far[at - 1]:
                    far[at], order[b, i, at] = far[at - 1], order[b, i, at - 1]
                    at -= 1
                far[at], order[b, i, at] = square, j
