"""Draws from the rules of a planner as compiled loops (needs numba): one look at each agent.

The tensor code of `rules.py` writes cells, rows of the table and deviations to memory instead; it
stays the reference, has gradients and runs on other devices.
"""

from numba import njit


@njit(cache=True)
def among_cells(values, low, width, size, place):  # type: ignore[no-untyped-def]
    """Move on `place` [B, N] by an axis of real `values` [B, N]: `size` cells from `low` on that
    are `width` long together.
    """
    for b in range(place.shape[0]):
        for i in range(place.shape[1]):
            cell = int((values[b, i] - low) / width * size)
            cell = min(max(cell, 0), int(size) - 1)
            place[b, i] = place[b, i] * int(size) + cell


@njit(cache=True)
def among_names(values, first, size, place):  # type: ignore[no-untyped-def]
    """Move on `place` [B, N] by an axis of `size` whole numbers from `first` on."""
    for b in range(place.shape[0]):
        for i in range(place.shape[1]):
            place[b, i] = place[b, i] * size + int(values[b, i]) - first


@njit(cache=True)
def drawn(table, place, normal, least, widest, found):  # type: ignore[no-untyped-def]
    """Fill `found` [B, N, k] with numbers of the Gaussians at `place` [B, N] of `table`
    [B, cells, 2 k], means before deviations, from standard numbers `normal` [B, N, k].
    """
    count = found.shape[2]
    for b in range(place.shape[0]):
        for i in range(place.shape[1]):
            row = place[b, i]
            for j in range(count):
                spread = (table[b, row, count + j] + least) * widest
                found[b, i, j] = table[b, row, j] + spread * normal[b, i, j]
