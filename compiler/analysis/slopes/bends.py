"""Second derivatives of operators, where they have them; anything where a box holds a kink.

Entries are by pairs of arguments (first not after second); those that are left out are 0.
"""

from collections.abc import Callable, Sequence
from itertools import combinations, combinations_with_replacement

import numpy as np

from mfdsl.compiler.analysis.grid_intervals import GRID_RULES
from mfdsl.compiler.analysis.intervals import RULES, Interval, add, multiply, point, squared
from mfdsl.compiler.analysis.slopes.atoms import ONE, WHOLE, ZERO, bump, hull_where, logistic
from mfdsl.compiler.analysis.slopes.forward import rates_of
from mfdsl.compiler.analysis.slopes.tape import Unsupported

Bends = dict[tuple[int, int], Interval]
Rule = Callable[[Sequence[Interval], Interval], Bends]

LINEAR = ("add", "neg", "real")
PIECES = ("abs", "max", "min", "floor", "ceil", "round", "ind", "rem", "lookup", *GRID_RULES)
TWO = point(np.float64(2.0))
neg, div = RULES["neg"], RULES["div"]


def bends(op: str, args: Sequence[Interval], value: Interval) -> Bends:
    """Enclosures of the second partial derivatives of an operator.

    Raises:
        Unsupported: it has no rule here.
    """
    if op in LINEAR:
        return {}
    if op in PIECES:
        return _pieces(op, args, value)
    if op not in RULE:
        raise Unsupported(f"the second derivative of `{op}`")
    return RULE[op](args, value)


def _pieces(op: str, args: Sequence[Interval], value: Interval) -> Bends:
    """Straight where all slopes are numbers, else with a kink or a jump."""
    unsure = [r.lo != r.hi for r in rates_of(op, args, value)]
    found = {}
    for i, j in combinations_with_replacement(range(len(args)), 2):
        both = unsure[i] & unsure[j]
        if both.any():
            found[i, j] = hull_where(both, WHOLE, ZERO)
    return found


def _mul(args: Sequence[Interval], value: Interval) -> Bends:
    found = {}
    for i, j in combinations(range(len(args)), 2):
        found[i, j] = multiply(ONE, *(a for k, a in enumerate(args) if k not in (i, j)))
    return found


def _div(args: Sequence[Interval], value: Interval) -> Bends:
    """Of a / b: -1 / b^2 across, 2 a / b^3 along b."""
    a, b = args
    square = squared(b)
    return {(0, 1): neg(div(ONE, square)), (1, 1): div(multiply(TWO, a), multiply(square, b))}


def _pow(args: Sequence[Interval], value: Interval) -> Bends:
    base, exponent = args
    one, two = (add(exponent, point(np.float64(-k))) for k in (1.0, 2.0))
    log = RULES["log"](Interval(np.maximum(base.lo, 0.0), np.maximum(base.hi, 0.0)))
    along = multiply(exponent, one, RULES["pow"](base, two))
    across = multiply(RULES["pow"](base, one), add(ONE, multiply(exponent, log)))
    return {(0, 0): along, (0, 1): across, (1, 1): multiply(squared(log), value)}


def _log(args: Sequence[Interval], value: Interval) -> Bends:
    return {(0, 0): neg(div(ONE, squared(_positive(args[0]))))}


def _positive(a: Interval) -> Interval:
    return Interval(np.maximum(a.lo, 0.0), np.maximum(a.hi, 0.0))


def _sqrt(args: Sequence[Interval], value: Interval) -> Bends:
    four = point(np.float64(4.0))
    return {(0, 0): neg(div(ONE, multiply(four, _positive(args[0]), value)))}


def _share(share: Interval) -> Interval:
    """The second derivative p (1 - p) (1 - 2 p) of a logistic function."""
    return multiply(bump(share), add(ONE, neg(multiply(TWO, share))))


def _tanh(args: Sequence[Interval], value: Interval) -> Bends:
    """-2 v (1 - v^2)."""
    rest = add(ONE, neg(squared(value)))
    return {(0, 0): neg(multiply(TWO, value, _positive(rest)))}


def share_bends(shares: Sequence[Interval]) -> Bends:
    """Of the first share: p0 ([i = 0] - p_i) ([j = 0] - p_j) - p0 p_i ([i = j] - p_j)."""
    away = [add(ONE, neg(multiply(TWO, p))) for p in shares]
    first = shares[0]
    found = {(0, 0): _share(first)}
    for i in range(1, len(shares)):
        both = multiply(first, shares[i])
        found[0, i] = neg(multiply(both, away[0]))
        found[i, i] = neg(multiply(both, away[i]))
        for j in range(i + 1, len(shares)):
            found[i, j] = multiply(TWO, both, shares[j])
    return found


def _norm(args: Sequence[Interval], value: Interval) -> Bends:
    """([i = j] - u_i u_j) / norm with the unit vector u."""
    units = rates_of("norm", args, value)
    found = {}
    for i, j in combinations_with_replacement(range(len(args)), 2):
        both = squared(units[i]) if i == j else multiply(units[i], units[j])
        found[i, j] = div(add(ONE if i == j else ZERO, neg(both)), value)
    return found


def _atan2(args: Sequence[Interval], value: Interval) -> Bends:
    y, x = args
    square = squared(add(squared(x), squared(y)))
    both = div(multiply(TWO, x, y), square)
    across = div(add(squared(y), neg(squared(x))), square)
    cut = ~np.isfinite(rates_of("atan2", args, value)[0].hi)
    found = {(0, 0): neg(both), (0, 1): across, (1, 1): both}
    return {pair: hull_where(cut, WHOLE, bend) for pair, bend in found.items()}


RULE: dict[str, Rule] = {
    "mul": _mul,
    "div": _div,
    "pow": _pow,
    "exp": lambda args, value: {(0, 0): value},
    "log": _log,
    "sqrt": _sqrt,
    "logistic": lambda args, value: {(0, 0): _share(value)},
    "logistic_down": lambda args, value: {(0, 0): _share(value)},
    "softplus": lambda args, value: {(0, 0): bump(logistic(args[0]))},
    "tanh": _tanh,
    "sin": lambda args, value: {(0, 0): neg(value)},
    "cos": lambda args, value: {(0, 0): neg(value)},
    "atan2": _atan2,
    "xlogx": lambda args, value: {(0, 0): div(ONE, _positive(args[0]))},
    "norm": _norm,
}
