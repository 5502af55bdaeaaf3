"""Jumps and poles: pairs of laws or points across which an expression grows without a bound.

A pair is narrowed by halving, always keeping the half across which the value changes more. At a
jump the change stays while the distance goes to 0; at a pole the slope grows without end. Both are
shown by certified slopes at distances that shrink.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mfdsl.compiler.analysis.intervals import RULES, Array, Interval, add

Value = Callable[[Array], Sequence[Interval]]
"""The values of an expression at a point of a segment, given as its share from 0 to 1."""

HALVINGS = 40
STEEP = 1e6
BOUNDLESS = 1e300  # a change of at least so much is that of a value without bounds


@dataclass(frozen=True)
class Cliff:
    """Where on a segment the slope explodes, the change across the last piece, slopes so far."""

    at: float
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


def climb(
    value: Callable[[float], Sequence[Interval]], length: float, deadline: float = np.inf
) -> Cliff | None:
    """Narrow the segment of that length; None where nothing changes along it, or at the deadline of
    `time.perf_counter`.
    """
    lo, hi = 0.0, 1.0
    left, right = value(lo), value(hi)
    slopes = []
    for _ in range(HALVINGS):
        if time.perf_counter() > deadline:
            return None
        middle = lo / 2 + hi / 2
        inside = value(middle)
        first, second = change(left, inside), change(inside, right)
        if first >= second:
            hi, right = middle, inside
        else:
            lo, left = middle, inside
        width = (hi - lo) * length
        slopes.append((width, max(first, second) / width))
    gap = change(left, right)
    if gap == 0:
        return None
    return Cliff(lo, (hi - lo) * length, gap, tuple(slopes[::5]))


def change(before: Sequence[Interval], after: Sequence[Interval]) -> float:
    """A lower bound of the l1 distance between two lists of values."""
    total = 0.0
    for a, b in zip(before, after, strict=True):
        moved = add(b, RULES["neg"](a))
        crosses = (moved.lo <= 0) & (moved.hi >= 0)
        least = np.where(crosses, 0.0, np.minimum(np.abs(moved.lo), np.abs(moved.hi)))
        total += float(np.max(least))
    return total
