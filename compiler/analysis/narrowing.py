"""What conditions on the path to an expression tell about the values of nodes."""

from collections.abc import Sequence

import numpy as np

from mfdsl.compiler.analysis.enclosure import Facts, Guard, Narrowing
from mfdsl.compiler.analysis.intervals import Interval, point
from mfdsl.compiler.analysis.written import written
from mfdsl.compiler.ir.model import Node


def narrowed(facts: Facts, guards: Sequence[Guard]) -> dict[int, Narrowing]:
    """What comparisons with constants on the path tell about the compared nodes."""
    known: dict[int, Narrowing] = {}
    waiting = [(guard.node, guard.positive) for guard in guards]
    while waiting:
        index, positive = waiting.pop()
        node = facts.nodes[index]
        if node.op == "not":
            waiting.append((node.args[0], not positive))
        elif node.op == ("and" if positive else "or"):
            waiting += [(part, positive) for part in node.args]
        elif node.op in ("lt", "le"):
            _narrow_order(facts, known, node, positive)
        elif node.op in ("eq", "ne"):
            _narrow_equal(facts, known, node, (node.op == "eq") == positive)
    return known


def _narrow_order(facts: Facts, known: dict[int, Narrowing], node: Node, positive: bool) -> None:
    left, right = node.args
    strict = (node.op == "lt") == positive
    if not positive:
        left, right = right, left
    bound = _constant(facts, left)
    if bound is not None:
        beyond = strict and bound.lo == bound.hi
        lo = float(np.nextafter(bound.lo, np.inf)) if beyond else float(bound.lo)
        _learn(known, right, Narrowing(lo=lo))
    bound = _constant(facts, right)
    if bound is not None:
        beyond = strict and bound.lo == bound.hi
        hi = float(np.nextafter(bound.hi, -np.inf)) if beyond else float(bound.hi)
        _learn(known, left, Narrowing(hi=hi))


def _narrow_equal(facts: Facts, known: dict[int, Narrowing], node: Node, equal: bool) -> None:
    for one, other in (node.args, node.args[::-1]):
        value = _constant(facts, one)
        if value is not None:
            lo, hi = float(value.lo), float(value.hi)
            if equal:
                _learn(known, other, Narrowing(lo=lo, hi=hi))
            elif lo == hi:
                _learn(known, other, Narrowing(excluded=(lo,)))


def _learn(known: dict[int, Narrowing], node: int, told: Narrowing) -> None:
    known[node] = known[node].joined(told) if node in known else told


def _constant(facts: Facts, index: int) -> Interval | None:
    node = facts.nodes[index]
    if node.op == "const" and isinstance(node.attr, int | float):
        number = np.float64(node.attr)
        return point(number) if isinstance(node.attr, int) else written(number)
    if node.op == "param" and not np.ndim(facts.parameters[str(node.attr)]):
        return written(np.float64(facts.parameters[str(node.attr)]))
    return None
