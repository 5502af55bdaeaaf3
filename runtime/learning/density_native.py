"""Log-densities of independent Gaussians and their slopes as compiled loops (needs numba).

Each is one look at the numbers, where tensor operations write one array after another to memory.
The tensor code of `heads.py` stays the reference and runs on other devices.
"""

import numpy as np
from numba import njit

FREE = {"reassoc", "contract"}  # sums in any order, so that several numbers are added at once


@njit(cache=True, fastmath=FREE)
def squares(reals, mean, narrow, found):  # type: ignore[no-untyped-def]
    """Fill `found` [R] with sums of squared distances of `reals` [R, k] from `mean` [R, k], both
    times `narrow` [k].
    """
    for i in range(len(reals)):
        total = narrow[0] * 0
        for j in range(len(narrow)):
            apart = (reals[i, j] - mean[i, j]) * narrow[j]
            total += apart * apart
        found[i] = total


@njit(cache=True, fastmath=FREE)
def slopes(reals, mean, narrow, slope, in_mean):  # type: ignore[no-untyped-def]
    """Fill `in_mean` [R, k] with the slopes of a loss in the mean, from those in the log-density
    `slope` [R]; gives those in the logarithm of the deviation [k].
    """
    in_log_std = np.zeros(len(narrow))
    for i in range(len(reals)):
        for j in range(len(narrow)):
            apart = (reals[i, j] - mean[i, j]) * narrow[j]
            in_mean[i, j] = slope[i] * narrow[j] * apart
            in_log_std[j] += slope[i] * (apart * apart - 1)
    return in_log_std
