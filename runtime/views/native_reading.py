"""Policies of small games whose moves read the law, one after another in compiled loops.

The laws that they keep (as in `settling.py`: a few pushes, then implicit steps, then a look whether
the law draws back), and what they are worth there. Needs numba.
"""

import numpy as np

from mfdsl.runtime.kept_loops import njit
from mfdsl.runtime.views.native_implicit import between, carry, implicit_law, level
from mfdsl.runtime.views.native_slopes import half_step, half_steps, put
from mfdsl.runtime.views.native_tape import WITHIN, play
from mfdsl.runtime.views.native_values import meet, scored
from mfdsl.runtime.views.settling import MOST_FIRST, NUDGE, SMALL, STRETCH

NOISE = STRETCH * float(np.finfo(np.float64).eps)


@njit(cache=True, error_model="numpy")
def laws_kept(moves, initial, shares, tolerance, laws, residuals):  # type: ignore[no-untyped-def]
    """Write the laws [B, S] that the policies `shares` [B, S, A] keep, and the l1 changes of a push
    there [B], -1 where implicit steps do not end.
    """
    games, states, _ = shares.shape
    law, ahead = np.empty(states), np.empty(states)
    memory = moves.line.memory.copy()
    for b in range(games):
        one, found = shares[b : b + 1], laws[b]
        carry(initial, law)
        first = 0.0
        for n in range(MOST_FIRST):
            half_step(moves, memory, law, shares[b], ahead)
            size = between(ahead, law)
            carry(ahead, law)
            if n > 0 and size < min(SMALL, first):
                break
            first = size if n == 0 else first
        residuals[b] = implicit_law(moves, shares[b], law, initial, tolerance, found)
        if residuals[b] >= 0 and not draws_back(moves, one, found, initial):
            residuals[b] = -1.0
        level(found, moves.populations)


@njit(cache=True, **WITHIN)
def draws_back(moves, shares, found, start):  # type: ignore[no-untyped-def]
    """Whether pushes of a law a little off in the direction of the start come nearer."""
    states = len(found)
    count = min(STRETCH, states + 2)
    laws = np.empty((1, count + 1, states))
    for s in range(states):
        laws[0, 0, s] = found[s] + NUDGE * (start[s] - found[s])
    half_steps(moves, laws, shares)
    first, last = between(laws[0, 0], found), between(laws[0, count], found)
    nearer = last <= first and last <= between(laws[0, count - 1], found) + NOISE
    return nearer or first <= NOISE


@njit(cache=True, error_model="numpy")
def worth(moves, entries, band, meeting, shares, laws, limits, rewards, q, best, returns):  # type: ignore[no-untyped-def]
    """Write rewards, Q of the policies and of the best responses [B, A, S] at their laws [B, S],
    and the returns [B, 2, P]; the number of games until the first whose best response is not found.

    `entries` are the moves as `native.Entries` whose chances are written here.
    """
    games, states, actions = shares.shape
    discount, most, tolerance = limits
    memory, probs = moves.line.memory.copy(), np.empty((actions, states, 1))
    law = np.empty((states, 1))
    for b in range(games):
        put(moves, memory, laws[b], shares[b])
        play(moves.line, memory)
        for s in range(states):
            law[s, 0] = laws[b, s]
            for a in range(actions):
                probs[a, s, 0] = shares[b, s, a]
                first = entries[1][entries[0][a, s]]
                for k in range(moves.places.shape[2]):
                    entries[3][first + k] = memory[moves.chances[s, a, k]]
        met, paid = meet(meeting, probs, law)
        for a in range(actions):
            carry(met[a], rewards[b, a])
        one, own = q[b], returns[b]
        rest = (discount, most, tolerance, one, best[b], own)
        if not scored(entries, band, paid, probs[:, :, 0], laws[b], *rest):
            return b
    return games
