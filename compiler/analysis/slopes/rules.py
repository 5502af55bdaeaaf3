"""Ranges and slopes of operators that are no single row of `atoms`: norms, shares, tables."""

from collections.abc import Sequence

import numpy as np

from mfdsl.compiler.analysis.intervals import RULES, Array, Interval, add, multiply, point, squared
from mfdsl.compiler.analysis.slopes.atoms import ONE, meet
from mfdsl.compiler.analysis.written import written


def moving(part: Interval | None) -> np.ndarray:
    """Where a derivative is not surely 0."""
    if part is None:
        return np.zeros(1, bool)
    return np.asarray(~((part.lo == 0) & (part.hi == 0)))


def combined(rates: Sequence[Interval], parts: Sequence[Interval | None]) -> Interval | None:
    """The sum of rates times derivatives."""
    terms = []
    for rate, part in zip(rates, parts, strict=True):
        if part is not None:
            terms.append(part if rate is ONE else multiply(lifted(rate), part))
    return add(*terms) if terms else None


def powers(places: Sequence[int], args: Sequence[Interval]) -> Interval:
    """A product in which factors occur twice: their squares are not negative."""
    left = list(zip(places, args, strict=True))
    parts = []
    while left:
        place, value = left.pop(0)
        twin = next((k for k, (other, _) in enumerate(left) if other == place), None)
        if twin is not None:
            left.pop(twin)
            parts.append(squared(value))
        else:
            parts.append(value)
    return multiply(*parts)


def norm(args: Sequence[Interval]) -> Interval:
    """The Euclidean norm of entries."""
    squares = add(*(squared(RULES["abs"](a)) for a in args))
    return RULES["sqrt"](squares)


def norm_slopes(args: Sequence[Interval], value: Interval) -> list[Interval]:
    """Its slopes, entries over the norm, between -1 and 1."""
    unit = Interval(np.asarray(-1.0), np.asarray(1.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return [meet(unit, nan_free(RULES["div"](a, value))) for a in args]


def nan_free(a: Interval) -> Interval:
    """Ends that are not defined as infinite ones."""
    return Interval(np.where(np.isnan(a.lo), -np.inf, a.lo), np.where(np.isnan(a.hi), np.inf, a.hi))


def softmax(args: Sequence[Interval]) -> Interval:
    """The share of the first: 1 / (1 + sum of exp(other - first))."""
    first = args[0]
    sums = []
    for end, other in ((first.lo, "hi"), (first.hi, "lo")):
        parts = [RULES["exp"](add(point(getattr(a, other)), point(-end))) for a in args[1:]]
        sums.append(add(ONE, *parts))
    lo, hi = RULES["div"](ONE, sums[0]).lo, RULES["div"](ONE, sums[1]).hi
    return Interval(np.maximum(lo, 0.0), np.minimum(hi, 1.0))


def lifted(a: Interval) -> Interval:
    """With an axis for directions."""
    return Interval(np.asarray(a.lo)[..., None], np.asarray(a.hi)[..., None])


def xlogx(a: Interval) -> Interval:
    """The product of a number and its logarithm, 0 at 0."""
    inside = Interval(np.maximum(a.lo, 0.0), np.maximum(a.hi, 0.0))
    ends = []
    for end in (inside.lo, inside.hi):
        value = multiply(point(end), RULES["log"](point(end)))
        zero = end == 0
        ends.append(Interval(np.where(zero, 0.0, value.lo), np.where(zero, 0.0, value.hi)))
    lo, hi = np.minimum(ends[0].lo, ends[1].lo), np.maximum(ends[0].hi, ends[1].hi)
    dip = (inside.lo <= 0.36787944117144233) & (inside.hi >= 0.36787944117144233)
    return Interval(np.where(dip, -0.36787944117144245, lo), hi)


def looked_up(table: Array, args: Sequence[Interval]) -> Interval:
    """An entry of a constant array; any of them where the place is not known."""
    if all(np.all(a.lo == a.hi) for a in args):
        at = tuple(
            np.clip(a.lo, 0, size - 1).astype(np.int64)
            for a, size in zip(args, table.shape, strict=False)
        )
        return written(table[at])
    least, most = written(table.min()).lo, written(table.max()).hi
    return Interval(np.full(args[0].lo.shape, least), np.full(args[0].lo.shape, most))


def distance(
    ends: Sequence[Sequence[Array]], numbers: np.ndarray, norm: str, shape: tuple[int, ...]
) -> Interval:
    """The l1 or l2 norm of sums of numbers [rows] between `ends`, those with equal `numbers` [rows,
    arguments] added up; 0 where these are negative. [rows, *shape].
    """
    total = np.zeros((2, *numbers.shape))
    rows = np.arange(len(numbers))
    for k, both in enumerate(ends):
        at = (rows, np.maximum(numbers[:, k], 0))
        for end, value, way in zip(total, both, (-np.inf, np.inf), strict=True):
            end[at] = np.nextafter(end[at] + value, way)
    lo, hi = total
    least = np.where((lo <= 0) & (hi >= 0), 0.0, np.minimum(np.abs(lo), np.abs(hi)))
    most = np.maximum(np.abs(lo), np.abs(hi))
    slack = 2 * numbers.shape[1] * np.finfo(float).eps
    with np.errstate(over="ignore"):
        low, high = (e.sum(1) if norm == "l1" else np.sqrt((e * e).sum(1)) for e in (least, most))
    none = numbers[:, 0] < 0
    return Interval(
        np.where(none, 0.0, low * (1 - slack)).reshape(-1, *shape),
        np.where(none, 0.0, high * (1 + slack)).reshape(-1, *shape),
    )
