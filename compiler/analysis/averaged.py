"""Sums of means with factors, read as one mean: what it averages, for each member.

The mean is linear, so `sum(mu[x = k] * f(k) for k in S)` is the mean of `f(x)`, with 0 outside of
S, whatever f is made of that is the same for all members. Cells need not be told apart: where they
overlap, a member counts in each of them.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mfdsl.compiler.analysis.intervals import RULES, Array, Interval, add, joined, multiply, point
from mfdsl.compiler.ir.model import Node
from mfdsl.compiler.ir.walk import MEMBERS, depth_of

MAX_PARTS = 64
ONE = point(np.float64(1.0))

Inside = Callable[[Node], Interval | None]
Over = Callable[[Node, Interval], Interval | None]
Places = Mapping[object, int]  # axes of the variables of a member


@dataclass(frozen=True, slots=True)
class Average:
    """A number as the mean of `body` over the members of `player`, whose variables have the axes
    `places`. `size` is at least what a member adds up on the way, in absolute values, by `count`
    sums.
    """

    player: object
    places: Places
    body: Interval
    size: Interval
    count: int = 1

    def is_same(self, value: Interval) -> bool:
        """Whether a value is the same for all members."""
        return not any(_varies(value, axis) for axis in self.places.values())

    def times(self, factor: Interval) -> "Average":
        """The average times a number that is the same for all members."""
        body, size = multiply(self.body, factor), multiply(self.size, magnitude(factor))
        return replace(self, body=body, size=size)

    def plus(self, other: "Average") -> "Average | None":
        """The sum of two averages over the same members."""
        part = self._alike(other)
        return part and replace(
            self,
            places={**part.places, **self.places},
            body=add(self.body, part.body),
            size=add(self.size, part.size),
            count=self.count + part.count,
        )

    def unless(self, condition: Interval, other: "Average") -> "Average | None":
        """This average where a condition holds that is the same for all members, else another."""
        part = self._alike(other)
        return part and replace(
            self,
            places={**part.places, **self.places},
            body=RULES["if"](condition, self.body, part.body),
            size=joined(self.size, part.size),
            count=max(self.count, part.count),
        )

    def _alike(self, other: "Average") -> "Average | None":
        """Another average, in which what both read of a member has the axes that it has here.

        None where it is of other members, or where these axes are those of another member there,
        who is bound further out.
        """
        if other.player != self.player:
            return None
        if _meets(self, other.body, other.places) or _meets(other, self.body, self.places):
            return None
        places = dict(other.places)
        body, size = other.body, other.size
        for name in self.places.keys() & places.keys():
            axes = self.places[name], places[name]
            if axes[0] != axes[1]:
                body, size, places[name] = _moved(body, *axes), _moved(size, *axes), axes[0]
        return replace(other, places=places, body=body, size=size)


@dataclass(slots=True)
class Averages:
    """Finds averages. `inside(mean)` encloses what a mean averages, `over(sum, body)` is a sum over
    an index by its body, and `values(leaf)` how many values an index has.
    """

    nodes: Sequence[Node]
    memo: Mapping[int, Interval]
    axes: Mapping[int, int]
    inside: Inside
    over: Over
    values: Callable[[Node], int]
    parts: int = 0

    def of(self, index: int) -> Average | None:
        """A number as a mean, None where it is not seen to be one."""
        node = self.nodes[index]
        self.parts += 1
        if self.parts > MAX_PARTS:
            return None
        match node.op:
            case "mean":
                return self._mean(node)
            case "neg":
                found = self.of(node.args[0])
                return found and found.times(Interval(-ONE.hi, -ONE.lo))
            case "mul":
                return self._product(node)
            case "div":
                found = self.of(node.args[0])
                below = self._factor(found, node.args[1])
                inverse = None if below is None else RULES["div"](ONE, below)
                return None if found is None or inverse is None else found.times(inverse)
            case "add":
                return self._sum(node)
            case "if":
                return self._choice(node)
            case "sum_over":
                return self._index_sum(node)
        return None

    def _mean(self, node: Node) -> Average | None:
        body = self.inside(node)
        if body is None:
            return None
        assert isinstance(node.attr, tuple)
        return Average(node.attr[1], self._places(node), body, magnitude(body))

    def _places(self, mean: Node) -> Places:
        """The axes of the variables of the members that a mean binds."""
        found: dict[object, int] = {}
        for leaf, axis in self.axes.items():
            node = self.nodes[leaf]
            if is_bound(self.nodes, leaf, mean):
                assert isinstance(node.attr, tuple)
                found[node.op, node.attr[1:], node.type] = axis
        return found

    def _product(self, node: Node) -> Average | None:
        """A product of a mean and factors. Of several means it is the one that varies most."""
        if any(a not in self.memo for a in node.args):
            return None
        for k in sorted(range(len(node.args)), key=lambda k: -self.memo[node.args[k]].hi.size):
            found = self.of(node.args[k])
            for other in (*node.args[:k], *node.args[k + 1 :]):
                factor = self._factor(found, other)
                found = None if found is None or factor is None else found.times(factor)
            if found is not None:
                return found
        return None

    def _factor(self, found: Average | None, index: int) -> Interval | None:
        """A number that is the same for all members of an average."""
        value = self.memo.get(index)
        return value if found and value is not None and found.is_same(value) else None

    def _sum(self, node: Node) -> Average | None:
        """A sum of means over the same members, and of numbers that are the same for all."""
        parts = self._parts(node.args)
        whole = parts[0] if parts else None
        for part in parts[1:]:
            whole = whole and whole.plus(part)
        return whole

    def _choice(self, node: Node) -> Average | None:
        """A choice between means over the same members, or numbers that are the same for all."""
        condition, parts = self.memo.get(node.args[0]), self._parts(node.args[1:])
        if condition is None or not parts or not all(p.is_same(condition) for p in parts):
            return None
        return parts[0].unless(condition, parts[1])

    def _parts(self, args: Sequence[int]) -> list[Average]:
        """Numbers of which one is a mean as means over its members, none where one is not."""
        means = [self.of(a) for a in args]
        first = next((m for m in means if m is not None), None)
        found = []
        for index, mean in zip(args, means, strict=True):
            value = self._factor(first, index)
            if mean is not None:
                found.append(mean)
            elif first is not None and value is not None:
                found.append(replace(first, body=value, size=magnitude(value), count=1))
        return found if len(found) == len(args) else []

    def _index_sum(self, node: Node) -> Average | None:
        found = self.of(node.args[0])
        if found is None:
            return None
        body, size = self.over(node, found.body), self.over(node, found.size)
        if body is None or size is None:
            return None
        count = found.count * self.values(self.nodes[node.args[1]])
        return replace(found, body=body, size=size, count=count)


def is_bound(nodes: Sequence[Node], leaf: int, binder: Node) -> bool:
    """Whether `binder` binds the variable `leaf`."""
    if binder.op in MEMBERS:
        return nodes[leaf].op.startswith("peer_") and depth_of(nodes[leaf]) == depth_of(binder)
    return leaf == binder.args[1]


def hull(value: Interval, axes: Collection[int]) -> Interval:
    """The range of a value along some axes."""
    lo, hi = value.lo, value.hi
    for axis in axes:
        lo = lo.min(axis, keepdims=True) if np.ndim(lo) > axis else lo
        hi = hi.max(axis, keepdims=True) if np.ndim(hi) > axis else hi
    return Interval(np.asarray(lo), np.asarray(hi))


def magnitude(value: Interval) -> Interval:
    """From 0 to the largest absolute value."""
    return Interval(np.zeros_like(value.lo), np.maximum(np.abs(value.lo), np.abs(value.hi)))


def _meets(average: Average, body: Interval, places: Places) -> bool:
    """Whether another body varies along an axis of an average that it has for something else."""
    axes = average.places.items()
    return any(_varies(body, axis) for name, axis in axes if places.get(name) != axis)


def _varies(value: Interval, axis: int) -> bool:
    return any(np.ndim(end) > axis and end.shape[axis] > 1 for end in (value.lo, value.hi))


def _moved(value: Interval, to: int, axis: int) -> Interval:
    """A value with one axis in the place of another, along which it does not vary."""
    return Interval(_swapped(value.lo, to, axis), _swapped(value.hi, to, axis))


def _swapped(end: Array, one: int, other: int) -> Array:
    return end.swapaxes(one, other) if np.ndim(end) > max(one, other) else end
