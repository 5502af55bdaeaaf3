"""Looks at laws, half steps and implicit systems of many policies side by side (needs numba).

As in `native_slopes.py` and `native_implicit.py`, with lanes innermost. Derivatives and systems are
kept as bands: row i of a derivative has the columns from i - lower to i + upper at
`slope[i * span:(i + 1) * span]`, that of a system as many more as pivots may need.
"""

from typing import Any, NamedTuple

import numpy as np

from mfdsl.runtime.kept_loops import njit
from mfdsl.runtime.views.native_lane_tape import LOOPS, WITHIN, play_lanes
from mfdsl.runtime.views.native_slopes import most


class Room(NamedTuple):
    """Laws, pushes and derivatives of the lanes, and what they are worked out in.

    `law`, `change`, `right` [S, W], `shares` [S * A, W], `slope` [S * span, W], `memory`
    [places, W], `slopes` [places, C, W].
    """

    law: Any
    change: Any
    right: Any
    shares: Any
    slope: Any
    memory: Any
    slopes: Any
    system: Any
    pivot: Any
    largest: Any
    positive: Any


@njit(cache=True, **WITHIN)
def room_of(moves, states, actions, width):  # type: ignore[no-untyped-def]
    """Room for so many lanes, with the constants of the line in place."""
    lower, upper = moves.band
    places = len(moves.line.memory)
    memory = np.empty((places, width))
    for place in range(places):
        memory[place] = moves.line.memory[place]
    return Room(
        np.zeros((states, width)),
        np.zeros((states, width)),
        np.zeros((states, width)),
        np.zeros((states * actions, width)),
        np.zeros((states * (lower + upper + 1), width)),
        memory,
        np.zeros((places, most(moves.colours) + 1, width)),
        np.zeros((states * (2 * lower + upper + 1), width)),
        np.zeros(width, np.int64),
        np.zeros(width),
        np.zeros(width),
    )


@njit(cache=True, **WITHIN)
def seat(moves, room, b, law, shares):  # type: ignore[no-untyped-def]
    """Give a lane a law [S] and a policy [S, A]."""
    states, actions = shares.shape
    laws, kept, slopes, colours = room.law, room.shares, room.slopes, moves.colours
    for s in range(states):
        laws[s, b] = law[s]
        for a in range(actions):
            kept[s * actions + a, b] = shares[s, a]
            slopes[moves.joint + s * actions + a, colours[s], b] = shares[s, a]


@njit(cache=True, **WITHIN)
def look_lanes(moves, room):  # type: ignore[no-untyped-def]
    """Write the changes that pushes make to the laws, and their derivatives."""
    line, joint, _, places, _, colours, distinct, rows, starts, columns, band, _, _, _ = moves
    lower, upper = band
    law, change, _, shares, slope, memory, slopes, _, _, _, _ = room
    states, width = law.shape
    actions, span = places.shape[1], lower + upper + 1
    put(joint, law, shares, memory)
    play_lanes(line, memory, slopes)
    slope[:] = 0
    for s in range(states):
        slope[s * span + lower] = -1
        for b in range(width):
            change[s, b] = -law[s, b]
    for s in range(states):
        for a in range(actions):
            mass, share = joint + s * actions + a, s * actions + a
            for k in range(places.shape[2]):
                to, d = places[s, a, k], rows[s, a, k]
                chance, row = distinct[d], to * span + lower - to
                for b in range(width):
                    change[to, b] += memory[mass, b] * memory[chance, b]
                for b in range(width):
                    slope[row + s, b] += shares[share, b] * memory[chance, b]
                for e in range(starts[d], starts[d + 1]):
                    cell, colour = row + columns[e], colours[columns[e]]
                    for b in range(width):
                        slope[cell, b] += memory[mass, b] * slopes[chance, colour, b]


@njit(cache=True, **WITHIN)
def put(joint, law, shares, memory):  # type: ignore[no-untyped-def]
    """Write the joint laws where the line reads them."""
    states, width = law.shape
    actions = len(shares) // states
    for s in range(states):
        for a in range(actions):
            for b in range(width):
                memory[joint + s * actions + a, b] = law[s, b] * shares[s * actions + a, b]


@njit(cache=True, **LOOPS)
def half_steps_lanes(moves, laws, count, shares, width):  # type: ignore[no-untyped-def]
    """The laws [B, S] and so many after them [B, L, S], each halfway to where it is pushed under
    `shares` [B, S, A], `width` of them at a time.
    """
    places, chances = moves.places, moves.chances
    games, states, actions = shares.shape
    room, found = room_of(moves, states, actions, width), np.empty((games, count + 1, states))
    law, memory, ahead = room.law, room.memory, room.change
    none = np.empty((len(memory), 0, width))  # a part of `room.slopes` would be compiled once more
    for start in range(0, games, width):
        for b in range(width):
            game = min(start + b, games - 1)
            seat(moves, room, b, laws[game], shares[game])
        for n in range(count + 1):
            for b in range(min(width, games - start)):
                for s in range(states):
                    found[start + b, n, s] = law[s, b]
            put(moves.joint, law, room.shares, memory)
            play_lanes(moves.line, memory, none)
            for s in range(states):
                for b in range(width):
                    ahead[s, b] = law[s, b] / 2
            for s in range(states):
                for a in range(actions):
                    mass = moves.joint + s * actions + a
                    for k in range(places.shape[2]):
                        to, chance = places[s, a, k], chances[s, a, k]
                        for b in range(width):
                            ahead[to, b] += memory[mass, b] / 2 * memory[chance, b]
            for s in range(states):
                for b in range(width):
                    law[s, b] = ahead[s, b]
    return found


@njit(cache=True, **WITHIN)
def corrected(moves, room, here, length):  # type: ignore[no-untyped-def]
    """Write the corrections of steps of `length` [W] from the laws `here` to `room.right`, and
    whether the determinants are positive.
    """
    law, change, right, slope, system = room.law, room.change, room.right, room.slope, room.system
    states, width = law.shape
    each = states // moves.populations
    (lower, upper), gone = moves.band, room.largest
    for s in range(states):
        for b in range(width):
            right[s, b] = length[b] * change[s, b] - (law[s, b] - here[s, b])
    for first in range(0, states, each):
        gone[:] = 0
        for s in range(first, first + each):
            for b in range(width):
                gone[b] += right[s, b]
        for s in range(first, first + each):  # see `implicit.py`
            for b in range(width):
                right[s, b] -= gone[b] * moves.populations * law[s, b]
    span, wide = lower + upper + 1, 2 * lower + upper + 1
    for s in range(states):
        for j in range(span):
            cell, source = s * wide + j, s * span + j
            for b in range(width):
                system[cell, b] = -length[b] * slope[source, b]
        for j in range(span, wide):
            for b in range(width):
                system[s * wide + j, b] = 0
        for b in range(width):
            system[s * wide + lower, b] += 1
    solved_lanes(system, lower, upper, right, room.pivot, room.largest, room.positive)


@njit(cache=True, **LOOPS)
def solved_lanes(system, lower, upper, right, pivot, largest, positive):  # type: ignore[no-untyped-def]
    """Replace `right` [S, W] by the solutions; `positive` [W] is 1 where the determinant is, else
    below 0 or 0, and then what is written means nothing.

    Row i of the systems is `system[i * wide:(i + 1) * wide]`, columns from i - lower on.
    """
    states, width = right.shape
    wide = 2 * lower + upper + 1
    positive[:] = 1
    for k in range(states):
        last, end = min(states, k + lower + 1), min(states, k + lower + upper + 1)
        _pivots(system, lower, wide, k, last, pivot, largest)
        for b in range(width):
            if pivot[b] != k:
                positive[b] = -positive[b]
                _swapped(system, lower, wide, k, end, pivot[b], right, b)
        top = k * wide + lower - k
        for b in range(width):
            number = system[top + k, b]
            positive[b] = positive[b] if number > 0 else -positive[b] if number < 0 else 0.0
            largest[b] = 1 / number
        for i in range(k + 1, last):
            row = i * wide + lower - i
            for b in range(width):
                system[row + k, b] *= largest[b]
            for j in range(k + 1, end):
                for b in range(width):
                    system[row + j, b] -= system[row + k, b] * system[top + j, b]
            for b in range(width):
                right[i, b] -= system[row + k, b] * right[k, b]
    for k in range(states - 1, -1, -1):
        top = k * wide + lower - k
        for j in range(k + 1, min(states, k + lower + upper + 1)):
            for b in range(width):
                right[k, b] -= system[top + j, b] * right[j, b]
        for b in range(width):
            right[k, b] /= system[top + k, b]


@njit(cache=True, **WITHIN)
def _pivots(system, lower, wide, k, last, pivot, largest):  # type: ignore[no-untyped-def]
    """Note the row of the largest number of column k in each lane, from the diagonal on."""
    top = k * wide + lower
    for b in range(len(pivot)):
        pivot[b], largest[b] = k, abs(system[top, b])
    for i in range(k + 1, last):
        cell = i * wide + lower - i + k
        for b in range(len(pivot)):
            size = abs(system[cell, b])
            pivot[b] = i if size > largest[b] else pivot[b]
            largest[b] = size if size > largest[b] else largest[b]


@njit(cache=True, **WITHIN)
def _swapped(system, lower, wide, k, end, p, right, b):  # type: ignore[no-untyped-def]
    """Swap the rows k and p of one lane."""
    one, other = k * wide + lower - k, p * wide + lower - p
    for j in range(k, end):
        kept = system[one + j, b]
        system[one + j, b], system[other + j, b] = system[other + j, b], kept
    kept = right[k, b]
    right[k, b], right[p, b] = right[p, b], kept
