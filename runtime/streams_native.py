"""Uniform numbers that are hashes of their places, as a compiled loop (needs numba).

`streams.py` has the tensor code: splitmix64 (Steele, Lea and Flood 2014) with 53 bits kept.
"""

import numpy as np

from mfdsl.runtime.kept_loops import INNER, njit

GOLDEN, FIRST, SECOND = (
    np.uint64(factor) for factor in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)


@njit(cache=True, **INNER)
def of_bits(mixed):  # type: ignore[no-untyped-def]
    """The uniform number of 64 bits."""
    mixed = (mixed ^ (mixed >> np.uint64(30))) * FIRST
    mixed = (mixed ^ (mixed >> np.uint64(27))) * SECOND
    mixed = mixed ^ (mixed >> np.uint64(31))
    return np.float64(np.int64(mixed >> np.uint64(11))) * 2.0**-53


@njit(cache=True)
def fill(stream, found):  # type: ignore[no-untyped-def]
    """Write the first numbers [n] of a stream that begins at these 64 bits."""
    for i in range(len(found)):
        found[i] = of_bits(stream + GOLDEN * np.uint64(i))
