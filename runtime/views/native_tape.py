"""Tapes as one compiled loop over their instructions, and a game along one (needs numba).

`tape.py` writes tapes down, `small.py` says which games are evaluated so.
"""

import math

import numpy as np

from mfdsl.runtime.kept_loops import INNER, njit
from mfdsl.runtime.views.tape import CODES

COPY, ADD, SUB, MUL, DIV, POW = (CODES[n] for n in "copy add sub mul div pow".split())
MINIMUM, MAXIMUM, EQ, NE, LT, LE = (CODES[n] for n in "minimum maximum eq ne lt le".split())
REMAINDER, ATAN2, WHERE, NEG, ABS = (CODES[n] for n in "remainder atan2 where neg abs".split())
EXP, LOG, SQRT, SIN, COS, TANH = (CODES[n] for n in "exp log sqrt sin cos tanh".split())
SOFTPLUS, FLOOR, CEIL, ROUND, TRUNC = (CODES[n] for n in "softplus floor ceil round trunc".split())
FETCH, SUM, AMAX, AMIN, DOT, SCATTER = (CODES[n] for n in "fetch sum amax amin dot scatter".split())

WITHIN = {"error_model": "numpy", **INNER}


@njit(cache=True, error_model="numpy")
def play(line, memory):  # type: ignore[no-untyped-def]
    """Carry out the instructions of a line on its memory, in which the inputs stand."""
    carry_out(line.code, line.places, memory)


@njit(cache=True, **WITHIN)
def carry_out(code, places, memory):  # type: ignore[no-untyped-def]
    """The same on its arrays.

    Who holds a slice, or the arrays of a tuple, is counted, which takes longer than a short
    instruction: the most common ones do without.
    """
    for n in range(len(code)):
        operation, start, count, terms = code[n, 0], code[n, 1], code[n, 2], code[n, 3]
        first, second, third = code[n, 4], code[n, 5], code[n, 6]
        if operation == MUL:
            for i in range(count):
                memory[start + i] = memory[places[first + i]] * memory[places[second + i]]
        elif operation == ADD:
            for i in range(count):
                memory[start + i] = memory[places[first + i]] + memory[places[second + i]]
        elif operation == COPY or operation >= FETCH:
            gathered(operation, memory, places, start, count, terms, first, second)
        elif operation == SUB:
            for i in range(count):
                memory[start + i] = memory[places[first + i]] - memory[places[second + i]]
        elif operation < WHERE:
            pairs = places[first : first + count], places[second : second + count]
            of_two(operation, memory, start, pairs[0], pairs[1])
        elif operation == WHERE:
            for i in range(count):
                chosen = second if memory[places[first + i]] != 0 else third
                memory[start + i] = memory[places[chosen + i]]
        else:
            of_one(operation, memory, start, places[first : first + count])


@njit(cache=True, **WITHIN)
def gathered(operation, memory, places, start, count, terms, first, second):  # type: ignore[no-untyped-def]
    """Copies, sums and extrema of terms; numbers from and to places that are worked out."""
    if operation == COPY:
        for i in range(count):
            memory[start + i] = memory[places[first + i]]
    elif operation == SCATTER:
        for i in range(count):
            memory[places[second + i]] += memory[places[first + i]]
    elif operation == FETCH:
        for i in range(count):
            place = memory[places[first + i]]
            known = place >= 0 and place < len(memory)
            memory[start + i] = memory[int(place)] if known else np.nan
    elif operation == SUM:
        for i in range(count):
            total = 0.0
            for k in range(first + i * terms, first + (i + 1) * terms):
                total += memory[places[k]]
            memory[start + i] = total
    elif operation == DOT:
        for i in range(count):
            total = 0.0
            for k in range(i * terms, (i + 1) * terms):
                total += memory[places[first + k]] * memory[places[second + k]]
            memory[start + i] = total
    else:
        for i in range(count):
            total = memory[places[first + i * terms]]
            for k in range(first + i * terms, first + (i + 1) * terms):
                number = memory[places[k]]
                beyond = number > total if operation == AMAX else number < total
                total = number if beyond or number != number else total
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
    laws, joint, rewards = (
        np.empty((stages + 1, states)),
        np.empty(probs.shape),
        np.empty(probs.shape),
    )
    q, best, returns = np.empty(probs.shape), np.empty(probs.shape), np.empty((2, populations))
    memory, chances, targets = room(walk, stages)
    forth(walk, probs, memory, chances, targets, laws, joint, rewards)
    final = over(walk, probs, chances, targets, discount, laws, joint, rewards, q, best, returns)
    return laws, joint, rewards, final, q, best, returns


@njit(cache=True, **WITHIN)
def room(walk, stages):  # type: ignore[no-untyped-def]
    """Memory for the line; chances and targets of all entries [T or 1, E], known ones in place."""
    entries = max(len(walk.chances), len(walk.chance_places))
    chances = np.empty((1 if len(walk.chances) else stages, entries))
    targets = np.empty((stages if len(walk.target_places) else 1, entries), dtype=np.int64)
    for e in range(len(walk.chances)):
        chances[0, e] = walk.chances[e]
    for e in range(len(walk.targets)):
        targets[0, e] = walk.targets[e]
    return walk.line.memory.copy(), chances, targets


@njit(cache=True, **WITHIN)
def forth(walk, probs, memory, chances, targets, laws, joint, rewards):  # type: ignore[no-untyped-def]
    """Write the laws along a policy, and what one agent meets at each stage."""
    stages, _, states = probs.shape
    code, places, joints = walk.line.code, walk.line.places, walk.joints
    known, paid, legal = walk.known, walk.paid, walk.legal
    landing, starts = walk.landing, walk.starts
    chance_places, target_places = walk.chance_places, walk.target_places
    middle = np.empty(len(starts) - 1)
    for s in range(states):
        laws[0, s] = walk.initial[s]
    for t in range(stages):
        memory[walk.time] = t
        for a in range(probs.shape[1]):
            for s in range(states):
                joint[t, a, s] = laws[t, s] * probs[t, a, s]
                memory[joints[a, s]] = joint[t, a, s]
        carry_out(code, places, memory)
        meet(t, memory, known, paid, legal, rewards)
        at, to = min(t, len(chances) - 1), min(t, len(targets) - 1)
        for e in range(len(chance_places)):
            chances[at, e] = memory[chance_places[e]]
        for e in range(len(target_places)):
            place = memory[target_places[e]]
            there = place >= 0 and place < states
            targets[to, e] = int(place) if there else 0
            if not there:  # a law that is not finite leads nowhere
                chances[at, e] = np.nan
        push(t, at, to, landing, starts, joint, chances, targets, middle, laws)


@njit(cache=True, **WITHIN)
def meet(t, memory, known, paid, legal, rewards):  # type: ignore[no-untyped-def]
    """Write the rewards of a stage, once the line of the game is carried out."""
    allowed = min(t, len(legal) - 1)
    for a in range(rewards.shape[1]):
        for s in range(rewards.shape[2]):
            if not legal[allowed, a, s]:
                rewards[t, a, s] = 0.0
            elif len(known):
                rewards[t, a, s] = known[min(t, len(known) - 1), a, s]
            else:
                rewards[t, a, s] = memory[paid[a, s]]


@njit(cache=True, **WITHIN)
def push(t, at, to, landing, starts, joint, chances, targets, middle, laws):  # type: ignore[no-untyped-def]
    """Write the law after the move of a stage."""
    middle[:] = 0.0
    for a in range(joint.shape[1]):
        for s in range(joint.shape[2]):
            middle[landing[a, s]] += joint[t, a, s]
    for s in range(laws.shape[1]):
        laws[t + 1, s] = 0.0
    for row in range(len(middle)):
        for e in range(starts[row], starts[row + 1]):
            laws[t + 1, targets[to, e]] += chances[at, e] * middle[row]


@njit(cache=True, **WITHIN)
def over(walk, probs, chances, targets, discount, laws, joint, rewards, q, best, returns):  # type: ignore[no-untyped-def]
    """Write the values of the policy and of the best response; the final rewards [S]."""
    stages, _, states = probs.shape
    landing, starts, legal = walk.landing, walk.starts, walk.legal
    values, middle = np.zeros((2, states)), np.empty((2, len(starts) - 1))
    if walk.endless:
        mean = 0.0
        for a in range(joint.shape[1]):
            for s in range(states):
                mean += joint[stages - 1, a, s] * rewards[stages - 1, a, s]
        values[:] = mean / (1 - discount)
    elif len(walk.last_paid):
        end(walk, laws, values)
    final = values[0].copy()
    for t in range(stages - 1, -1, -1):
        at, to = min(t, len(chances) - 1), min(t, len(targets) - 1)
        for row in range(middle.shape[1]):
            own, most = 0.0, 0.0
            for e in range(starts[row], starts[row + 1]):
                own += chances[at, e] * values[0, targets[to, e]]
                most += chances[at, e] * values[1, targets[to, e]]
            middle[0, row], middle[1, row] = discount * own, discount * most
        back(t, rewards, legal, landing, middle, probs, values, q, best)
    share = states // returns.shape[1]
    returns[:] = 0.0
    for which in range(2):
        for s in range(states):
            returns[which, s // share] += laws[0, s] * values[which, s] * returns.shape[1]
    return final


@njit(cache=True, **WITHIN)
def end(walk, laws, values):  # type: ignore[no-untyped-def]
    """Values after the last stage: the final reward."""
    memory = walk.last_line.memory.copy()
    for s in range(laws.shape[1]):
        memory[walk.last_law + s] = laws[len(laws) - 1, s]
    play(walk.last_line, memory)
    for s in range(laws.shape[1]):
        values[0, s] = values[1, s] = memory[walk.last_paid[s]]


@njit(cache=True, **WITHIN)
def back(t, rewards, legal, landing, middle, probs, values, q, best):  # type: ignore[no-untyped-def]
    """One stage back for the policy (row 0 of `values`) and for the best response (row 1)."""
    allowed = min(t, len(legal) - 1)
    for s in range(rewards.shape[2]):
        values[0, s], values[1, s] = 0.0, -np.inf
    for a in range(rewards.shape[1]):
        for s in range(rewards.shape[2]):
            row = landing[a, s]
            if legal[allowed, a, s]:
                q[t, a, s] = rewards[t, a, s] + middle[0, row]
                best[t, a, s] = rewards[t, a, s] + middle[1, row]
                values[1, s] = max(values[1, s], best[t, a, s])
                if probs[t, a, s] != 0:  # nor nan is left out
                    values[0, s] += probs[t, a, s] * q[t, a, s]
            else:
                q[t, a, s] = best[t, a, s] = -np.inf
