"""Tapes as one compiled loop over their instructions, and a game along one (needs numba).

`tape.py` writes tapes down, `small.py` says which games are evaluated so.
"""

import math

import numpy as np

from mfdsl.runtime.kept_loops import njit
from mfdsl.runtime.views.tape import CODES

COPY, ADD, SUB, MUL, DIV, POW = (CODES[n] for n in "copy add sub mul div pow".split())
MINIMUM, MAXIMUM, EQ, NE, LT, LE = (CODES[n] for n in "minimum maximum eq ne lt le".split())
REMAINDER, ATAN2, WHERE, NEG, ABS = (CODES[n] for n in "remainder atan2 where neg abs".split())
EXP, LOG, SQRT, SIN, COS, TANH = (CODES[n] for n in "exp log sqrt sin cos tanh".split())
SOFTPLUS, FLOOR, CEIL, ROUND, TRUNC = (CODES[n] for n in "softplus floor ceil round trunc".split())
FETCH, SUM, AMAX, AMIN, DOT, SCATTER = (CODES[n] for n in "fetch sum amax amin dot scatter".split())

# Called by compiled loops only: what Python would need of them takes longest to compile.
WITHIN = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


@njit(cache=True, error_model="numpy")
def play(line, memory):  # type: ignore[no-untyped-def]
    """Carry out the instructions of a line on its memory, in which the inputs stand."""
    code, places, _ = line
    for n in range(len(code)):
        operation, start, count, terms = code[n, 0], code[n, 1], code[n, 2], code[n, 3]
        size = count * terms
        first = places[code[n, 4] : code[n, 4] + size]
        second = places[code[n, 5] : code[n, 5] + size]
        if operation == COPY or operation >= FETCH:
            gathered(operation, memory, start, count, terms, first, second)
        elif operation < WHERE:
            of_two(operation, memory, start, first, second)
        elif operation == WHERE:
            third = places[code[n, 6] : code[n, 6] + size]
            for i in range(count):
                truth = memory[first[i]] != 0
                memory[start + i] = memory[second[i]] if truth else memory[third[i]]
        else:
            of_one(operation, memory, start, first)


@njit(cache=True, **WITHIN)
def gathered(operation, memory, start, count, terms, first, second):  # type: ignore[no-untyped-def]
    """Copies, sums and extrema of terms; numbers from and to places that are worked out."""
    if operation == COPY:
        for i in range(count):
            memory[start + i] = memory[first[i]]
    elif operation == SCATTER:
        for i in range(count):
            memory[second[i]] += memory[first[i]]
    elif operation == FETCH:
        for i in range(count):
            place = memory[first[i]]
            known = place >= 0 and place < len(memory)
            memory[start + i] = memory[int(place)] if known else np.nan
    else:
        for i in range(count):
            total = 0.0 if operation == SUM or operation == DOT else memory[first[i * terms]]
            for k in range(i * terms, (i + 1) * terms):
                number = memory[first[k]]
                if operation == SUM:
                    total += number
                elif operation == DOT:
                    total += number * memory[second[k]]
                elif operation == AMAX:
                    total = number if number > total or number != number else total
                else:
                    total = number if number < total or number != number else total
            memory[start + i] = total


@njit(cache=True, **WITHIN)
def of_two(operation, memory, start, first, second):  # type: ignore[no-untyped-def]
    """Number by number, two arguments."""
    for i in range(len(first)):
        a, b = memory[first[i]], memory[second[i]]
        if operation == MUL:
            found = a * b
        elif operation == ADD:
            found = a + b
        elif operation == SUB:
            found = a - b
        elif operation == DIV:
            found = a / b
        elif operation == POW:
            found = a**b
        elif operation == MINIMUM:
            found = a if a < b or a != a else b
        elif operation == MAXIMUM:
            found = a if a > b or a != a else b
        elif operation == EQ:
            found = 1.0 if a == b else 0.0
        elif operation == NE:
            found = 1.0 if a != b else 0.0
        elif operation == LT:
            found = 1.0 if a < b else 0.0
        elif operation == LE:
            found = 1.0 if a <= b else 0.0
        elif operation == REMAINDER:
            found = a - b * math.floor(a / b)
        else:
            found = math.atan2(a, b)
        memory[start + i] = found


@njit(cache=True, **WITHIN)
def of_one(operation, memory, start, first):  # type: ignore[no-untyped-def]
    """Number by number, one argument."""
    for i in range(len(first)):
        a = memory[first[i]]
        if operation == NEG:
            found = -a
        elif operation == LOG:
            found = np.log(a)
        elif operation == EXP:
            found = np.exp(a)
        elif operation == ABS:
            found = abs(a)
        elif operation == SQRT:
            found = np.sqrt(a)
        elif operation == SIN:
            found = np.sin(a)
        elif operation == COS:
            found = np.cos(a)
        elif operation == TANH:
            found = np.tanh(a)
        elif operation == SOFTPLUS:
            found = a if a > 20 else np.log1p(np.exp(a))
        elif operation == FLOOR:
            found = np.floor(a)
        elif operation == CEIL:
            found = np.ceil(a)
        elif operation == ROUND:
            found = np.rint(a)
        else:
            found = np.trunc(a)
        memory[start + i] = found


@njit(cache=True, error_model="numpy")
def along(walk, probs, populations, discount):  # type: ignore[no-untyped-def]
    """Everything about the policy [T, A, S] of a game: a walk along the stages and back.

    Laws [T + 1, S], joint laws and rewards [T, A, S], final rewards [S], Q of the policy and of
    the best response [T, A, S], and both returns [2, P].
    """
    stages, _, states = probs.shape
    memory = walk.line.memory.copy()
    laws = np.empty((stages + 1, states))
    for s in range(states):
        laws[0, s] = walk.initial[s]
    joint, rewards = np.empty(probs.shape), np.empty(probs.shape)
    kept = 1 if len(walk.chances) else stages
    entries = max(len(walk.chances), len(walk.chance_places))
    chances = np.empty((kept, entries))
    targets = np.empty((kept if len(walk.target_places) else 1, entries), dtype=np.int64)
    for e in range(len(walk.chances)):
        chances[0, e] = walk.chances[e]
    for e in range(len(walk.targets)):
        targets[0, e] = walk.targets[e]
    for t in range(stages):
        meet(walk, t, laws[t], probs[t], memory, joint[t], rewards[t])
        chance, target = chances[min(t, kept - 1)], targets[min(t, len(targets) - 1)]
        for e in range(len(walk.chance_places)):
            chance[e] = memory[walk.chance_places[e]]
        for e in range(len(walk.target_places)):
            place = memory[walk.target_places[e]]
            known = place >= 0 and place < states
            target[e] = int(place) if known else 0
            if not known:  # a law that is not finite leads nowhere
                chance[e] = np.nan
        push(walk, joint[t], chance, target, laws[t + 1])
    values = np.zeros((2, states))
    after(walk, laws[stages], joint[stages - 1], rewards[stages - 1], discount, values)
    final = values[0].copy()
    q, best = np.empty(probs.shape), np.empty(probs.shape)
    for t in range(stages - 1, -1, -1):
        chance, target = chances[min(t, kept - 1)], targets[min(t, len(targets) - 1)]
        legal = walk.legal[min(t, len(walk.legal) - 1)]
        back(walk, rewards[t], legal, chance, target, discount, probs[t], values, q[t], best[t])
    returns = np.zeros((2, populations))
    share = states // populations
    for which in range(2):
        for s in range(states):
            returns[which, s // share] += laws[0, s] * values[which, s] * populations
    return laws, joint, rewards, final, q, best, returns


@njit(cache=True, **WITHIN)
def meet(walk, t, law, probs, memory, joint, rewards):  # type: ignore[no-untyped-def]
    """The joint law and the rewards of a stage, with what else the line of the game says of it."""
    actions, states = probs.shape
    memory[walk.time] = t
    for a in range(actions):
        for s in range(states):
            joint[a, s] = law[s] * probs[a, s]
            memory[walk.joint + a * states + s] = joint[a, s]
    play(walk.line, memory)
    legal = walk.legal[min(t, len(walk.legal) - 1)]
    for a in range(actions):
        for s in range(states):
            if len(walk.known):
                rewards[a, s] = walk.known[min(t, len(walk.known) - 1), a, s]
            else:
                rewards[a, s] = memory[walk.paid[a, s]]
            if not legal[a, s]:
                rewards[a, s] = 0.0


@njit(cache=True, **WITHIN)
def push(walk, joint, chance, target, law):  # type: ignore[no-untyped-def]
    """Write the law after a move."""
    middle = np.zeros(len(walk.starts) - 1)
    for a in range(len(joint)):
        for s in range(joint.shape[1]):
            middle[walk.landing[a, s]] += joint[a, s]
    for s in range(len(law)):
        law[s] = 0.0
    for row in range(len(middle)):
        for e in range(walk.starts[row], walk.starts[row + 1]):
            law[target[e]] += chance[e] * middle[row]


@njit(cache=True, **WITHIN)
def after(walk, law, joint, rewards, discount, values):  # type: ignore[no-untyped-def]
    """Values after the last stage: the final reward, or the last mean reward for ever."""
    if walk.endless:
        mean = 0.0
        for a in range(len(joint)):
            for s in range(joint.shape[1]):
                mean += joint[a, s] * rewards[a, s]
        for s in range(len(law)):
            values[0, s] = values[1, s] = mean / (1 - discount)
    elif len(walk.last_paid):
        memory = walk.last_line.memory.copy()
        for s in range(len(law)):
            memory[walk.last_law + s] = law[s]
        play(walk.last_line, memory)
        for s in range(len(law)):
            values[0, s] = values[1, s] = memory[walk.last_paid[s]]


@njit(cache=True, **WITHIN)
def back(walk, rewards, legal, chance, target, discount, probs, values, q, best):  # type: ignore[no-untyped-def]
    """One stage back for the policy (row 0 of `values`) and for the best response (row 1)."""
    middle = np.empty((2, len(walk.starts) - 1))
    for row in range(middle.shape[1]):
        own, most = 0.0, 0.0
        for e in range(walk.starts[row], walk.starts[row + 1]):
            own += chance[e] * values[0, target[e]]
            most += chance[e] * values[1, target[e]]
        middle[0, row], middle[1, row] = discount * own, discount * most
    for s in range(rewards.shape[1]):
        values[0, s], values[1, s] = 0.0, -np.inf
    for a in range(len(rewards)):
        for s in range(rewards.shape[1]):
            row = walk.landing[a, s]
            if legal[a, s]:
                q[a, s] = rewards[a, s] + middle[0, row]
                best[a, s] = rewards[a, s] + middle[1, row]
                values[1, s] = max(values[1, s], best[a, s])
                if probs[a, s] > 0:
                    values[0, s] += probs[a, s] * q[a, s]
            else:
                q[a, s] = best[a, s] = -np.inf
