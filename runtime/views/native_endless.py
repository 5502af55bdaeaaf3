"""Stationary laws and discounted values without end as compiled loops (needs numba).

One call repeats the passes of `native_loops.py` over one stage, so that a small game does not pay
for a call each time. Whoever calls goes another way where the count of passes given does not
suffice.
"""

import numpy as np

from mfdsl.runtime.kept_loops import INNER, njit
from mfdsl.runtime.views.native_loops import push_entries, push_runs, sweep_entries, sweep_runs

OFTEN = 8  # passes between looks at what they change, for batches


@njit(cache=True)
def stretch_entries(moves, probs, laws, middle):  # type: ignore[no-untyped-def]
    """Write the laws [L, S] after the first one under the policy `probs` [1, A, S]."""
    for t in range(len(laws) - 1):
        push_entries(moves, probs, laws[t : t + 2], middle)


@njit(cache=True)
def stretch_runs(moves, games, probs, laws, middle):  # type: ignore[no-untyped-def]
    """The same for runs, of `games` games side by side."""
    for t in range(len(laws) - 1):
        push_runs(moves, games, probs, laws[t : t + 2], middle)


@njit(cache=True, **INNER)
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
