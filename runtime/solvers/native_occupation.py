"""What agents of a small game meet, with derivatives in the law, as one compiled call.

Tapes carry the derivatives (`views/native_slopes.py`); `occupation_slopes.py` says what is asked,
and has the reference. Needs numba.
"""

import numpy as np

from mfdsl.runtime.kept_loops import njit
from mfdsl.runtime.views.native_slopes import play_slopes
from mfdsl.runtime.views.native_tape import WITHIN, play


@njit(cache=True, error_model="numpy")
def met(walk, joint, values, scale, discount, after_itself, turns):  # type: ignore[no-untyped-def]
    """Values q [T, n], what comes [T, S], P [T, n, S], and the derivatives of q and of what comes.

    `joint` is [T, A, S] and `values` [T, S] in units of `scale`, n = S A with states slowest;
    derivatives are along the changes `turns` [T, R, S, A] of the law. `after_itself`: the one stage
    of a stationary horizon.
    """
    stages, actions, states = joint.shape
    pairs = states * actions
    read = turns.shape[1]
    q, comes = np.zeros((stages, pairs)), np.zeros((stages, states))
    moves = np.zeros((stages, pairs, states))
    q_slope, come_slope = np.zeros((stages, pairs, read)), np.zeros((stages, states, read))
    memory = walk.line.memory.copy()
    slope = np.zeros((1 if len(walk.line.code) == 0 else len(memory), read))
    rewards = np.zeros((actions, states))
    for t in range(stages):
        memory[walk.time] = t
        play_stage(walk, joint[t], turns[t], memory, slope)
        paid(walk, t, memory, slope, scale, rewards, q[t], q_slope[t])
        ahead = values[t] if after_itself else np.zeros(states)
        if not after_itself and t + 1 < stages:
            ahead = values[t + 1]
        moved(
            walk,
            memory,
            slope,
            joint[t],
            ahead,
            discount,
            q[t],
            comes[t],
            moves[t],
            q_slope[t],
            come_slope[t],
        )
    if not after_itself:
        last = stages - 1
        tail(
            walk,
            joint[last],
            rewards,
            scale,
            discount,
            turns[last],
            comes[last],
            moves[last],
            come_slope[last],
            q[last],
            q_slope[last],
        )
    return q, comes, moves, q_slope, come_slope


@njit(cache=True, **WITHIN)
def play_stage(walk, joint, turns, memory, slope):  # type: ignore[no-untyped-def]
    """The arithmetic of one stage under the law [A, S], with its slopes along the changes
    [R, S, A] unless it is constant.
    """
    actions, states = joint.shape
    for a in range(actions):
        for s in range(states):
            memory[walk.joint + a * states + s] = joint[a, s]
    play(walk.line, memory)
    if len(walk.line.code) == 0:
        return
    slope[:] = 0.0
    for c in range(len(turns)):
        for s in range(states):
            for a in range(actions):
                slope[walk.joint + a * states + s, c] = turns[c, s, a]
    play_slopes(walk.line, memory, slope)


@njit(cache=True, **WITHIN)
def paid(walk, t, memory, slope, scale, rewards, q, q_slope):  # type: ignore[no-untyped-def]
    """Begin q and its derivatives with the rewards; keep the rewards [A, S] in units."""
    actions, states = rewards.shape
    legal = walk.legal[min(t, len(walk.legal) - 1)]
    for a in range(actions):
        for s in range(states):
            if not legal[a, s]:
                rewards[a, s] = 0.0
            elif len(walk.known):
                rewards[a, s] = walk.known[min(t, len(walk.known) - 1), a, s] / scale
            else:
                place = walk.paid[a, s]
                rewards[a, s] = memory[place] / scale
                if len(slope) > 1:
                    here, there = q_slope[s * actions + a], slope[place]
                    for c in range(len(here)):
                        here[c] = there[c] / scale
            q[s * actions + a] = rewards[a, s]


@njit(cache=True, **WITHIN)
def moved(walk, memory, slope, joint, ahead, discount, q, comes, moves, q_slope, come_slope):  # type: ignore[no-untyped-def]
    """Add what values ahead are worth, and where mass comes to, entry by entry."""
    actions, states = joint.shape
    reads = len(walk.chance_places) > 0
    for a in range(actions):
        for s in range(states):
            pair, row, mass = s * actions + a, walk.landing[a, s], joint[a, s]
            for e in range(walk.starts[row], walk.starts[row + 1]):
                if len(walk.target_places):
                    to = int(memory[walk.target_places[e]])
                else:
                    to = walk.targets[e]
                chance = memory[walk.chance_places[e]] if reads else walk.chances[e]
                moves[pair, to] += chance
                comes[to] += chance * mass
                q[pair] += discount * chance * ahead[to]
                if reads and len(slope) > 1:
                    there = slope[walk.chance_places[e]]
                    worth = discount * ahead[to]
                    for c in range(len(there)):
                        q_slope[pair, c] += worth * there[c]
                        come_slope[to, c] += mass * there[c]


@njit(cache=True, **WITHIN)
def tail(walk, joint, rewards, scale, discount, turns, law, moves, come_slope, q, q_slope):  # type: ignore[no-untyped-def]
    """Add what follows the last stage: the final reward, or the last mean for ever."""
    actions, states = joint.shape
    read = q_slope.shape[1]
    turned, final = np.zeros((states, read)), np.zeros(states)
    if walk.endless:
        mean = 0.0
        change = np.zeros(read)
        for s in range(states):
            for a in range(actions):
                mean += joint[a, s] * rewards[a, s]
                for c in range(read):
                    change[c] += joint[a, s] * q_slope[s * actions + a, c]
                    change[c] += turns[c, s, a] * rewards[a, s]
        for s in range(states):
            final[s] = mean / (1 - discount)
            turned[s] = change / (1 - discount)
    elif len(walk.last_paid):
        memory = walk.last_line.memory.copy()
        slope = np.zeros((len(memory), states))
        for s in range(states):
            memory[walk.last_law + s] = law[s]
            slope[walk.last_law + s, s] = 1.0
        play(walk.last_line, memory)
        play_slopes(walk.last_line, memory, slope)
        arrives = come_slope.copy()
        for c in range(read):
            for s in range(states):
                for a in range(actions):
                    if turns[c, s, a] != 0:
                        for x in range(states):
                            arrives[x, c] += moves[s * actions + a, x] * turns[c, s, a]
        for s in range(states):
            final[s] = memory[walk.last_paid[s]] / scale
            for x in range(states):
                weight = slope[walk.last_paid[s], x] / scale
                if weight != 0:
                    for c in range(read):
                        turned[s, c] += weight * arrives[x, c]
    for pair in range(len(q)):
        for s in range(states):
            chance = discount * moves[pair, s]
            if chance != 0:
                q[pair] += chance * final[s]
                for c in range(read):
                    q_slope[pair, c] += chance * turned[s, c]
