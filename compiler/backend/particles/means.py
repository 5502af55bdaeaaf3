"""How means are computed with N agents: sums over members, tallies, moments, values or pairs."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

from mfdsl.compiler.backend.factors import factors_of
from mfdsl.compiler.backend.particles.arena import OTHERS, Arena
from mfdsl.compiler.backend.particles.separable import expanded
from mfdsl.compiler.backend.particles.weighted import weighted
from mfdsl.compiler.ir.types import BOOL, INT, REAL, Type
from mfdsl.compiler.ir.walk import depth_of, reachable

Strategy = Literal["members", "tally", "moments", "values", "weights", "pairs"]

DEEPEST = 50
MOST_CELLS = 1 << 22
MOST_VALUES = 256
LARGEST_TABLE = 1 << 20


@dataclass(frozen=True)
class Choice:
    """How one part of the mean at node `node` of the model is computed.

    `members`: an average over the agents, O(N). `tally`: counts at the values that members are
    pinned to, O(N + S). `moments`: a sum of products, O(N) for each of `terms`. `values`: a sum
    over the values that members can have. `weights`: a product with the matrix of weights for each
    of `terms`. `pairs`: every agent with every agent, in blocks.
    """

    node: int
    population: str
    reader: str
    strategy: Strategy
    terms: int = 1


class Expectation:
    """One mean of the model: `mean` and `extreme` give the node of its value.

    Sums are split, and what does not vary with the member comes out, before a strategy is chosen.
    """

    def __init__(
        self,
        arena: Arena,
        old: int,
        depth: int,
        population: str,
        reader: str,
        others: bool,
        choices: list[Choice],
    ) -> None:
        self.arena = arena
        self.old = old
        self.depth = depth
        self.population = population
        self.reader = reader
        self.others = others
        self.choices = choices

    def mean(self, value: int, condition: int | None) -> int:
        """The mean of `value` over the members, over those that fulfil `condition`."""
        if condition is None:
            return self._linear(value, ())
        above = self._linear(value, (condition,))
        below = self._product([], (condition,))
        if self.others:
            none = self.arena.add("eq", (below, self.arena.const(0)), None, BOOL)
            above = self.arena.add("if", (none, self.arena.const(0), above))
        return self.op("div", above, below)

    def extreme(self, how: str, value: int) -> int:
        """The smallest (`min`) or largest (`max`) value of a member."""
        arena, type = self.arena, self.arena.type_of(value)
        if not arena.varies(value, self.depth) and not self.others:
            return value
        node = arena.node(value)
        if node.op == "length":  # one root of the extreme square in the place of all roots
            square = arena.add("square", node.args)
            return arena.add("sqrt", (self.extreme(how, square),))
        if arena.closed(value, self.depth):
            self.chosen("members")
            op = f"{how}_others_of" if self.others else f"{how}_of"
            return arena.add(op, (arena.member(value, self.depth),), self.population, type)
        return self._pairs(how, value)

    def chosen(self, strategy: Strategy, terms: int = 1) -> None:
        """Note how a part of the mean is computed."""
        choice = Choice(self.old, self.population, self.reader, strategy, terms)
        if choice not in self.choices:
            self.choices.append(choice)

    def _linear(self, value: int, conditions: Sequence[int], level: int = 0) -> int:
        """Linearity: constants of the members come out, sums split into their parts."""
        node = self.arena.node(value)
        if self.arena.varies(value, self.depth) and level < DEEPEST:
            if node.op == "neg":
                return self.op("neg", self._linear(node.args[0], conditions, level + 1))
            if node.op == "add":
                parts = self._groups(node.args)
                if len(parts) > 1:
                    made = [self._linear(part, conditions, level + 1) for part in parts]
                    return self.op("add", *made)
            if node.op == "if" and not self.arena.varies(node.args[0], self.depth):
                made = [self._linear(i, conditions, level + 1) for i in node.args[1:]]
                return self.op("if", node.args[0], *made)
        return self._product([value], conditions)

    def _groups(self, terms: Sequence[int]) -> list[int]:
        """The terms of a sum, those that do not vary together and those of members together."""
        groups: dict[object, list[int]] = {}
        for term in terms:
            fixed = not self.arena.varies(term, self.depth)
            alone = self.arena.closed(term, self.depth)
            groups.setdefault("fixed" if fixed else "alone" if alone else term, []).append(term)
        return [self.op("add", *group) for group in groups.values()]

    def _product(self, factors: Sequence[int], conditions: Sequence[int]) -> int:
        """The mean of a product where all conditions hold, of 0 elsewhere."""
        found = factors_of(
            self.arena.builder,
            factors,
            conditions,
            lambda i: self.arena.varies(i, self.depth),
            lambda i: self.op("real", i),
        )
        free = [c for c in found.conditions if not self.arena.varies(c, self.depth)]
        required = [c for c in found.conditions if c not in free]
        value = self._core(found.varying, required)
        if found.outside:
            value = self.op("mul", *found.outside, value)
        for divisor in found.divisors:
            value = self.op("div", value, divisor)
        if free:
            value = self.op("if", self.all(free), value, self.arena.const(0))
        return value

    def _core(self, factors: Sequence[int], conditions: Sequence[int]) -> int:
        """The mean of varying factors under varying conditions, by the cheapest strategy."""
        arena = self.arena
        if not factors and not conditions:
            return arena.add("company", (), self.population) if self.others else arena.const(1)
        whole = self.weighted(factors, conditions)
        pins, rest = self.pins(conditions)
        weight = next((f for f in factors if arena.node(f).op == "weight"), None)
        if weight is not None:
            made = weighted(self, weight, [f for f in factors if f != weight], conditions)
            return self._mean_of_pairs(whole) if made is None else made
        if self._reads_weights(whole):
            return self._mean_of_pairs(whole)
        if arena.closed(whole, self.depth):
            return self._over_members(factors, conditions, pins, rest)
        if arena.type_of(whole).dims:
            pins, rest = {}, list(conditions)
        terms = expanded(arena, factors, rest, self.depth, self.population)
        if terms is not None:
            self.chosen("tally" if pins else "moments", len(terms))
            parts = [self.op("mul", own, self._average(part, pins)) for own, part in terms]
            return self.op("add", *parts) if parts else arena.const(0)
        masses = [f for f in factors if self._is_mass(f)]
        body = self.weighted([f for f in factors if f not in masses], rest)
        by_value = self._by_value(whole, body, pins, masses)
        if by_value is not None:
            self.chosen("values")
            return by_value
        return self._mean_of_pairs(whole)

    def _is_mass(self, factor: int) -> bool:
        """Whether a factor is a number that each member has, of which tallies have the sums."""
        arena = self.arena
        if not arena.closed(factor, self.depth) or arena.facts(factor).indices:
            return False
        peers = self.peers(factor)
        return self.atoms([arena.node(i).args[0] for i in peers]) is None

    def _mean_of_pairs(self, whole: int) -> int:
        return self.op("div", self._pairs("sum", whole), self.count())

    def _reads_weights(self, whole: int) -> bool:
        """Whether a weight on the bound member is somewhere below, not as a factor."""
        nodes = self.arena.builder.nodes
        below = (nodes[i] for i in reachable(nodes, [whole]))
        return any(n.op == "weight" and depth_of(n) == self.depth for n in below)

    def atoms(self, values: Sequence[int]) -> list[int] | None:
        """The finite scalars of a member that its values depend on; None when there are others."""
        return _atoms(self.arena, values)

    def _over_members(
        self,
        factors: Sequence[int],
        conditions: Sequence[int],
        pins: dict[int, int],
        rest: Sequence[int],
    ) -> int:
        """The mean of values of members; at all values of an index, one tally gives all of them."""
        indexed = any(self.arena.facts(value).indices for value in pins.values())
        value = self.weighted(factors, rest if indexed else conditions)
        self.chosen("tally" if indexed else "members")
        return self._average(self.arena.member(value, self.depth), pins if indexed else {})

    def _pairs(self, how: str, value: int) -> int:
        """A sum or an extreme over every agent with every agent."""
        self.chosen("pairs")
        attr = (self.depth, self.population, how, int(self.others))
        made = self.arena.add("pairs", (value,), attr, self.arena.type_of(value))
        self.arena.means.setdefault(made, self.old)
        return made

    def weighted(self, factors: Sequence[int], conditions: Sequence[int]) -> int:
        """The product of factors where all conditions hold, 0 elsewhere."""
        value = self.op("mul", *factors) if factors else self.arena.const(1)
        if not conditions:
            return value
        return self.op("if", self.all(conditions), value, self.arena.const(0))

    def pins(self, conditions: Sequence[int]) -> tuple[dict[int, int], list[int]]:
        """Values that finite variables of a member must have, and the other conditions.

        A pin at a value that is common is a condition on the member like any other.
        """
        pins: dict[int, int] = {}
        rest: list[int] = []
        for condition in conditions:
            pin = self._pin(condition)
            cells = prod(self.arena.type_of(i).size for i in (*pins, *(pin or ())[:1]))
            if pin and pin[0] not in pins and cells <= MOST_CELLS:
                pins[pin[0]] = pin[1]
            else:
                rest.append(condition)
        return pins, rest

    def _pin(self, condition: int) -> tuple[int, int] | None:
        arena = self.arena
        node = arena.node(condition)
        if node.op != "eq":
            return None
        for leaf, value in (node.args, node.args[::-1]):
            here = arena.node(leaf)
            if here.op != "peer" or here.attr != self.depth or arena.varies(value, self.depth):
                continue
            type = arena.type_of(leaf)
            if type.finite and not type.dims and not arena.type_of(value).dims:
                return here.args[0], value
        return None

    def _average(self, value: int, pins: dict[int, int]) -> int:
        """The mean of a member's value over the members with the pinned values."""
        arena = self.arena
        if not pins:
            if arena.facts(value).common:
                return self.op("mul", value, self._core((), ()))
            type = arena.type_of(value)
            if not self.others:
                return arena.add("mean_of", (value,), self.population, type)
            total = arena.add("sum_of", (value,), self.population, type)
            return self.op("div", self.less(total, value), self.count())
        keys = sorted(pins)
        exact = arena.builder.exact(value)
        scale = value if arena.facts(value).common and exact != 1 else None
        weight = () if arena.facts(value).common else (value,)
        entry, guards = self._looked_up(keys, weight, pins)
        if scale is not None:
            entry = self.op("mul", scale, entry)
        if self.others:
            match = [arena.add("eq", (key, pins[key]), None, BOOL) for key in keys]
            own = self.op("if", self.all(match), value, arena.const(0))
            entry = self.less(entry, own)
        if guards:
            entry = self.op("if", self.all(guards), entry, arena.const(0))
        return self.op("div", entry, self.count()) if self.others else entry

    def less(self, total: int, own: int) -> int:
        """A sum over members without one's own part."""
        return self.op("add", total, self.op("neg", own))

    def _looked_up(
        self, keys: Sequence[int], weight: tuple[int, ...], values: dict[int, int]
    ) -> tuple[int, list[int]]:
        """The entry of a tally at the values of its keys, and where it exists."""
        arena = self.arena
        dims = tuple(arena.type_of(key).size for key in keys)
        tally = arena.add(
            "tally", (*keys, *weight), (self.population, len(weight)), Type(kind="real", dims=dims)
        )
        if not self.others:
            tally = arena.add("div", (tally, self.count()), None, Type(kind="real", dims=dims))
        places, guards = [], []
        for key in keys:
            place, guard = self._position(values[key], arena.type_of(key))
            places.append(place)
            guards += guard
        return arena.add("element", (tally, *places)), guards

    def _position(self, value: int, type: Type) -> tuple[int, list[int]]:
        """The place of a value on the axis of its type, and the conditions for it to be there."""
        arena = self.arena
        first, last = type.first, type.first + type.size - 1
        low, high = arena.bounds(value)
        if arena.type_of(value).kind == "bool":
            value = arena.add("ind", (value,), None, INT)
        guards = []
        for outside, op, end in ((low < first, "max", first), (high > last, "min", last)):
            if outside:
                bound = arena.const(end, INT)
                ordered = (bound, value) if op == "max" else (value, bound)
                guards.append(arena.add("le", ordered, None, BOOL))
                value = arena.add(op, (value, bound), None, INT)
        if first:
            kept = Type(kind="int", lo=0, hi=type.size - 1)
            value = arena.add("add", (value, arena.const(-first, INT)), None, kept)
        return value, guards

    def _by_value(
        self, whole: int, body: int, pins: dict[int, int], masses: Sequence[int]
    ) -> int | None:
        """The sum over all values of the finite variables of a member, by their shares, or by the
        sums of the masses of those who have them.
        """
        arena = self.arena
        peers = self.peers(body)
        atoms = _atoms(arena, [arena.node(i).args[0] for i in peers])
        if atoms is None or arena.type_of(whole).dims:
            return None
        count = prod(arena.type_of(a).size for a in atoms)
        keys = sorted({*pins, *atoms})
        if count > MOST_VALUES or prod(arena.type_of(k).size for k in keys) > MOST_CELLS:
            return None
        if set(atoms) & set(pins):
            return None
        indices = {atom: arena.index(arena.type_of(atom)) for atom in atoms}
        seen = {i: arena.replace(arena.node(i).args[0], indices) for i in peers}
        value = arena.replace(body, seen)
        mass = (arena.member(self.op("mul", *masses), self.depth),) if masses else ()
        share, guards = self._looked_up(keys, mass, {**pins, **indices})
        total = self.op("mul", value, share)
        for index in indices.values():
            total = arena.add("sum_over", (total, index), arena.node(index).attr)
        if not pins:
            total = self._tabulated(total, count)
        if guards:
            total = self.op("if", self.all(guards), total, arena.const(0))
        if not self.others:
            return total
        own = arena.member(whole, self.depth)
        return self.op("div", self.less(total, own), self.count())

    def _tabulated(self, total: int, count: int) -> int:
        """A table over the reader's values where these are finite too, then one look-up."""
        arena = self.arena
        facts = arena.facts(total)
        atoms = None if facts.peers or facts.indices else _atoms(arena, [total])
        if atoms is None or any(arena.facts(a).indices for a in atoms):
            return total  # `q.v < x` of a real `x` differs between the values of `q.v`
        if prod(arena.type_of(a).size for a in atoms) * count > LARGEST_TABLE:
            return total
        indices = {atom: arena.index(arena.type_of(atom)) for atom in atoms}
        table = arena.replace(total, indices)
        dims: tuple[int, ...] = ()
        for atom in reversed(atoms):
            dims = (arena.type_of(atom).size, *dims)
            attr = arena.node(indices[atom]).attr
            type = Type(kind="real", dims=dims)
            table = arena.add("array_over", (table, indices[atom]), attr, type)
        places = [self._position(atom, arena.type_of(atom))[0] for atom in atoms]
        return arena.add("element", (table, *places))

    def peers(self, value: int) -> list[int]:
        """The values of the bound member below a node."""
        nodes = self.arena.builder.nodes
        return [
            i
            for i in reachable(nodes, [value])
            if nodes[i].op == "peer" and nodes[i].attr == self.depth
        ]

    def count(self) -> int:
        """The number of members, without oneself."""
        return self.arena.add("others_count" if self.others else "count", (), self.population)

    def all(self, conditions: Sequence[int]) -> int:
        """Whether all conditions hold."""
        return self.arena.add("and", list(conditions), None, BOOL)

    def op(self, op: str, *args: int) -> int:
        """A real node, of the shape that its arguments share."""
        dims = next((d for d in (self.arena.type_of(i).dims for i in args) if d), ())
        return self.arena.add(op, args, None, Type(kind="real", dims=dims) if dims else REAL)


def _atoms(arena: Arena, values: Sequence[int]) -> list[int] | None:
    """The finite scalars of a member that its values depend on; None when there are others."""
    found: set[int] = set()
    for value in values:
        atoms = _atoms_of(arena, value, {})
        if atoms is None:
            return None
        found |= atoms
    return sorted(found)


def _atoms_of(
    arena: Arena, index: int, known: dict[int, frozenset[int] | None]
) -> frozenset[int] | None:
    """Finite inputs, and finite values of what is not finite; None when neither will do."""
    for i in reachable(arena.builder.nodes, [index]):
        node, type = arena.node(i), arena.type_of(i)
        parts = [known[a] for a in node.args]
        if arena.facts(i).owner is None:
            known[i] = frozenset()
        elif node.op in ("input", "given", *OTHERS) or any(part is None for part in parts):
            known[i] = frozenset({i}) if type.finite and not type.dims else None
        else:
            known[i] = frozenset[int]().union(*(part for part in parts if part is not None))
    return known[index]
