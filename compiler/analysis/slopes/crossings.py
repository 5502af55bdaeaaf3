"""Short parts of segments across which one condition changes.

Halving where the value changes most misses a jump against the slope around it, or one that is small
beside it. So conditions that were not decided are followed themselves: where one is true at one end
of a segment and false at the other, halving keeps the half in which it changes.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from mfdsl.compiler.analysis.intervals import Interval
from mfdsl.compiler.analysis.slopes.jumps import CUT, HALVINGS, ROUNDING, Cliff
from mfdsl.compiler.analysis.slopes.segments import Problem, Segment, changed, segments

Place = tuple[int, ...]


def crossings(
    problem: Problem, conditions: Sequence[int], deadline: float
) -> Iterator[tuple[Segment, Cliff]]:
    """The parts with the changes of the roots across them, until the deadline."""
    for segment in segments(problem, deadline, conditions):
        first, last = (segment.over(share, share, {}) for share in (0.0, 1.0))
        for condition in conditions:
            before, after = first.value(condition), last.value(condition)
            place = _changed(before, after)
            if place is not None:
                part = _narrowed(segment, condition, place, _at(before, place))
                if part is not None:
                    yield segment, part


def _changed(before: Interval, after: Interval) -> Place | None:
    """The first entry that is decided at both ends, and not in the same way."""
    found = np.argwhere(changed(before, after))
    return tuple(map(int, found[0])) if len(found) else None


def _at(value: Interval, place: Place) -> float | None:
    """The truth of one entry, None where it is not decided."""
    lo, hi = (
        end[tuple(min(k, n - 1) for k, n in zip(place, end.shape, strict=True))]
        for end in (value.lo, value.hi)
    )
    return float(lo) if lo == hi else None


def _narrowed(segment: Segment, condition: int, place: Place, truth: float | None) -> Cliff | None:
    lo, hi = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = lo + CUT * (hi - lo)
        inside = _at(segment.over(middle, middle, {}).value(condition), place)
        if inside is None:
            break
        lo, hi = (middle, hi) if inside == truth else (lo, middle)
    width = segment.length(lo, hi)
    gap = segment.apart(segment.values(lo, lo), segment.values(hi, hi))
    if gap == 0 or width == 0:
        return None
    return Cliff(lo, hi, width, gap, ((width, gap / width * (1 - ROUNDING)),))
