"""Derivatives along a tape as compiled loops (needs numba), and laws that read themselves.

Every number on the tape has a row of derivatives, one for each input that is varied. A second pass
over the instructions fills the rows after the first has filled the numbers.
"""

import math

import numpy as np

from mfdsl.runtime.kept_loops import njit
from mfdsl.runtime.views import native_tape as tape
from mfdsl.runtime.views.native_tape import play


@njit(cache=True, error_model="numpy")
def play_slopes(line, memory, slopes):  # type: ignore[no-untyped-def]
    """Fill `slopes` [places, inputs] of a line that has been played, from those of its inputs."""
    code, places, _ = line
    for n in range(len(code)):
        operation, start, count, terms = code[n, 0], code[n, 1], code[n, 2], code[n, 3]
        size = count * terms
        first = places[code[n, 4] : code[n, 4] + size]
        second = places[code[n, 5] : code[n, 5] + size]
        if operation == tape.COPY or operation >= tape.FETCH:
            gathered_slopes(operation, memory, slopes, start, count, terms, first, second)
        elif operation == tape.WHERE:
            third = places[code[n, 6] : code[n, 6] + size]
            for i in range(count):
                chosen = second[i] if memory[first[i]] != 0 else third[i]
                add(slopes, start + i, chosen, 1.0)
        elif operation < tape.WHERE:
            for i in range(count):
                a, b = memory[first[i]], memory[second[i]]
                left, right = of_two(operation, a, b)
                add(slopes, start + i, first[i], left)
                add(slopes, start + i, second[i], right)
        else:
            for i in range(count):
                add(slopes, start + i, first[i], of_one(operation, memory[first[i]]))


@njit(cache=True)
def add(slopes, place, source, factor):  # type: ignore[no-untyped-def]
    """Add a multiple of a row to another."""
    if factor != 0:
        here, there = slopes[place], slopes[source]
        for j in range(len(here)):
            here[j] += factor * there[j]


@njit(cache=True, error_model="numpy")
def gathered_slopes(operation, memory, slopes, start, count, terms, first, second):  # type: ignore[no-untyped-def]
    """Those of copies, sums, products and extrema of terms."""
    for i in range(count):
        if operation == tape.COPY:
            add(slopes, start + i, first[i], 1.0)
        elif operation == tape.SCATTER:
            add(slopes, second[i], first[i], 1.0)
        elif operation == tape.FETCH:
            add(slopes, start + i, int(memory[first[i]]), 1.0)
        else:
            for k in range(i * terms, (i + 1) * terms):
                if operation == tape.SUM:
                    add(slopes, start + i, first[k], 1.0)
                elif operation == tape.DOT:
                    add(slopes, start + i, first[k], memory[second[k]])
                    add(slopes, start + i, second[k], memory[first[k]])
                elif memory[first[k]] == memory[start + i]:
                    add(slopes, start + i, first[k], 1.0)
                    break


@njit(cache=True, error_model="numpy")
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


@njit(cache=True, error_model="numpy")
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
    memory = moves.line.memory.copy()
    slopes = np.zeros((len(memory), states))
    put(moves, memory, law, shares)
    for s in range(states):
        for a in range(shares.shape[1]):
            slopes[moves.joint + s * shares.shape[1] + a, s] = shares[s, a]
    play(moves.line, memory)
    play_slopes(moves.line, memory, slopes)
    slope, change = np.zeros((states, states)), -law
    for s in range(states):
        slope[s, s] -= 1
    for s in range(states):
        for a in range(shares.shape[1]):
            mass = law[s] * shares[s, a]
            for k in range(moves.places.shape[2]):
                place = moves.chances[s, a, k]
                to, chance, row = moves.places[s, a, k], memory[place], slopes[place]
                change[to] += mass * chance
                slope[to, s] += shares[s, a] * chance
                there = slope[to]
                for j in range(states):
                    there[j] += mass * row[j]
    return slope, change


@njit(cache=True)
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
    games, states, actions = shares.shape
    for b in range(games):
        for t in range(laws.shape[1] - 1):
            before, after = laws[b, t], laws[b, t + 1]
            put(moves, memory, before, shares[b])
            play(moves.line, memory)
            after[:] = before / 2
            for s in range(states):
                for a in range(actions):
                    half = before[s] * shares[b, s, a] / 2
                    for k in range(moves.places.shape[2]):
                        after[moves.places[s, a, k]] += half * memory[moves.chances[s, a, k]]
