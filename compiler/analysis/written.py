"""Numbers as they were written: decimals, of which doubles are only the nearest."""

import numpy as np

from mfdsl.compiler.analysis.intervals import Array, Interval, Mask


def written(values: Array | np.float64) -> Interval:
    """Around numbers that were written as decimals, of which doubles are only the nearest.

    Numbers whose decimals have at most 15 digits are exact (`is_short`); `ir.fold.carried` sees to
    it that no other number was rounded to one of them.
    """
    array = np.asarray(values, dtype=np.float64)
    own = is_short(array)
    with np.errstate(over="ignore", under="ignore"):
        below, above = np.nextafter(array, -np.inf), np.nextafter(array, np.inf)
    return Interval(np.where(own, array, below), np.where(own, array, above))


def is_short(values: Array) -> Mask:
    """Whether numbers are fractions of 2**8 below 2**20, whole ones below 1e15, or infinite: all
    have decimals of at most 15 digits.
    """
    with np.errstate(over="ignore"):
        scaled = np.ldexp(values, 8)
    fractions = (np.abs(values) < 2.0**20) & (scaled == np.floor(scaled))
    whole = (np.abs(values) < 1e15) & (values == np.floor(values))
    return np.asarray(fractions | whole | np.isinf(values))
