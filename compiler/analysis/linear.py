"""Sums of means over the population, enclosed together instead of one by one.

The mean is linear: the sum of the masses of all states is the mean of 1, not a sum of numbers
between 0 and 1 that know nothing of each other. Factors are the decimals that were written, so that
equal ones cancel, and a variable meets the end of its range.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from math import inf, isfinite

import numpy as np

from mfdsl.compiler.analysis.averaged import Average, hull, magnitude
from mfdsl.compiler.analysis.intervals import Array, Interval, add, multiply
from mfdsl.compiler.analysis.written import written
from mfdsl.compiler.ir.fold import decimal
from mfdsl.compiler.ir.model import Node

MAX_TERMS = 64
MAX_BITS = 4096

Averaged = Callable[[int], Average | None]
Ends = tuple[Fraction, Fraction]
Exact = Callable[[int], Ends | None]
ZERO, ONE = (Fraction(0), Fraction(0)), (Fraction(1), Fraction(1))


@dataclass(slots=True)
class Linear:
    """A constant, and other nodes with their factors, all between exact ends."""

    constant: Ends
    factors: dict[int, Ends]


def linear_sum(
    nodes: Sequence[Node],
    root: int,
    memo: Mapping[int, Interval],
    number_of: Exact,
    range_of: Exact,
    average_of: Averaged,
    summed: Callable[[Interval], Interval] = lambda value: value,
    count: int = 1,
) -> Interval | None:
    """The enclosure of a node from its linear form, None where it has none.

    `number_of(node)` are the exact ends of a constant, `range_of(leaf)` those of a variable,
    `average_of(node)` is a number as a mean, `summed` adds up the `count` values of an index. The
    result allows for the rounding of means.
    """
    form = _linear(nodes, root, memo, number_of)
    if form is None:
        return None
    groups: list[Average] = []
    exact, rest = form.constant, []
    for index, ends in form.factors.items():
        average = average_of(index)
        around = None if average is not None else range_of(index)
        if around is not None:
            exact = _sum(exact, _product(ends, around))
        elif average is None:
            rest.append(summed(multiply(_interval(ends), memo[index])))
        else:
            groups = _with(groups, average.times(_interval(ends)))
    rest.append(summed(_interval(exact)))
    total = add(*rest)
    if not groups:
        return total
    size = sum((magnitude(r).hi for r in rest), start=np.float64(0.0))
    for group in groups:
        total = add(total, hull(summed(group.body), group.places.values()))
        size = size + hull(summed(group.size), group.places.values()).hi
    steps = len(form.factors) + 1 - len(groups) + sum(group.count for group in groups)
    return _loosened(total, size, count * steps)


def _with(groups: Sequence[Average], new: Average) -> list[Average]:
    """Averages with one more, added to the first that is over the same members."""
    for k, group in enumerate(groups):
        together = group.plus(new)
        if together is not None:
            return [*groups[:k], together, *groups[k + 1 :]]
    return [*groups, new]


def _loosened(value: Interval, size: Array | np.float64, count: int) -> Interval:
    """`value` with room for the rounding of `count` sums of numbers that add up to `size`."""
    slack = 8 * np.finfo(np.float64).eps * count * size
    return Interval(value.lo - slack, value.hi + slack)


def _linear(
    nodes: Sequence[Node], root: int, memo: Mapping[int, Interval], number_of: Exact
) -> Linear | None:
    form = Linear(ZERO, {})
    waiting = [(root, ONE)]
    while waiting:
        index, factor = waiting.pop()
        node = nodes[index]
        number = number_of(index)
        if number is not None:
            form.constant = _sum(form.constant, _product(factor, number))
        elif node.op == "add":
            waiting += [(part, factor) for part in node.args]
        elif node.op == "neg":
            waiting.append((node.args[0], (-factor[1], -factor[0])))
        elif (scaled := _scaled(node, number_of)) is not None:
            waiting.append((scaled[0], _product(factor, scaled[1])))
        elif index not in memo:
            return None
        else:
            form.factors[index] = _sum(form.factors.get(index, ZERO), factor)
        if len(form.factors) + len(waiting) > 2 * MAX_TERMS or _is_long(factor):
            return None
    form.factors = {i: factor for i, factor in form.factors.items() if factor != ZERO}
    return form


def _scaled(node: Node, number_of: Exact) -> tuple[int, Ends] | None:
    """The node and the factor of a product with one constant, or of a quotient by one."""
    if node.op not in ("mul", "div") or len(node.args) != 2:
        return None
    for at, other in ((1, 0), (0, 1)) if node.op == "mul" else ((1, 0),):
        factor = number_of(node.args[at])
        if factor is not None and (factor[0] > 0 or factor[1] < 0):
            inverse = (1 / factor[1], 1 / factor[0])
            return node.args[other], factor if node.op == "mul" else inverse
    return None


def combined(node: Node, args: Sequence[Ends | None]) -> Ends | None:
    """The exact ends of a sum, product or quotient of constants with these ends."""
    known = [a for a in args if a is not None]
    if not known or len(known) < len(args) or any(map(_is_long, known)):
        return None
    match node.op:
        case "add":
            return reduce(_sum, known)
        case "mul":
            return reduce(_product, known)
        case "neg":
            return -known[0][1], -known[0][0]
        case "div" if known[1][0] > 0 or known[1][1] < 0:
            return _product(known[0], (1 / known[1][1], 1 / known[1][0]))
    return None


def ends_of(value: object) -> Ends | None:
    """Ends of the number that a constant stands for; None where it is not finite."""
    if not isinstance(value, int | float) or not isfinite(value):
        return None
    known = Fraction(value) if isinstance(value, int) else decimal(value)
    if known is not None:
        return known, known
    around = written(np.float64(value))
    return Fraction(float(around.lo)), Fraction(float(around.hi))


def _is_long(ends: Ends) -> bool:
    """Whether exact arithmetic with it takes long."""
    return any(e.numerator.bit_length() + e.denominator.bit_length() > MAX_BITS for e in ends)


def _sum(a: Ends, b: Ends) -> Ends:
    return a[0] + b[0], a[1] + b[1]


def _product(a: Ends, b: Ends) -> Ends:
    products = [x * y for x in a for y in b]
    return min(products), max(products)


def _interval(ends: Ends) -> Interval:
    """The doubles around exact ends."""
    low, high = _nearest(ends[0]), _nearest(ends[1])
    lo = low if low <= ends[0] else np.nextafter(low, -np.inf)
    hi = high if high >= ends[1] else np.nextafter(high, np.inf)
    return Interval(np.asarray(np.float64(lo)), np.asarray(np.float64(hi)))


def _nearest(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return inf if value > 0 else -inf
