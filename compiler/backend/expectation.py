"""Means as look-ups: pinned equalities become axes of a marginal, the rest a sum over members."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mfdsl.compiler.backend.bounds import Range, bounds_of
from mfdsl.compiler.backend.factors import factors_of
from mfdsl.compiler.backend.guarding import Guard
from mfdsl.compiler.ir.build import Builder
from mfdsl.compiler.ir.model import Attribute, Model
from mfdsl.compiler.ir.types import BOOL, INT, REAL, Type
from mfdsl.compiler.ir.walk import MEANS, Leaves, depth_of, free_leaves, reachable

DEEPEST = 50
MOST_TALLIED = 1 << 20


@dataclass(frozen=True)
class Statistic:
    """A table made from the marginal of the law on `variables`.

    Its axes are the peer leaves `keys` (values of members that are kept), then `residual` leaves
    (values of whoever asks). The entry is the mass-weighted sum of `value` over the leaves `peers`;
    `value` None stands for 1: the table is the marginal itself. With a `tally`, a function of the
    member with finitely many values, these are the only axis, and an entry sums over the members
    that have the value.
    """

    variables: tuple[str, ...]
    keys: tuple[int, ...]
    residual: tuple[int, ...]
    peers: tuple[int, ...]
    value: int | None
    tally: int | None = None

    @property
    def axes(self) -> tuple[int, ...]:
        """Nodes of the axes of the table: the tally or the keys, then the residual leaves."""
        first = self.keys if self.tally is None else (self.tally,)
        return (*first, *self.residual)


class Rewriter:
    """Copies nodes of a model into a new arena, with `table` nodes in the place of means."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.builder = Builder()
        self.statistics: list[Statistic] = []
        self._leaves: list[Leaves] = []
        self._bounds: list[Range] = []
        population = model.population
        variables = (*population.states, *population.actions)
        self._order = {v.name: k for k, v in enumerate(variables)}
        self._guard = Guard(self.builder, lambda: self.leaves)

    @property
    def leaves(self) -> list[Leaves]:
        """Free leaves of every node of the new arena."""
        if len(self._leaves) < len(self.builder.nodes):
            self._leaves = free_leaves(self.builder.nodes, self._leaves)
        return self._leaves

    def rewrite(self, roots: Iterable[int]) -> dict[int, int]:
        """The new node of every old node under `roots`."""
        at: dict[int, int] = {}
        for old in reachable(self.model.nodes, roots):
            node = self.model.nodes[old]
            args = [at[i] for i in node.args]
            if node.op in MEANS:  # without oneself the mean is the same in the limit
                condition = args[1] if node.op.endswith("_if") else None
                at[old] = self._mean(args[0], depth_of(node), condition)
            elif node.op == "const":
                assert isinstance(node.attr, (int, float))
                at[old] = self.builder.const(node.attr, self.model.node_type(old))
            elif node.op == "array":
                assert isinstance(node.attr, int)
                array = self.model.arrays[node.attr]
                kind = self.model.node_type(old).kind
                at[old] = self.builder.array(array.dims, array.values, None, kind)
            else:
                args = self._guard.chosen(args) if node.op == "if" else args
                at[old] = self.builder.add(node.op, args, node.attr, self.model.node_type(old))
        return at

    def _mean(self, value: int, depth: int, condition: int | None) -> int:
        """The expectation of `value` over members bound at `depth`, given `condition`."""
        if condition is None:
            return self._expectation(value, depth)
        above = self._expectation(value, depth, [condition])
        below = self._product([], [condition], depth)
        return self._op("div", above, below)

    def _expectation(
        self, value: int, depth: int, conditions: Sequence[int] = (), level: int = 0
    ) -> int:
        """The expectation of `value` where all conditions hold, 0 elsewhere.

        Linearity: constants of the members come out, sums split into their parts.
        """
        if not self._varies(value, depth):
            if not conditions:
                return value
            return self._op("mul", value, self._product([], conditions, depth))
        if level == DEEPEST:
            return self._product([value], conditions, depth)
        node = self.builder.nodes[value]
        if node.op == "neg":
            inner = self._expectation(node.args[0], depth, conditions, level + 1)
            return self._op("neg", inner)
        if node.op == "add":
            groups: dict[object, list[int]] = {}
            for term in node.args:
                fixed = not self._varies(term, depth)
                alone = not self._outside(term, depth)
                groups.setdefault("fixed" if fixed else "alone" if alone else term, []).append(term)
            parts = [self._op("add", *terms) for terms in groups.values()]
            if len(parts) > 1:
                terms = [self._expectation(p, depth, conditions, level + 1) for p in parts]
                return self._op("add", *terms)
        if node.op == "if" and not self._varies(node.args[0], depth):
            branches = (self._expectation(i, depth, conditions, level + 1) for i in node.args[1:])
            return self._op("if", node.args[0], *branches)
        if node.op == "if" and self.builder.exact(node.args[2]) == 0:
            return self._expectation(node.args[1], depth, [*conditions, node.args[0]], level + 1)
        return self._product([value], conditions, depth)

    def _product(self, factors: Sequence[int], conditions: Sequence[int], depth: int) -> int:
        """The expectation of a product of factors where all conditions hold, 0 elsewhere."""
        found = factors_of(
            self.builder,
            factors,
            conditions,
            lambda i: self._varies(i, depth),
            lambda i: self._op("real", i),
        )
        pins: dict[int, int] = {}
        rest: list[int] = []
        free: list[int] = []
        for condition in found.conditions:
            pin = self._pin(condition, depth)
            if pin and pin[0] not in pins:
                pins[pin[0]] = pin[1]
            else:
                (rest if self._varies(condition, depth) else free).append(condition)
        table = self._tallied(pins, found.varying, rest, depth)
        if table is None:
            table = self._table(pins, found.varying, rest, depth)
        if found.outside:
            table = self._op("mul", *found.outside, table)
        for divisor in found.divisors:
            table = self._op("div", table, self._guard.safe(divisor, free))
        if free:
            table = self._op("if", self._op("and", *free, type=BOOL), table, self._zero())
        return table

    def _pin(self, condition: int, depth: int) -> tuple[int, int] | None:
        """(peer leaf, value) when the condition says that a member's variable has a value."""
        node = self.builder.nodes[condition]
        if node.op != "eq":
            return None
        for leaf, value in (node.args, node.args[::-1]):
            here = self.builder.nodes[leaf]
            if here.op in ("peer_state", "peer_action") and isinstance(here.attr, tuple):
                if here.attr[0] == depth and not self._varies(value, depth):
                    return leaf, value
        return None

    def _tallied(
        self, pins: dict[int, int], factors: Sequence[int], rest: Sequence[int], depth: int
    ) -> int | None:
        """A look-up at the value that a function of members must have; None where there is none.

        `prob(f(q) == e for q in p)` counts members by the values of f.
        """
        if pins:
            return None
        for condition in rest:
            node = self.builder.nodes[condition]
            if node.op != "eq":
                continue
            for function, wanted in (node.args, node.args[::-1]):
                others = [c for c in rest if c != condition]
                if self._counts(function, wanted, depth) and not any(
                    self._outside(i, depth) for i in (*factors, *others)
                ):
                    return self._tally(function, wanted, factors, others, depth)
        return None

    def _counts(self, function: int, wanted: int, depth: int) -> bool:
        """Whether a condition says which value a function of the member alone has."""
        kind = self.builder.type_of(function)
        alone = self._varies(function, depth) and not self._outside(function, depth)
        finite = kind.finite and not kind.dims and kind.size <= MOST_TALLIED
        asked = self._outside(wanted, depth) and not self._varies(wanted, depth)
        return alone and finite and asked

    def _tally(
        self, function: int, wanted: int, factors: Sequence[int], rest: Sequence[int], depth: int
    ) -> int:
        value = None
        if factors or rest:
            value = self._op("mul", *factors) if factors else self.builder.const(1)
            if rest:
                value = self._op("if", self._op("and", *rest, type=BOOL), value, self._zero())
        inside = [*self._leaf_nodes(function), *([] if value is None else self._leaf_nodes(value))]
        peers = sorted({i for i in inside if self._varies(i, depth)}, key=self._variable)
        variables = sorted({self._name(i) for i in peers}, key=self._order.__getitem__)
        statistic = Statistic(tuple(variables), (), (), tuple(peers), value, function)
        number = self._number(statistic)
        position, guards = self._inside(wanted, self.builder.type_of(function))
        table = self._op("table", position, attr=number)
        if guards:
            return self._op("if", self._op("and", *guards, type=BOOL), table, self._zero())
        return table

    def _table(
        self, pins: dict[int, int], factors: Sequence[int], rest: Sequence[int], depth: int
    ) -> int:
        """A look-up at the pinned values and at whatever else the value depends on."""
        value = None
        if factors or rest:
            value = self._op("mul", *factors) if factors else self.builder.const(1)
            if rest:
                value = self._op("if", self._op("and", *rest, type=BOOL), value, self._zero())
        inside = [] if value is None else self._leaf_nodes(value)
        peers = {i for i in inside if self._varies(i, depth)}
        residual = [i for i in inside if i not in peers]
        keys = sorted(pins, key=self._variable)
        summed = sorted(peers - set(pins), key=self._variable)
        if not keys and not summed:
            return self.builder.const(1) if value is None else value
        variables = sorted({self._name(i) for i in [*keys, *summed]}, key=self._order.__getitem__)
        statistic = Statistic(tuple(variables), tuple(keys), tuple(residual), tuple(summed), value)
        number = self._number(statistic)
        guards = []
        positions = []
        for key in keys:
            position, guard = self._inside(pins[key], self.builder.type_of(key))
            positions.append(position)
            guards += guard
        table = self._op("table", *positions, *residual, attr=number)
        if guards:
            return self._op("if", self._op("and", *guards, type=BOOL), table, self._zero())
        return table

    def _number(self, statistic: Statistic) -> int:
        """The position of a statistic; one plain marginal serves every depth."""
        for k, known in enumerate(self.statistics):
            plain = all(s.value is None and s.tally is None for s in (known, statistic))
            if known == statistic or (plain and known.variables == statistic.variables):
                return k
        self.statistics.append(statistic)
        return len(self.statistics) - 1

    def _inside(self, value: int, type: Type) -> tuple[int, list[int]]:
        """`value` clipped to the values of `type`, and the conditions under which it is there."""
        low, high = self.bounds[value]
        first, last = type.first, type.first + type.size - 1
        guards = []
        if low < first:
            bound = self.builder.const(first, INT)
            guards.append(self._op("le", bound, value, type=BOOL))
            value = self._op("max", value, bound, type=INT)
        if high > last:
            bound = self.builder.const(last, INT)
            guards.append(self._op("le", value, bound, type=BOOL))
            value = self._op("min", value, bound, type=INT)
        return value, guards

    @property
    def bounds(self) -> list[Range]:
        """Bounds of every node of the new arena; only those of integers are of use."""
        for k in range(len(self._bounds), len(self.builder.nodes)):
            here = self.builder.nodes[k]
            parts = [self._bounds[i] for i in here.args]
            self._bounds.append(bounds_of(here, self.builder.type_of(k), parts))
        return self._bounds

    def _leaf_nodes(self, root: int) -> list[int]:
        """Free variable leaves under `root`, in the order of the arena."""
        free = self.leaves[root]
        found = []
        for i in reachable(self.builder.nodes, [root]):
            node, own = self.builder.nodes[i], self.leaves[i]
            peer = node.op in ("peer_state", "peer_action") and own.peers <= free.peers
            index = node.op == "index" and own.indices <= free.indices
            if peer or index or node.op in ("state", "action", "noise"):
                found.append(i)
        return found

    def _varies(self, node: int, depth: int) -> bool:
        return any(peer[0] == depth for peer in self.leaves[node].peers)

    def _outside(self, node: int, depth: int) -> bool:
        """Whether a node depends on variables of whoever asks."""
        leaves = self.leaves[node]
        return bool(leaves.own or leaves.indices or any(p[0] != depth for p in leaves.peers))

    def _variable(self, leaf: int) -> int:
        return self._order[self._name(leaf)]

    def _name(self, leaf: int) -> str:
        attr = self.builder.nodes[leaf].attr
        assert isinstance(attr, tuple)
        return str(attr[1])

    def _zero(self) -> int:
        return self.builder.const(0)

    def _op(self, op: str, *args: int, attr: Attribute = None, type: Type = REAL) -> int:
        return self.builder.add(op, args, attr, type)
