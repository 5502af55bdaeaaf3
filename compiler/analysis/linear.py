"""Sums of means over the population, enclosed together instead of one by one.

The mean is linear: the sum of the masses of all states is the mean of 1, not a sum of numbers
between 0 and 1 that know nothing of each other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mfdsl.compiler.analysis.intervals import Array, Interval, add, multiply, point
from mfdsl.compiler.ir.model import Node

MAX_TERMS = 64

Body = Callable[[Node], Interval | None]
Hull = Callable[[Node, Interval], Interval]


@dataclass(slots=True)
class Linear:
    """A constant, and other nodes with their factors."""

    constant: Interval
    factors: dict[int, Interval]


def linear_sum(
    nodes: Sequence[Node],
    root: int,
    memo: Mapping[int, Interval],
    body_of: Body,
    hull: Hull,
    summed: Callable[[Interval], Interval] = lambda value: value,
    count: int = 1,
) -> Interval | None:
    """The enclosure of a node from its linear form, None when that says nothing new.

    `body_of(mean)` encloses what a mean averages, `hull(mean, body)` is the range of a body over
    the members that `mean` binds, `summed` adds up the `count` values of an index. The result
    allows for the rounding of the sum as it is written.
    """
    form = _linear(nodes, root, memo)
    if form is None:
        return None
    groups: dict[object, list[tuple[int, Interval]]] = {}
    rest = [summed(form.constant)]
    for index, factor in form.factors.items():
        body = body_of(nodes[index]) if nodes[index].op == "mean" else None
        if body is None:
            rest.append(summed(multiply(factor, memo[index])))
        else:
            groups.setdefault(nodes[index].attr, []).append((index, multiply(factor, body)))
    if not groups:
        return None
    total, size = add(*rest), sum((_magnitude(r).hi for r in rest), start=np.float64(0.0))
    for group in groups.values():
        mean, bodies = nodes[group[0][0]], [body for _, body in group]
        total = add(total, hull(mean, summed(add(*bodies))))
        size = size + hull(mean, summed(add(*map(_magnitude, bodies)))).hi
    return _loosened(total, size, count * (len(form.factors) + 1))


def _loosened(value: Interval, size: Array | np.float64, count: int) -> Interval:
    """`value` with room for the rounding of `count` sums of numbers that add up to `size`."""
    slack = 8 * np.finfo(np.float64).eps * count * size
    return Interval(value.lo - slack, value.hi + slack)


def _magnitude(value: Interval) -> Interval:
    """From 0 to the largest absolute value."""
    return Interval(np.zeros_like(value.lo), np.maximum(np.abs(value.lo), np.abs(value.hi)))


def _linear(nodes: Sequence[Node], root: int, memo: Mapping[int, Interval]) -> Linear | None:
    form = Linear(point(np.float64(0.0)), {})
    waiting = [(root, point(np.float64(1.0)))]
    while waiting:
        index, factor = waiting.pop()
        node = nodes[index]
        if node.op == "const":
            form.constant = add(form.constant, multiply(factor, memo[index]))
        elif node.op == "add":
            waiting += [(part, factor) for part in node.args]
        elif node.op == "neg":
            waiting.append((node.args[0], multiply(factor, point(np.float64(-1.0)))))
        elif (scaled := _scaled(nodes, node)) is not None:
            waiting.append((scaled[0], multiply(factor, scaled[1])))
        elif index not in memo:
            return None
        else:
            known = form.factors.get(index)
            form.factors[index] = factor if known is None else add(known, factor)
        if len(form.factors) + len(waiting) > 2 * MAX_TERMS:
            return None
    return form


def _scaled(nodes: Sequence[Node], node: Node) -> tuple[int, Interval] | None:
    """The node and the factor of a product with one constant, or of a quotient by one."""
    if node.op not in ("mul", "div") or len(node.args) != 2:
        return None
    for at, other in ((1, 0), (0, 1)) if node.op == "mul" else ((1, 0),):
        attr = nodes[node.args[at]].attr
        if nodes[node.args[at]].op == "const" and isinstance(attr, int | float) and attr:
            factor = point(np.float64(attr))
            return node.args[other], factor if node.op == "mul" else _inverse(factor)
    return None


def _inverse(factor: Interval) -> Interval:
    value = 1.0 / factor.lo
    return Interval(np.nextafter(value, -np.inf), np.nextafter(value, np.inf))
