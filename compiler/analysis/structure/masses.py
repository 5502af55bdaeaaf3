"""Rewards of finitely many kinds of members as functions of the masses of these kinds.

Every mean over a population becomes a sum of masses with the values of its body as weights, so the
slope of a reward in a mass is a derivative, and two ways to write a statistic are one expression.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product as joint
from math import prod

from mfdsl.compiler.analysis.counted import count
from mfdsl.compiler.analysis.kernels import leaf_of
from mfdsl.compiler.analysis.structure.legal import is_legal, mask_of
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.analysis.symbolic.decimals import UndefinedError
from mfdsl.compiler.analysis.symbolic.evaluation import Key, Point, value_at
from mfdsl.compiler.analysis.symbolic.terms import (
    Terms,
    UnsupportedError,
    product,
    total,
    written_out,
)
from mfdsl.compiler.ir.model import Node, Player
from mfdsl.compiler.ir.types import Type
from mfdsl.compiler.ir.walk import MEANS, MEMBERS, depth_of, reachable

A_NODE, A_TERM = 2, 20  # steps of a look at a term, and of one that is made
MAX_KINDS = 128
OWN = ("state", "trait", "action")

Variable = tuple[str, str]  # operator, name


@dataclass(frozen=True)
class Kind:
    """Members of a population that agree in the variables that matter."""

    population: str
    values: tuple[tuple[Variable, int], ...]

    @property
    def text(self) -> str:
        """The values by name."""
        return ", ".join(f"{name}={value}" for (_, name), value in self.values) or "all"

    def own(self) -> dict[Key, Fraction]:
        """As values of own leaves."""
        return {(op, name, ()): Fraction(value) for (op, name), value in self.values}

    def peer(self) -> dict[Key, Fraction]:
        """As a member of a law."""
        return {(f"peer_{op}", name, ()): Fraction(value) for (op, name), value in self.values}


@dataclass(frozen=True)
class InMasses:
    """`rewards` [kinds] are terms in the `masses` [kinds] of the same kinds.

    `sure` says that laws may move mass between all kinds of a population, for certain, and `free`
    that members of any values may be there: all actions are legal, and no traits are read.
    """

    terms: Terms
    kinds: tuple[Kind, ...]
    rewards: tuple[int, ...]
    masses: tuple[int, ...]
    sure: bool = True
    free: bool = True

    @property
    def groups(self) -> list[int]:
        """The number of the population of each kind."""
        names = list(dict.fromkeys(k.population for k in self.kinds))
        return [names.index(k.population) for k in self.kinds]


def in_masses(
    copies: Copies, rewards: Mapping[str, int], players: Sequence[Player], most: int = MAX_KINDS
) -> InMasses:
    """Rewards by population, each over the kinds of members that any of them tells apart, without
    those that have no legal action.

    Raises:
        UnsupportedError: a variable is not finite, there are more than `most` kinds, or a
            statistic is no mean over a table.
        TooManyNodes: the rewards are too long when they are written out.
    """
    facts = copies.facts
    variables = {p.name: variables_of(copies, p, rewards) for p in players}
    kinds: list[Kind] = []
    traits = any(op == "trait" for read in variables.values() for op, _ in read)
    sure = not traits
    for player in players:
        sizes = [sized(player, facts.types, v) for v in variables[player.name]]
        if len(kinds) + prod(len(s) for s in sizes) > most:
            raise UnsupportedError(f"more than {most} kinds of members")
        mask = mask_of(copies, player)
        for values in joint(*sizes):
            found = tuple(zip(variables[player.name], values, strict=True))
            kind = Kind(player.name, found)
            legal = is_legal(mask, kind.own())
            sure = sure and legal is not None
            if legal is not False:
                kinds.append(kind)
    roots = [_at_kind(copies, k, players, rewards[k.population]) for k in kinds]
    terms, nodes = written_out(facts, roots, bind=True)
    named = {p.name: p for p in players}
    masses = tuple(mass_of(terms, kind, named[kind.population]) for kind in kinds)
    table = _Masses(terms, kinds, masses)
    return InMasses(
        terms,
        tuple(kinds),
        tuple(rebuilt(terms, n, table.mean) for n in nodes),
        masses,
        sure,
        not traits and all(p.legal is None for p in players),
    )


def over_masses(
    terms: Terms,
    player: Player,
    variables: Sequence[Variable],
    types: Sequence[Type],
    nodes: Sequence[int],
) -> tuple[int, ...]:
    """Terms with the means over one population as sums of masses of its kinds.

    Raises:
        UnsupportedError: as `in_masses`.
    """
    sizes = [sized(player, types, v) for v in variables]
    if prod(len(s) for s in sizes) > MAX_KINDS:
        raise UnsupportedError(f"more than {MAX_KINDS} kinds of members")
    values = joint(*sizes)
    kinds = [Kind(player.name, tuple(zip(variables, v, strict=True))) for v in values]
    table = _Masses(terms, kinds, [mass_of(terms, kind, player) for kind in kinds])
    return tuple(rebuilt(terms, node, table.mean) for node in nodes)


def variables_of(
    copies: Copies, player: Player, rewards: Mapping[str, int]
) -> tuple[Variable, ...]:
    """The variables of a member that its reward, or a statistic of its population, reads."""
    nodes = copies.nodes
    found: set[Variable] = set()
    for name, root in rewards.items():
        for op, variable in read_under(nodes, root, player.name):
            if op in OWN and name == player.name:
                found.add((op, variable))
            elif op.startswith("peer_"):
                found.add((op.removeprefix("peer_"), variable))
    return tuple(sorted(found))


def read_under(nodes: Sequence[Node], root: int, population: str) -> set[tuple[str, str]]:
    """Own leaves under a node, and those of members that a mean over a population binds."""
    found: set[tuple[str, str]] = set()
    seen: set[tuple[int, frozenset[tuple[int, str]]]] = set()
    stack: list[tuple[int, frozenset[tuple[int, str]]]] = [(root, frozenset())]
    while stack:
        index, scope = stack.pop()
        if (index, scope) in seen:
            continue
        seen.add((index, scope))
        node = nodes[index]
        if node.op in MEMBERS:
            depth = depth_of(node)
            scope = frozenset(s for s in scope if s[0] != depth) | {(depth, _named(node))}
        elif node.op.startswith("peer_"):
            if (depth_of(node), population) in scope:
                found.add((node.op, _named(node)))
        elif node.op in (*OWN, "noise"):
            found.add((node.op, str(node.attr)))
        stack += [(a, scope) for a in node.args]
    return found


def _named(node: Node) -> str:
    """The population of a mean, the variable of a member: the second part of the attribute."""
    assert isinstance(node.attr, tuple)
    return str(node.attr[1])


def sized(player: Player, types: Sequence[Type], variable: Variable) -> range:
    """The values of a finite variable of a player.

    Raises:
        UnsupportedError: it is an array, or not finite.
    """
    for found in (*player.states, *player.traits, *player.actions):
        if found.name == variable[1]:
            type_ = types[found.type]
            if type_.dims or not type_.finite:
                raise UnsupportedError(f"`{found.name}` is not a finite scalar")
            return range(type_.first, type_.first + type_.size)
    raise UnsupportedError(f"`{variable[1]}` is a noise")


def _at_kind(copies: Copies, kind: Kind, players: Sequence[Player], root: int) -> int:
    player = next(p for p in players if p.name == kind.population)
    instead = {}
    for (op, name), value in kind.values:
        leaf = leaf_of(copies.facts, player, name, op)
        if leaf is not None:
            instead[leaf] = copies.const(value, leaf)
    return copies.replaced(root, instead)


def mass_of(terms: Terms, kind: Kind, player: Player) -> int:
    """The term of the mass of a kind of members of a player."""
    add, types = terms.builder.add, terms.facts.types
    named = {v.name: types[v.type] for v in (*player.states, *player.traits, *player.actions)}
    sides = []
    for (op, name), value in kind.values:
        leaf = _peer_leaf(terms, op, name, named[name])
        sides.append(add("eq", sorted((leaf, terms.builder.const(value)))))
    condition = sides[0] if len(sides) == 1 else terms.builder.const(1)
    if len(sides) > 1:
        condition = add("and", sorted(sides))
    return add("mean", (condition,), (0, kind.population))


def _peer_leaf(terms: Terms, op: str, name: str, type_: Type) -> int:
    """The leaf of a member at depth 0; members of other populations may have one of the name."""
    for i, node in enumerate(terms.nodes):
        if node.op == f"peer_{op}" and node.attr == (0, name):
            if terms.builder.type_of(i) == type_:
                return i
    return terms.builder.add(f"peer_{op}", (), (0, name), type_)


@dataclass(frozen=True)
class _Masses:
    """Means as sums of masses."""

    terms: Terms
    kinds: Sequence[Kind]
    masses: Sequence[int]

    def mean(self, index: int) -> int | None:
        """What stands for a node, None where it stays."""
        terms = self.terms
        node = terms.nodes[index]
        if node.op not in MEMBERS:
            return None
        if node.op not in MEANS:
            raise UnsupportedError(f"`{node.op}` over members")
        if not node.op.endswith("_if"):
            return self._sum(index, node.args[0])
        whole = terms.builder.add("mul", sorted(node.args))
        return terms.builder.add("div", (self._sum(index, whole), self._sum(index, node.args[1])))

    def _sum(self, index: int, body: int) -> int:
        terms, node = self.terms, self.terms.nodes[index]
        assert isinstance(node.attr, tuple)
        below = [terms.nodes[i] for i in reachable(terms.nodes, [body])]
        if any(n.op in (*MEMBERS, "time", *OWN) or n.op.startswith("common_") for n in below):
            raise UnsupportedError("a statistic whose weights vary")
        parts = []
        for kind, mass in zip(self.kinds, self.masses, strict=True):
            if kind.population == node.attr[1]:
                weight = self._weight(body, kind, depth_of(node))
                if terms.builder.exact(weight) != 0:
                    parts.append(product(terms, (weight, mass)))
        return total(terms, parts)

    def _weight(self, body: int, kind: Kind, depth: int) -> int:
        """The value of a body at a kind: a number, or an expression without leaves."""
        terms = self.terms
        values: dict[tuple[str, object], int] = {
            (f"peer_{op}", (depth, name)): v for (op, name), v in kind.values
        }

        def at(index: int) -> int | None:
            node = terms.nodes[index]
            value = values.get((node.op, node.attr))
            return None if value is None else terms.builder.const(value)

        found = rebuilt(terms, body, at)
        if terms.builder.exact(found) is None:
            try:
                lo, hi = value_at(terms, found, Point({}))
            except UndefinedError as error:
                raise UnsupportedError("a statistic without a value") from error
            if lo == hi:
                return terms.builder.const(Fraction(lo))
        return found


def rebuilt(terms: Terms, root: int, instead: Callable[[int], int | None]) -> int:
    """The term with other nodes where `instead(node)` gives one, folded again."""
    known: dict[int, int] = {}
    stack = [root]
    while stack:
        count(A_NODE)
        index = stack[-1]
        if index in known:
            stack.pop()
            continue
        other = instead(index)
        if other is not None:
            known[index] = other
            stack.pop()
            continue
        node = terms.nodes[index]
        missing = [a for a in node.args if a not in known]
        if missing:
            stack.extend(missing)
            continue
        stack.pop()
        known[index] = _made(terms, index, [known[a] for a in node.args])
    return known[root]


def _made(terms: Terms, index: int, args: list[int]) -> int:
    node = terms.nodes[index]
    if list(node.args) == args:
        return index
    count(A_TERM)
    if node.op == "mul":
        return product(terms, args)
    if node.op in ("add", "min", "max", "and", "or", "eq"):
        args = sorted(args)
    return terms.builder.add(node.op, args, node.attr, terms.builder.type_of(index))
