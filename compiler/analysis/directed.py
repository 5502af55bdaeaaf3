"""Sums, products and quotients of intervals, rounded outwards and no further than that.

Sums and products carry their exact rounding error (Knuth's TwoSum and Dekker's TwoProduct, 1971),
so an end moves outwards only where it was rounded inwards. Ends arrive as arrays that broadcast;
most hold a number or a few, and those take the same steps in floats of Python, far quicker.
Of the four products of two intervals only the two that the signs of the ends select are looked at.
"""

import math
from collections.abc import Callable, Sequence
from math import nextafter

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ends = tuple[Array, Array]
Rule = Callable[[float, float, float, float], tuple[float, float]]
SPLITTER = 134217729.0  # 2**27 + 1, halves a 53-bit significand
SPLIT_LIMIT = 2.0**970  # above this splitting overflows
TINY = 1e-290  # below this the error of a product may underflow
INFINITY = math.inf
FEW = 32  # products that cost less one by one than an array costs at all; a third for sums


def nudged(value: Array, down: bool) -> Array:
    """The next float below or above."""
    if value.size == 1:
        end = -INFINITY if down else INFINITY
        return np.array(nextafter(value.item(), end), ndmin=value.ndim)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return np.asarray(np.nextafter(value, -np.inf if down else np.inf))


def sums(a: Ends, b: Ends) -> Ends:
    """The lowest sum rounded down and the highest rounded up."""
    if (few := _few(_one_sum_of, a, b, FEW // 3)) is not None:
        return few
    return _sum(a[0], b[0], True), _sum(a[1], b[1], False)


def total(parts: Sequence[Ends]) -> Ends:
    """The sum of intervals, from the first to the last as `sums` adds two."""
    if len(parts) > 2 and (few := _few_of_many(parts)) is not None:
        return few
    found = parts[0]
    for part in parts[1:]:
        found = sums(found, part)
    return found


def _few_of_many(parts: Sequence[Ends]) -> Ends | None:
    """Sums of numbers at each place, where these are few: no array is made on the way."""
    shape = np.broadcast_shapes(*{end.shape for part in parts for end in part})
    size = math.prod(shape)
    if not 0 < size <= FEW // 3:
        return None
    found: list[list[float]] = []
    for side, down in ((0, True), (1, False)):
        sofar = _listed(parts[0][side], shape, size)
        for part in parts[1:]:
            other = _listed(part[side], shape, size)
            sofar = [_one_sum(x, y, down) for x, y in zip(sofar, other, strict=True)]
        found.append(sofar)
    return np.array(found[0]).reshape(shape), np.array(found[1]).reshape(shape)


def _listed(end: Array, shape: tuple[int, ...], size: int) -> list[float]:
    """The ends at all places."""
    if end.size == 1:
        return [end.item()] * size
    listed: list[float] = np.broadcast_to(end, shape).ravel().tolist()
    return listed


def _few(rule: Rule, a: Ends, b: Ends, most: int) -> Ends | None:
    """The rule for numbers at each place, where these are few."""
    (al, ah), (bl, bh) = a, b
    if al.size == ah.size == bl.size == bh.size == 1:
        lo, hi = rule(al.item(), ah.item(), bl.item(), bh.item())
        ndim = max(al.ndim, ah.ndim, bl.ndim, bh.ndim)
        return np.array(lo, ndmin=ndim), np.array(hi, ndmin=ndim)
    common = np.broadcast(al, ah, bl, bh)
    if not 0 < common.size <= most:
        return None
    shape = common.shape
    ends = [e if e.shape == shape else np.broadcast_to(e, shape) for e in (al, ah, bl, bh)]
    found = np.array([*map(rule, *[e.ravel().tolist() for e in ends])])
    return found[:, 0].reshape(shape), found[:, 1].reshape(shape)


def _one_sum_of(al: float, ah: float, bl: float, bh: float) -> tuple[float, float]:
    return _one_sum(al, bl, True), _one_sum(ah, bh, False)


def _one_sum(a: float, b: float, down: bool) -> float:
    total = a + b
    if total - total != 0:  # infinite or nan
        return _unbounded_sum(a, b, total, down)
    back = total - a
    error = (a - (total - back)) + (b - back)
    if error < 0 if down else error > 0:
        return nextafter(total, -INFINITY if down else INFINITY)
    return total


def _unbounded_sum(a: float, b: float, total: float, down: bool) -> float:
    away = -INFINITY if down else INFINITY
    if math.isnan(total):
        return away
    if math.isinf(a) or math.isinf(b):
        return total
    return nextafter(total, away)  # an overflow


def _sum(a: Array, b: Array, down: bool) -> Array:
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        total = a + b
        back = total - a
        error = (a - (total - back)) + (b - back)
        away = -np.inf if down else np.inf
        if not np.isfinite(total).all():
            total = np.where(np.isnan(total), away, total)
            error = np.where(np.isinf(a) | np.isinf(b), 0.0, error)
        kept = error >= 0 if down else error <= 0  # not where it is nan
        return np.where(kept & np.isfinite(error), total, nudged(total, down))


def products(a: Ends, b: Ends) -> Ends:
    """The lowest product rounded down and the highest rounded up; 0 times anything is 0."""
    if (few := _few(_one_product_of, a, b, FEW)) is not None:
        return few
    if a[0] is a[1] and b[0] is b[1]:
        return product(a[0], b[0])
    with np.errstate(invalid="ignore"):
        if not ((a[0] <= a[1]).all() and (b[0] <= b[1]).all()):
            return of_all_corners(a, b)
        return _of_signs(a, b)


def of_all_corners(a: Ends, b: Ends) -> Ends:
    """The products of all ends: for ends that are nan, which belong to no sign."""
    found = [product(x, y) for x in a for y in b]
    with np.errstate(invalid="ignore"):
        lo = np.minimum.reduce(np.broadcast_arrays(*[low for low, _ in found]))
        hi = np.maximum.reduce(np.broadcast_arrays(*[high for _, high in found]))
    return lo, hi


def _of_signs(a: Ends, b: Ends) -> Ends:
    (al, ah), (bl, bh) = a, b
    a_plus, b_plus = al >= 0, bl >= 0
    if a_plus.all() and b_plus.all():
        return _rounded(al, bl, True), _rounded(ah, bh, False)
    a_minus, b_minus = ah <= 0, bh <= 0
    a_minus, not_minus = a_minus & ~a_plus, ~b_minus
    x = np.where(np.where(a_plus, b_plus, not_minus), al, ah)
    y = np.where(a_plus | (~a_minus & b_minus), bl, bh)
    lo = _rounded(x, y, True)
    x = np.where(np.where(a_minus, b_plus, not_minus), ah, al)
    y = np.where(a_plus | (~a_minus & not_minus), bh, bl)
    hi = _rounded(x, y, False)
    both = ~(a_plus | a_minus | b_plus | b_minus)
    if both.any():
        lo = np.where(both, np.minimum(lo, _rounded(ah, bl, True)), lo)
        hi = np.where(both, np.maximum(hi, _rounded(al, bl, False)), hi)
    return lo, hi


def _one_product_of(al: float, ah: float, bl: float, bh: float) -> tuple[float, float]:
    if not (al <= ah and bl <= bh):
        found = [_one_product(x, y) for x in (al, ah) for y in (bl, bh)]
        return _least([low for low, _ in found]), -_least([-high for _, high in found])
    a_plus, b_plus, b_minus = al >= 0, bl >= 0, bh <= 0
    if a_plus and b_plus:
        return _one_product(al, bl)[0], _one_product(ah, bh)[1]
    a_minus = ah <= 0 and not a_plus
    x = al if (b_plus if a_plus else not b_minus) else ah
    y = bl if a_plus or (not a_minus and b_minus) else bh
    lo = _one_product(x, y)[0]
    x = ah if (b_plus if a_minus else not b_minus) else al
    y = bh if a_plus or not (a_minus or b_minus) else bl
    hi = _one_product(x, y)[1]
    if a_plus or a_minus or b_plus or b_minus:
        return lo, hi
    return min(lo, _one_product(ah, bl)[0]), max(hi, _one_product(al, bl)[1])


def _least(values: list[float]) -> float:
    return math.nan if any(v != v for v in values) else min(values)


def _one_product(a: float, b: float) -> tuple[float, float]:
    """The product of two numbers rounded down and up."""
    if a == 0 or b == 0:
        return 0.0, 0.0
    total, limit = a * b, SPLIT_LIMIT
    if abs(total) < TINY or abs(a) > limit or abs(b) > limit or total - total != 0:
        if math.isinf(a) or math.isinf(b) or total != total:
            return total, total
        return nextafter(total, -INFINITY), nextafter(total, INFINITY)
    error = _one_error(a, b, total)
    if error == 0:
        return total, total
    if error < 0:
        return nextafter(total, -INFINITY), total
    return total, nextafter(total, INFINITY)


def _one_error(a: float, b: float, total: float) -> float:
    """What `a b` has beyond its rounded value `total`."""
    high = SPLITTER * a
    a1 = high - (high - a)
    a2 = a - a1
    high = SPLITTER * b
    b1 = high - (high - b)
    b2 = b - b1
    return a2 * b2 - (((total - a1 * b1) - a2 * b1) - a1 * b2)


def _split(a: Array) -> tuple[Array, Array]:
    high = SPLITTER * a
    high = high - (high - a)
    return high, a - high


def _with_error(a: Array, b: Array) -> tuple[Array, Array]:
    """The product, and what it lost by rounding; nan where that is not known."""
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        total = a * b
        (a1, a2), (b1, b2) = _split(a), _split(b)
        error = a2 * b2 - (((total - a1 * b1) - a2 * b1) - a1 * b2)
        size = np.abs(total)
        if (size >= TINY).all() and np.isfinite(error).all():
            return total, error
        zero = (a == 0) | (b == 0)
        large = (np.abs(a) > SPLIT_LIMIT) | (np.abs(b) > SPLIT_LIMIT) | ~np.isfinite(error)
        error = np.where((size < TINY) | large, np.nan, error)
        exact = zero | np.isinf(a) | np.isinf(b)
        return np.where(zero, 0.0, total), np.where(exact, 0.0, error)


def _moved(total: Array, error: Array, down: bool) -> Array:
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        kept = error >= 0 if down else error <= 0  # not where it is nan
        return np.where(kept, total, np.nextafter(total, -np.inf if down else np.inf))


def _rounded(a: Array, b: Array, down: bool) -> Array:
    return _moved(*_with_error(a, b), down)


def product(a: Array, b: Array) -> Ends:
    """The products of numbers rounded down and up."""
    total, error = _with_error(a, b)
    return _moved(total, error, True), _moved(total, error, False)


def quotients(a: Ends, b: Ends) -> Ends:
    """The lowest quotient rounded down and the highest up, for `b` finite and away from 0."""
    if (few := _few(_one_quotient_of, a, b, FEW)) is not None:
        return few
    (al, ah), (bl, bh) = a, b
    with np.errstate(invalid="ignore"):
        if np.isnan(al).any() or np.isnan(ah).any():
            pairs = [(x, y) for x in a for y in b]
            low = np.minimum.reduce(np.broadcast_arrays(*[_quotient(*p, True) for p in pairs]))
            high = np.maximum.reduce(np.broadcast_arrays(*[_quotient(*p, False) for p in pairs]))
            return low, high
        plus = bl > 0
        low, high = np.where(plus, al, ah), np.where(plus, ah, al)
        wide_low = (low >= 0) == plus  # the divisor that is farther from 0 makes it least
        wide_high = (high < 0) == plus
        far, near = np.where(plus, bh, bl), np.where(plus, bl, bh)
    return (
        _quotient(low, np.where(wide_low, far, near), True),
        _quotient(high, np.where(wide_high, far, near), False),
    )


def _quotient(a: Array, b: Array, down: bool) -> Array:
    """`a / b` for a finite `b` that is not 0; a quotient without remainder is not rounded."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        result = np.asarray(a / b)
    back, error = _with_error(result, b)
    exact = (error == 0) & (back == a)
    return np.where(exact | np.isinf(a), result, nudged(result, down))


def _one_quotient_of(al: float, ah: float, bl: float, bh: float) -> tuple[float, float]:
    if al != al or ah != ah:
        pairs = [(x, y) for x in (al, ah) for y in (bl, bh)]
        lo = _least([_one_quotient(x, y, -INFINITY) for x, y in pairs])
        return lo, -_least([-_one_quotient(x, y, INFINITY) for x, y in pairs])
    plus = bl > 0
    (low, high), (far, near) = ((al, ah), (bh, bl)) if plus else ((ah, al), (bl, bh))
    lo = _one_quotient(low, far if (low >= 0) == plus else near, -INFINITY)
    return lo, _one_quotient(high, far if (high < 0) == plus else near, INFINITY)


def _one_quotient(a: float, b: float, away: float) -> float:
    result = a / b
    if math.isinf(a):
        return result
    low, high = _one_product(result, b)
    return result if low == a == high else nextafter(result, away)
