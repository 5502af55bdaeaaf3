"""Expressions written out for algebra: no indices, no arrays, one depth for each law.

Sums over an index become sums, arrays become their entries, `real` and `ind` are dropped since
the numbers stay the same, `not a` is 1 - a, and means are split by linearity; so equal quantities
are one node. A
constant is the decimal that the author wrote. One whose decimal is too long to be sure of keeps
no exact value: it stands for any number that rounds to it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import prod

import numpy as np

from mfdsl.compiler.analysis.counted import count
from mfdsl.compiler.analysis.enclosure import Facts
from mfdsl.compiler.ir.build import Builder, TooManyNodes
from mfdsl.compiler.ir.fold import decimal
from mfdsl.compiler.ir.model import Attribute, Node
from mfdsl.compiler.ir.types import REAL, Type
from mfdsl.compiler.ir.walk import MEANS, MEMBERS, REDUCTIONS, depth_of, reachable

MAX_NODES = 20_000
MAX_STEPS = 200_000
MAX_SPLIT = 40  # sums and products in each other that a mean is split through

COMMUTATIVE = ("add", "mul", "min", "max", "and", "or", "eq", "ne")
OVER = (*REDUCTIONS, "array_over")
_JOINED = {
    "sum_over": "add",
    "prod_over": "mul",
    "min_over": "min",
    "max_over": "max",
    "any_over": "or",
    "all_over": "and",
}

# The opposite of another truth value, whose arguments come in order 1 or -1; truths are 0 and 1.
_OPPOSITE = {"not": ("", 1), "ne": ("eq", 1), "le": ("lt", -1)}

A_TERM = 10  # steps of one that is written

Exact = Callable[[int], Fraction | None]
Bound = Mapping[int, tuple[str, int]]  # depth: ("index", value) or ("peer", new depth)
Entries = tuple[int, ...]


class UnsupportedError(Exception):
    """An expression that cannot be written out, or has no value here; the message says why."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Written-out scalar expressions in `builder`, and the facts that they were read from.

    Nodes may be added with `builder.add`; all have real type except leaves, whose types say what
    values they take.
    """

    facts: Facts
    builder: Builder

    @property
    def nodes(self) -> Sequence[Node]:
        """The arena."""
        return self.builder.nodes

    def as_facts(self) -> Facts:
        """What an `Evaluator` needs to enclose these terms."""
        facts = self.facts
        return Facts(
            self.builder.nodes,
            self.builder.types,
            facts.parameters,
            facts.arrays,
            facts.grids,
            facts.last_time,
            endless=facts.endless,
        )


def written_out(
    facts: Facts, roots: Sequence[int], *, exact: Exact | None = None, bind: bool = False
) -> tuple[Terms, tuple[int, ...]]:
    """The scalar nodes `roots` as terms, and their places among them.

    `exact` knows constants exactly (`Builder.exact`); without it their shortest decimal counts.
    With `bind` parameters are their values, otherwise they stay free.

    Raises:
        TooManyNodes: more than MAX_NODES nodes.
        UnsupportedError: a part has no written-out form.
    """
    terms = Terms(facts, Builder(most=MAX_NODES))
    reader = _Reader(terms, exact or (lambda _: None), bind, free_depths(facts.nodes, roots))
    try:
        found = [reader.read(root, {}) for root in roots]
    except OverflowError as error:
        raise UnsupportedError("a constant is too large for a float") from error
    if any(len(entries) != 1 for entries in found):
        raise UnsupportedError("an array is not a number")
    return terms, tuple(entries[0] for entries in found)


def difference(terms: Terms, a: int, b: int) -> int:
    """The node `a - b`."""
    return total(terms, (a, terms.builder.add("neg", (b,))))


def total(terms: Terms, parts: Sequence[int]) -> int:
    """The node of a sum, 0 without parts."""
    if not parts:
        return terms.builder.const(0)
    return terms.builder.add("add", sorted(parts)) if len(parts) > 1 else parts[0]


def product(terms: Terms, factors: Sequence[int]) -> int:
    """The node of a product, 1 without factors."""
    if not factors:
        return terms.builder.const(1)
    if any(terms.builder.exact(f) == 0 for f in factors):
        return terms.builder.const(0)
    return terms.builder.add("mul", sorted(factors)) if len(factors) > 1 else factors[0]


def number(terms: Terms, value: float) -> int:
    """The node of a constant read from a float."""
    known = decimal(value)
    if known is not None:
        return terms.builder.const(known)
    return terms.builder.add("const", (), float(value))


def entry_type(type: Type, place: Sequence[int]) -> Type:
    """The type of one entry of an array, with an interval that is inside of what it may be."""
    if type.box is not None:
        lo, hi = type.box[place[-1]]
        return Type(kind="real", lo=lo, hi=hi)
    if type.ball is not None:
        side = type.ball / prod(type.dims)
        return Type(kind="real", lo=-side, hi=side)
    return type.scalar


def binds(node: Node) -> bool:
    """Whether the node binds a member or an index in its arguments."""
    return node.op in MEMBERS or node.op in OVER


def _depth(node: Node) -> int:
    """The depth that a binder binds."""
    if node.op in MEMBERS:
        return depth_of(node)
    assert isinstance(node.attr, int)
    return node.attr


def free_depths(nodes: Sequence[Node], roots: Sequence[int]) -> dict[int, frozenset[int]]:
    """The depths of members and indices that are bound further out, of every node below."""
    free: dict[int, frozenset[int]] = {}
    for index in reachable(nodes, roots):
        node = nodes[index]
        found = frozenset[int]().union(*(free[a] for a in node.args))
        if node.op == "index":
            assert isinstance(node.attr, int)
            found = frozenset({node.attr})
        elif node.op.startswith("peer_"):
            found = frozenset({depth_of(node)})
        free[index] = found - {_depth(node)} if binds(node) else found
    return free


@dataclass(slots=True)
class _Reader:
    """Writes nodes out; `memo` holds the entries of a node for the values bound around it."""

    terms: Terms
    exact: Exact
    bind: bool
    free: Mapping[int, frozenset[int]]
    memo: dict[object, Entries] = field(default_factory=dict)
    inside: dict[int, list[int]] = field(default_factory=dict)
    reads: dict[int, frozenset[int]] = field(default_factory=dict)
    steps: int = 0

    def read(self, root: int, bound: Bound) -> Entries:
        """The entries of `root` in row-major order, one for a scalar."""
        if root not in self.inside:
            self.inside[root] = self._without_bodies(root)
        for index in self.inside[root]:
            self.steps += 1
            if self.steps > MAX_STEPS:
                raise TooManyNodes(f"more than {MAX_STEPS:,} steps to write an expression out")
            key = self._key(index, bound)
            if key not in self.memo:
                self.memo[key] = self._node(index, bound)
        return self.memo[self._key(root, bound)]

    def _key(self, index: int, bound: Bound) -> object:
        return index, tuple((d, bound[d]) for d in sorted(self.free[index]) if d in bound)

    def _without_bodies(self, root: int) -> list[int]:
        """What `root` reaches outside of bodies and of arrays that only an entry is taken of."""
        nodes = self.terms.facts.nodes
        seen, stack = {root}, [root]
        while stack:
            node = nodes[stack.pop()]
            if binds(node):
                continue
            whole = not self._is_read_by_entry(node)
            for argument in node.args if whole else node.args[1:]:
                if argument not in seen:
                    seen.add(argument)
                    stack.append(argument)
        return sorted(seen)

    def _is_read_by_entry(self, node: Node) -> bool:
        facts = self.terms.facts
        if node.op != "element":
            return False
        source = facts.nodes[node.args[0]]
        return not source.args and len(node.args) - 1 == len(facts.types[source.type].dims)

    def _node(self, index: int, bound: Bound) -> Entries:
        facts = self.terms.facts
        node, dims = facts.nodes[index], facts.types[facts.nodes[index].type].dims
        if node.op == "const":
            return (self._constant(index),)
        if node.op == "array" or (node.op == "param" and self.bind):
            return tuple(number(self.terms, v) for v in self._values(node).ravel().tolist())
        if not node.args:
            return self._leaf(node, bound, dims)
        if node.op in OVER:
            return self._over(node, bound)
        if node.op in MEMBERS:
            return self._members(index, bound)
        if node.op == "element":
            return self._element(node, bound)
        arguments = [self.memo[self._key(a, bound)] for a in node.args]
        if node.op == "vector":
            return tuple(entry for argument in arguments for entry in argument)
        if node.op in ("dot", "norm"):
            squares = zip(arguments[0], arguments[-1], strict=True)
            summed = self._sum([self._op("mul", pair) for pair in squares])
            return (summed if node.op == "dot" else self._op("sqrt", (summed,)),)
        count = max(map(len, arguments))
        spread = [a * count if len(a) == 1 else a for a in arguments]
        return tuple(self._op(node.op, entry, node.attr) for entry in zip(*spread, strict=True))

    def _constant(self, index: int) -> int:
        known, attr = self.exact(index), self.terms.facts.nodes[index].attr
        if known is not None:
            return self.terms.builder.const(known)
        assert isinstance(attr, int | float)
        if isinstance(attr, int):
            return self.terms.builder.const(attr)
        return number(self.terms, attr)

    def _values(self, node: Node) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        if node.op == "param":
            return np.asarray(self.terms.facts.parameters[str(node.attr)])
        assert isinstance(node.attr, int)
        return self.terms.facts.arrays[node.attr]

    def _leaf(self, node: Node, bound: Bound, dims: tuple[int, ...]) -> Entries:
        if node.op == "index":
            assert isinstance(node.attr, int)
            if node.attr in bound:
                return (self.terms.builder.const(bound[node.attr][1]),)
        leaf = self._source(node, bound)
        if not dims:
            return (leaf,)
        return tuple(self._entry(leaf, place) for place in np.ndindex(*dims))

    def _source(self, node: Node, bound: Bound) -> int:
        """The leaf itself, an array or not; members are numbered anew."""
        attr, type_ = node.attr, self.terms.facts.types[node.type]
        if node.op.startswith("peer_"):
            assert isinstance(attr, tuple)
            depth = int(attr[0])
            attr = (bound[depth][1] if depth in bound else -1 - depth, attr[1])
        leaf = self.terms.builder.add(node.op, (), attr, type_)
        if node.op.startswith("peer_"):
            assert isinstance(attr, tuple)
            self.reads[leaf] = frozenset({int(attr[0])})
        return leaf

    def _entry(self, leaf: int, place: Sequence[int]) -> int:
        """One entry of an array leaf, with the interval that it lies in."""
        builder = self.terms.builder
        kept = entry_type(builder.type_of(leaf), place)
        return self._add("element", (leaf, *(builder.const(p) for p in place)), None, kept)

    def _element(self, node: Node, bound: Bound) -> Entries:
        facts = self.terms.facts
        source, builder = facts.nodes[node.args[0]], self.terms.builder
        dims = facts.types[source.type].dims
        positions = [self.memo[self._key(a, bound)][0] for a in node.args[1:]]
        known = [builder.exact(p) for p in positions]
        by_entry = self._is_read_by_entry(node)
        if all(k is not None for k in known):
            place = [int(k) for k in known if k is not None]
            if any(not 0 <= p < size for p, size in zip(place, dims, strict=False)):
                raise UnsupportedError("an array is read outside of its axes")
            if by_entry and (source.op == "array" or (source.op == "param" and self.bind)):
                return (number(self.terms, float(self._values(source)[tuple(place)])),)
            if by_entry:
                return (self._entry(self._source(source, bound), place),)
            inner = prod(dims[len(place) :])
            first = int(np.ravel_multi_index(place, dims[: len(place)])) * inner
            return self.memo[self._key(node.args[0], bound)][first : first + inner]
        if len(positions) != len(dims):
            raise UnsupportedError("a part of an array is read at positions that vary")
        if by_entry:
            whole = self._source(source, bound)
        else:
            entries = self.memo[self._key(node.args[0], bound)]
            kept = Type(kind="real", dims=dims)
            whole = self._add("vector", entries, None, kept)
        return (self._add("element", (whole, *positions), None, REAL),)

    def _over(self, node: Node, bound: Bound) -> Entries:
        facts = self.terms.facts
        body, leaf = node.args
        type_ = facts.types[facts.nodes[leaf].type]
        values = range(type_.first, type_.first + type_.size)
        parts = [self.read(body, {**bound, _depth(node): ("index", v)}) for v in values]
        if node.op == "array_over":
            return tuple(entry for part in parts for entry in part)
        joined = _JOINED[node.op]
        return tuple(self._op(joined, entry) for entry in zip(*parts, strict=True))

    def _members(self, index: int, bound: Bound) -> Entries:
        node = self.terms.facts.nodes[index]
        outer = [bound[d] for d in self.free[index] if d in bound]
        depth = 1 + max((new for kind, new in outer if kind == "peer"), default=-1)
        assert isinstance(node.attr, tuple)
        attr = (depth, *node.attr[1:])
        inside = {**bound, _depth(node): ("peer", depth)}
        arguments = [self.read(a, inside) for a in node.args]
        if node.op == "w2":
            return (self._add("w2", [e for a in arguments for e in a], attr, REAL),)
        condition = arguments[1] if len(arguments) > 1 else ()
        return tuple(self._mean(node.op, e, condition, attr, 0) for e in arguments[0])

    def _mean(
        self, op: str, body: int, condition: Entries, attr: tuple[int | str, ...], level: int
    ) -> int:
        """A mean or an extreme over the members; means are split where they are linear.

        The mean of what reads no member is that itself, but nobody else may be there.
        """
        node, depth = self.terms.nodes[body], int(attr[0])
        if op in ("mean", "mean_if") and depth not in self._reads_of(body):
            return body
        if op in MEANS and level < MAX_SPLIT:
            if node.op in ("add", "neg"):
                parts = [self._mean(op, a, condition, attr, level + 1) for a in node.args]
                return self._op(node.op, parts)
            constant = [a for a in node.args if depth not in self._reads_of(a)]
            varying = [a for a in node.args if depth in self._reads_of(a)]
            if node.op == "mul" and constant:
                mean = self._mean(op, self._product(varying), condition, attr, level + 1)
                return self._product([*constant, mean])
            if node.op == "div" and constant == [node.args[1]]:
                mean = self._mean(op, node.args[0], condition, attr, level + 1)
                return self._op("div", (mean, *constant))
        return self._add(op, (body, *condition), attr, REAL)

    def _product(self, factors: Sequence[int]) -> int:
        return self._op("mul", factors) if len(factors) > 1 else factors[0]

    def _sum(self, parts: Sequence[int]) -> int:
        return self._op("add", parts) if len(parts) > 1 else parts[0]

    def _op(self, op: str, args: Sequence[int], attr: Attribute = None) -> int:
        """An operator on scalars; numbers keep no kind, and order does not count."""
        if op in ("real", "ind"):
            return args[0]
        if op in _OPPOSITE:
            kept, order = _OPPOSITE[op]
            truth = self._op(kept, args[::order]) if kept else args[0]
            return self._sum([self.terms.builder.const(1), self._op("neg", (truth,))])
        if op == "mul" and any(self.terms.builder.exact(a) == 0 for a in args):
            return self.terms.builder.const(0)
        return self._add(op, sorted(args) if op in COMMUTATIVE else args, attr, REAL)

    def _add(self, op: str, args: Sequence[int], attr: Attribute, type: Type) -> int:
        count(A_TERM)
        node = self.terms.builder.add(op, args, attr, type)
        if node not in self.reads:
            made = self.terms.nodes[node]
            found = frozenset[int]().union(*(self._reads_of(a) for a in made.args))
            self.reads[node] = found - {_depth(made)} if made.op in MEMBERS else found
        return node

    def _reads_of(self, node: int) -> frozenset[int]:
        return self.reads.get(node, frozenset())
