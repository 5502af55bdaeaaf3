"""What many policies of one game are worth at their laws, side by side (needs numba).

As `worth` in `native_reading.py`, with lanes innermost: rewards from a tape, values of the policies
by elimination, best responses by policy improvement (Howard 1960) until none gains. A lane whose
best response is found keeps it while others go on.
"""

from typing import Any, NamedTuple

import numpy as np

from mfdsl.runtime.kept_loops import njit
from mfdsl.runtime.views.native_lane_steps import put, room_of, seat, solved_lanes
from mfdsl.runtime.views.native_lane_tape import LOOPS, WITHIN, play_lanes


class Scores(NamedTuple):
    """Rewards and Q `paid`, `q` [A * S, W], probabilities `shares` [S * A, W], `value` [S, W], and
    what systems are solved in.
    """

    paid: Any
    q: Any
    shares: Any
    value: Any
    system: Any
    pivot: Any
    largest: Any
    positive: Any


@njit(cache=True, **LOOPS)
def worth_lanes(moves, meeting, shares, laws, limits, width, rewards, q, best, returns):  # type: ignore[no-untyped-def]
    """Write rewards, Q of the policies `shares` [B, S, A] and of the best responses [B, A, S] at
    their laws [B, S], and the returns [B, 2, P]; whether all best responses are found.
    """
    games, states, actions = shares.shape
    discount, most, tolerance = limits
    room = room_of(moves, states, actions, width)
    paid = np.empty((actions * states, width))
    scores = Scores(
        paid,
        np.empty_like(paid),
        room.shares,
        np.empty((states, width)),
        room.system,
        room.pivot,
        room.largest,
        room.positive,
    )
    lines = np.empty((len(meeting.line.memory), width))
    for place in range(len(lines)):
        lines[place] = meeting.line.memory[place]
    gain, size, open_lanes = np.empty(width), np.empty(width), np.empty(width, np.bool_)
    none = np.empty((len(room.memory), 0, width))  # as in `half_steps_lanes`
    for start in range(0, games, width):
        for b in range(width):
            game = min(start + b, games - 1)
            seat(moves, room, b, laws[game], shares[game])
        put(moves.joint, room.law, room.shares, room.memory)
        play_lanes(moves.line, room.memory, none)
        _met(meeting, room.law, room.shares, lines, paid)
        for b in range(min(width, games - start)):
            _kept_lane(paid, b, rewards[start + b])
        _closed(meeting.legal, paid, rewards[start : start + width])
        _evaluated(moves, discount, room.memory, scores)
        _looked_ahead(moves, discount, room.memory, scores)
        for b in range(min(width, games - start)):
            _kept_lane(scores.q, b, q[start + b])
            _earned(room.law, scores.value, b, returns[start + b, 0])
        _greedy(scores.q, room.shares, scores.value, gain, size)
        open_lanes[:] = True
        left = width
        for _ in range(most):
            _evaluated(moves, discount, room.memory, scores)
            _looked_ahead(moves, discount, room.memory, scores)
            _greedy(scores.q, room.shares, scores.value, gain, size)
            for b in range(width):
                if open_lanes[b] and not gain[b] > tolerance * size[b]:
                    open_lanes[b] = False
                    left -= 1
                    if start + b < games:
                        _kept_lane(scores.q, b, best[start + b])
                        _earned(room.law, scores.value, b, returns[start + b, 1])
            if not left:
                break
        if left:
            return False
    return True


@njit(cache=True, **WITHIN)
def _met(meeting, law, shares, memory, paid):  # type: ignore[no-untyped-def]
    """Write the rewards at the laws."""
    states, width = law.shape
    actions = len(paid) // states
    for a in range(actions):
        for s in range(states):
            row, mass = a * states + s, meeting.joint + a * states + s
            for b in range(width if len(meeting.paid) else 0):
                memory[mass, b] = law[s, b] * shares[s * actions + a, b]
            for b in range(0 if len(meeting.paid) else width):
                paid[row, b] = meeting.known[a, s]
    if len(meeting.paid):
        play_lanes(meeting.line, memory, np.empty((len(memory), 0, width)))
        for a in range(actions):
            for s in range(states):
                for b in range(width):
                    paid[a * states + s, b] = memory[meeting.paid[a, s], b]


@njit(cache=True, **WITHIN)
def _closed(legal, paid, rewards):  # type: ignore[no-untyped-def]
    """Make rewards of illegal actions -inf, and 0 where they are shown."""
    for a in range(len(legal)):
        for s in range(legal.shape[1]):
            if not legal[a, s]:
                paid[a * legal.shape[1] + s] = -np.inf
                for game in range(len(rewards)):
                    rewards[game, a, s] = 0


@njit(cache=True, **WITHIN)
def _evaluated(moves, discount, memory, scores):  # type: ignore[no-untyped-def]
    """Write the values of the policies."""
    paid, _, shares, value, system, pivot, largest, positive = scores
    places, chances, (lower, upper) = moves.places, moves.chances, moves.band
    states, width = value.shape
    actions, wide = places.shape[1], 2 * lower + upper + 1
    for cell in range(len(system)):
        for b in range(width):
            system[cell, b] = 0
    for s in range(states):
        for b in range(width):
            value[s, b] = 0
            system[s * wide + lower, b] = 1
        for a in range(actions):
            row, share = a * states + s, s * actions + a
            for b in range(width):
                value[s, b] += shares[share, b] * paid[row, b] if shares[share, b] != 0 else 0.0
            for k in range(places.shape[2]):
                cell = s * wide + lower + places[s, a, k] - s
                chance = chances[s, a, k]
                for b in range(width):
                    system[cell, b] -= discount * shares[share, b] * memory[chance, b]
    solved_lanes(system, lower, upper, value, pivot, largest, positive)


@njit(cache=True, **WITHIN)
def _looked_ahead(moves, discount, memory, scores):  # type: ignore[no-untyped-def]
    """Write rewards plus the discounted mean of the values after a move."""
    paid, q, value = scores.paid, scores.q, scores.value
    places, chances = moves.places, moves.chances
    states, width = value.shape
    for s in range(states):
        for a in range(places.shape[1]):
            row = a * states + s
            for b in range(width):
                q[row, b] = paid[row, b]
            for k in range(places.shape[2]):
                to, chance = places[s, a, k], chances[s, a, k]
                for b in range(width):
                    q[row, b] += discount * memory[chance, b] * value[to, b]


@njit(cache=True, **WITHIN)
def _greedy(q, shares, value, gain, size):  # type: ignore[no-untyped-def]
    """Replace policies by the greedy ones and values by the best of Q; write the most that this
    gains in a lane, and 1 + its largest value before.
    """
    states, width = value.shape
    actions = len(q) // states
    best, choice = np.empty(width), np.empty(width, np.int64)
    gain[:], size[:] = -np.inf, 1
    for s in range(states):
        for b in range(width):
            best[b], choice[b] = q[s, b], 0
        for a in range(1, actions):
            row = a * states + s
            for b in range(width):
                choice[b] = a if q[row, b] > best[b] else choice[b]
                best[b] = max(best[b], q[row, b])
        for a in range(actions):
            for b in range(width):
                shares[s * actions + a, b] = 1.0 if choice[b] == a else 0.0
        for b in range(width):
            gain[b] = max(gain[b], best[b] - value[s, b])
            size[b] = max(size[b], 1 + abs(value[s, b]))
            value[s, b] = best[b]


@njit(cache=True, **WITHIN)
def _kept_lane(table, b, kept):  # type: ignore[no-untyped-def]
    """Copy the table of one lane."""
    actions, states = kept.shape
    for a in range(actions):
        for s in range(states):
            kept[a, s] = table[a * states + s, b]


@njit(cache=True, **WITHIN)
def _earned(law, value, b, returns):  # type: ignore[no-untyped-def]
    """Add the mean value of an agent of each population, of one lane."""
    states, populations = len(law), len(returns)
    for s in range(states):
        returns[s * populations // states] += law[s, b] * value[s, b] * populations
