"""Values that a search attained, kept and computed again: a proof of a bound from below.

The slope between two laws or points is at least the certified difference of the two values over
their distance; both ends must lie in the domain, which is checked exactly.
"""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from mfdsl.compiler.analysis.intervals import RULES, Array, Interval, add
from mfdsl.compiler.analysis.proofs.fingerprint import Problem
from mfdsl.compiler.analysis.proofs.packing import pack, unpack
from mfdsl.compiler.analysis.proofs.proof import Attainment
from mfdsl.compiler.analysis.slopes.domain import (
    STILL,
    grid_index,
    in_balls,
    members,
    midpoint_laws,
)
from mfdsl.compiler.analysis.slopes.forward import Forward, Rows
from mfdsl.compiler.analysis.slopes.jumps import BOUNDLESS
from mfdsl.compiler.analysis.slopes.law_slope import Attained, LawSlope
from mfdsl.compiler.analysis.slopes.point_slope import PointSlope, Step
from mfdsl.compiler.analysis.slopes.tape import Tape
from mfdsl.compiler.analysis.slopes.value import LargestValue

ROUNDING = 1e-14  # of sums and roots of a few hundred numbers
LENGTH = 1e-12  # of the length of a way, with its rounding


class OutsideError(ValueError):
    """A value that is attained outside of the domain, or nowhere; the text says why."""


def kept(problem: Problem) -> Attainment | None:
    """Where a problem attained its best value, None if it found none."""
    if isinstance(problem, LargestValue):
        if problem.place is None or problem.point is None:
            return None
        laws = {name: pack(law) for name, law in problem.laws.items()}
        place = tuple(map(int, problem.place))
        return Attainment(kind="value", place=place, point=pack(problem.point), laws=laws)
    at = problem.attained
    if at is None:
        return None
    place, point = tuple(map(int, at.place)), pack(at.point)
    if isinstance(at, Attained):
        laws = {name: pack(law) for name, law in at.laws.items()}
        return Attainment(
            kind="laws",
            place=place,
            point=point,
            laws=laws,
            to=int(at.to),
            off=int(at.off),
            shift=at.shift,
        )
    return Attainment(kind="points", place=place, point=point, way=pack(at.way))


def again(problem: Problem, attained: Attainment) -> float:
    """The value at a place that was kept, a certified bound from below; the problem remembers it.

    Raises:
        OutsideError: the place is not in the domain, or does not fit the problem.
        PackingError: an array of it is damaged.
    """
    laws = {name: unpack(law) for name, law in attained.laws.items()}
    place, point = attained.place, np.array(unpack(attained.point), dtype=np.float64)
    row = _row(problem.tape, place, point)
    if isinstance(problem, LawSlope) and attained.kind == "laws":
        _check_laws(problem, laws)
        slope = _between_laws(problem, row, laws, attained)
        problem.attained = Attained(
            slope, place, point, laws, attained.to, attained.off, attained.shift
        )
        return slope
    if isinstance(problem, PointSlope) and attained.kind == "points" and attained.way is not None:
        way = np.array(unpack(attained.way), dtype=np.float64)
        slope = _between_points(problem, row, way)
        problem.attained = Step(slope, place, point, way)
        return slope
    if isinstance(problem, LargestValue) and attained.kind == "value":
        if laws or problem.spaces:
            _check_laws(problem, laws)
        forward = Forward(problem.tape, row, STILL, laws_of_row(laws), problem.spaces)
        value = forward.value(problem.tape.roots[0])
        problem.best = float(-value.hi.max() if problem.least else value.lo.min())
        problem.place, problem.point, problem.laws = place, point, laws
        return problem.best
    raise OutsideError("a witness of another kind")


def laws_of_row(laws: dict[str, Array]) -> dict[str, Array]:
    """Laws with an axis for the one row."""
    return {name: law[None] for name, law in laws.items()}


def _row(tape: Tape, place: Sequence[int], point: Array) -> Rows:
    """The row of a place and a point, which must lie in the domain."""
    sizes = tape.sizes
    if len(place) != len(sizes) or any(not 0 <= p < n for p, n in zip(place, sizes, strict=True)):
        raise OutsideError("a witness at a place that there is not")
    if point.shape != (len(tape.coordinates),):
        raise OutsideError("a witness with other coordinates")
    _check_point(tape, point)
    return Rows(np.array(place, dtype=np.int64)[None], point[None], point[None])


def _check_point(tape: Tape, point: Array) -> None:
    for coordinate, value in zip(tape.coordinates, point, strict=True):
        if coordinate.statistic is not None:
            continue  # follows from the laws
        whole = not coordinate.whole or float(value).is_integer()
        if not (coordinate.lo <= value <= coordinate.hi and whole):
            raise OutsideError("a witness outside of the ranges of its variables")
    if not np.array_equal(in_balls(point[None].copy(), tape)[0], point):
        raise OutsideError("a witness outside of the ball of a vector")


def _check_laws(problem: LawSlope | LargestValue, laws: dict[str, Array]) -> None:
    """Laws of all populations that are read: not negative, and exactly 1 in all."""
    if laws.keys() != problem.spaces.keys():
        raise OutsideError("a witness with laws of other populations")
    for name, law in laws.items():
        if law.shape != (members(problem.spaces[name]),) or not (law >= 0).all():
            raise OutsideError(f"the law of `{name}` is none")
        if sum(map(Fraction, law.tolist()), Fraction(0)) != 1:
            raise OutsideError(f"the masses of `{name}` do not add up to 1")


def _between_laws(problem: LawSlope, row: Rows, laws: dict[str, Array], at: Attainment) -> float:
    start = laws[problem.population]
    if not (0 <= at.to < len(start) and 0 <= at.off < len(start) and at.to != at.off):
        raise OutsideError("mass that moves between members that there are not")
    if not 0 < at.shift <= start[at.off]:
        raise OutsideError("more mass moves than there is")
    end = start.copy()
    end[at.to] += at.shift
    end[at.off] -= at.shift
    _check_laws(problem, laws | {problem.population: end})
    moves = problem.directions.moves(problem.tape, row)
    both = []
    for law in (start, end):
        here = laws_of_row(laws | {problem.population: law})
        forward = Forward(problem.tape, row, moves, here, problem.spaces)
        both.append([forward.value(root) for root in problem.tape.roots])
    slope = float(np.nextafter(_change(problem, row, *both) / (2 * at.shift), 0.0))
    return slope if slope < BOUNDLESS else 0.0


def _change(
    problem: LawSlope, row: Rows, before: Sequence[Interval], after: Sequence[Interval]
) -> float:
    """A lower bound of the distance of two numbers, vectors, or laws over outcomes."""
    parts = [add(b, RULES["neg"](a)) for a, b in zip(before, after, strict=True)]
    if problem.outcomes is None:
        return _least(parts[0])
    if not problem.outcomes.size:
        return float(np.sqrt(sum(_least(p) ** 2 for p in parts)) * (1 - ROUNDING))
    outcomes = problem.outcomes[grid_index(problem.tape, row)][0]
    joint = [
        add(*(p for p, other in zip(parts, outcomes, strict=True) if other == outcome))
        for outcome in np.unique(outcomes)
    ]
    return sum(map(_least, joint)) * (1 - ROUNDING)


def _least(value: Interval) -> float:
    """The smallest absolute value."""
    crosses = (value.lo <= 0) & (value.hi >= 0)
    ends = np.minimum(np.abs(value.lo), np.abs(value.hi))
    return float(np.where(crosses, 0.0, ends).max())


def _between_points(problem: PointSlope, row: Rows, way: Array) -> float:
    """The slope between two points, beside even laws or laws with statistics close to them."""
    moving, start = list(problem.moving), row.lo[0]
    if way.shape != (len(moving),) or not np.isfinite(way).all():
        raise OutsideError("a way in other variables")
    end = start.copy()
    end[moving] += way
    length = float(np.linalg.norm(end[moving] - start[moving]) * (1 + LENGTH))
    if length == 0:
        raise OutsideError("a way of no length")
    _check_point(problem.tape, end)
    best = 0.0
    for laws in _laws_beside(problem, row):
        values = []
        for point in (start, end):
            forward = problem.at(Rows(row.places, point[None], point[None]), laws)
            values.append([forward.value(root) for root in problem.tape.roots])
        parts = [add(b, RULES["neg"](a)) for a, b in zip(*values, strict=True)]
        size = float(np.sqrt(sum(_least(p) ** 2 for p in parts)) * (1 - LENGTH))
        best = max(best, size / length) if size / length < BOUNDLESS else best
    return best


def _laws_beside(problem: PointSlope, row: Rows) -> list[dict[str, Array]]:
    even = problem.even_laws()
    if not even:
        return [even]
    spaces = {name: problem.spaces[name] for name in even}
    forward = Forward(problem.tape, row, problem.moves, None, problem.spaces, single=True)
    return [even, midpoint_laws(forward, row.lo, spaces)]
