"""Degrees of expressions as polynomials of some of their leaves, read off their structure."""

from collections.abc import Callable, Sequence
from math import inf

from mfdsl.compiler.ir.model import Node
from mfdsl.compiler.ir.walk import MEANS, MEMBERS, depth_of, reachable

SUMS = ("add", "vector", "real", "neg", "array_over", "sum_over")


def degree(nodes: Sequence[Node], root: int, leaf: Callable[[int], bool]) -> float:
    """The degree of an expression in the leaves that `leaf` marks, never less than the true one.

    inf where it is not a polynomial by its structure. A marked node counts as one variable
    whatever is below it, and an array of variables has the degree of its highest entry.
    """
    found: dict[int, float] = {}
    for i in reachable(nodes, [root]):
        found[i] = 1.0 if leaf(i) else _of_node(nodes[i], [found[a] for a in nodes[i].args])
    return found[root]


def _of_node(node: Node, parts: Sequence[float]) -> float:
    if not any(parts):
        return 0.0
    op = node.op
    if op in SUMS:
        return max(parts)
    if op in ("mul", "dot"):
        return sum(parts)
    if op in ("mean", "mean_others"):
        return parts[0]
    if op == "if" and parts[0] == 0:
        return max(parts[1:])
    if op == "div" and parts[1] == 0:
        return parts[0]
    if op == "element" and not any(parts[1:]):
        return parts[0]
    return inf


def law_degree(nodes: Sequence[Node], root: int, population: str) -> float:
    """The degree in the law of a population: plain means are affine, means of means of degree 2.

    inf for conditional means, extremes of members, and whatever else is not a polynomial.
    """
    found: dict[int, float] = {}
    for i in reachable(nodes, [root]):
        node = nodes[i]
        parts = [found[a] for a in node.args]
        mine = isinstance(node.attr, tuple) and len(node.attr) > 1 and node.attr[1] == population
        if node.op in ("mean", "mean_others") and mine:
            found[i] = 1.0 + parts[0]
        elif mine and (node.op in MEANS or node.op.endswith(("_members", "_others", "w2"))):
            found[i] = inf
        else:
            found[i] = _of_node(node, parts)
    return found[root]


def means_reading(nodes: Sequence[Node], root: int, op: str) -> list[int]:
    """The means under `root` whose members are asked for a variable of the kind `op`.

    `op` is `peer_trait` or `weight`; the mean, or the extreme or distance, is the one that binds
    the member.
    """
    below = reachable(nodes, [root])
    return [
        i
        for i in below
        if nodes[i].op in MEMBERS
        and any(
            nodes[j].op == op and depth_of(nodes[j]) == depth_of(nodes[i])
            for j in reachable(nodes, nodes[i].args)
        )
    ]
