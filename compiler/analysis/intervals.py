"""Interval arithmetic on numpy arrays, one rule for each operator of the model.

Sums, products and quotients are rounded outwards by their exact errors (`directed`); other
inexact results are widened by one unit in the last place, those of the mathematical library by a
few, or enclosed by balls where `balls.rigorous()` asks for that.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mfdsl.compiler.analysis import balls, directed
from mfdsl.compiler.analysis.counted import count
from mfdsl.compiler.analysis.directed import nudged

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
AN_ARRAY = 10  # steps that an interval of any size takes
ENTRIES_A_STEP = 60  # of a large one
LIBRARY_ERROR = 4  # units in the last place that a function of the library may be off
LOGISTIC_ERROR = 6  # the same for one that is made of three rounded steps


@dataclass(frozen=True, slots=True)
class Interval:
    """Lower and upper ends over the axes of the enumerated variables (broadcastable)."""

    lo: Array
    hi: Array

    def __post_init__(self) -> None:
        count(AN_ARRAY + self.hi.size // ENTRIES_A_STEP)


def point(value: Array | np.float64) -> Interval:
    """The interval of one value at each place."""
    array = np.asarray(value)
    return Interval(array, array)


def _widened(lo: Array, hi: Array, times: int = 1) -> Interval:
    for _ in range(times):
        lo, hi = nudged(lo, True), nudged(hi, False)
    return Interval(lo, hi)


def _softplus(value: Array) -> Array:
    """log(1 + exp(x)) without overflow."""
    return np.logaddexp(0.0, value)


def _logistic(value: Array) -> Array:
    """1 / (1 + exp(-x))."""
    return 1.0 / (1.0 + np.exp(-value))


LIBRARY: dict[str, Callable[..., Array]] = {
    "exp": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "sin": np.sin,
    "cos": np.cos,
    "softplus": _softplus,
    "logistic": _logistic,
    "pow": np.power,
    "atan2": np.arctan2,
}


def outward(name: str, down: bool, *ends: Array) -> Array:
    """A function of the library at numbers, rounded down or up; nan where it has no value."""
    with np.errstate(all="ignore"):
        found = np.asarray(LIBRARY[name](*ends))
        if balls.asked():
            ends = tuple(np.broadcast_arrays(*ends))
            inside = np.logical_and.reduce([np.isfinite(end) for end in ends])
            if not inside.any():  # values at infinity are exact
                return found
            finite = [np.where(inside, end, 1.0) for end in ends]
            return np.where(inside & (found != -np.inf), balls.rounded(name, down, *finite), found)
    for _ in range(LOGISTIC_ERROR if name == "logistic" else LIBRARY_ERROR):
        found = nudged(found, down)
    return found


def whole(*arguments: Interval) -> bool:
    """Whether all ends are whole numbers that floats hold exactly."""
    with np.errstate(invalid="ignore"):
        return all(
            bool(np.all(np.abs(end) < 2**50) and np.all(end == np.floor(end)))
            for a in arguments
            for end in (a.lo, a.hi)
        )


def add(*arguments: Interval) -> Interval:
    """The sum of intervals, rounded outwards."""
    return Interval(*directed.total([(a.lo, a.hi) for a in arguments]))


def multiply(*arguments: Interval) -> Interval:
    """The product of intervals, rounded outwards."""
    ends = arguments[0].lo, arguments[0].hi
    for other in arguments[1:]:
        ends = directed.products(ends, (other.lo, other.hi))
    return Interval(*ends)


def _neg(a: Interval) -> Interval:
    return Interval(-a.hi, -a.lo)


def _inverse(b: Interval) -> Interval:
    zero = (b.lo <= 0) & (b.hi >= 0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        lo, hi = 1.0 / b.hi, 1.0 / b.lo
    return _widened(
        np.where(zero, np.where(b.lo >= 0, lo, -np.inf), lo),
        np.where(zero, np.where(b.hi <= 0, hi, np.inf), hi),
    )


def _div(a: Interval, b: Interval) -> Interval:
    away = (b.lo > 0) | (b.hi < 0)
    if not bool(np.all(away & np.isfinite(b.lo) & np.isfinite(b.hi))):
        return multiply(a, _inverse(b))
    return Interval(*directed.quotients((a.lo, a.hi), (b.lo, b.hi)))


def _pow(a: Interval, b: Interval) -> Interval:
    exponent = float(np.max(b.hi))
    constant = bool(np.all(b.lo == exponent)) and bool(np.all(b.hi == exponent))
    if constant and exponent.is_integer():
        return _inverse(_whole_pow(a, -exponent)) if exponent < 0 else _whole_pow(a, exponent)
    corners = [(x, y) for x in (a.lo, a.hi) for y in (b.lo, b.hi)]
    low = np.minimum.reduce([_nan_as(outward("pow", True, *c), np.inf) for c in corners])
    high = np.maximum.reduce([_nan_as(outward("pow", False, *c), np.inf) for c in corners])
    nothing = (a.lo == 0) & (a.hi == 0) & (b.lo > 0)
    low = np.where(a.lo < 0, np.minimum(low, 0.0), np.maximum(low, 0.0))
    low = np.where(a.lo == 0, 0.0, low)
    return Interval(low, np.where(nothing, 0.0, high))


def _whole_pow(a: Interval, exponent: float) -> Interval:
    """A power with an exponent that is a whole number and not negative."""
    if exponent == 0:
        return Interval(np.ones_like(a.lo), np.ones_like(a.hi))
    if exponent == 1:
        return a
    if exponent == 2:
        size = _abs(a)
        return multiply(size, size)
    count = np.float64(exponent)
    with np.errstate(over="ignore", under="ignore"):
        ends = [np.asarray(end**count) for end in (a.lo, a.hi)]
    crosses = (a.lo <= 0) & (a.hi >= 0)
    if not whole(a, Interval(ends[0], ends[1])):
        sides = [[_power_end(end, count, down) for end in (a.lo, a.hi)] for down in (True, False)]
    else:
        sides = [ends, ends]
    lo, hi = np.minimum(*sides[0]), np.maximum(*sides[1])
    if exponent % 2 == 0:
        lo = np.where(crosses, 0.0, np.maximum(lo, 0.0))
    return Interval(lo, hi)


def _power_end(end: Array, count: np.float64, down: bool) -> Array:
    """A power rounded down or up; exact at 0, 1 and -1."""
    plain = (end == 0) | (np.abs(end) == 1)
    with np.errstate(over="ignore", under="ignore"):
        return np.where(plain, end**count, outward("pow", down, end, np.asarray(count)))


def _nan_as(value: Array, instead: float) -> Array:
    return np.where(np.isnan(value), instead, value)


def _monotone(
    name: str,
    lowest: float = -np.inf,
    highest: float = np.inf,
    pivot: tuple[float, float] = (0.0, 0.0),
) -> Callable[[Interval], Interval]:
    """A growing function that takes the second number of `pivot` exactly at the first."""
    at, through = pivot

    def rule(a: Interval) -> Interval:
        lo = _nan_as(outward(name, True, a.lo), lowest)
        hi = _nan_as(outward(name, False, a.hi), np.inf)
        lo, hi = np.maximum(lo, lowest), np.minimum(hi, highest)
        lo = np.where(a.lo >= at, np.maximum(lo, through), lo)
        return Interval(lo, np.where(a.hi <= at, np.minimum(hi, through), hi))

    return rule


logistic = _monotone("logistic", 0.0, 1.0, pivot=(0.0, 0.5))


def _root(a: Array, down: bool) -> Array:
    """The square root, correctly rounded by IEEE 754; a root whose square is `a` is exact."""
    with np.errstate(invalid="ignore"):
        result = np.sqrt(np.maximum(a, 0.0))
    low, high = directed.product(result, result)
    exact = (low == a) & (high == a)
    return np.where(exact | np.isinf(a), result, np.maximum(nudged(result, down), 0.0))


def _sqrt(a: Interval) -> Interval:
    return Interval(_root(a.lo, True), _root(a.hi, False))


def _exactly(function: Callable[[Array], Array]) -> Callable[[Interval], Interval]:
    return lambda a: Interval(function(a.lo), function(a.hi))


def _abs(a: Interval) -> Interval:
    ends = np.abs(a.lo), np.abs(a.hi)
    lo = np.where((a.lo <= 0) & (a.hi >= 0), 0.0, np.minimum(*ends))
    return Interval(lo, np.maximum(*ends))


def _wave(name: str, top: float) -> Callable[[Interval], Interval]:
    """Sin and cos: ends, and the extremes that lie between them (`top` is where 1 is reached)."""

    def rule(a: Interval) -> Interval:
        lo = np.minimum(outward(name, True, a.lo), outward(name, True, a.hi))
        hi = np.maximum(outward(name, False, a.lo), outward(name, False, a.hi))
        with np.errstate(invalid="ignore"):
            turns = 2 * np.pi
            slack = 1e-15 * (1 + np.abs(a.lo) + np.abs(a.hi))  # of dividing by rounded turns
            above, below = a.hi + slack, a.lo - slack
            has_top = np.floor((above - top) / turns) >= np.ceil((below - top) / turns)
            low = top + np.pi
            has_low = np.floor((above - low) / turns) >= np.ceil((below - low) / turns)
        wide = ~np.isfinite(a.hi - a.lo)
        lo, hi = np.where(has_low | wide, -1.0, lo), np.where(has_top | wide, 1.0, hi)
        return Interval(np.maximum(lo, -1.0), np.minimum(hi, 1.0))

    return rule


def remainder(a: Interval, b: Interval, *, integers: bool) -> Interval:
    """`a` modulo `b`, with the sign of `b`; `integers` says that both are whole numbers."""
    one = 1.0 if integers else 0.0
    inside = Interval(
        np.where(b.lo < 0, np.minimum(b.lo + one, 0.0), 0.0),
        np.where(b.hi > 0, np.maximum(b.hi - one, 0.0), 0.0),
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        lo, hi = np.mod(a.lo, b.lo), np.mod(a.hi, b.lo)
        # less than one turn apart and still in order: no multiple of b lies between the ends
        same = (b.lo == b.hi) & (b.lo > 0) & (a.hi - a.lo < b.lo) & (lo <= hi)
    result = Interval(np.where(same, lo, inside.lo), np.where(same, hi, inside.hi))
    return result if integers else _widened(result.lo, result.hi)


def _if(c: Interval, a: Interval, b: Interval) -> Interval:
    surely, never = c.lo > 0, c.hi <= 0
    lo = np.where(surely, a.lo, np.where(never, b.lo, np.minimum(a.lo, b.lo)))
    hi = np.where(surely, a.hi, np.where(never, b.hi, np.maximum(a.hi, b.hi)))
    return Interval(lo, hi)


def _truth(surely: Mask, never: Mask) -> Interval:
    return Interval(np.where(surely, 1.0, 0.0), np.where(never, 0.0, 1.0))


def _eq(a: Interval, b: Interval) -> Interval:
    point = (a.lo == a.hi) & (b.lo == b.hi) & (a.lo == b.lo)
    return _truth(point, (a.hi < b.lo) | (b.hi < a.lo))


def _not(a: Interval) -> Interval:
    return Interval(1.0 - a.hi, 1.0 - a.lo)


def _quarters(y: Interval, x: Interval) -> Interval:
    """The angle of (x, y): between -pi and pi, in half planes away from the cut at corners."""
    turn = np.nextafter(np.pi, np.inf)  # the double pi is too small
    shape = np.broadcast_shapes(y.lo.shape, x.lo.shape)
    lo, hi = np.full(shape, -turn), np.full(shape, turn)
    lo = np.where(y.lo >= 0, 0.0, np.where(x.lo > 0, -turn / 2, lo))
    hi = np.where(y.hi < 0, 0.0, np.where(x.lo > 0, turn / 2, hi))
    corners = [(v, u) for v in (y.lo, y.hi) for u in (x.lo, x.hi)]
    low = np.minimum.reduce([outward("atan2", True, *c) for c in corners])
    high = np.maximum.reduce([outward("atan2", False, *c) for c in corners])
    # away from the cut the angle is extreme at corners
    one_branch = ((x.lo > 0) | (y.lo > 0) | (y.hi < 0)) & np.isfinite(low + high)
    return Interval(np.where(one_branch, low, lo), np.where(one_branch, high, hi))


def dot(a: Interval, b: Interval, count: int, *, same: bool) -> Interval:
    """The sum of `count` products of entries in `a` and `b`; of squares when both are the same."""
    each = multiply(a, b)
    if same:
        each = Interval(np.maximum(each.lo, 0.0), each.hi)
    return multiply(each, point(np.float64(count)))


def norm(a: Interval, count: int) -> Interval:
    """The Euclidean norm of `count` entries in `a`."""
    size = _abs(a)
    return multiply(size, _sqrt(point(np.float64(count))))


def joined(a: Interval, b: Interval) -> Interval:
    """The smallest interval around both."""
    return Interval(np.minimum(a.lo, b.lo), np.maximum(a.hi, b.hi))


def squared(a: Interval) -> Interval:
    """The square, which is never negative."""
    each = multiply(a, a)
    return Interval(np.maximum(each.lo, 0.0), each.hi)


def _fold(function: Callable[[Array, Array], Array]) -> Callable[..., Interval]:
    def rule(*arguments: Interval) -> Interval:
        lo, hi = arguments[0].lo, arguments[0].hi
        for other in arguments[1:]:
            lo, hi = function(lo, other.lo), function(hi, other.hi)
        return Interval(lo, hi)

    return rule


def vector(elements: list[Interval]) -> Interval:
    """Elements stacked on a new last axis."""
    los = np.broadcast_arrays(*[e.lo for e in elements])
    his = np.broadcast_arrays(*[e.hi for e in elements])
    return Interval(np.stack(los, -1), np.stack(his, -1))


def element(arguments: list[Interval]) -> Interval:
    """An array at positions; everything it may hold when they are not exact."""
    array, positions = arguments[0], arguments[1:]
    spread = any(np.any(p.lo != p.hi) for p in positions)
    if spread:
        axes = tuple(range(-len(positions), 0))
        return Interval(array.lo.min(axes), array.hi.max(axes))
    shape = array.lo.shape[-len(positions) :]
    at = tuple(
        np.clip(p.lo, 0, size - 1).astype(np.int64)
        for p, size in zip(positions, shape, strict=True)
    )
    if array.lo.ndim == len(positions):
        return Interval(array.lo[at], array.hi[at])
    lo = np.take_along_axis(*_aligned(array.lo, at[0]), axis=-1)[..., 0]
    hi = np.take_along_axis(*_aligned(array.hi, at[0]), axis=-1)[..., 0]
    return Interval(lo, hi)


def _aligned(array: Array, at: NDArray[np.int64]) -> tuple[Array, NDArray[np.int64]]:
    shape = np.broadcast_shapes(array.shape[:-1], at.shape)
    return (
        np.broadcast_to(array, (*shape, array.shape[-1])),
        np.broadcast_to(at, shape)[..., None],
    )


def _sum_over(lo: Array, hi: Array, axis: int) -> Interval:
    with np.errstate(over="ignore", invalid="ignore"):
        total = Interval(lo.sum(axis, keepdims=True), hi.sum(axis, keepdims=True))
        slack = np.abs(total.lo) + np.abs(total.hi) + np.abs(lo).sum(axis, keepdims=True)
        if whole(Interval(lo, hi), point(slack)):
            return total
        error = slack * lo.shape[axis] * np.finfo(np.float64).eps
        low, high = total.lo - error, total.hi + error
    return Interval(np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high))


def _prod_over(lo: Array, hi: Array, axis: int) -> Interval:
    parts = [Interval(lo.take([i], axis), hi.take([i], axis)) for i in range(lo.shape[axis])]
    return multiply(*parts)


def _min_over(lo: Array, hi: Array, axis: int) -> Interval:
    return Interval(lo.min(axis, keepdims=True), hi.min(axis, keepdims=True))


def _max_over(lo: Array, hi: Array, axis: int) -> Interval:
    return Interval(lo.max(axis, keepdims=True), hi.max(axis, keepdims=True))


REDUCTIONS: dict[str, Callable[[Array, Array, int], Interval]] = {
    "sum_over": _sum_over,
    "prod_over": _prod_over,
    "min_over": _min_over,
    "max_over": _max_over,
    "any_over": _max_over,
    "all_over": _min_over,
}

RULES: dict[str, Callable[..., Interval]] = {
    "add": add,
    "mul": multiply,
    "neg": _neg,
    "div": _div,
    "pow": _pow,
    "abs": _abs,
    "exp": _monotone("exp", 0.0, pivot=(0.0, 1.0)),
    "log": _monotone("log", pivot=(1.0, 0.0)),
    "sqrt": _sqrt,
    "softplus": _monotone("softplus", 0.0, pivot=(-np.inf, 0.0)),
    "atan2": _quarters,
    "tanh": _monotone("tanh", -1.0, 1.0),
    "sin": _wave("sin", np.pi / 2),
    "cos": _wave("cos", 0.0),
    "floor": _exactly(np.floor),
    "ceil": _exactly(np.ceil),
    "round": _exactly(np.round),
    "min": _fold(np.minimum),
    "max": _fold(np.maximum),
    "and": _fold(np.minimum),
    "or": _fold(np.maximum),
    "not": _not,
    "eq": _eq,
    "ne": lambda a, b: _not(_eq(a, b)),
    "lt": lambda a, b: _truth(a.hi < b.lo, a.lo >= b.hi),
    "le": lambda a, b: _truth(a.hi <= b.lo, a.lo > b.hi),
    "if": _if,
    "real": lambda a: a,
    "ind": lambda a: a,
}
