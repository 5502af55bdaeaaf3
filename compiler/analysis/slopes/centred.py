"""Numbers as a middle and a radius: cheap enclosures of many small products (Rump 1999, BIT 39).

Sharp where radii are small, up to twice too wide else. Results are rounded to nearest, and their
radius grows by a bound of what that may have lost. A radius that is not finite says nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mfdsl.compiler.analysis.intervals import Array, Interval

UNIT = 2.0**-52  # twice what one operation rounds off, relative
TINY = 1e-290  # more than what underflow loses in a few operations


@dataclass(frozen=True, slots=True)
class Centred:
    """All numbers within `radius` of `middle`."""

    middle: Array
    radius: Array


ZERO = Centred(np.asarray(0.0), np.asarray(0.0))
UNKNOWN = Centred(np.asarray(0.0), np.asarray(np.inf))


def pair(a: Centred) -> tuple[Array, Array]:
    """Both arrays."""
    return a.middle, a.radius


def centred(a: Interval) -> Centred:
    """A number around an interval; without a bound where an end is infinite."""
    with np.errstate(invalid="ignore", over="ignore"):
        middle = a.lo / 2 + a.hi / 2
        radius = np.nextafter(np.maximum(a.hi - middle, middle - a.lo), np.inf)
    radius = np.where(a.lo == a.hi, 0.0, radius)
    fine = np.isfinite(middle) & np.isfinite(radius)
    return Centred(np.where(fine, middle, 0.0), np.where(fine, radius, np.inf))


def interval(a: Centred) -> Interval:
    """Both ends."""
    lo = np.nextafter(a.middle - a.radius, -np.inf)
    hi = np.nextafter(a.middle + a.radius, np.inf)
    still = a.radius == 0
    return Interval(np.where(still, a.middle, lo), np.where(still, a.middle, hi))


def exactly(value: Array) -> Centred:
    """Without a radius."""
    return Centred(value, np.zeros_like(value))


def _rounded(middle: Array, radius: Array, size: Array, count: int) -> Centred:
    """With the rounding of `count` operations on numbers whose sizes add up to `size`."""
    lost = (count + 4) * UNIT
    radius = radius * (1 + lost) + size * lost + np.where((radius == 0) & (size == 0), 0.0, TINY)
    fine = np.isfinite(middle) & np.isfinite(radius)
    return Centred(np.where(fine, middle, 0.0), np.where(fine, radius, np.inf))


def plus(*parts: Centred) -> Centred:
    """The sum."""
    with np.errstate(over="ignore", invalid="ignore"):
        middle = sum(p.middle for p in parts)
        radius = sum(p.radius for p in parts)
        size = sum(np.abs(p.middle) for p in parts)
        return _rounded(np.asarray(middle), np.asarray(radius), np.asarray(size), len(parts))


def total(a: Centred, axis: int | tuple[int, ...]) -> Centred:
    """The sum along axes, which stay."""
    axes = (axis,) if isinstance(axis, int) else axis
    count = int(np.prod([a.middle.shape[k] for k in axes]))
    with np.errstate(over="ignore", invalid="ignore"):
        return _rounded(
            a.middle.sum(axes, keepdims=True),
            np.broadcast_to(a.radius, a.middle.shape).sum(axes, keepdims=True),
            np.abs(a.middle).sum(axes, keepdims=True),
            count,
        )


def times(a: Centred, b: Centred) -> Centred:
    """The product, entry by entry."""
    with np.errstate(over="ignore", invalid="ignore"):
        middle = a.middle * b.middle
        size = np.abs(middle)
        radius = np.abs(a.middle) * b.radius + a.radius * (np.abs(b.middle) + b.radius)
        return _rounded(middle, radius, size, 4)


def matrix(a: Centred, b: Centred) -> Centred:
    """The product of matrices in the last two axes."""
    with np.errstate(over="ignore", invalid="ignore"):
        size_a, size_b = np.abs(a.middle), np.abs(b.middle)
        middle = a.middle @ b.middle
        radius = size_a @ b.radius + a.radius @ (size_b + b.radius)
        return _rounded(middle, radius, size_a @ size_b, 2 * a.middle.shape[-1])


def turned(a: Centred) -> Centred:
    """The transposed matrices."""
    return Centred(np.swapaxes(a.middle, -1, -2), np.swapaxes(a.radius, -1, -2))


def where(mask: np.ndarray, a: Centred, b: Centred) -> Centred:
    """`a` where the mask holds, else `b`."""
    return Centred(np.where(mask, a.middle, b.middle), np.where(mask, a.radius, b.radius))


def stacked(parts: Sequence[Centred], axis: int) -> Centred:
    """Numbers of one shape along a new axis, once they are broadcast."""
    middles = np.broadcast_arrays(*(p.middle for p in parts))
    radii = np.broadcast_arrays(*(p.radius for p in parts), middles[0])[:-1]
    return Centred(np.stack(middles, axis), np.stack(radii, axis))


def hulled(a: Centred, axes: tuple[int, ...]) -> Centred:
    """The smallest number around all along some axes, which stay."""
    if not axes:
        return a
    ends = interval(Centred(*np.broadcast_arrays(a.middle, a.radius)))
    return centred(Interval(ends.lo.min(axes, keepdims=True), ends.hi.max(axes, keepdims=True)))
