"""Enclosures of expressions over all values of the finite variables at once.

Every finite scalar is an axis, so a state, an action or an index is exact at each of its values;
the laws of populations, continuous variables, and variables that would make the table too large
are intervals. An array is one interval around all its entries, except where a table of constants
or a written list is read at known positions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mfdsl.compiler.analysis.averaged import Average, Averages, hull, is_bound
from mfdsl.compiler.analysis.grid_intervals import GRID_RULES
from mfdsl.compiler.analysis.intervals import (
    REDUCTIONS,
    RULES,
    Array,
    Interval,
    dot,
    element,
    joined,
    multiply,
    norm,
    point,
    remainder,
    squared,
    vector,
)
from mfdsl.compiler.analysis.linear import Ends, combined, ends_of, linear_sum
from mfdsl.compiler.analysis.written import written
from mfdsl.compiler.ir.model import Node
from mfdsl.compiler.ir.spaces import GridSpace
from mfdsl.compiler.ir.types import Type
from mfdsl.compiler.ir.walk import MEMBERS

MAX_POINTS = 200_000
AVERAGES = ("mean", "mul", "div", "sum_over", "if")  # and sums of these
NUMBERS = ("add", "neg", "mul", "div")  # of constants: constants
OWN = ("state", "trait", "action", "noise", "draw")
LEAVES = (
    *OWN,
    *(f"peer_{kind}" for kind in OWN),
    *(f"common_{kind}" for kind in OWN),
    "index",
    "time",
    "weight",
)


@dataclass(frozen=True, slots=True)
class Guard:
    """A condition on the path to an expression: it holds there, or with `positive` False fails."""

    node: int
    positive: bool


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What a path tells about a node: its ends, and values that it does not have."""

    lo: float = -np.inf
    hi: float = np.inf
    excluded: tuple[float, ...] = ()

    def applied(self, value: Interval) -> Interval:
        """`value` without what the path rules out."""
        lo, hi = np.maximum(value.lo, self.lo), np.minimum(value.hi, self.hi)
        for gap in self.excluded:
            lo = np.where(lo == gap, np.nextafter(gap, np.inf), lo)
            hi = np.where(hi == gap, np.nextafter(gap, -np.inf), hi)
        return Interval(lo, hi)

    def joined(self, other: "Narrowing") -> "Narrowing":
        """Both at once."""
        return Narrowing(
            max(self.lo, other.lo), min(self.hi, other.hi), (*self.excluded, *other.excluded)
        )


@dataclass(frozen=True, slots=True)
class Facts:
    """What the evaluator knows besides the nodes: numbers of parameters, arrays, grids, horizon.

    Where `endless` says so, `last_time` is the last stage that is played and none that is claimed.
    """

    nodes: Sequence[Node]
    types: Sequence[Type]
    parameters: Mapping[str, Array]
    arrays: Sequence[Array]
    grids: Mapping[str, GridSpace]
    last_time: int
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)  # values of enums
    endless: bool = False


@dataclass(slots=True)
class Evaluator:
    """Evaluates nodes over one choice of enumerated variables.

    `axes` maps a leaf node to its axis; leaves without an axis are intervals. `known` narrows the
    enclosure of single nodes, from conditions on the path; what such a node reads is held fixed
    there, so a binder of it does not see the narrowing. Sums are enclosed `together`, as linear
    forms, exactly; `simplified` says whether that told more than their parts.
    """

    facts: Facts
    axes: Mapping[int, int]
    known: Mapping[int, Narrowing] = field(default_factory=dict)
    memo: dict[int, Interval] = field(default_factory=dict)
    numbers: dict[int, Ends] = field(default_factory=dict)
    together: bool = True
    simplified: bool = False

    def value(self, node: int) -> Interval:
        """The enclosure of a node."""
        stack = [node]
        while stack:
            top = stack[-1]
            if top in self.memo:
                stack.pop()
                continue
            outside = self._known_around(self.facts.nodes[top])
            if len(outside) < len(self.known):
                other = Evaluator(self.facts, self.axes, outside, together=self.together)
                result = other.value(top)
                self.simplified |= other.simplified
                self.memo[top] = self.known[top].applied(result) if top in self.known else result
                continue
            waiting = [a for a in self.facts.nodes[top].args if a not in self.memo]
            if waiting:
                stack.extend(waiting)
                continue
            self._note_number(top)
            result = self._together(top, self._apply(top))
            if top in self.known:
                result = self.known[top].applied(result)
            self.memo[top] = result
            stack.pop()
        return self.memo[node]

    def _known_around(self, node: Node) -> Mapping[int, Narrowing]:
        """What is known of nodes that do not read the variable that this node binds."""
        binds = node.op in MEMBERS or node.op.endswith("_over")
        if not binds or not self.known:
            return self.known
        return {
            narrowed: narrowing
            for narrowed, narrowing in self.known.items()
            if not any(
                is_bound(self.facts.nodes, leaf, node)
                for leaf in leaves_of(self.facts.nodes, [narrowed])
            )
        }

    def _apply(self, index: int) -> Interval:
        node = self.facts.nodes[index]
        if node.op in LEAVES:
            return self._leaf(index, node)
        if node.op == "const":
            assert isinstance(node.attr, int | float)
            number = np.float64(node.attr)
            return point(number) if isinstance(node.attr, int) else written(number)
        if node.op in ("param", "array"):
            return _around_table(self._table(node))
        arguments = [self.memo[a] for a in node.args]
        if node.op == "array_over":
            return self._mean(node, arguments)
        if node.op.endswith("_over"):
            return self._over(node, arguments[0])
        if node.op in MEMBERS:
            return self._members(node, arguments)
        if node.op in ("element", "vector"):
            return self._element(node) if node.op == "element" else _around(arguments)
        if node.op in ("dot", "norm"):
            return self._length(node, arguments)
        if node.op == "mul" and len(set(node.args)) < len(node.args):
            return self._powers(node)
        if node.op == "rem":
            integers = self.facts.types[node.type].kind == "int"
            return remainder(*arguments, integers=integers)
        if node.op in GRID_RULES:
            return GRID_RULES[node.op](self.facts.grids, node, arguments)
        return RULES[node.op](*arguments)

    def _together(self, index: int, apart: Interval) -> Interval:
        """`apart`, narrowed where the node sums means that know of each other."""
        node = self.facts.nodes[index]
        if not self.together or not np.any(apart.lo != apart.hi):
            return apart
        joint = None
        if node.op == "add":
            joint = linear_sum(
                self.facts.nodes,
                index,
                self.memo,
                self.numbers.get,
                self._range,
                self._average,
            )
        if node.op == "sum_over" and node.args[1] in self.axes:
            joint = linear_sum(
                self.facts.nodes,
                node.args[0],
                self.memo,
                self.numbers.get,
                self._range,
                self._average,
                lambda value: self._over(node, value),
                self._values(self.facts.nodes[node.args[1]]),
            )
        if joint is None:
            return apart
        self.simplified |= bool(np.any(joint.lo > apart.lo) or np.any(joint.hi < apart.hi))
        return Interval(np.maximum(apart.lo, joint.lo), np.minimum(apart.hi, joint.hi))

    def _average(self, index: int) -> Average | None:
        """A number as the mean of something over members, None where it is not seen to be one."""
        if self.facts.nodes[index].op not in AVERAGES:
            return None
        found = Averages(
            self.facts.nodes, self.memo, self.axes, self._body, self._index_sum, self._values
        )
        return found.of(index)

    def _index_sum(self, node: Node, body: Interval) -> Interval | None:
        """A sum over an index by its body, unless a condition on the path is about the index."""
        if node.args[1] not in self.axes or len(self._known_around(node)) < len(self.known):
            return None
        return self._over(node, body)

    def _values(self, leaf: Node) -> int:
        return self.facts.types[leaf.type].size

    def _body(self, mean: Node) -> Interval | None:
        """What a mean averages, unless a condition on the path is about a member."""
        if len(self._known_around(mean)) < len(self.known):
            return None
        return self.memo.get(mean.args[0])

    def _note_number(self, index: int) -> None:
        """Remember the exact ends of what is made of constants and parameters only."""
        node = self.facts.nodes[index]
        found = None
        if node.op == "const":
            found = ends_of(node.attr)
        elif node.op == "param" and not np.ndim(self.facts.parameters[str(node.attr)]):
            found = ends_of(float(self.facts.parameters[str(node.attr)]))
        elif node.op in NUMBERS:
            found = combined(node, [self.numbers.get(a) for a in node.args])
        if found is not None:
            self.numbers[index] = found

    def _range(self, index: int) -> Ends | None:
        """The ends of a real variable as they were written, where nothing narrows it."""
        node = self.facts.nodes[index]
        type_ = self.facts.types[node.type]
        if node.op not in LEAVES or node.op == "time" or listed(type_) or index in self.known:
            return None
        low, high = ends_of(type_.lo), ends_of(type_.hi)
        return None if low is None or high is None or type_.dims else (low[0], high[1])

    def _leaf(self, index: int, node: Node) -> Interval:
        type_ = self.facts.types[node.type]
        if node.op == "time" and self.facts.endless:
            return Interval(np.float64(0.0), np.float64(np.inf))  # type: ignore[arg-type]
        if node.op == "time":
            lo, hi = 0, self.facts.last_time
        elif not listed(type_):
            low = -np.inf if type_.lo is None else type_.lo
            high = np.inf if type_.hi is None else type_.hi
            return Interval(written(np.float64(low)).lo, written(np.float64(high)).hi)
        else:
            assert type_.lo is not None and type_.hi is not None
            lo, hi = int(type_.lo), int(type_.hi)
        if index not in self.axes:
            return Interval(np.float64(lo), np.float64(hi))  # type: ignore[arg-type]
        shape = [1] * len(self.axes)
        shape[self.axes[index]] = hi - lo + 1
        return point(np.arange(lo, hi + 1, dtype=np.float64).reshape(shape))

    def _over(self, node: Node, body: Interval) -> Interval:
        leaf = node.args[1]
        count = self.facts.types[self.facts.nodes[leaf].type].size
        if leaf in self.axes:
            axis = self.axes[leaf]
            reduce = REDUCTIONS[node.op]
            lo, hi = (
                np.broadcast_to(end, _with_axis(end, axis, count, len(self.axes)))
                for end in (body.lo, body.hi)
            )
            return reduce(lo, hi, axis)
        if node.op == "sum_over":
            return multiply(body, point(np.float64(count)))
        if node.op == "prod_over":
            reach = np.maximum(np.abs(body.lo), np.abs(body.hi)) ** count
            reach = np.nextafter(reach, np.inf)
            return Interval(np.where(body.lo >= 0, 0.0, -reach), reach)
        return body

    def _table(self, node: Node) -> Array:
        """The values of a parameter or a constant array."""
        if node.op == "param":
            return np.asarray(self.facts.parameters[str(node.attr)])
        assert isinstance(node.attr, int)
        return self.facts.arrays[node.attr]

    def _element(self, node: Node) -> Interval:
        """An entry: exact in tables and written lists, else anything that the array can hold."""
        source, positions = self.facts.nodes[node.args[0]], [self.memo[a] for a in node.args[1:]]
        if source.op in ("param", "array"):
            table = self._table(source)
            rest = tuple(range(len(positions), table.ndim))
            low, high = written(table.min(rest)), written(table.max(rest))
            return element([Interval(low.lo, high.hi), *positions])
        if source.op == "vector":
            return element([vector([self.memo[a] for a in source.args]), positions[0]])
        box = self.facts.types[source.type].box
        exact = [p for p in positions[-1:] if p.lo.size == 1 and p.lo == p.hi]
        rank = len(self.facts.types[source.type].dims)
        if box is not None and exact and len(positions) == rank:
            ends = box[int(exact[0].lo.item())]
            return Interval(written(np.float64(ends[0])).lo, written(np.float64(ends[1])).hi)
        return self.memo[node.args[0]]

    def _length(self, node: Node, arguments: list[Interval]) -> Interval:
        source = self.facts.nodes[node.args[0]]
        type_ = self.facts.types[source.type]
        if node.op == "dot":
            same = node.args[0] == node.args[1]
            return dot(arguments[0], arguments[1], type_.dims[0], same=same)
        found = norm(arguments[0], type_.dims[0])
        if type_.ball is None:
            return found
        return Interval(found.lo, np.minimum(found.hi, written(np.float64(type_.ball)).hi))

    def _powers(self, node: Node) -> Interval:
        """A product in which factors occur twice: their squares are not negative."""
        left = list(node.args)
        parts: list[Interval] = []
        while left:
            factor = left.pop(0)
            if factor in left:
                left.remove(factor)
                parts.append(squared(self.memo[factor]))
            else:
                parts.append(self.memo[factor])
        return multiply(*parts)

    def _members(self, node: Node, arguments: list[Interval]) -> Interval:
        """A reduction over members: between its smallest and its largest value over them."""
        if node.op == "w2":
            reach = [np.abs(arguments[0].hi - arguments[1].lo)]
            reach.append(np.abs(arguments[1].hi - arguments[0].lo))
            count = self.facts.types[self.facts.nodes[node.args[0]].type].dims[0]
            side = np.nextafter(np.maximum(*reach), np.inf)
            far = np.nextafter(np.asarray(count * side**2).max(keepdims=True), np.inf)
            return Interval(np.zeros_like(far), far)
        hull = self._mean(node, arguments)
        if "others" in node.op:  # nobody else may be there, which counts as 0
            return joined(hull, point(np.float64(0.0)))
        return hull

    def _mean(self, node: Node, arguments: list[Interval]) -> Interval:
        """Between the smallest and the largest value over the members."""
        body = arguments[0]
        lo, hi = body.lo, body.hi
        if node.op in ("mean_if", "mean_others_if"):
            possible = arguments[1].hi > 0
            lo, hi = np.where(possible, lo, np.inf), np.where(possible, hi, -np.inf)
        nodes, axes = self.facts.nodes, self.axes.items()
        return hull(Interval(lo, hi), [a for leaf, a in axes if is_bound(nodes, leaf, node)])


def _around_table(table: Array) -> Interval:
    """All entries of a table as one interval."""
    return Interval(written(table.min()).lo, written(table.max()).hi)


def _around(parts: list[Interval]) -> Interval:
    """One interval around several."""
    whole = parts[0]
    for part in parts[1:]:
        whole = joined(whole, part)
    return whole


def listed(type: Type) -> bool:
    """Whether the values of a variable can be listed along an axis."""
    return type.finite and not type.dims


def _with_axis(end: Array, axis: int, count: int, rank: int) -> tuple[int, ...]:
    shape = list(np.shape(end)) if np.ndim(end) == rank else [1] * rank
    shape[axis] = count
    return tuple(shape)


def leaves_of(nodes: Sequence[Node], roots: Sequence[int]) -> list[int]:
    """The leaf nodes with values to enumerate below `roots`, in node order."""
    seen: set[int] = set()
    stack = list(roots)
    while stack:
        index = stack.pop()
        if index not in seen:
            seen.add(index)
            stack.extend(nodes[index].args)
    return sorted(i for i in seen if nodes[i].op in LEAVES)
