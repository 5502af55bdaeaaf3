"""Values averaged over visits as a compiled loop (needs numba).

The tensor code of `sampled_values.py` writes rows and targets of all visits to memory that the loop
keeps in registers; it stays the reference, and runs on other devices.
"""

import numpy as np

from mfdsl.runtime.kept_loops import njit


@njit(cache=True)
def average(places, actions, rewards, groups, ahead, policies, bonus, discount, q, visits):  # type: ignore[no-untyped-def]
    """Write means over visits to `q` and their numbers to `visits`, [groups, stages, states,
    actions] as `policies`; `bonus` [groups, stages, states] is paid for entropy.

    Games are [stages, games, agents]; `ahead` [games, agents] is what is paid at the end, and in
    the end the values of where agents stood at first. Agent i has `groups[i]`.
    """
    size, stages, states, choices = policies.shape
    games, agents = ahead.shape
    total = np.empty((size, states, choices))
    value = np.empty((size, states), dtype=q.dtype)
    for t in range(stages - 1, -1, -1):
        total[:] = 0
        for b in range(games):
            for i in range(agents):
                g, s, a = groups[i], places[t, b, i], actions[t, b, i]
                total[g, s, a] += rewards[t, b, i] + discount * ahead[b, i]
                visits[g, t, s, a] += 1
        for g in range(size):
            for s in range(states):
                worth = bonus[g, t, s]
                for a in range(choices):
                    if visits[g, t, s, a] > 0:
                        q[g, t, s, a] = total[g, s, a] / visits[g, t, s, a]
                    worth += policies[g, t, s, a] * q[g, t, s, a]
                value[g, s] = worth
        for b in range(games):
            for i in range(agents):
                ahead[b, i] = value[groups[i], places[t, b, i]]
