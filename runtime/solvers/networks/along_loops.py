"""Moves of one stage along several paths, forwards and backwards, as compiled loops (needs numba).

`places` and `chances` [B, N, K] are the outcomes of each pair of state and action, N of them, on
each of B paths. `along.py` has the same as tensor operations.
"""

from numba import njit

VECTORS = {"nsz", "reassoc", "contract"}


@njit(cache=True, fastmath=VECTORS)
def push(places, chances, mass, law):  # type: ignore[no-untyped-def]
    """Add to `law` [B, S] what arrives of `mass` [B, N]."""
    paths, pairs, outcomes = places.shape
    for b in range(paths):
        for n in range(pairs):
            share = mass[b, n]
            if share != 0:
                for k in range(outcomes):
                    law[b, places[b, n, k]] += share * chances[b, n, k]


@njit(cache=True, fastmath=VECTORS)
def expect(places, chances, value, base, discount, out):  # type: ignore[no-untyped-def]
    """Write base [B, N] + discount * the mean of `value` [B, S] after the move."""
    paths, pairs, outcomes = places.shape
    for b in range(paths):
        for n in range(pairs):
            total = 0 * value[b, 0]
            for k in range(outcomes):
                total += chances[b, n, k] * value[b, places[b, n, k]]
            out[b, n] = base[b, n] + discount * total
