"""Stationary laws and discounted values without end as compiled loops (needs numba).

One call repeats the passes of `native_loops.py` over one stage until they change nothing more, so
that a small game does not pay for a call each time. Whoever calls goes another way where the count
of passes given does not suffice.
"""

import numpy as np
from numba import njit

from mfdsl.runtime.views.native_loops import push_entries, push_runs, sweep_entries, sweep_runs

OFTEN = 8  # passes between looks at what they change, for batches


@njit(cache=True)
def _largest_change(before, after, games):  # type: ignore[no-untyped-def]
    """The largest l1 distance of two laws [S * B] over the games."""
    largest = 0.0
    for b in range(games):
        total = 0.0
        for i in range(b, len(before), games):
            total += abs(after[i] - before[i])
        largest = max(largest, total)
    return largest


@njit(cache=True)
def settle_entries(moves, probs, laws, middle, most, tolerance):  # type: ignore[no-untyped-def]
    """Push `laws[0]` until it moves by at most the tolerance, which is returned, or `most` times.

    `laws` is [2, S], the second is room to work in; `probs` is [1, A, S].
    """
    change = np.inf
    for count in range(1, most + 1):
        push_entries(moves, probs, laws, middle)
        if count % OFTEN == 0:
            change = _largest_change(laws[0], laws[1], 1)
        laws[0, :] = laws[1]
        if change <= tolerance:
            break
    return change


@njit(cache=True)
def settle_runs(moves, games, probs, laws, middle, most, tolerance):  # type: ignore[no-untyped-def]
    """The same for runs, of `games` games side by side."""
    change = np.inf
    for count in range(1, most + 1):
        push_runs(moves, games, probs, laws, middle)
        if count % OFTEN == 0:
            change = _largest_change(laws[0], laws[1], games)
        laws[0, :] = laws[1]
        if change <= tolerance:
            break
    return change


@njit(cache=True)
def _centred(before, value, games, factor, tolerance):  # type: ignore[no-untyped-def]
    """Whether the bounds of MacQueen 1966 are close in all games; then `value` is their middle."""
    size = 1.0
    for i in range(len(value)):
        size = max(size, 1 + abs(value[i]))
    for b in range(games):
        low, high = np.inf, -np.inf
        for i in range(b, len(value), games):
            low, high = min(low, value[i] - before[i]), max(high, value[i] - before[i])
        if not (high - low) * factor <= tolerance * size:
            return False
    for b in range(games):
        low, high = np.inf, -np.inf
        for i in range(b, len(value), games):
            low, high = min(low, value[i] - before[i]), max(high, value[i] - before[i])
        for i in range(b, len(value), games):
            value[i] += factor * (low + high) / 2
    return True


@njit(cache=True)
def endless_entries(moves, rewards, discount, probs, value, q, middle, best, most, tolerance):  # type: ignore[no-untyped-def]
    """Sweep from `value` [S] until its bounds are close, then write `q` [1, A, S]; whether so."""
    factor = discount / (1 - discount)
    for count in range(1, most + 1):
        before = value.copy()
        sweep_entries(moves, rewards, discount, probs, value, q[:0], middle, best)
        if count % OFTEN == 0 and _centred(before, value, 1, factor, tolerance):
            sweep_entries(moves, rewards, discount, probs, value, q, middle, best)
            return True
    return False


@njit(cache=True)
def endless_runs(moves, games, rewards, discount, probs, value, q, middle, best, most, tolerance):  # type: ignore[no-untyped-def]
    """The same for runs, of `games` games side by side."""
    factor = discount / (1 - discount)
    for count in range(1, most + 1):
        before = value.copy()
        sweep_runs(moves, games, rewards, discount, probs, value, q[:0], middle, best)
        if count % OFTEN == 0 and _centred(before, value, games, factor, tolerance):
            sweep_runs(moves, games, rewards, discount, probs, value, q, middle, best)
            return True
    return False
