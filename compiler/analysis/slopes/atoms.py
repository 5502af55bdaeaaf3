"""One row per operator of the model: enclosures of its partial derivatives, kinks, jumps and poles.

Ranges are in `intervals.RULES`. A derivative enclosure holds every element of Clarke's generalised
gradient (Clarke 1983), so that slopes of functions with kinks are bounded too (Lebourg's mean value
theorem). An operator that jumps has derivative 0 where its value is decided and the whole line
elsewhere; one with a pole has an unbounded derivative there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mfdsl.compiler.analysis.intervals import (
    RULES,
    Array,
    Interval,
    Mask,
    add,
    joined,
    logistic as logistic,
    multiply,
    point,
    squared,
)
from mfdsl.compiler.analysis.slopes.merged import ring_gap_slopes, soft_sign_slopes

ZERO = point(np.float64(0.0))
ONE = point(np.float64(1.0))
WHOLE = Interval(np.asarray(-np.inf), np.asarray(np.inf))

Slopes = Callable[[Sequence[Interval], Interval], list[Interval]]


@dataclass(frozen=True)
class Atom:
    """`slopes(arguments, value)` encloses the partial derivative in each argument.

    `kink`: the derivative is set-valued somewhere. `jump`: the value jumps somewhere. `pole`: the
    slope is unbounded at an end of the domain.
    """

    slopes: Slopes
    kink: bool = False
    jump: bool = False
    pole: bool = False


def hull_where(mask: Array | Mask, a: Interval, b: Interval) -> Interval:
    """`a` where the mask holds, else `b`."""
    return Interval(np.where(mask, a.lo, b.lo), np.where(mask, a.hi, b.hi))


def _add(args: Sequence[Interval], value: Interval) -> list[Interval]:
    return [ONE] * len(args)


def _neg(args: Sequence[Interval], value: Interval) -> list[Interval]:
    return [point(np.float64(-1.0))]


def _mul(args: Sequence[Interval], value: Interval) -> list[Interval]:
    found = []
    for k in range(len(args)):
        rest = [a for i, a in enumerate(args) if i != k]
        found.append(multiply(*rest))
    return found


def _div(args: Sequence[Interval], value: Interval) -> list[Interval]:
    a, b = args
    inverse = RULES["div"](ONE, b)
    slope = RULES["neg"](RULES["div"](a, squared(b)))
    both = multiply(RULES["neg"](value), inverse)
    return [inverse, meet(slope, both)]


def meet(a: Interval, b: Interval) -> Interval:
    """What lies in both of two enclosures of the same number."""
    return Interval(np.maximum(a.lo, b.lo), np.minimum(a.hi, b.hi))


def _pow(args: Sequence[Interval], value: Interval) -> list[Interval]:
    base, exponent = args
    less = add(exponent, point(np.float64(-1.0)))
    at_base = multiply(exponent, RULES["pow"](base, less))
    log = RULES["log"](Interval(np.maximum(base.lo, 0.0), np.maximum(base.hi, 0.0)))
    return [at_base, multiply(log, value)]


def _exp(args: Sequence[Interval], value: Interval) -> list[Interval]:
    return [value]


def _log(args: Sequence[Interval], value: Interval) -> list[Interval]:
    inside = Interval(np.maximum(args[0].lo, 0.0), np.maximum(args[0].hi, 0.0))
    return [RULES["div"](ONE, inside)]


def _sqrt(args: Sequence[Interval], value: Interval) -> list[Interval]:
    return [RULES["div"](ONE, multiply(point(np.float64(2.0)), value))]


def bump(share: Interval) -> Interval:
    """The product p (1 - p) for p in [0, 1], largest at one half."""
    ends = [multiply(p, add(ONE, RULES["neg"](p))) for p in (point(share.lo), point(share.hi))]
    lo = np.minimum(ends[0].lo, ends[1].lo)
    hi = np.maximum(ends[0].hi, ends[1].hi)
    top = (share.lo <= 0.5) & (share.hi >= 0.5)
    return Interval(np.maximum(lo, 0.0), np.where(top, 0.25, np.minimum(hi, 0.25)))


def _logistic(args: Sequence[Interval], value: Interval) -> list[Interval]:
    return [bump(value)]


def _softplus(args: Sequence[Interval], value: Interval) -> list[Interval]:
    return [logistic(args[0])]


def _tanh(args: Sequence[Interval], value: Interval) -> list[Interval]:
    far = add(ONE, RULES["neg"](squared(_size(value))))
    near = np.minimum(np.abs(value.lo), np.abs(value.hi))
    near = np.where((value.lo <= 0) & (value.hi >= 0), 0.0, near)
    close = add(ONE, RULES["neg"](squared(point(near))))
    return [Interval(np.maximum(far.lo, 0.0), np.minimum(close.hi, 1.0))]


def _size(a: Interval) -> Interval:
    """The largest absolute value, as a point."""
    return point(np.maximum(np.abs(a.lo), np.abs(a.hi)))


def _sin(args: Sequence[Interval], value: Interval) -> list[Interval]:
    return [RULES["cos"](args[0])]


def _cos(args: Sequence[Interval], value: Interval) -> list[Interval]:
    return [RULES["neg"](RULES["sin"](args[0]))]


def _atan2(args: Sequence[Interval], value: Interval) -> list[Interval]:
    """The angle jumps by a turn across the negative half of the axis of `x`, and at the origin."""
    y, x = args
    around = add(squared(x), squared(y))
    rates = [RULES["div"](x, around), RULES["neg"](RULES["div"](y, around))]
    cut = (y.lo < 0) & (y.hi >= 0) & (x.lo <= 0)
    cut |= (y.lo <= 0) & (y.hi >= 0) & (x.lo <= 0) & (x.hi >= 0)
    return [hull_where(cut, WHOLE, rate) for rate in rates]


def _abs(args: Sequence[Interval], value: Interval) -> list[Interval]:
    a = args[0]
    return [Interval(np.where(a.lo >= 0, 1.0, -1.0), np.where(a.hi <= 0, -1.0, 1.0))]


def _chosen(args: Sequence[Interval], top: bool) -> list[Interval]:
    """For `max` and `min`: 1 where an argument is surely chosen, 0 where surely not."""
    found = []
    for k, a in enumerate(args):
        rest = [b for i, b in enumerate(args) if i != k]
        if top:
            never = np.any(np.broadcast_arrays(*[a.hi < b.lo for b in rest]), axis=0)
            surely = np.all(np.broadcast_arrays(*[a.lo > b.hi for b in rest]), axis=0)
        else:
            never = np.any(np.broadcast_arrays(*[a.lo > b.hi for b in rest]), axis=0)
            surely = np.all(np.broadcast_arrays(*[a.hi < b.lo for b in rest]), axis=0)
        found.append(Interval(np.where(surely, 1.0, 0.0), np.where(never, 0.0, 1.0)))
    return found


def _steps(args: Sequence[Interval], value: Interval) -> list[Interval]:
    """No slope where the value is decided; anything where it may jump."""
    decided = value.lo == value.hi
    return [hull_where(decided, ZERO, WHOLE)] * len(args)


def _rem(args: Sequence[Interval], value: Interval) -> list[Interval]:
    """Slope 1 where no multiple of the divisor lies in the argument, both ends included but the
    lower one, from which the remainder grows.
    """
    a, b = args
    with np.errstate(invalid="ignore", divide="ignore"):
        turn = (b.lo == b.hi) & (b.lo > 0) & (a.hi - a.lo < b.lo)
        same = turn & (np.mod(a.lo, b.lo) <= np.mod(a.hi, b.lo))
    return [hull_where(same, ONE, WHOLE), WHOLE]


def _real(args: Sequence[Interval], value: Interval) -> list[Interval]:
    return [ONE]


ATOMS: dict[str, Atom] = {
    "add": Atom(_add),
    "neg": Atom(_neg),
    "mul": Atom(_mul),
    "div": Atom(_div, pole=True),
    "pow": Atom(_pow, pole=True),
    "exp": Atom(_exp),
    "log": Atom(_log, pole=True),
    "sqrt": Atom(_sqrt, pole=True),
    "logistic": Atom(_logistic),
    "softplus": Atom(_softplus),
    "tanh": Atom(_tanh),
    "sin": Atom(_sin),
    "cos": Atom(_cos),
    "atan2": Atom(_atan2, jump=True, pole=True),
    "abs": Atom(_abs, kink=True),
    "max": Atom(lambda args, value: _chosen(args, True), kink=True),
    "min": Atom(lambda args, value: _chosen(args, False), kink=True),
    "floor": Atom(_steps, jump=True),
    "ceil": Atom(_steps, jump=True),
    "round": Atom(_steps, jump=True),
    "ind": Atom(_steps, jump=True),
    "rem": Atom(_rem, jump=True),
    "extreme": Atom(lambda args, value: [WHOLE], jump=True),
    "real": Atom(_real),
    "ring_gap": Atom(lambda args, value: ring_gap_slopes(*args), kink=True),
    "soft_sign": Atom(lambda args, value: soft_sign_slopes(*args)),
}


def slopes(op: str, args: Sequence[Interval], value: Interval) -> list[Interval]:
    """Enclosures of the partial derivatives of an operator."""
    return ATOMS[op].slopes(args, value)


def hulled(parts: Sequence[Interval]) -> Interval:
    """One interval around several."""
    found = parts[0]
    for part in parts[1:]:
        found = joined(found, part)
    return found
