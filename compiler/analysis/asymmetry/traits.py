"""Hidden traits of a population as independent draws, and means of expressions over them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite

import numpy as np

from mfdsl.compiler.analysis.asymmetry.degrees import degree
from mfdsl.compiler.analysis.enclosure import Evaluator
from mfdsl.compiler.analysis.opened import is_opened
from mfdsl.compiler.analysis.slopes.tape import Unsupported
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.ir.model import Model, NoiseVariable, Player, StateVariable
from mfdsl.compiler.ir.types import REAL, Type
from mfdsl.compiler.ir.walk import given, reachable
from mfdsl.compiler.tabular.frames import NoTables
from mfdsl.compiler.tabular.quadrature import gauss

WRITTEN_OUT = 16  # values of a sum that are written one by one
MOST_POINTS = 16  # of a Gauss rule, exact to degree 2 n - 1
FRESH = 1 << 20  # depths of binders from here on are not used by specs


@dataclass(frozen=True)
class Source:
    """One independent draw: a `draw` leaf, or the leaf of a finite trait with masses `density`.

    `law` is the standard law of a continuous draw. `rows` are the traits, as nodes, that stand in
    the files whose row is drawn.
    """

    leaf: int
    density: int | None
    law: tuple[str | float, ...] | None
    rows: tuple[int, ...] = ()


@dataclass(frozen=True)
class Hidden:
    """Traits of a population that its policies do not see.

    `values` gives each trait as an expression of the leaves of `sources`.
    """

    traits: tuple[StateVariable, ...]
    values: Mapping[str, int]
    sources: tuple[Source, ...]


def hidden_of(model: Model, player: Player) -> tuple[StateVariable, ...]:
    """Traits that policies do not see as they are; empty `observe` shows everything."""
    if not player.observe:
        return ()
    shown = {(model.nodes[n.node].op, model.nodes[n.node].attr) for n in player.observe}
    return tuple(t for t in player.traits if ("trait", t.name) not in shown)


def leaf_at(copies: Copies, op: str, name: str, type_: int) -> int:
    """The leaf of that name, a new one if the model never reads it."""
    for i, node in enumerate(copies.nodes):
        if node.op == op and node.attr == name:
            return i
    return copies.add(op, (), name, type_)


def hidden_sources(copies: Copies, player: Player, traits: tuple[StateVariable, ...]) -> Hidden:
    """The draws behind hidden traits.

    Raises:
        Unsupported: the law of a trait depends on states.
    """
    values: dict[str, int] = {}
    sources: list[Source] = []
    draws = {d.name: d for d in player.draws}
    for trait in traits:
        if trait.initial is not None:
            leaf = leaf_at(copies, "trait", trait.name, trait.type)
            values[trait.name] = leaf
            sources.append(Source(leaf, trait.initial, None))
            continue
        values[trait.name] = unclipped(copies, given(trait.start))
    seen: dict[str, int] = {}
    for node in values.values():
        for i in reachable(copies.nodes, [node]):
            if copies.nodes[i].op == "draw":
                seen[str(copies.nodes[i].attr)] = i
    for name, leaf in seen.items():
        sources.append(_source(copies, draws[name], leaf, values))
    for source in sources:
        _check(copies, source, player)
    return Hidden(traits, values, tuple(sources))


def _source(copies: Copies, draw: NoiseVariable, leaf: int, values: Mapping[str, int]) -> Source:
    rows: tuple[int, ...] = ()
    if draw.given is not None:
        rows = tuple(v for v in values.values() if leaf in reachable(copies.nodes, [v]))
    return Source(leaf, draw.density, draw.law, rows)


def _check(copies: Copies, source: Source, player: Player) -> None:
    if source.density is None:
        return
    states = {s.name for s in player.states}
    for i in reachable(copies.nodes, [source.density]):
        node = copies.nodes[i]
        if node.op == "state" and node.attr in states:
            raise Unsupported(f"a trait whose law reads the state `{node.attr}`")
        if is_opened(node):
            raise Unsupported("a trait whose masses move with a parameter")


def unclipped(copies: Copies, node: int) -> int:
    """The value of a draw without the bound that only keeps rounding inside of its type."""
    here = copies.nodes[node]
    if here.op != "min" or len(here.args) != 2 or copies.nodes[here.args[1]].op != "const":
        return node
    bound = float(copies.nodes[here.args[1]].attr)  # type: ignore[arg-type]
    top = float(np.max(Evaluator(copies.facts, {}).value(here.args[0]).hi))
    return here.args[0] if top <= bound + 1e-12 * (1 + abs(bound)) else node


def own(copies: Copies, root: int, hidden: Hidden) -> int:
    """An expression with its hidden traits as functions of their draws."""
    instead = {}
    for i in reachable(copies.nodes, [root]):
        node = copies.nodes[i]
        if node.op == "trait" and node.attr in hidden.values:
            instead[i] = hidden.values[str(node.attr)]
    return copies.replaced(root, instead)


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


def twins(copies: Copies, root: int, hidden: Hidden) -> int:
    """The same expression of another player, whose draws are leaves of their own."""
    instead = {}
    for source in hidden.sources:
        node = copies.nodes[source.leaf]
        instead[source.leaf] = copies.add(node.op, (), f"{node.attr} of another", node.type)
    return copies.replaced(root, instead)


def masses(copies: Copies, hidden: Hidden, leaves: tuple[int, ...]) -> np.ndarray:
    """Joint masses of finite draws, an axis for each of `leaves`."""
    table = Evaluator(copies.facts, {leaf: k for k, leaf in enumerate(leaves)})
    sizes = tuple(copies.types[copies.nodes[i].type].size for i in leaves)
    whole = np.ones(sizes)
    for source in hidden.sources:
        if source.leaf in leaves and source.density is not None:
            value = table.value(source.density)
            whole = whole * np.asarray((value.lo + value.hi) / 2)
    return whole


def uniform_leaves(hidden: Hidden) -> Iterator[int]:
    """Draws that are uniform on [0, 1)."""
    return (s.leaf for s in hidden.sources if s.law == ("uniform",))
