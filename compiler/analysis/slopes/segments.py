"""Segments through the domain of a problem: passes at their points and over parts of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mfdsl.compiler.analysis.counted import late
from mfdsl.compiler.analysis.intervals import Array, Interval
from mfdsl.compiler.analysis.slopes.domain import (
    grid_index,
    in_balls,
    members,
    middle_of,
    root_rows,
    sample_laws,
)
from mfdsl.compiler.analysis.slopes.forward import Forward, Rows
from mfdsl.compiler.analysis.slopes.jumps import Distance, between_masses, euclidean
from mfdsl.compiler.analysis.slopes.law_slope import LawSlope
from mfdsl.compiler.analysis.slopes.point_slope import PointSlope

Problem = LawSlope | PointSlope
Values = Mapping[int, Interval]
PER_PLACE = 6
PLACES = 6  # grid points at which segments are tried
REACH = 10.0  # where a variable has no bounds
TRIED = 64
LONGER = 1 + 1e-12  # of lengths, for their rounding
MIXED = 4 * np.finfo(float).eps  # relative error of a mixture of two masses


@dataclass(frozen=True)
class Segment:
    """A segment of the domain at a place of the grid, from share 0 to share 1.

    `over(a, b, instead)` is a pass over its part between two shares, with steps that have other
    values than their own; `length(a, b)` bounds its length from above. `start` and `end` are
    points, or masses of the law that moves.
    """

    row: Rows
    start: Array
    end: Array
    length: Callable[[float, float], float]
    over: Callable[[float, float, Values], Forward]
    roots: Sequence[int]
    apart: Distance

    def values(self, start: float, end: float, instead: Values | None = None) -> list[Interval]:
        """Enclosures of the roots over a part."""
        forward = self.over(start, end, instead or {})
        return [forward.value(root) for root in self.roots]


def distance_of(problem: Problem, row: Rows) -> Distance:
    """How values of the roots are compared at a place of the grid."""
    if isinstance(problem, LawSlope) and problem.outcomes is not None and problem.outcomes.size:
        return between_masses(problem.outcomes[grid_index(problem.tape, row)][0])
    return euclidean


def segments(
    problem: Problem, deadline: float, conditions: Sequence[int] = ()
) -> Iterator[Segment]:
    """Segments through the domain at the grid points with the largest bounds; where conditions are
    given only those at whose ends one of them is true and false.
    """
    rows = root_rows(problem.tape)
    upper = problem.bound(rows)
    order = np.argsort(-np.nan_to_num(upper, posinf=1e300), kind="stable")
    spread = order[np.linspace(0, len(order) - 1, min(PLACES, len(order))).astype(int)]
    for k in dict.fromkeys([*order[: PLACES // 2], *spread]):
        if late(deadline):
            return
        row = rows.take(np.array([k]))
        if isinstance(problem, LawSlope):
            yield from _of_laws(problem, row, conditions)
        else:
            yield from _of_points(problem, row, conditions)


def changed(before: Interval, after: Interval) -> np.ndarray:
    """Where a condition is decided on both sides, and not in the same way."""
    decided = (before.lo == before.hi) & (after.lo == after.hi)
    return np.asarray(decided & (before.lo != after.lo))


def _crossed(
    forward: Forward, conditions: Sequence[int], one: np.ndarray, other: np.ndarray
) -> np.ndarray:
    """Whether any condition has one truth at the rows `one` and another at the rows `other`."""
    found = np.zeros(len(one), bool)
    for condition in conditions:
        value = forward.value(condition)
        lo, hi = (
            np.broadcast_to(end.reshape(len(end), -1), (len(forward.rows), end[0].size))
            for end in (value.lo, value.hi)
        )
        found |= changed(Interval(lo[one], hi[one]), Interval(lo[other], hi[other])).any(1)
    return found


def _of_laws(problem: LawSlope, row: Rows, conditions: Sequence[int]) -> list[Segment]:
    laws = {name: sample_laws(members(space)) for name, space in problem.spaces.items()}
    own = laws[problem.population]
    middle = middle_of(row, problem.tape)
    at = Rows(row.places, middle, middle)
    others = {n: law[len(law) // 2][None] for n, law in laws.items() if n != problem.population}

    def pass_at(law: Array, tops: Array | None, instead: Values) -> Forward:
        tiled = at.take(np.zeros(len(law), dtype=np.int64))
        here = {n: np.repeat(w, len(law), 0) for n, w in others.items()}
        return Forward(
            problem.tape,
            tiled,
            problem.directions.moves(problem.tape, tiled),
            here | {problem.population: law},
            problem.spaces,
            tops=None if tops is None else {problem.population: tops},
            values=dict(instead),
        )

    still = pass_at(own, None, {})
    values = [still.value(root) for root in problem.tape.roots]
    count = len(own)
    low, high = (
        np.array([np.broadcast_to(e.reshape(len(e), -1)[:, 0], (count,)) for e in ends])
        for ends in ([v.lo for v in values], [v.hi for v in values])
    )
    one, other = np.triu_indices(count, 1)
    distance = np.abs(own[one] - own[other]).sum(1)
    with np.errstate(over="ignore", invalid="ignore"):
        gaps = np.maximum(low[:, one] - high[:, other], low[:, other] - high[:, one])
        moved = np.nan_to_num(np.maximum(gaps, 0.0), posinf=1e300).sum(0)
        order = np.argsort(-moved / np.maximum(distance, 1e-9))
    if conditions:
        order = order[_crossed(still, conditions, one, other)[order]]

    def segment(a: Array, b: Array) -> Segment:
        def over(start: float, end: float, instead: Values) -> Forward:
            if start == end and start in (0.0, 1.0):
                return pass_at((b if start else a)[None], None, instead)
            first, last = ((1 - share) * a + share * b for share in (start, end))
            lo = np.minimum(first, last) * (1 - MIXED)
            hi = np.minimum(np.maximum(first, last) * (1 + MIXED), 1.0)
            return pass_at(lo[None], hi[None], instead)

        whole = float(np.abs(a - b).sum()) * LONGER

        def length(start: float, end: float) -> float:
            return (end - start) * whole

        return Segment(row, a, b, length, over, problem.tape.roots, distance_of(problem, row))

    return [segment(own[one[k]], own[other[k]]) for k in order[:PER_PLACE] if distance[k] > 0]


def _of_points(problem: PointSlope, row: Rows, conditions: Sequence[int]) -> list[Segment]:
    """Those of some random segments along which the values change most."""
    source = np.random.default_rng(0)
    lo, hi = row.lo[0], row.hi[0]
    lo = np.where(np.isfinite(lo), lo, np.where(np.isfinite(hi), hi - 2 * REACH, -REACH))
    hi = np.where(np.isfinite(hi), hi, lo + 2 * REACH)
    whole = np.array([c.whole for c in problem.tape.coordinates], bool)
    moving = np.isin(np.arange(len(lo)), list(problem.moving))
    both = lo + source.random((2, TRIED, len(lo))) * (hi - lo)
    start, end = (in_balls(np.where(whole, np.floor(b), b), problem.tape) for b in both)
    end = np.where(moving, end, start)
    points = np.concatenate([start, end])
    at = row.take(np.zeros(len(points), dtype=np.int64))
    forward = passed(problem, Rows(at.places, points, points), problem.even_laws(), {})
    changed = _changes([forward.value(root) for root in problem.tape.roots], TRIED)
    with np.errstate(divide="ignore", invalid="ignore"):
        steep = np.nan_to_num(changed / np.linalg.norm(end - start, axis=1))
    order = np.argsort(-steep, kind="stable")
    if conditions:
        one = np.arange(TRIED)
        order = order[_crossed(forward, conditions, one, one + TRIED)[order]]
    found = [between_points(problem, row, start[k], end[k]) for k in order[:PER_PLACE]]
    return [segment for segment in found if segment.length(0.0, 1.0)]


def _changes(values: Sequence[Interval], count: int) -> Array:
    """How far the values of the first `count` rows are from those of as many others, at least."""
    total = np.zeros(count)
    with np.errstate(over="ignore", invalid="ignore"):
        for value in values:
            ends = (e.reshape(len(e), -1)[:, 0] for e in (value.lo, value.hi))
            lo, hi = (np.broadcast_to(end, 2 * count) for end in ends)
            apart = np.maximum(lo[count:] - hi[:count], lo[:count] - hi[count:])
            total += np.nan_to_num(np.maximum(apart, 0.0), posinf=1e300)
    return total


def between_points(problem: PointSlope, row: Rows, start: Array, end: Array) -> Segment:
    """The segment between two points at a place of the grid."""
    laws = problem.even_laws()

    def point(share: float) -> Array:
        return (1 - share) * start + share * end

    def over(first: float, last: float, instead: Values) -> Forward:
        points = [point(first), point(last)]
        lo, hi = np.minimum(*points), np.maximum(*points)
        if first != last:  # the points between are rounded otherwise
            lo, hi = np.nextafter(lo, -np.inf), np.nextafter(hi, np.inf)
        return passed(problem, Rows(row.places, lo[None], hi[None]), laws, instead)

    def length(first: float, last: float) -> float:
        return float(np.linalg.norm(point(last) - point(first))) * LONGER

    return Segment(row, start, end, length, over, problem.tape.roots, distance_of(problem, row))


def passed(problem: PointSlope, row: Rows, laws: Mapping[str, Array], instead: Values) -> Forward:
    """A pass over a box with other values of some steps. Laws that are not given have all mass in
    one point, so that their means are the values of bodies.
    """
    tape = problem.tape
    forward = Forward(
        tape, row, problem.moves, laws, problem.spaces, single=True, values=dict(instead)
    )
    for i, step in enumerate(tape.steps):
        if step.op != "statistic" or i in instead:
            continue
        statistic = tape.statistics[step.attr]
        if statistic.population in laws or statistic.coordinate is None:
            continue
        body = _first(forward, forward.value(statistic.body))
        if statistic.mass is not None:
            met = _first(forward, forward.value(statistic.mass)).lo > 0
            body = Interval(np.where(met, body.lo, np.nan), np.where(met, body.hi, np.nan))
        forward.values[i] = body
    return forward


def _first(forward: Forward, value: Interval) -> Interval:
    """The value at the first of the members that differ in finite variables."""
    shape = (-1, *(1,) * len(forward.tape.inner))
    ends = (end.reshape(len(end), -1)[:, 0].reshape(shape) for end in (value.lo, value.hi))
    return Interval(*ends)
