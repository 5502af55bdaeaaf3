"""Derivatives along a tape as compiled loops (needs numba), and laws that read themselves.

Every number on the tape has a row of derivatives, one for each input that is varied. A second pass
over the instructions fills the rows after the first has filled the numbers.
"""

import math

import numpy as np

from mfdsl.runtime.kept_loops import INNER, njit
from mfdsl.runtime.views import native_tape as tape
from mfdsl.runtime.views.native_tape import WITHIN, play


@njit(cache=True, error_model="numpy")
def play_slopes(line, memory, slopes):  # type: ignore[no-untyped-def]
    """Fill `slopes` [places, inputs] of a line that has been played, from those of its inputs."""
    play_some(line, memory, slopes, 0, len(line.code))


@njit(cache=True, **WITHIN)
def play_some(line, memory, slopes, begin, end):  # type: ignore[no-untyped-def]
    """The same for the instructions from `begin` to `end`."""
    code, places, _ = line
    for n in range(begin, end):
        operation, start, count, terms = code[n, 0], code[n, 1], code[n, 2], code[n, 3]
        if operation != tape.SCATTER and operation != tape.WHERE:
            slopes[start : start + count] = 0
        first, second, third = code[n, 4], code[n, 5], code[n, 6]
        if operation >= tape.EQ and operation <= tape.LE:
            continue  # of slope 0
        if operation == tape.COPY or operation >= tape.FETCH:
            gathered_slopes(operation, memory, slopes, start, count, terms, places, first, second)
        elif operation == tape.WHERE:
            for i in range(count):
                source = places[(second if memory[places[first + i]] != 0 else third) + i]
                for j in range(slopes.shape[1]):
                    slopes[start + i, j] = slopes[source, j]
        elif operation < tape.WHERE:
            for i in range(count):
                one, other = places[first + i], places[second + i]
                left, right = of_two(operation, memory[one], memory[other])
                add(slopes, start + i, one, left)
                add(slopes, start + i, other, right)
        else:
            for i in range(count):
                one = places[first + i]
                add(slopes, start + i, one, of_one(operation, memory[one]))


@njit(cache=True, **INNER)
def add(slopes, place, source, factor):  # type: ignore[no-untyped-def]
    """Add a multiple of a row to another."""
    if factor != 0 and slopes.shape[1] == 1:
        slopes[place, 0] += factor * slopes[source, 0]
    elif factor != 0 and slopes.shape[1] == 2:
        slopes[place, 0] += factor * slopes[source, 0]
        slopes[place, 1] += factor * slopes[source, 1]
    elif factor != 0:
        for j in range(slopes.shape[1]):
            slopes[place, j] += factor * slopes[source, j]


@njit(cache=True, **WITHIN)
def gathered_slopes(operation, memory, slopes, start, count, terms, places, first, second):  # type: ignore[no-untyped-def]
    """Those of copies, sums, products and extrema of terms; arguments begin at `first` and
    `second` of the `places`.
    """
    for i in range(count):
        if operation == tape.COPY:
            add(slopes, start + i, places[first + i], 1.0)
        elif operation == tape.SCATTER:
            add(slopes, places[second + i], places[first + i], 1.0)
        elif operation == tape.FETCH:
            add(slopes, start + i, int(memory[places[first + i]]), 1.0)
        else:
            for k in range(i * terms, (i + 1) * terms):
                one = places[first + k]
                if operation == tape.SUM:
                    add(slopes, start + i, one, 1.0)
                elif operation == tape.DOT:
                    other = places[second + k]
                    add(slopes, start + i, one, memory[other])
                    add(slopes, start + i, other, memory[one])
                elif memory[one] == memory[start + i]:
                    add(slopes, start + i, one, 1.0)
                    break


@njit(cache=True, **WITHIN)
def of_two(operation, a, b):  # type: ignore[no-untyped-def]
    """Derivatives in both arguments; those of comparisons are 0."""
    if operation == tape.MUL:
        return b, a
    if operation == tape.ADD:
        return 1.0, 1.0
    if operation == tape.SUB:
        return 1.0, -1.0
    if operation == tape.DIV:
        return 1 / b, -a / (b * b)
    if operation == tape.POW:
        return b * a ** (b - 1), a**b * math.log(a) if a > 0 else 0.0
    if operation == tape.MINIMUM:
        return (1.0, 0.0) if a < b else (0.0, 1.0)
    if operation == tape.MAXIMUM:
        return (1.0, 0.0) if a > b else (0.0, 1.0)
    if operation == tape.REMAINDER:
        return 1.0, -math.floor(a / b)
    if operation == tape.ATAN2:
        return b / (a * a + b * b), -a / (a * a + b * b)
    return 0.0, 0.0


@njit(cache=True, **WITHIN)
def of_one(operation, a):  # type: ignore[no-untyped-def]
    """The derivative in one argument; that of rounding is 0."""
    if operation == tape.NEG:
        return -1.0
    if operation == tape.LOG:
        return 1 / a
    if operation == tape.EXP:
        return math.exp(a)
    if operation == tape.ABS:
        return 1.0 if a > 0 else -1.0 if a < 0 else 0.0
    if operation == tape.SQRT:
        return 0.5 / math.sqrt(a)
    if operation == tape.SIN:
        return math.cos(a)
    if operation == tape.COS:
        return -math.sin(a)
    if operation == tape.TANH:
        return 1 - math.tanh(a) ** 2
    if operation == tape.SOFTPLUS:
        return 1 / (1 + math.exp(-a))
    return 0.0


@njit(cache=True, error_model="numpy")
def slope_and_change(moves, law, shares):  # type: ignore[no-untyped-def]
    """The derivative [S, S] of push(law) - law, and that change [S], under `shares` [S, A]."""
    states = len(law)
    slope, change = np.empty((states, states)), np.empty(states)
    look(moves, law, shares, room_for(moves, shares), slope, change)
    return slope, change


@njit(cache=True, **INNER)
def room_for(moves, shares):  # type: ignore[no-untyped-def]
    """Room to work in: the line's memory, its derivatives, those of the chances, and two more that
    games have whose chances read a few numbers: derivatives of the line up to these, and of what
    arrives in them.

    Derivatives that a policy [S, A] has at all laws are there.
    """
    states, actions = shares.shape
    memory, colours, few = moves.line.memory.copy(), moves.colours, len(moves.read)
    slopes, gains = np.zeros((len(memory), most(colours) + 1)), np.empty(len(moves.columns))
    early, arrived = np.zeros((moves.early[1], states)), np.empty((states, few))
    for s in range(states):
        for a in range(actions):
            if few:
                early[moves.joint + s * actions + a, s] = shares[s, a]
            else:
                slopes[moves.joint + s * actions + a, colours[s]] = shares[s, a]
    for f in range(few):
        slopes[moves.read[f], colours[f]] = 1
    play_some(moves.line, memory, early if few else slopes, 0, moves.straight)
    return memory, slopes, gains, early, arrived


@njit(cache=True, **INNER)
def most(numbers):  # type: ignore[no-untyped-def]
    """The largest; reading a loop that calls numpy's imports most of numba and scipy."""
    found = numbers[0]
    for k in range(len(numbers)):
        found = max(found, numbers[k])
    return found


@njit(cache=True, **WITHIN)
def look(moves, law, shares, room, slope, change):  # type: ignore[no-untyped-def]
    """`slope_and_change` into arrays that are there."""
    memory, slopes, gains, early, arrived = room
    line, few = moves.line, len(moves.read)
    put(moves, memory, law, shares)
    play(line, memory)
    if few:
        play_some(line, memory, early, moves.straight, moves.early[0])
        play_some(line, memory, slopes, moves.early[0], len(line.code))
    else:
        play_some(line, memory, slopes, moves.straight, len(line.code))
    distinct, colours, starts, columns = moves.distinct, moves.colours, moves.starts, moves.columns
    for d in range(len(distinct)):
        for e in range(starts[d], starts[d + 1]):
            gains[e] = slopes[distinct[d], colours[columns[e]]]
    slope[:] = 0
    if few:
        arrived[:] = 0
        land(moves, law, shares, memory, gains, slope, arrived, change)
        for s in range(len(law)):
            for f in range(few):
                factor, source = arrived[s, f], moves.read[f]
                for j in range(len(law)):
                    slope[s, j] += factor * early[source, j]
    else:
        land(moves, law, shares, memory, gains, slope, slope, change)


@njit(cache=True, **WITHIN)
def land(moves, law, shares, memory, gains, slope, turned, change):  # type: ignore[no-untyped-def]
    """Write the `change`, and add the chain to `slope` and what it gains [S, I] to `turned`."""
    places, rows, distinct = moves.places, moves.rows, moves.distinct
    starts, columns = moves.starts, moves.columns
    states, actions = shares.shape
    inputs = turned.shape[1]
    for s in range(states):
        slope[s, s], change[s] = slope[s, s] - 1, -law[s]
    whole = len(columns) == len(distinct) * inputs
    noises, tos, which = places.shape[2], places.reshape(-1), rows.reshape(-1)
    for s in range(states):
        for a in range(actions):
            share, mass = shares[s, a], law[s] * shares[s, a]
            move = (s * actions + a) * noises
            for m in range(move, move + noises):
                to, d = tos[m], which[m]
                chance, first = memory[distinct[d]], starts[d]
                change[to] += mass * chance
                slope[to, s] += share * chance
                if whole:
                    for j in range(inputs):
                        turned[to, j] += mass * gains[first + j]
                else:
                    for e in range(first, starts[d + 1]):
                        turned[to, columns[e]] += mass * gains[e]


@njit(cache=True, **INNER)
def put(moves, memory, law, shares):  # type: ignore[no-untyped-def]
    """Write the joint law where the line reads it."""
    states, actions = shares.shape
    for s in range(states):
        for a in range(actions):
            memory[moves.joint + s * actions + a] = law[s] * shares[s, a]


@njit(cache=True, error_model="numpy")
def half_steps(moves, laws, shares):  # type: ignore[no-untyped-def]
    """Write the laws [B, L, S] after the first one, each halfway to where it is pushed, under
    `shares` [B, S, A].
    """
    memory = moves.line.memory.copy()
    for b in range(len(laws)):
        for t in range(laws.shape[1] - 1):
            half_step(moves, memory, laws[b, t], shares[b], laws[b, t + 1])


@njit(cache=True, **WITHIN)
def half_step(moves, memory, before, shares, after):  # type: ignore[no-untyped-def]
    """Write the law halfway to where another is pushed."""
    line, joint, chances, places = moves.line, moves.joint, moves.chances, moves.places
    states, actions = shares.shape
    for s in range(states):
        after[s] = before[s] / 2
        for a in range(actions):
            memory[joint + s * actions + a] = before[s] * shares[s, a]
    play(line, memory)
    for s in range(states):
        for a in range(actions):
            half = before[s] * shares[s, a] / 2
            for k in range(places.shape[2]):
                after[places[s, a, k]] += half * memory[chances[s, a, k]]
