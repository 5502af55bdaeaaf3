"""The passes over a table as compiled loops (needs numba); `native.py` says when they are used.

Tables are flat, [T, A, S * B] with the batch innermost. A move is a landing and a spread, as in
`rows.py`. Entries are written one by one, or as runs: neighbours that land, or go on, side by side
are one loop over adjacent numbers, which fills vector registers. With B games a run of one state
is B numbers long.
"""

import numpy as np

from mfdsl.runtime.kept_loops import njit

# Minima and sums may be reordered; infinities mark illegal actions, so they are kept.
VECTORS = {"nsz", "reassoc", "contract"}


@njit(cache=True, fastmath=VECTORS)
def push_entries(moves, probs, laws, middle):  # type: ignore[no-untyped-def]
    """Write the laws [T + 1, S] after the first one; `middle` [R] is room to work in."""
    landing, starts, places, chances = moves
    stages, actions, states = probs.shape
    for t in range(stages):
        middle[:] = 0
        for a in range(actions):
            for s in range(states):
                middle[landing[a, s]] += laws[t, s] * probs[t, a, s]
        laws[t + 1, :] = 0
        for row in range(len(middle)):
            mass = middle[row]
            for k in range(starts[row], starts[row + 1]):
                laws[t + 1, places[k]] += chances[k] * mass


@njit(cache=True, fastmath=VECTORS)
def sweep_entries(moves, rewards, discount, probs, value, q, middle, best):  # type: ignore[no-untyped-def]
    """One backward pass of the policy, or of the best response; `value` [S] is that after it.

    `q` [T, A, S] is written unless it has no stages.
    """
    landing, starts, places, chances = moves
    stages, actions, states = rewards.shape
    for t in range(stages - 1, -1, -1):
        for row in range(len(middle)):
            expected = 0 * discount
            for k in range(starts[row], starts[row + 1]):
                expected += chances[k] * value[places[k]]
            middle[row] = discount * expected
        value[:] = -np.inf if best else 0
        for a in range(actions):
            for s in range(states):
                total = rewards[t, a, s] + middle[landing[a, s]]
                if len(q):
                    q[t, a, s] = total
                if best:
                    value[s] = max(value[s], total)
                elif probs[t, a, s] != 0:  # nor nan is left out
                    value[s] += probs[t, a, s] * total


@njit(cache=True, fastmath=VECTORS)
def push_runs(moves, games, probs, laws, middle):  # type: ignore[no-untyped-def]
    """The same as `push_entries` for runs, of `games` games side by side."""
    actions, landing, spread, chances = moves
    for t in range(len(probs)):
        middle[:] = 0
        for a in range(len(actions) - 1):
            for i in range(actions[a], actions[a + 1]):
                state, row, count = landing[i, 0], landing[i, 1], landing[i, 2]
                here = laws[t, state * games : (state + count) * games]
                share = probs[t, a, state * games : (state + count) * games]
                there = middle[row * games : (row + count) * games]
                for j in range(len(here)):
                    there[j] += here[j] * share[j]
        laws[t + 1, :] = 0
        for i in range(len(spread)):
            row, place, count = spread[i, 0], spread[i, 1], spread[i, 2]
            mass = middle[row * games : (row + count) * games]
            after = laws[t + 1, place * games : (place + count) * games]
            chance = chances[i]
            for j in range(len(mass)):
                after[j] += chance * mass[j]


@njit(cache=True, fastmath=VECTORS)
def sweep_runs(moves, games, rewards, discount, probs, value, q, middle, best):  # type: ignore[no-untyped-def]
    """The same as `sweep_entries` for runs, of `games` games side by side."""
    actions, landing, spread, chances = moves
    for t in range(len(rewards) - 1, -1, -1):
        middle[:] = 0
        for i in range(len(spread)):
            row, place, count = spread[i, 0], spread[i, 1], spread[i, 2]
            ahead = value[place * games : (place + count) * games]
            mean = middle[row * games : (row + count) * games]
            chance = discount * chances[i]
            for j in range(len(ahead)):
                mean[j] += chance * ahead[j]
        value[:] = -np.inf if best else 0
        for a in range(len(actions) - 1):
            for i in range(actions[a], actions[a + 1]):
                first, row, count = landing[i, 0] * games, landing[i, 1] * games, landing[i, 2]
                last = first + count * games
                paid, mean = rewards[t, a, first:last], middle[row : row + count * games]
                now = value[first:last]
                if best:
                    for j in range(len(now)):
                        now[j] = max(now[j], paid[j] + mean[j])
                else:
                    share = probs[t, a, first:last]
                    for j in range(len(now)):
                        now[j] += share[j] * (paid[j] + mean[j]) if share[j] != 0 else 0
                if len(q):
                    kept = q[t, a, first:last]
                    for j in range(len(kept)):
                        kept[j] = paid[j] + mean[j]
