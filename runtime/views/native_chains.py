"""Elimination without subtractions as compiled loops (needs numba), one game after another.

Rows reach no further than the moves from them and from states before them, so on grids and ladders
a band is eliminated, not a square. `kept` and `left` are the shares that stay with a chain in a
step and that leave it for good.
"""

import numpy as np

from mfdsl.runtime.kept_loops import INNER, njit

VECTORS = {"nsz", "reassoc", "contract"}


@njit(cache=True, fastmath=VECTORS, **INNER)
def total(numbers):  # type: ignore[no-untyped-def]
    """Their sum; reading a loop that calls numpy's imports most of numba and scipy."""
    found = 0.0
    for k in range(len(numbers)):
        found += numbers[k]
    return found


@njit(cache=True)
def envelope(moves):  # type: ignore[no-untyped-def]
    """For each state the first that it moves to, and one past the last that its row may reach."""
    landing, starts, places, _ = moves
    actions, states = landing.shape
    band = np.empty((states, 2), np.int64)
    for s in range(states):
        first, end = s, s + 1
        for a in range(actions):
            for k in range(starts[landing[a, s]], starts[landing[a, s] + 1]):
                first, end = min(first, places[k]), max(end, places[k] + 1)
        for k in range(first, s):
            end = max(end, band[k, 1])
        band[s, 0], band[s, 1] = first, end
    return band


@njit(cache=True, fastmath=VECTORS, **INNER)
def limits(moves, band, probs, laws, kept, left, most, unmoved):  # type: ignore[no-untyped-def]
    """Replace `laws` [S, B] by their limits under the policies `probs` [A, S, B]."""
    states, games = laws.shape
    chain, pivots = np.empty((states, states), laws.dtype), np.empty(states, laws.dtype)
    law, ahead = np.empty(states, laws.dtype), np.empty(states, laws.dtype)
    for b in range(games):
        _fill(moves, band, probs[:, :, b], kept, chain)
        _eliminate(chain, band, pivots, left)
        for s in range(states):  # `law[:] = laws[:, b]` takes seconds to compile, for its errors
            law[s] = laws[s, b]
        for _ in range(most):
            for s in range(states):
                ahead[s] = law[s]
            _solve_from_left(chain, band, pivots, ahead)
            whole, change = total(ahead), 0.0
            for s in range(states):
                after = ahead[s] / whole
                change += abs(after - law[s])
                law[s] = after
            if change <= unmoved:
                break
        for s in range(states):
            laws[s, b] = law[s]


@njit(cache=True, fastmath=VECTORS)
def values_of(moves, band, probs, paid, kept, left):  # type: ignore[no-untyped-def]
    """Replace `paid` [S, B], mean rewards of the policies, by their values without end."""
    states, games = paid.shape
    chain, pivots = np.empty((states, states), paid.dtype), np.empty(states, paid.dtype)
    value = np.empty(states, paid.dtype)
    for b in range(games):
        _fill(moves, band, probs[:, :, b], kept, chain)
        _eliminate(chain, band, pivots, left)
        for s in range(states):
            value[s] = paid[s, b]
        _solve_from_right(chain, band, pivots, value)
        for s in range(states):
            paid[s, b] = value[s]


@njit(cache=True, fastmath=VECTORS, **INNER)
def _fill(moves, band, probs, kept, chain):  # type: ignore[no-untyped-def]
    """Write `kept` times the chances of going on under `probs` [A, S], inside of the band."""
    landing, starts, places, chances = moves
    actions, states = probs.shape
    for s in range(states):
        row = chain[s]
        row[band[s, 0] : band[s, 1]] = 0
        for a in range(actions):
            share = kept * probs[a, s]
            for k in range(starts[landing[a, s]], starts[landing[a, s] + 1]):
                row[places[k]] += share * chances[k]


@njit(cache=True, fastmath=VECTORS, **INNER)
def _eliminate(chain, band, pivots, left):  # type: ignore[no-untyped-def]
    """Factors of the identity less the chain in its place: below the diagonal those of rows, above
    it what goes to states that come later. Pivots are sums of that and of what leaves for good.
    """
    states = len(chain)
    leaving = np.empty_like(pivots)
    for i in range(states):
        row, gone = chain[i], left
        for k in range(band[i, 0], i):
            factor = row[k] / pivots[k]
            row[k] = factor
            gone += factor * leaving[k]
            before, after = chain[k, k + 1 : band[k, 1]], row[k + 1 : band[k, 1]]
            for j in range(len(after)):
                after[j] += factor * before[j]
        leaving[i] = gone
        pivots[i] = gone + total(row[i + 1 : band[i, 1]])


@njit(cache=True, fastmath=VECTORS, **INNER)
def _solve_from_left(chain, band, pivots, found):  # type: ignore[no-untyped-def]
    """The x with x (I - chain) = found, in place."""
    states = len(chain)
    for k in range(states):
        found[k] /= pivots[k]
        here, row, after = found[k], chain[k, k + 1 : band[k, 1]], found[k + 1 : band[k, 1]]
        for j in range(len(after)):
            after[j] += here * row[j]
    for i in range(states - 1, 0, -1):
        here, row, before = found[i], chain[i, band[i, 0] : i], found[band[i, 0] : i]
        for j in range(len(before)):
            before[j] += here * row[j]


@njit(cache=True, fastmath=VECTORS, **INNER)
def _solve_from_right(chain, band, pivots, found):  # type: ignore[no-untyped-def]
    """The x with (I - chain) x = found, in place."""
    states = len(chain)
    for i in range(states):
        total, row, before = found[i], chain[i, band[i, 0] : i], found[band[i, 0] : i]
        for j in range(len(before)):
            total += row[j] * before[j]
        found[i] = total
    for k in range(states - 1, -1, -1):
        total, row, after = found[k], chain[k, k + 1 : band[k, 1]], found[k + 1 : band[k, 1]]
        for j in range(len(after)):
            total += row[j] * after[j]
        found[k] = total / pivots[k]
