"""Draws from rows of a table as a compiled loop (needs numba); `tabled.py` has the tensor code."""

from mfdsl.runtime.kept_loops import njit


@njit(cache=True)
def pick(chances, rows, uniforms, found):  # type: ignore[no-untyped-def]
    """Write the places `found` [n] that uniform numbers [n] draw from these rows [n] of cumulated
    probabilities [R, A].
    """
    last = chances.shape[1] - 1
    for i in range(len(rows)):
        row = rows[i]
        sought = uniforms[i] * chances[row, last]
        count = 0
        for a in range(last):
            count += chances[row, a] <= sought
        found[i] = count
