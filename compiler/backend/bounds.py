"""Bounds of integer expressions from their types, to know which look-ups need no guard."""

from collections.abc import Sequence
from math import inf

from mfdsl.compiler.ir.model import Node
from mfdsl.compiler.ir.types import Type

Range = tuple[float, float]

ANY: Range = (-inf, inf)


def bounds_of(node: Node, type: Type, parts: Sequence[Range]) -> Range:
    """The lowest and highest value of a node, given those of its arguments."""
    low, high = _by_operator(node, parts)
    if type.finite:
        assert type.lo is not None and type.hi is not None
        return max(low, type.lo), min(high, type.hi)
    return low, high


def _by_operator(node: Node, parts: Sequence[Range]) -> Range:
    if node.op == "const":
        assert isinstance(node.attr, (int, float))
        return node.attr, node.attr
    if node.op == "time":
        return 0, inf
    if node.op == "add":
        return sum(p[0] for p in parts), sum(p[1] for p in parts)
    if node.op == "neg":
        return -parts[0][1], -parts[0][0]
    if node.op == "abs":
        low, high = parts[0]
        return max(low, -high, 0), max(-low, high)
    if node.op in ("min", "max"):
        choose = min if node.op == "min" else max
        return choose(p[0] for p in parts), choose(p[1] for p in parts)
    if node.op == "if":
        return min(p[0] for p in parts[1:]), max(p[1] for p in parts[1:])
    if node.op == "rem" and parts[1][0] > 0:
        return 0, parts[1][1] - 1
    if node.op == "ind":
        return 0, 1
    return ANY
