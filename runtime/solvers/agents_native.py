"""Games of N agents along a line of arithmetic, as one compiled loop (needs numba).

Tensors write every value of a step to memory and call a function for each; here the rows of a line
stay in the cache from the draw of an action to the next state. `agents_line.py` makes the lines,
the tensors of `episodes.py` stay the reference.
"""

import numpy as np

from mfdsl.runtime.kept_loops import INNER, njit
from mfdsl.runtime.streams_native import GOLDEN, of_bits
from mfdsl.runtime.views import native_tape as tape
from mfdsl.runtime.views.native_lane_tape import rarer

LOOPS = {"error_model": "numpy"}
WITHIN = {**LOOPS, **INNER}


@njit(cache=True, **LOOPS)
def stages(line, start, chances, first, streams, noises, states, places, actions, rewards):  # type: ignore[no-untyped-def]
    """Play the stages from `start` on; `states` [B, rows, N] go from before to after them.

    `chances` [stages, rows, A] are cumulated probabilities of actions, `first` [N or 1] where the
    rows of agents begin; `streams` [T] are where those begin that draw actions, `noises` [T, B,
    rows, N] are the draws of the game; written are `places`, `actions`, `rewards`, all [T, B, N].
    """
    games, _, agents = states.shape
    memory = np.empty((len(line.memory), agents))
    for row in range(len(memory)):
        memory[row] = line.memory[row]
    after = np.empty((len(line.after), agents))
    for b in range(games):
        for k in range(len(line.states)):
            memory[line.states[k]] = states[b, k]
        for t in range(len(streams)):
            memory[line.time] = start + t
            carry_out(line, 0, line.acting, memory)
            here, begin = (places[t, b], actions[t, b]), streams[t] + GOLDEN * np.uint64(b * agents)
            act(memory[line.place], chances[start + t], first, begin, memory[line.taken], here)
            for k in range(len(line.noises)):
                memory[line.noises[k]] = noises[t, b, k]
            carry_out(line, line.acting, len(line.code), memory)
            rewards[t, b] = memory[line.reward]
            for k in range(len(after)):  # which may be rows of other states before
                if line.after[k] != line.states[k]:
                    after[k] = memory[line.after[k]]
            for k in range(len(after)):
                if line.after[k] != line.states[k]:
                    memory[line.states[k]] = after[k]
        for k in range(len(line.states)):
            states[b, k] = memory[line.states[k]]


@njit(cache=True, **WITHIN)
def act(stood, chances, first, stream, taken, kept):  # type: ignore[no-untyped-def]
    """Draw what everybody does where it stands, and keep places and actions."""
    last, apart = chances.shape[1] - 1, len(first) > 1
    places, actions = kept
    for i in range(len(stood)):
        place = int(stood[i])
        row = place + first[i if apart else 0]
        sought = of_bits(stream + GOLDEN * np.uint64(i)) * chances[row, last]
        count = 0
        for a in range(last):
            count += chances[row, a] <= sought
        places[i], actions[i], taken[i] = place, count, count


@njit(cache=True, **WITHIN)
def carry_out(line, begin, end, memory):  # type: ignore[no-untyped-def]
    """Carry out instructions for all agents, or once for what they share."""
    everybody = memory.shape[1]
    lanes, numbers = np.arange(everybody), memory.reshape(-1)
    for n in range(begin, end):
        operation, start = line.code[n, 0], line.code[n, 1]
        count, terms = line.code[n, 2], line.code[n, 3]
        if operation == tape.SCATTER:
            index, weights = line.places[line.code[n, 4]], line.places[line.code[n, 5]]
            tallied(memory[index], memory[weights], memory[start : start + count])
        for i in range(count):
            to = start + i
            width = everybody if line.own[to] else 1
            x = line.places[line.code[n, 4] + i * terms]
            if operation == tape.SCATTER:
                pass
            elif line.means[to]:
                memory[to, 0] = mean(memory[x]) if line.own[x] else memory[x, 0]
            elif operation == tape.COPY:
                memory[to, :width] = memory[x, :width]
            elif operation == tape.WHERE:
                y = line.places[line.code[n, 5] + i]
                z = line.places[line.code[n, 6] + i]
                chosen(memory[x], memory[y], memory[z], memory[to, :width])
            elif operation < tape.WHERE:
                y = line.places[line.code[n, 5] + i]
                of_two(operation, memory[x], memory[y], memory[to, :width])
            elif operation == tape.NEG:
                negated(memory[x], memory[to, :width])
            elif operation < tape.FETCH:
                tape.of_one(operation, numbers, to * everybody, lanes[:width] + x * everybody)
            else:
                gathered(operation, line, n, i, terms, memory, memory[to, :width])
            if line.spread[to]:
                memory[to] = memory[to, 0]


@njit(cache=True, **WITHIN)
def chosen(truth, left, right, to):  # type: ignore[no-untyped-def]
    """One of two numbers by a truth value; both are read, so that these are vectors."""
    for b in range(len(to)):
        one, other = left[b], right[b]
        to[b] = one if truth[b] != 0 else other


@njit(cache=True, **WITHIN)
def negated(given, to):  # type: ignore[no-untyped-def]
    """The commonest of the operations with one argument."""
    for b in range(len(to)):
        to[b] = -given[b]


@njit(cache=True, **WITHIN)
def mean(row):  # type: ignore[no-untyped-def]
    """The mean of a row, in four sums that run side by side."""
    whole = len(row) // 4 * 4
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    for i in range(0, whole, 4):
        a += row[i]
        b += row[i + 1]
        c += row[i + 2]
        d += row[i + 3]
    for i in range(whole, len(row)):
        a += row[i]
    return (a + b + (c + d)) / len(row)


@njit(cache=True, **WITHIN)
def tallied(places, weights, shares):  # type: ignore[no-untyped-def]
    """Shares of the agents, or means of their weights, by place; in the first column."""
    shares[:, 0] = 0
    for i in range(len(places)):
        place = int(places[i])
        if place >= 0 and place < len(shares):
            shares[place, 0] += weights[i]
    shares[:, 0] /= len(places)


@njit(cache=True, **WITHIN)
def of_two(operation, left, right, to):  # type: ignore[no-untyped-def]
    """Number by number, two arguments; a choice of operations within a loop is no vector."""
    if operation == tape.ADD:
        for b in range(len(to)):
            to[b] = left[b] + right[b]
    elif operation == tape.SUB:
        for b in range(len(to)):
            to[b] = left[b] - right[b]
    elif operation == tape.MUL:
        for b in range(len(to)):
            to[b] = left[b] * right[b]
    elif operation == tape.DIV:
        for b in range(len(to)):
            to[b] = left[b] / right[b]
    elif operation == tape.EQ:
        for b in range(len(to)):
            to[b] = 1.0 if left[b] == right[b] else 0.0
    elif operation == tape.LT:
        for b in range(len(to)):
            to[b] = 1.0 if left[b] < right[b] else 0.0
    elif operation == tape.LE:
        for b in range(len(to)):
            to[b] = 1.0 if left[b] <= right[b] else 0.0
    elif operation == tape.MINIMUM:
        for b in range(len(to)):
            to[b] = left[b] if left[b] < right[b] or left[b] != left[b] else right[b]
    elif operation == tape.MAXIMUM:
        for b in range(len(to)):
            to[b] = left[b] if left[b] > right[b] or left[b] != left[b] else right[b]
    else:
        for b in range(len(to)):
            to[b] = rarer(operation, left[b], right[b])


@njit(cache=True, **WITHIN)
def gathered(operation, line, n, i, terms, memory, to):  # type: ignore[no-untyped-def]
    """Numbers from places that are worked out; sums, products and extrema of terms."""
    first = line.places[line.code[n, 4] + i * terms : line.code[n, 4] + (i + 1) * terms]
    if operation == tape.FETCH:
        for b in range(len(to)):
            place = memory[first[0], b]
            known = place >= 0 and place < len(memory)
            column = b if known and line.own[int(place)] else 0
            to[b] = memory[int(place), column] if known else np.nan
    elif operation == tape.SUM:
        to[:] = 0
        for k in range(terms):
            for b in range(len(to)):
                to[b] += memory[first[k], b]
    elif operation == tape.DOT:
        other = line.code[n, 5] + i * terms
        to[:] = 0
        for k in range(terms):
            for b in range(len(to)):
                to[b] += memory[first[k], b] * memory[line.places[other + k], b]
    else:
        to[:] = memory[first[0], : len(to)]
        for k in range(1, terms):
            for b in range(len(to)):
                number = memory[first[k], b]
                beyond = number > to[b] if operation == tape.AMAX else number < to[b]
                if beyond or number != number:
                    to[b] = number
