"""What is left for floats of an enclosure that was narrowed by exact arithmetic.

An enclosure that is rounded outwards, operator by operator, holds for floats as well. Sums that are
simplified first do not: of `1e12 * m - 1e12 * m` nothing is left, but floats may leave 1e-4.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mfdsl.compiler.analysis.enclosure import Evaluator, Facts
from mfdsl.compiler.analysis.intervals import Interval
from mfdsl.compiler.ir.model import Node

ROUNDING = 2.0**-40  # of the largest number on the way to a value: some thousand roundings


def rounding(facts: Facts, nodes: Sequence[int]) -> float:
    """How far values may be from what floats make of them, by the largest finite number on the way.

    A variance of numbers around 1e6 is a difference of numbers around 1e12, of which 1e-4 is lost.
    """
    evaluator = Evaluator(facts, {})
    for node in nodes:
        evaluator.value(node)
    ends = [np.abs((v.lo, v.hi)) for v in evaluator.memo.values() if v.lo.dtype != bool]
    sizes = [float(np.max(end, where=np.isfinite(end), initial=0.0)) for end in ends]
    return ROUNDING * max(sizes)


def for_floats(evaluator: Evaluator, node: int, least: float) -> Interval:
    """The enclosure of a node, with room for rounding where sums were simplified and where it is
    more than `least`.
    """
    value = evaluator.value(node)
    nodes, types = evaluator.facts.nodes, evaluator.facts.types
    if not evaluator.simplified or types[nodes[node].type].finite or _has_its_sign(nodes, node):
        return value
    off = rounding(evaluator.facts, [node])
    if off <= least:
        return value
    apart = replace(evaluator, together=False, memo={}, numbers={}).value(node)
    lo, hi = np.maximum(apart.lo, value.lo - off), np.minimum(apart.hi, value.hi + off)
    return Interval(lo, hi)


def _has_its_sign(nodes: Sequence[Node], node: int) -> bool:
    """Whether a node is a sum or difference of two numbers that nothing is computed for, as
    `0.3 - y`: floats round it once, and what is rounded once keeps its sign.
    """
    parts = nodes[node].args
    if nodes[node].op not in ("add", "sub") or len(parts) != 2:
        return False
    plain = (nodes[p].args if nodes[p].op == "neg" else (p,) for p in parts)
    return all(not nodes[part].args for (part,) in plain)
