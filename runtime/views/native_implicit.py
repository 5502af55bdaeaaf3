"""Implicit steps of `implicit.py` as compiled loops (needs numba).

The same steps, checks and limits, for games whose moves are on a tape. Systems are as narrow as
the moves: elimination with pivots stays within their band.
"""

import math

import numpy as np

from mfdsl.runtime.kept_loops import INNER, njit
from mfdsl.runtime.views.implicit import (
    AFTERWARDS,
    ALLOWED,
    BACK,
    FIRST,
    GROWTH,
    LEAST,
    LONG,
    LONGEST,
    MOST_CORRECTIONS,
    MOST_STEPS as STEPS,
    NEGATIVE,
    NONLINEAR,
    NUDGE,
    RETURN as RETURNS,
    SHRINKAGE,
    SOLVED,
    STILL,
)
from mfdsl.runtime.views.native_slopes import look, room_for
from mfdsl.runtime.views.native_tape import WITHIN

EPS = float(np.finfo(np.float64).eps)
MOST_STEPS, MOST_EXACT_STEPS = STEPS[False], STEPS[True]
RETURN, EXACT_RETURN = RETURNS[False], RETURNS[True]


@njit(cache=True, **WITHIN)
def implicit_law(moves, shares, law, start, tolerance, found):  # type: ignore[no-untyped-def]
    """Write the law in which pushes from `law` end; the l1 change of a push there, or -1.

    It is -1 where steps do not end at one, or it does not draw back what is pushed off to `start`.
    """
    states = len(law)
    room = room_for(moves, shares)
    off, back = np.empty(states), np.empty(states)
    for exact in (False, True):
        residual = followed(moves, shares, room, law, FIRST, tolerance, exact, found)
        if residual < 0:
            continue
        distance = 0.0
        for s in range(states):
            off[s] = found[s] + NUDGE * (start[s] - found[s])
            distance += abs(off[s] - found[s])
        if distance > 64 * EPS:
            if followed(moves, shares, room, off, BACK, tolerance, exact, back) < 0:
                continue
            if between(back, found) > (EXACT_RETURN if exact else RETURN) * distance:
                continue
        return residual
    return -1.0


@njit(cache=True, **WITHIN)
def followed(moves, shares, room, law, length, tolerance, exact, found):  # type: ignore[no-untyped-def]
    """Write where steps from `law` end; the l1 change of a push there, -1 where they do not end."""
    states = len(law)
    here = (law.copy(), np.empty(states), np.empty((states, states)))
    point = (np.empty(states), np.empty(states), np.empty((states, states)))
    system, correction = np.empty((states, states)), np.empty(states)
    look(moves, here[0], shares, room, here[2], here[1])
    longest, most = LONGEST / EPS, GROWTH
    for _ in range(MOST_EXACT_STEPS if exact else MOST_STEPS):
        noise = max(STILL, length * EPS)
        ratio = stepped(moves, shares, room, here, point, system, correction, length, noise, exact)
        if ratio < 0:
            length, most = length / SHRINKAGE, AFTERWARDS
            if length < LEAST:
                return -1.0
            continue
        moved = between(point[0], here[0])
        here, point = point, here
        if moved <= noise and length >= min(LONG, longest):
            carry(here[0], found)
            residual = size_of(here[1])
            return residual if residual <= tolerance else -1.0
        growth = min(most, NONLINEAR / max(ratio, NONLINEAR / GROWTH))
        length, most = min(longest, length * max(1.0, growth)), GROWTH
    return -1.0


@njit(cache=True, **WITHIN)
def stepped(moves, shares, room, here, point, system, correction, length, noise, exact):  # type: ignore[no-untyped-def]
    """Write the `point` where a step ends; the ratio of its first two corrections, -1 where it is
    to be shorter.
    """
    states, each = len(here[0]), len(here[0]) // moves.populations
    law, change, slope = point
    begun, moved, bent = here
    populations, (lower, upper) = moves.populations, moves.band
    for s in range(states):
        law[s], change[s] = begun[s], moved[s]
    first = before = 0.0
    ratio = -1.0
    for n in range(MOST_CORRECTIONS):
        for s in range(states):
            correction[s] = length * change[s] - (law[s] - begun[s])
        for first_of in range(0, states, each):
            gone = 0.0
            for s in range(first_of, first_of + each):
                gone += correction[s]
            for s in range(first_of, first_of + each):  # see `implicit.py`
                correction[s] -= gone * populations * law[s]
        met = bent if n == 0 else slope
        for s in range(states):
            for j in range(max(0, s - lower), min(states, s + upper + 1)):
                system[s, j] = -length * met[s, j]
            for j in range(s + upper + 1, min(states, s + lower + upper + 1)):
                system[s, j] = 0
            system[s, s] += 1
        if not solved(system, lower, upper, correction):
            return -1.0
        size = size_of(correction)
        if not size < math.inf:
            return -1.0
        if n == 0:
            first = size
        elif size > max(ALLOWED * before, noise):
            return -1.0
        else:
            ratio = size / max(first, noise) if n == 1 else ratio
            if not exact or size <= max(SOLVED, noise):
                return ratio
        before = size
        for s in range(states):
            ahead = law[s] + correction[s]
            if ahead < -NEGATIVE:
                return -1.0
            law[s] = max(ahead, 0.0)
        level(law, populations)
        look(moves, law, shares, room, slope, change)
    return -1.0


@njit(cache=True, error_model="numpy")
def solved(system, lower, upper, right):  # type: ignore[no-untyped-def]
    """Replace `right` by the solution; whether the determinant is positive, otherwise not.

    Numbers of the system [S, S] lie up to `lower` below and `upper` above its diagonal, and with
    pivots up to their sum above.
    """
    states, positive = len(right), True
    for k in range(states):
        last, end = min(states, k + lower + 1), min(states, k + lower + upper + 1)
        p = k
        for i in range(k + 1, last):
            if abs(system[i, k]) > abs(system[p, k]):
                p = i
        if p != k:
            positive = not positive
            for j in range(k, end):
                system[k, j], system[p, j] = system[p, j], system[k, j]
            right[k], right[p] = right[p], right[k]
        pivot = system[k, k]
        if pivot == 0:
            return False
        if pivot < 0:
            positive = not positive
        row = system[k, k + 1 : end]
        for i in range(k + 1, last):
            factor = system[i, k] / pivot
            if factor != 0:
                there = system[i, k + 1 : end]
                for j in range(len(row)):
                    there[j] -= factor * row[j]
                right[i] -= factor * right[k]
    if not positive:
        return False
    for k in range(states - 1, -1, -1):
        total = right[k]
        for j in range(k + 1, min(states, k + lower + upper + 1)):
            total -= system[k, j] * right[j]
        right[k] = total / system[k, k]
    return True


@njit(cache=True, **WITHIN)
def level(law, populations):  # type: ignore[no-untyped-def]
    """Give each population its mass."""
    each = len(law) // populations
    for first in range(0, len(law), each):
        whole = 0.0
        for s in range(first, first + each):
            whole += law[s]
        for s in range(first, first + each):
            law[s] /= whole * populations


@njit(cache=True, **INNER)
def size_of(vector):  # type: ignore[no-untyped-def]
    """Its l1 norm."""
    found = 0.0
    for s in range(len(vector)):
        found += abs(vector[s])
    return found


@njit(cache=True, **INNER)
def carry(law, to):  # type: ignore[no-untyped-def]
    """Write a law over another; `to[:] = law` takes seconds to compile, for words of its errors."""
    for s in range(len(law)):
        to[s] = law[s]


@njit(cache=True, **INNER)
def between(one, other):  # type: ignore[no-untyped-def]
    """The l1 distance of two laws."""
    found = 0.0
    for s in range(len(one)):
        found += abs(one[s] - other[s])
    return found
