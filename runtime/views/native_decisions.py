"""Stages of games of which most states leave no choice, as compiled loops (needs numba).

`decisions.py` says which games these are. A pair is a state with one of its legal actions: pairs
`first[s]` to `first[s + 1] - 1` are those of state s. Pair i goes on to what stands in memory at
`targets[i * K : (i + 1) * K]` with the chances at the same `chances`. Only states that somebody may
be in, whatever he plays, are `listed`: those that decide, and where others lead from listed ones.
"""

import numpy as np

from mfdsl.runtime.kept_loops import njit
from mfdsl.runtime.views.native_tape import carry_out


@njit(cache=True, error_model="numpy")
def spread(law, probs, listed, first, pairs, actions, place, joint):  # type: ignore[no-untyped-def]
    """Write the joint law at listed states: `probs` [A, D] where they decide, else all of it."""
    for s in listed:
        d = place[s]
        for i in range(first[s], first[s + 1]):
            joint[pairs[i]] = law[s] if d < 0 else law[s] * probs[actions[i], d]


@njit(cache=True, error_model="numpy")
def push(  # type: ignore[no-untyped-def]
    code, places, memory, targets, chances, noises, listed, first, pairs, joint, after, seen, then
):
    """Carry out the line of a stage, in which its inputs stand, and write the law after the move.

    The joint law is 0 again. `then` begins with the states that are listed in any case, to which
    those are added that are not `seen` yet; how many there are.
    """
    carry_out(code, places, memory)
    seen[:] = False
    count = 0
    while count < len(then) and then[count] >= 0:
        after[then[count]] = 0.0
        seen[then[count]] = True
        count += 1
    for s in listed:
        for i in range(first[s], first[s + 1]):
            mass = joint[pairs[i]]
            joint[pairs[i]] = 0.0
            for e in range(i * noises, (i + 1) * noises):
                target, chance = memory[targets[e]], memory[chances[e]]
                if not (target >= 0 and target < len(after)):  # a law that is not finite
                    target, chance = float(s), np.nan
                to = int(target)
                if not seen[to]:
                    seen[to] = True
                    after[to] = 0.0
                    then[count] = to
                    count += 1
                after[to] += chance * mass
    return count


@njit(cache=True, error_model="numpy")
def back(  # type: ignore[no-untyped-def]
    memory,
    targets,
    chances,
    noises,
    listed,
    first,
    actions,
    place,
    paid,
    probs,
    ahead,
    here,
    q,
    best,
):
    """Values [2, S] of the policy and of the best response, one stage back from `ahead`.

    `paid` has the rewards of the pairs; `q` and `best` [A, D] are written where states decide.
    """
    for s in listed:
        d = place[s]
        here[0, s], here[1, s] = 0.0, -np.inf
        for i in range(first[s], first[s + 1]):
            own, most = 0.0, 0.0
            for e in range(i * noises, (i + 1) * noises):
                target, chance = memory[targets[e]], memory[chances[e]]
                there = target >= 0 and target < ahead.shape[1]
                own += chance * (ahead[0, int(target)] if there else np.nan)
                most += chance * (ahead[1, int(target)] if there else np.nan)
            own, most = paid[i] + own, paid[i] + most
            if most > here[1, s] or most != most:
                here[1, s] = most
            if d < 0:
                here[0, s] = own
                continue
            q[actions[i], d], best[actions[i], d] = own, most
            share = probs[actions[i], d]
            if share != 0:  # nor nan is left out
                here[0, s] += share * own
