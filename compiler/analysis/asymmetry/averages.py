"""Means of expressions over hidden traits, as expressions."""

from math import isfinite

import numpy as np

from mfdsl.compiler.analysis.asymmetry.degrees import degree
from mfdsl.compiler.analysis.asymmetry.traits import Hidden, Source
from mfdsl.compiler.analysis.enclosure import Evaluator
from mfdsl.compiler.analysis.slopes.tape import Unsupported
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.ir.types import REAL, Type
from mfdsl.compiler.ir.walk import reachable
from mfdsl.compiler.tabular.frames import NoTables
from mfdsl.compiler.tabular.quadrature import gauss

WRITTEN_OUT = 16  # values of a sum that are written one by one
MOST_POINTS = 16  # of a Gauss rule, exact to degree 2 n - 1
FRESH = 1 << 20  # depths of binders from here on are not used by specs


def averaged(copies: Copies, root: int, hidden: Hidden) -> int | None:
    """The mean over the traits of an expression of their draws, None where none is exact here.

    Linear traits are replaced by their means; polynomials by Gauss rules, which are exact for
    them (Golub and Welsch 1969); finite laws and rows of files are summed.
    """
    current: int | None = root
    for number, source in enumerate(reversed(hidden.sources)):
        if current is None:
            return None
        if source.leaf in reachable(copies.nodes, [current]):
            current = _mean(copies, current, source, FRESH + number)
    return current


def _mean(copies: Copies, root: int, source: Source, depth: int) -> int | None:
    if source.law is not None:
        return _continuous(copies, root, source)
    if source.rows:
        found = _linear_rows(copies, root, source)
        if found is not None:
            return found
    return _summed(copies, root, source, depth)


def _continuous(copies: Copies, root: int, source: Source) -> int | None:
    law = source.law
    assert law is not None
    power = degree(copies.nodes, root, lambda i: i == source.leaf)
    kind = copies.types[copies.nodes[source.leaf].type]
    if power <= 1:
        return copies.replaced(root, {source.leaf: constant(copies, source.leaf, mean_of(law))})
    count = int(power) // 2 + 1 if isfinite(power) else MOST_POINTS + 1
    if count > MOST_POINTS or kind.dims:
        return None
    try:
        points, weights = gauss(law, count)
    except NoTables:
        return None
    parts = []
    for x, w in zip(points, weights, strict=True):
        here = copies.replaced(root, {source.leaf: constant(copies, source.leaf, float(x))})
        parts.append(weighted(copies, float(w), here))
    return copies.add("add", tuple(parts), None, copies.nodes[root].type)


def mean_of(law: tuple[str | float, ...]) -> float:
    """The mean of a standard law.

    Raises:
        Unsupported: the law is not one of single numbers.
    """
    kind, *shape = law
    match kind:
        case "uniform":
            return 0.5
        case "normal":
            return 0.0
        case "exponential":
            return 1.0
        case "gamma":
            return float(shape[0])
        case "beta":
            return float(shape[0]) / (float(shape[0]) + float(shape[1]))
    raise Unsupported(f"the mean of the law `{kind}`")


def constant(copies: Copies, like: int, value: float) -> int:
    """A number of the type of a node, in each entry where that is an array."""
    dims = copies.types[copies.nodes[like].type].dims
    if not dims:
        return copies.const(value, like)
    inner = copies.add("const", (), value, type_index(copies, REAL))
    for size in reversed(dims):
        inner = copies.add("vector", (inner,) * size, None, copies.nodes[like].type)
    return inner


def type_index(copies: Copies, wanted: Type) -> int:
    """The place of a type among those of the copies."""
    if wanted not in copies.types:
        copies.types.append(wanted)
    return copies.types.index(wanted)


def weighted(copies: Copies, weight: float, node: int) -> int:
    """A number times a node."""
    real = type_index(copies, REAL)
    factor = copies.add("const", (), weight, real)
    return copies.add("mul", (factor, node), None, copies.nodes[node].type)


def _linear_rows(copies: Copies, root: int, source: Source) -> int | None:
    """Traits of files at their means, where the expression is linear in all of them together."""
    traits = set(source.rows)
    if any(copies.types[copies.nodes[v].type].dims for v in traits):
        return None
    if degree(copies.nodes, root, lambda i: i in traits) > 1:
        return None
    assert source.density is not None
    table = Evaluator(copies.facts, {source.leaf: 0})
    size = copies.types[copies.nodes[source.leaf].type].size
    mass = _column(table, source.density, size)
    means = {v: float(mass @ _column(table, v, size) / mass.sum()) for v in traits}
    found = copies.replaced(root, {v: copies.const(m, v) for v, m in means.items()})
    return None if source.leaf in reachable(copies.nodes, [found]) else found


def _column(table: Evaluator, node: int, size: int) -> np.ndarray:
    value = table.value(node)
    return np.broadcast_to(np.asarray((value.lo + value.hi) / 2).reshape(-1), (size,))


def _summed(copies: Copies, root: int, source: Source, depth: int) -> int:
    """The sum over the values of a finite draw, each by its mass."""
    assert source.density is not None
    kind = copies.types[copies.nodes[source.leaf].type]
    type_ = copies.nodes[root].type
    if kind.size <= WRITTEN_OUT:
        parts = []
        for k in range(kind.size):
            here = {source.leaf: copies.const(kind.first + k, source.leaf)}
            factors = (copies.replaced(source.density, here), copies.replaced(root, here))
            parts.append(copies.add("mul", factors, None, type_))
        return parts[0] if len(parts) == 1 else copies.add("add", tuple(parts), None, type_)
    index = copies.add("index", (), depth, copies.nodes[source.leaf].type)
    here = {source.leaf: index}
    factors = (copies.replaced(source.density, here), copies.replaced(root, here))
    body = copies.add("mul", factors, None, type_)
    return copies.add("sum_over", (body, index), depth, type_)
