"""The laws that many policies of one game keep, side by side (needs numba).

What `native_reading.py` and `native_implicit.py` do for one policy after another: the same pushes,
steps, checks and limits, for some policies at once. Each lane is at its own step; one that has
ended takes the next policy, so that all are at work until none is left. A round solves the system
of a step's second correction, which judges it, then that of the next step's first one, and looks.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfdsl.runtime.kept_loops import njit
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
    NEGATIVE,
    NONLINEAR,
    NUDGE as FURTHER_OFF,
    SHRINKAGE,
    SOLVED,
    STILL,
)
from mfdsl.runtime.views.native_implicit import (
    EPS,
    EXACT_RETURN,
    MOST_EXACT_STEPS,
    MOST_STEPS,
    RETURN,
)
from mfdsl.runtime.views.native_lane_steps import (
    corrected,
    half_steps_lanes,
    look_lanes,
    room_of,
    seat,
)
from mfdsl.runtime.views.native_lane_tape import LOOPS, WITHIN
from mfdsl.runtime.views.native_reading import NOISE
from mfdsl.runtime.views.settling import MOST_FIRST, NUDGE, SMALL, STRETCH
from mfdsl.runtime.views.taped_moves import Moves

Numbers = NDArray[np.float64]
EMPTY, UNSEEN = -2, -1  # of lanes that wait for a policy, or a look, before a correction


class Walks(NamedTuple):
    """Where the lanes are: the last step ended in the laws `here` [S, W], the next one is `length`
    [W] long and in its correction `number`, one that follows may grow so much; so many are `left`.
    """

    here: Any
    length: Any
    growth: Any
    first: Any
    before: Any
    ratio: Any
    number: Any
    left: Any
    game: Any


def laws_kept_lanes(
    moves: Moves,
    initial: Numbers,
    shares: Numbers,
    tolerance: float,
    width: int,
    laws: Numbers,
    residuals: Numbers,
) -> None:
    """Write the laws [B, S] that the policies `shares` [B, S, A] keep, `width` at a time, and the
    l1 changes of a push there [B], -1 where implicit steps do not end.
    """
    starts = _pushed(moves, initial, shares, width)
    back, returned = np.zeros_like(laws), np.empty_like(residuals)
    residuals[:], laws[:] = -1, 0
    for exact in (False, True):
        games, limits = np.flatnonzero(residuals < 0), (tolerance, exact)
        _followed(moves, shares, width, games, starts, FIRST, limits, laws, residuals)
        off = laws + FURTHER_OFF * (initial - laws)
        distances = np.abs(off - laws).sum(1)
        far = games[(residuals[games] >= 0) & (distances[games] > 64 * EPS)]
        _followed(moves, shares, width, far, off, BACK, limits, back, returned)
        least = EXACT_RETURN if exact else RETURN
        gone = np.abs(back - laws).sum(1) > least * distances
        residuals[far[(returned[far] < 0) | gone[far]]] = -1
    residuals[~_drawn_back(moves, initial, shares, width, laws)] = -1
    parts = laws.reshape(len(laws), moves.populations, -1)
    with np.errstate(invalid="ignore"):  # policies that are no numbers have no laws either
        parts /= parts.sum(2, keepdims=True) * moves.populations


def _pushed(moves: Moves, initial: Numbers, shares: Numbers, width: int) -> Numbers:
    """The laws [B, S] after the first pushes."""
    starts = np.tile(initial, (len(shares), 1))  # broadcast it would be compiled once more
    laws: Numbers = half_steps_lanes(moves, starts, 2, shares, width)
    sizes = np.abs(laws[:, 1:] - laws[:, :-1]).sum(2)
    found: Numbers = laws[:, 2].copy()
    first, last = sizes[:, 0], sizes[:, 1].copy()
    for _ in range(2, MOST_FIRST):
        games = np.flatnonzero(~(last < np.minimum(SMALL, first)))
        if not len(games):
            break
        ahead = half_steps_lanes(moves, found[games], 1, shares[games], width)[:, 1]
        last[games], found[games] = np.abs(ahead - found[games]).sum(1), ahead
    return found


def _drawn_back(
    moves: Moves, initial: Numbers, shares: Numbers, width: int, laws: Numbers
) -> NDArray[np.bool_]:
    """Whether pushes of laws a little off in the direction of the initial one come nearer [B]."""
    off = laws + NUDGE * (initial - laws)
    paths: Numbers = half_steps_lanes(moves, off, min(STRETCH, len(initial) + 2), shares, width)
    distances = np.abs(paths - laws[:, None]).sum(2)
    first, before, last = distances[:, 0], distances[:, -2], distances[:, -1]
    nearer: NDArray[np.bool_] = (last <= first) & (last <= before + NOISE) | (first <= NOISE)
    return nearer


@njit(cache=True, **WITHIN)
def walks_of(states, width):  # type: ignore[no-untyped-def]
    """Empty lanes."""
    numbers, counts = np.zeros((5, width)), np.zeros((3, width), np.int64)
    counts[0] = EMPTY
    laws = np.zeros((states, width))
    return Walks(
        laws,
        numbers[0],
        numbers[1],
        numbers[2],
        numbers[3],
        numbers[4],
        counts[0],
        counts[1],
        counts[2],
    )


@njit(cache=True, **LOOPS)
def _followed(moves, shares, width, games, starts, length, limits, found, residuals):  # type: ignore[no-untyped-def]
    """Write where the steps of some `games` end, from their laws `starts` [B, S] on, and the l1
    changes of a push there, -1 where they do not end.
    """
    _, states, actions = shares.shape
    room = room_of(moves, states, actions, width)
    size, unmoved = np.empty(width), np.zeros((states, width))
    budget, taken = MOST_EXACT_STEPS if limits[1] else MOST_STEPS, 0
    walks = walks_of(states, width)
    number, here = walks.number, walks.here
    while True:
        waiting, later = 0, 0
        for b in range(width):
            if number[b] == EMPTY and taken < len(games):
                game = games[taken]
                walks.game[b], number[b], walks.left[b] = game, UNSEEN, budget
                walks.length[b], walks.growth[b] = length, GROWTH
                seat(moves, room, b, starts[game], shares[game])
                copied(room.law, here, b)
                taken += 1
            waiting += number[b] != EMPTY
            later += number[b] > 0
        if not waiting:
            return
        if later:
            corrected(moves, room, here, walks.length)
            _distances(room.right, unmoved, size)
            met = room.law, room.change, room.right, room.positive
            _judged(walks, *met, size, moves.populations, limits, found, residuals)
        first = 0
        for b in range(width):
            first += number[b] == 0
        if first:
            corrected(moves, room, here, walks.length)
            _distances(room.right, unmoved, size)
            _begun(walks, room.law, room.right, room.positive, size, moves.populations, residuals)
        look_lanes(moves, room)
        for b in range(width):
            if number[b] == UNSEEN:
                number[b] = 0


@njit(cache=True, **WITHIN)
def _begun(walks, law, right, positive, size, populations, residuals):  # type: ignore[no-untyped-def]
    """Go on with lanes by the first corrections of steps, of l1 `size`."""
    _, length, growth, first, before, _, number, left, game = walks
    for b in range(len(size)):
        if number[b] == 0:
            first[b] = before[b] = size[b]
            if positive[b] > 0 and size[b] < math.inf and _moved(law, right, b, populations):
                number[b] = 1
            elif _refused(length, growth, left, b):
                number[b], residuals[game[b]] = EMPTY, -1.0


@njit(cache=True, **WITHIN)
def _judged(walks, law, change, right, positive, size, populations, limits, found, residuals):  # type: ignore[no-untyped-def]
    """Go on with lanes by later corrections, of l1 `size`, from which they may take the step."""
    here, length, growth, first, before, ratio, number, left, game = walks
    tolerance, exact = limits
    for b in range(len(size)):
        n, noise = number[b], max(STILL, length[b] * EPS)
        if n <= 0:
            continue
        good = positive[b] > 0 and size[b] <= max(ALLOWED * before[b], noise)
        if n == 1:
            ratio[b] = size[b] / max(first[b], noise)
        if good and (not exact or size[b] <= max(SOLVED, noise)):
            left[b] -= 1
            number[b] = 0
            moved, residual = _taken(law, change, here, b)
            if moved <= noise and length[b] >= min(LONG, LONGEST / EPS):
                for s in range(len(law)):
                    found[game[b], s] = law[s, b]
                number[b], residuals[game[b]] = EMPTY, residual if residual <= tolerance else -1.0
            elif left[b] == 0:
                number[b], residuals[game[b]] = EMPTY, -1.0
            most = min(growth[b], NONLINEAR / max(ratio[b], NONLINEAR / GROWTH))
            length[b], growth[b] = min(LONGEST / EPS, length[b] * max(1.0, most)), GROWTH
        elif good and n + 1 < MOST_CORRECTIONS and _moved(law, right, b, populations):
            before[b], number[b] = size[b], n + 1
        else:
            copied(here, law, b)
            number[b] = UNSEEN
            if _refused(length, growth, left, b):
                number[b], residuals[game[b]] = EMPTY, -1.0


@njit(cache=True, **WITHIN)
def _refused(length, growth, left, b):  # type: ignore[no-untyped-def]
    """Let a lane try a shorter step; whether it has to give up instead."""
    length[b] /= SHRINKAGE
    growth[b] = AFTERWARDS
    left[b] -= 1
    return length[b] < LEAST or left[b] == 0


@njit(cache=True, **WITHIN)
def _taken(law, change, here, b):  # type: ignore[no-untyped-def]
    """Let a lane be where its step ends; the l1 lengths of the step and of a push there."""
    moved = residual = 0.0
    for s in range(len(law)):
        moved += abs(law[s, b] - here[s, b])
        residual += abs(change[s, b])
        here[s, b] = law[s, b]
    return moved, residual


@njit(cache=True, **WITHIN)
def _moved(law, right, b, populations):  # type: ignore[no-untyped-def]
    """Correct the law of a lane; whether no state falls below 0, otherwise nothing is done."""
    states = len(law)
    each = states // populations
    for s in range(states):
        if law[s, b] + right[s, b] < -NEGATIVE:
            return False
    for first in range(0, states, each):
        whole = 0.0
        for s in range(first, first + each):
            law[s, b] = max(law[s, b] + right[s, b], 0.0)
            whole += law[s, b]
        for s in range(first, first + each):
            law[s, b] /= whole * populations
    return True


@njit(cache=True, **WITHIN)
def copied(source, to, b):  # type: ignore[no-untyped-def]
    """Copy the law of a lane."""
    for s in range(len(source)):
        to[s, b] = source[s, b]


@njit(cache=True, **WITHIN)
def _distances(one, other, sizes):  # type: ignore[no-untyped-def]
    """Write the l1 distances [W] of laws [S, W]."""
    sizes[:] = 0
    for s in range(len(one)):
        for b in range(len(sizes)):
            sizes[b] += abs(one[s, b] - other[s, b])
