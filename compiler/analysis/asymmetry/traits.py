"""Hidden traits of a population as independent draws, and means of expressions over them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite

import numpy as np

from mfdsl.compiler.analysis.asymmetry.degrees import degree
from mfdsl.compiler.analysis.enclosure import Evaluator
from mfdsl.compiler.analysis.opened import is_opened
from mfdsl.compiler.analysis.slopes.tape import Unsupported
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.ir.model import Model, NoiseVariable, Player, StateVariable
from mfdsl.compiler.ir.types import REAL, Type
from mfdsl.compiler.ir.walk import MEMBERS, given, reachable
from mfdsl.compiler.tabular.frames import NoTables
from mfdsl.compiler.tabular.quadrature import gauss

WRITTEN_OUT = 16  # values of a sum that are written one by one
MOST_POINTS = 16  # of a Gauss rule, exact to degree 2 n - 1
SURE = 1e-9  # masses are enclosed more closely, unless they move with something
READ_BY_NO_LAW = ("state", "action", "noise", "common_state", "time", *MEMBERS)
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


def hidden_sources(
    copies: Copies,
    player: Player,
    hidden: tuple[StateVariable, ...],
    read: tuple[StateVariable, ...] | None = None,
) -> Hidden:
    """The draws behind the hidden traits in `read`, behind all of them without it.

    Traits that their laws read count as read: none of them is held fixed. Sources come after those
    that their masses depend on.

    Raises:
        Unsupported: the law of a trait depends on states or on what policies see, or what they see
            tells of the trait.
    """
    traits = _with_causes(copies, player, hidden, hidden if read is None else read)
    values: dict[str, int] = {}
    drawn: dict[int, StateVariable | NoiseVariable] = {}
    for trait in traits:
        if trait.initial is not None:
            leaf = leaf_at(copies, "trait", trait.name, trait.type)
            values[trait.name] = leaf
            drawn[leaf] = trait
            continue
        value = _in_place(copies, given(trait.start), values)
        values[trait.name] = unclipped(copies, value)
        drawn |= _draws(copies, player, [value], values)
    sources = tuple(_source(copies, leaf, one, values) for leaf, one in drawn.items())
    laws = [s.density for s in sources if s.density is not None]
    for node in (*values.values(), *laws):
        _check(copies, node, player)
    if any(is_opened(copies.nodes[i]) for i in reachable(copies.nodes, laws)):
        raise Unsupported("a trait whose masses move with a parameter")
    return Hidden(traits, values, sources)


def _with_causes(
    copies: Copies,
    player: Player,
    hidden: tuple[StateVariable, ...],
    read: tuple[StateVariable, ...],
) -> tuple[StateVariable, ...]:
    """Traits and all that their laws read, causes first."""
    traits = {t.name: t for t in player.traits}
    unseen = {t.name for t in hidden}
    found: dict[str, StateVariable] = {}

    def include(name: str) -> None:
        if name in found:
            return
        for cause in _read_by_law(copies, player, traits[name]):
            if cause not in unseen:
                raise Unsupported(
                    f"the law of the trait `{name}` reads `{cause}`, which policies see"
                )
            include(cause)
        found[name] = traits[name]

    for trait in read:
        include(trait.name)
    _check_seen(copies, player, [t for t in player.traits if t.name not in unseen], found)
    return tuple(found.values())


def _check_seen(
    copies: Copies,
    player: Player,
    seen: Sequence[StateVariable],
    hidden: Mapping[str, StateVariable],
) -> None:
    """That traits which policies see tell nothing of those that they do not.

    Raises:
        Unsupported: one does, so that those of agents who look alike have a law of their own.
    """
    traits = {t.name: t for t in player.traits}
    draws = {d for t in hidden.values() for d in _law(copies, player, t)[1]}
    for trait in seen:
        pending, below = [trait.name], {trait.name}
        while pending:
            one = traits[pending.pop()]
            shared = not draws.isdisjoint(_law(copies, player, one)[1])
            if one.name in hidden or shared:
                raise Unsupported(f"the trait `{trait.name}`, which policies see, tells of others")
            causes = _read_by_law(copies, player, one)
            pending += [c for c in causes if c not in below]
            below.update(causes)


def _law(copies: Copies, player: Player, trait: StateVariable) -> tuple[list[int], set[str]]:
    """All nodes that the law of a trait rests on, and the names of its draws."""
    draws = {d.name: d for d in player.draws}
    roots = [n for n in (trait.initial, trait.start) if n is not None]
    names: set[str] = set()
    while True:
        below = reachable(copies.nodes, roots)
        nodes = (copies.nodes[i] for i in below)
        new = {str(n.attr) for n in nodes if n.op == "draw"} - names
        if not new:
            return below, names
        names |= new
        roots += [d for d in (draws[name].density for name in new) if d is not None]


def _read_by_law(copies: Copies, player: Player, trait: StateVariable) -> list[str]:
    """The other traits that the law of a trait reads."""
    below = (copies.nodes[i] for i in _law(copies, player, trait)[0])
    read = {str(n.attr) for n in below if n.op == "trait"} - {trait.name}
    return [t.name for t in player.traits if t.name in read]


def _in_place(copies: Copies, root: int, values: Mapping[str, int]) -> int:
    """An expression with traits as functions of their draws."""
    instead = {}
    for i in reachable(copies.nodes, [root]):
        node = copies.nodes[i]
        if node.op == "trait" and node.attr in values:
            instead[i] = values[str(node.attr)]
    return copies.replaced(root, instead)


def _draws(
    copies: Copies, player: Player, roots: Sequence[int], values: Mapping[str, int]
) -> dict[int, StateVariable | NoiseVariable]:
    """The draws that expressions read, by their leaves, after those that their masses read."""
    draws = {d.name: d for d in player.draws}
    found: dict[int, StateVariable | NoiseVariable] = {}
    for i in reachable(copies.nodes, roots):
        if copies.nodes[i].op == "draw":
            draw = draws[str(copies.nodes[i].attr)]
            if draw.density is not None:
                below = _in_place(copies, draw.density, values)
                others = [j for j in reachable(copies.nodes, [below]) if j != i]
                leaves = [j for j in others if copies.nodes[j].op == "draw"]
                found |= _draws(copies, player, leaves, values)
            found[i] = draw
    return found


def _source(
    copies: Copies,
    leaf: int,
    drawn: StateVariable | NoiseVariable,
    values: Mapping[str, int],
) -> Source:
    if isinstance(drawn, StateVariable):
        return Source(leaf, _in_place(copies, given(drawn.initial), values), None)
    rows: tuple[int, ...] = ()
    if drawn.given is not None:
        rows = tuple(v for v in values.values() if _draw_leaves(copies, v) == {leaf})
    density = drawn.density
    if density is not None:
        density = _in_place(copies, density, values)
    return Source(leaf, density, drawn.law, rows)


def _draw_leaves(copies: Copies, root: int) -> set[int]:
    nodes = copies.nodes
    return {i for i in reachable(nodes, [root]) if nodes[i].op in ("draw", "trait")}


def _check(copies: Copies, root: int, player: Player) -> None:
    """That a law rests on nothing but parameters, draws and other traits."""
    for i in reachable(copies.nodes, [root]):
        node = copies.nodes[i]
        if node.op in READ_BY_NO_LAW and not is_opened(node):
            name = node.attr[-1] if isinstance(node.attr, tuple) else node.attr
            raise Unsupported(f"a trait of `{player.name}` whose law reads `{name}`")


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
    return _in_place(copies, root, hidden.values)


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


def twin_of(copies: Copies, hidden: Hidden) -> tuple[Hidden, Mapping[int, int]]:
    """The traits of another player, whose draws are leaves of their own, in place of whose."""
    instead = {}
    for source in hidden.sources:
        node = copies.nodes[source.leaf]
        instead[source.leaf] = copies.add(node.op, (), f"{node.attr} of another", node.type)
    sources = tuple(
        replace(
            s,
            leaf=instead[s.leaf],
            density=None if s.density is None else copies.replaced(s.density, instead),
            rows=tuple(copies.replaced(v, instead) for v in s.rows),
        )
        for s in hidden.sources
    )
    return replace(hidden, sources=sources), instead


def masses(copies: Copies, hidden: Hidden, leaves: tuple[int, ...]) -> np.ndarray:
    """Joint masses of finite draws, an axis for each of `leaves`.

    Raises:
        Unsupported: they move with something else.
    """
    table = Evaluator(copies.facts, {leaf: k for k, leaf in enumerate(leaves)})
    sizes = tuple(copies.types[copies.nodes[i].type].size for i in leaves)
    whole = np.ones(sizes)
    for source in hidden.sources:
        if source.leaf in leaves and source.density is not None:
            value = table.value(source.density)
            if np.max(value.hi - value.lo) > SURE:
                raise Unsupported("traits whose masses move with other draws")
            whole = whole * np.asarray((value.lo + value.hi) / 2)
    return whole


def uniform_leaves(hidden: Hidden) -> Iterator[int]:
    """Draws that are uniform on [0, 1)."""
    return (s.leaf for s in hidden.sources if s.law == ("uniform",))
