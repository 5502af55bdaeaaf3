"""Tapes and their derivatives for many policies of one game, side by side (needs numba).

As in `native_tape.py` and `native_slopes.py`, with lanes innermost: an instruction is looked up
once for all of them, and arithmetic on neighbours fills vector registers. What is rare goes lane by
lane through the loops for one policy.
"""

import math

import numpy as np

from mfdsl.runtime.kept_loops import INNER, njit
from mfdsl.runtime.views import native_slopes as slopes_of, native_tape as tape
from mfdsl.runtime.views.native_chains import VECTORS

LOOPS = {"error_model": "numpy", "fastmath": VECTORS}
WITHIN = {**LOOPS, **INNER}


@njit(cache=True, **LOOPS)
def play_lanes(line, memory, slopes):  # type: ignore[no-untyped-def]
    """Carry out a line on its memory [places, W] and fill `slopes` [places, C, W] from those of its
    inputs; those of constants are 0. With no colours C only numbers are filled.
    """
    code, places, _ = line
    for n in range(len(code)):
        operation, start, count, terms = code[n, 0], code[n, 1], code[n, 2], code[n, 3]
        size = count * terms
        first = places[code[n, 4] : code[n, 4] + size]
        second = places[code[n, 5] : code[n, 5] + size]
        if operation == tape.SUM or operation == tape.DOT:
            added_up(operation, memory, slopes, start, count, terms, first, second)
        elif operation == tape.COPY or operation >= tape.FETCH:
            gathered(operation, memory, slopes, start, count, terms, first, second)
        elif operation < tape.WHERE:
            of_two(operation, memory, slopes, start, first, second)
        elif operation == tape.WHERE:
            third = places[code[n, 6] : code[n, 6] + size]
            chosen(memory, slopes, start, first, second, third)
        else:
            of_one(operation, memory, slopes, start, first)


@njit(cache=True, **WITHIN)
def of_two(operation, memory, slopes, start, first, second):  # type: ignore[no-untyped-def]
    """Number by number, two arguments."""
    width, colours = memory.shape[1], slopes.shape[1]
    for i in range(len(first)):
        to, x, y = start + i, first[i], second[i]
        if operation == tape.ADD or operation == tape.SUB:
            sign = 1.0 if operation == tape.ADD else -1.0
            for b in range(width):
                memory[to, b] = memory[x, b] + sign * memory[y, b]
            for j in range(colours):
                for b in range(width):
                    slopes[to, j, b] = slopes[x, j, b] + sign * slopes[y, j, b]
        elif operation == tape.MUL:
            for b in range(width):
                memory[to, b] = memory[x, b] * memory[y, b]
            for j in range(colours):
                for b in range(width):
                    left = memory[y, b] * slopes[x, j, b]
                    slopes[to, j, b] = left + memory[x, b] * slopes[y, j, b]
        elif operation == tape.DIV:
            for b in range(width):
                memory[to, b] = memory[x, b] / memory[y, b]
            for j in range(colours):
                for b in range(width):
                    gone = memory[to, b] * slopes[y, j, b]
                    slopes[to, j, b] = (slopes[x, j, b] - gone) / memory[y, b]
        elif operation == tape.MINIMUM or operation == tape.MAXIMUM:
            sign = 1.0 if operation == tape.MINIMUM else -1.0
            for b in range(width):
                a, other = memory[x, b], memory[y, b]
                memory[to, b] = a if sign * a < sign * other or a != a else other
            for j in range(colours):
                for b in range(width):
                    left = sign * memory[x, b] < sign * memory[y, b]
                    slopes[to, j, b] = slopes[x, j, b] if left else slopes[y, j, b]
        else:
            for b in range(width):
                memory[to, b] = rarer(operation, memory[x, b], memory[y, b])
            for b in range(width if colours else 0):
                left, right = slopes_of.of_two(operation, memory[x, b], memory[y, b])
                for j in range(colours):
                    one, other = slopes[x, j, b], slopes[y, j, b]
                    slopes[to, j, b] = times(left, one) + times(right, other)


@njit(cache=True, **WITHIN)
def rarer(operation, a, b):  # type: ignore[no-untyped-def]
    """Powers, comparisons, remainders and angles."""
    if operation == tape.POW:
        return a**b
    if operation == tape.REMAINDER:
        return a - b * math.floor(a / b)
    if operation == tape.ATAN2:
        return math.atan2(a, b)
    if operation == tape.EQ or operation == tape.NE:
        return 1.0 if (a == b) == (operation == tape.EQ) else 0.0
    return 1.0 if a < b or (operation == tape.LE and a == b) else 0.0


@njit(cache=True, **WITHIN)
def of_one(operation, memory, slopes, start, first):  # type: ignore[no-untyped-def]
    """Number by number, one argument."""
    width, colours = memory.shape[1], slopes.shape[1]
    lanes, numbers = np.arange(width), memory.reshape(-1)
    for i in range(len(first)):
        to, x = start + i, first[i]
        tape.of_one(operation, numbers, to * width, lanes + x * width)
        for b in range(width if colours else 0):
            factor = slopes_of.of_one(operation, memory[x, b])
            for j in range(colours):
                slopes[to, j, b] = times(factor, slopes[x, j, b])


@njit(cache=True, **WITHIN)
def times(factor, slope):  # type: ignore[no-untyped-def]
    """Their product, 0 where nothing goes on."""
    return factor * slope if factor != 0 else 0.0


@njit(cache=True, **WITHIN)
def chosen(memory, slopes, start, first, second, third):  # type: ignore[no-untyped-def]
    """One of two numbers by a truth value; slopes follow it."""
    width, colours = memory.shape[1], slopes.shape[1]
    for i in range(len(first)):
        to, truth, x, y = start + i, first[i], second[i], third[i]
        for b in range(width):
            memory[to, b] = memory[x, b] if memory[truth, b] != 0 else memory[y, b]
        for j in range(colours):
            for b in range(width):
                chosen_one = memory[truth, b] != 0
                slopes[to, j, b] = slopes[x, j, b] if chosen_one else slopes[y, j, b]


@njit(cache=True, **WITHIN)
def added_up(operation, memory, slopes, start, count, terms, first, second):  # type: ignore[no-untyped-def]
    """Sums of terms, or of products of terms."""
    width, colours = memory.shape[1], slopes.shape[1]
    for i in range(count):
        to = start + i
        memory[to] = 0
        for j in range(colours):
            for b in range(width):
                slopes[to, j, b] = 0
        for k in range(i * terms, (i + 1) * terms):
            x = first[k]
            if operation == tape.SUM:
                for b in range(width):
                    memory[to, b] += memory[x, b]
                for j in range(colours):
                    for b in range(width):
                        slopes[to, j, b] += slopes[x, j, b]
            else:
                y = second[k]
                for b in range(width):
                    memory[to, b] += memory[x, b] * memory[y, b]
                for j in range(colours):
                    for b in range(width):
                        left = memory[y, b] * slopes[x, j, b]
                        slopes[to, j, b] += left + memory[x, b] * slopes[y, j, b]


@njit(cache=True, **WITHIN)
def gathered(operation, memory, slopes, start, count, terms, first, second):  # type: ignore[no-untyped-def]
    """Copies, extrema of terms, and numbers from and to places that are worked out."""
    width, colours = memory.shape[1], slopes.shape[1]
    for i in range(count):
        for b in range(width):
            to, source = start + i, first[i * terms]
            if operation == tape.SCATTER:
                to = second[i]
                memory[to, b] += memory[source, b]
                for j in range(colours):
                    slopes[to, j, b] += slopes[source, j, b]
                continue
            if operation == tape.FETCH:
                place = memory[source, b]
                if not (place >= 0 and place < len(memory)):
                    memory[to, b] = np.nan
                    continue
                source = int(place)
            elif operation == tape.AMAX or operation == tape.AMIN:
                sign = 1.0 if operation == tape.AMAX else -1.0
                for k in range(i * terms + 1, (i + 1) * terms):
                    number, most = memory[first[k], b], memory[source, b]
                    if sign * number > sign * most or (number != number and most == most):
                        source = first[k]
            memory[to, b] = memory[source, b]
            for j in range(colours):
                slopes[to, j, b] = slopes[source, j, b]
