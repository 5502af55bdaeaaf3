"""Hidden traits of a population as functions of draws, causes before what they decide."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mfdsl.compiler.analysis.enclosure import Evaluator
from mfdsl.compiler.analysis.opened import is_opened
from mfdsl.compiler.analysis.slopes.tape import Unsupported
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.ir.model import Model, NoiseVariable, Player, StateVariable
from mfdsl.compiler.ir.walk import MEMBERS, given, reachable

SURE = 1e-9  # masses are enclosed more closely, unless they move with something
READ_BY_NO_LAW = ("state", "action", "noise", "common_state", "time", *MEMBERS)


@dataclass(frozen=True)
class Source:
    """One draw: a `draw` leaf, or the leaf of a finite trait with masses `density`.

    Masses may depend on the leaves of sources before it. `law` is the standard law of a continuous
    draw. `rows` are the traits, as nodes, that stand in the files whose row is drawn.
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
    """The leaf of that name and type, a new one if the model never reads it."""
    for i, node in enumerate(copies.nodes):
        if node.op == op and node.attr == name and copies.types[node.type] == copies.types[type_]:
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
        roots += [d for d in (draws[name].density for name in sorted(new)) if d is not None]


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
