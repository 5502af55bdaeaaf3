"""Jumps and poles: pairs of laws or points across which an expression grows without a bound.

A pair is narrowed by halving, always keeping the half across which the value changes faster. At a
jump the change stays while the distance goes to 0; at a pole the slope grows without end. Both are
shown by certified slopes at distances that shrink.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mfdsl.compiler.analysis.counted import late
from mfdsl.compiler.analysis.intervals import RULES, Interval, add

Distance = Callable[[Sequence[Interval], Sequence[Interval]], float]
"""A lower bound of the distance of two values, given as intervals of their entries."""

HALVINGS = 40
CUT = 0.4877  # of a segment: near its middle, where no round number is
STEEP = 1e6
BOUNDLESS = 1e300  # a change of at least so much is that of a value without bounds
ROUNDING = 1e-14  # of sums and roots of a few hundred numbers


@dataclass(frozen=True)
class Cliff:
    """Where on a segment the slope explodes, the change across the last piece, slopes so far."""

    at: float
    to: float
    width: float
    gap: float
    slopes: tuple[tuple[float, float], ...]

    @property
    def steep(self) -> bool:
        """Whether the slope explodes."""
        begin = next((s for _, s in self.slopes if s > 0), 0.0)
        return self.gap > 0 and self.slopes[-1][1] >= STEEP * max(begin, 1e-300)

    @property
    def growing(self) -> bool:
        """Whether the slope keeps growing as the pieces shrink."""
        slopes = [s for _, s in self.slopes]
        return all(a < b for a, b in zip(slopes[-3:], slopes[-2:], strict=False))

    @property
    def jump(self) -> bool:
        """Whether the change stays as the pieces shrink."""
        if self.gap >= BOUNDLESS:
            return False
        first, last = self.slopes[len(self.slopes) // 2], self.slopes[-1]
        return self.gap > 0 and last[1] * last[0] >= 0.4 * first[1] * first[0]

    @property
    def steepest(self) -> float:
        """The largest slope between two points that was met."""
        return max(s for _, s in self.slopes)


def climb(
    value: Callable[[float], Sequence[Interval]],
    length: Callable[[float, float], float],
    apart: Distance,
    deadline: float = np.inf,
) -> Cliff | None:
    """Narrow a segment, given the values at its shares and bounds from above of the lengths between
    them; None where nothing changes along it, or at the deadline, in counted seconds.
    """
    lo, hi = 0.0, 1.0
    left, right = value(lo), value(hi)
    slopes = []
    for _ in range(HALVINGS):
        if late(deadline):
            return None
        middle = lo + CUT * (hi - lo)
        inside = value(middle)
        first, second = apart(left, inside), apart(inside, right)
        if first == second == 0:
            break  # the middle is too close to a jump to tell its side
        if first * (1 - CUT) >= second * CUT:
            hi, right, changed = middle, inside, first
        else:
            lo, left, changed = middle, inside, second
        width = length(lo, hi)
        if width == 0:
            break
        slopes.append((width, changed / width * (1 - ROUNDING)))
    gap = apart(left, right)
    if gap == 0 or not slopes:
        return None
    return Cliff(lo, hi, slopes[-1][0], gap, (*slopes[:-1:5], slopes[-1]))


def least(value: Interval) -> float:
    """The smallest absolute value that an interval holds, at the entry where that is largest."""
    crosses = (value.lo <= 0) & (value.hi >= 0)
    ends = np.where(crosses, 0.0, np.minimum(np.abs(value.lo), np.abs(value.hi)))
    return float(np.max(ends))


def euclidean(before: Sequence[Interval], after: Sequence[Interval]) -> float:
    """A lower bound of the Euclidean distance between two vectors."""
    parts = [least(add(b, RULES["neg"](a))) for a, b in zip(before, after, strict=True)]
    if len(parts) == 1:
        return parts[0]
    with np.errstate(over="ignore"):
        return float(np.linalg.norm(parts) * (1 - ROUNDING))


def between_masses(outcomes: np.ndarray) -> Distance:
    """Lower bounds of the l1 distance of laws: masses with equal numbers are of the same outcome"""
    numbers = list(map(int, outcomes))

    def apart(before: Sequence[Interval], after: Sequence[Interval]) -> float:
        moved: dict[int, Interval] = {}
        for number, a, b in zip(numbers, before, after, strict=True):
            part = add(b, RULES["neg"](a))
            moved[number] = add(moved[number], part) if number in moved else part
        return sum(map(least, moved.values())) * (1 - ROUNDING)

    return apart
