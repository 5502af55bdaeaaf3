"""From expressions to a tape: what is enumerated, what is a coordinate, what is a statistic."""

from collections.abc import Mapping, Sequence
from itertools import product
from math import inf

import numpy as np

from mfdsl.compiler.analysis.enclosure import Evaluator, Facts, leaves_of
from mfdsl.compiler.analysis.slopes.enumerated import enumerated, is_bound, repeated
from mfdsl.compiler.analysis.slopes.merged import merged_atom
from mfdsl.compiler.analysis.slopes.tape import (
    Binders,
    Coordinate,
    Statistic,
    Step,
    Table,
    Tape,
    Unsupported,
    first_of,
    size_of,
)
from mfdsl.compiler.analysis.written import written
from mfdsl.compiler.ir.model import Node
from mfdsl.compiler.ir.types import Type
from mfdsl.compiler.ir.walk import MEANS, MEMBERS, REDUCTIONS, depth_of, reachable

MAX_ENTRIES = 64  # of an array that is read at a place that is not known

Env = tuple[tuple[int, int], ...]
"""What indices stand for: (depth, node)."""


Entry = tuple[int, tuple[int, ...]]
"""One entry of an array; of a number, whose place is empty."""

Root = int | Entry
"""A node, or one entry of an array."""


def make_tape(
    facts: Facts,
    roots: Sequence[Root],
    free: Mapping[str, tuple[float, float]] | None = None,
    also: Sequence[int] = (),
) -> Tape:
    """The tape of some roots; parameters in `free` are coordinates over these ranges. The grid has
    what the expressions `also` read, too.

    Raises:
        Unsupported: an operator has no rule here, or an array is too long to take apart.
    """
    entries = [(root, ()) if isinstance(root, int) else root for root in roots]
    grid, inner = enumerated(facts, [node for node, _ in entries], also)
    tape = Tape(facts, grid, inner, free=free or {})
    tape.evaluator = Evaluator(facts, {leaf: axis for axis, leaf in enumerate((*grid, *inner))})
    taping = _Taping(tape)
    try:
        tape.roots = [taping.step(node, entry) for node, entry in entries]
        tape.several = repeated(tape)
    except RecursionError:
        raise Unsupported("nested too deeply") from None
    return tape


class _Taping:
    def __init__(self, tape: Tape) -> None:
        self.tape, self.facts = tape, tape.facts
        self.axis = {leaf: k for k, leaf in enumerate((*tape.grid, *tape.inner))}
        self._memo: dict[tuple[int, tuple[int, ...], Env, Binders], int] = {}
        self._binders: dict[int, str] = {}
        self._rough: dict[int, bool] = {}
        self._same: dict[Step, int] = {}
        self._given: dict[int, bool] = {}
        self._depths: dict[int, frozenset[int]] = {}
        self._coordinates: dict[tuple[object, tuple[int, ...]], int] = {}

    def step(self, node: int, entry: tuple[int, ...] = (), env: Env = ()) -> int:
        """The step of one entry of a node, with nodes in the place of some indices."""
        inside = self._indices(node)
        env = tuple(pair for pair in env if pair[0] in inside)
        key = (node, entry, env, self._populations(node))
        if key not in self._memo:
            self._memo[key] = self._made(node, entry, env)
        return self._memo[key]

    def _made(self, node: int, entry: tuple[int, ...], env: Env) -> int:
        facts, here = self.facts, self.facts.nodes[node]
        type_ = facts.types[here.type]
        if not env and not type_.dims and self._is_given(node) and not self._is_rough(node):
            return self._add("given", (), None, node)
        if here.op == "const":
            return self._const(float(here.attr), node)  # type: ignore[arg-type]
        if here.op in ("param", "array"):
            return self._table_entry(here, node, entry)
        if here.op == "index":
            replaced = dict(env).get(here.attr)  # type: ignore[arg-type]
            return self.step(replaced) if replaced is not None else self._variable(node, entry)
        if not here.args:
            return self._variable(node, entry)
        if here.op in ("element", "vector", "array_over"):
            return self._entry(here, node, entry, env)
        if here.op in ("dot", "norm"):
            return self._length(here, node, env)
        if here.op in MEANS:
            return self._mean(here, node, entry, env)
        if here.op in MEMBERS:
            return self._member(here, node, env)
        if here.op in REDUCTIONS:
            return self._reduction(here, node, entry, env)
        return self._operator(here, node, entry, env)

    def _operator(self, here: Node, node: int, entry: tuple[int, ...], env: Env) -> int:
        merged = None if env or entry else merged_atom(self.facts.nodes, here)
        if merged is not None:
            op, parts = merged
            return self._add(op, tuple(self.step(p) for p in parts), None, node)
        if here.op == "mul" and any(_is_zero(self.facts.nodes[a]) for a in here.args):
            return self._const(0.0, node)
        args = tuple(self.step(a, entry if self._dims(a) else (), env) for a in here.args)
        if here.op == "abs":
            return self._size(args[0], node)
        sign = self._soft_sign(args, node) if here.op == "div" else None
        return self._add(here.op, args, here.attr, node) if sign is None else sign

    def _size(self, step: int, node: int) -> int:
        """The absolute value of a step; that of a way on a ring does not jump with it."""
        around = self._way(step)
        if around is None:
            return self._add("abs", (step,), None, node)
        return self._add("ring_gap", around, None, node)

    def _way(self, step: int) -> tuple[int, int] | None:
        """V and a constant p where a step is (v mod p) - p / 2, else None."""
        here = self.tape.steps[step]
        if here.op != "add" or len(here.args) != 2:
            return None
        for one, other in (here.args, here.args[::-1]):
            turn = self.tape.steps[one]
            period = self._known(turn.args[1]) if turn.op == "rem" else None
            if period is not None and period > 0 and self._known(other) == -period / 2:
                return turn.args[0], turn.args[1]
        return None

    def _soft_sign(self, args: tuple[int, ...], node: int) -> int | None:
        """A quotient a u / (|u| + c) with a constant c > 0 as a times the soft sign of u."""
        top, bottom = self.tape.steps[args[0]], self.tape.steps[args[1]]
        if bottom.op != "add" or len(bottom.args) != 2:
            return None
        factors = list(top.args) if top.op == "mul" else [args[0]]
        for size, floor in (bottom.args, bottom.args[::-1]):
            least = self._known(floor)
            if least is None or least <= 0:
                continue
            signed = [f for f in factors if self._is_size(size, f)]
            if signed:
                factors.remove(signed[0])
                sign = self._add("soft_sign", (signed[0], floor), None, node)
                return self._add("mul", (*factors, sign), None, node) if factors else sign
        return None

    def _is_size(self, size: int, step: int) -> bool:
        """Whether one step is the absolute value of another."""
        here = self.tape.steps[size]
        if here.op == "ring_gap":
            return here.args == self._way(step)
        return here.op == "abs" and here.args == (step,)

    def _dims(self, node: int) -> tuple[int, ...]:
        return self.facts.types[self.facts.nodes[node].type].dims

    def _add(self, op: str, args: tuple[int, ...], attr: object, node: int) -> int:
        step = Step(op, args, attr, node if op == "given" else -1)
        if step in self._same:
            return self._same[step]
        tape = self.tape
        tape.steps.append(Step(op, args, attr, node))
        inside = frozenset[int]().union(*(tape.inside[a] for a in args))
        touched = frozenset[int]().union(*(tape.touched[a] for a in args))
        if op == "given":
            inside = self._axes_below(node)
        tape.inside.append(inside)
        tape.touched.append(touched)
        self._same[step] = len(tape.steps) - 1
        return len(tape.steps) - 1

    def _const(self, value: float, node: int) -> int:
        return self._add("const", (), value, node)

    def _axes_below(self, node: int) -> frozenset[int]:
        first = len(self.tape.grid)
        free = self._free(node)
        return frozenset(self.axis[i] for i in free if self.axis.get(i, -1) >= first)

    def _free(self, node: int) -> frozenset[int]:
        """Enumerated leaves of bound members and indices that a node is not closed under."""
        if node not in self._depths:
            here = self.facts.nodes[node]
            found = frozenset[int]().union(*(self._free(a) for a in here.args))
            if is_bound(here):
                found = frozenset({node})
            if here.op in MEMBERS:
                own = depth_of(here)
                found = frozenset(
                    i
                    for i in found
                    if self.facts.nodes[i].op == "index" or depth_of(self.facts.nodes[i]) != own
                )
            if here.op in REDUCTIONS or here.op == "array_over":
                found -= {here.args[1]}
            self._depths[node] = found
        return self._depths[node]

    def _indices(self, node: int) -> frozenset[int]:
        """Depths of the indices that a node is not closed under."""
        nodes = self.facts.nodes
        return frozenset(
            int(nodes[i].attr)  # type: ignore[arg-type]
            for i in self._free(node)
            if nodes[i].op == "index"
        )

    def _populations(self, node: int) -> Binders:
        """Of which populations the members are that a node is not closed under."""
        nodes = self.facts.nodes
        depths = {depth_of(nodes[i]) for i in self._free(node) if nodes[i].op != "index"}
        return tuple((d, self._binders[d]) for d in sorted(depths) if d in self._binders)

    def _is_rough(self, node: int) -> bool:
        """Whether a node is built from arrays that an evaluator has one interval for."""
        if node not in self._rough:
            here = self.facts.nodes[node]
            source = self.facts.nodes[here.args[0]] if here.args else here
            table = here.op == "element" and source.op in ("param", "array")
            below = here.args[1:] if table else here.args
            arrays = any(self._dims(a) for a in below)
            self._rough[node] = arrays or any(self._is_rough(a) for a in below)
        return self._rough[node]

    def _is_given(self, node: int) -> bool:
        """Whether a node depends on enumerated leaves and bound parameters only."""
        if node not in self._given:
            here = self.facts.nodes[node]
            if here.op == "param":
                found = str(here.attr) not in self.tape.free
            elif here.op in MEMBERS:
                found = False
            elif not here.args and here.op not in ("const", "array"):
                found = node in self.axis
            else:
                found = all(self._is_given(a) for a in here.args)
            self._given[node] = found
        return self._given[node]

    def _variable(self, node: int, entry: tuple[int, ...]) -> int:
        here = self.facts.nodes[node]
        type_ = self.facts.types[here.type]
        if node in self.axis and not type_.dims:
            return self._add("given", (), None, node)
        key: object = node
        if here.op.startswith("peer_"):  # one member: its variables are the same at any depth
            key = (self._binders[depth_of(here)], _variable_of(here))
        return self._coordinate(key, node, entry, *_ends(self.facts, here, type_, entry))

    def _coordinate(
        self, key: object, node: int, entry: tuple[int, ...], lo: float, hi: float, whole: bool
    ) -> int:
        tape = self.tape
        if (key, entry) not in self._coordinates:
            tape.coordinates.append(Coordinate(node, entry, lo, hi, whole))
            self._coordinates[key, entry] = len(tape.coordinates) - 1
        place = self._coordinates[key, entry]
        step = self._add("coordinate", (), place, node)
        tape.touched[step] = frozenset({place})
        return step

    def _table_entry(self, here: Node, node: int, entry: tuple[int, ...]) -> int:
        if here.op == "param" and str(here.attr) in self.tape.free:
            lo, hi = self.tape.free[str(here.attr)]
            ends = _below(lo), _above(hi)
            return self._coordinate(("param", here.attr), node, entry, *ends, False)
        table = self.tape.evaluator._table(here)
        part = table[entry] if entry else table
        if np.ndim(part) == 0:
            return self._const(float(part), node)
        least, most = written(np.min(part)).lo, written(np.max(part)).hi
        return self._add("hull", (), (float(least), float(most)), node)

    def _entry(self, here: Node, node: int, entry: tuple[int, ...], env: Env) -> int:
        if here.op == "vector":
            if not entry:
                raise Unsupported("an array in the place of a number")
            return self.step(here.args[entry[0]], entry[1:], env)
        if here.op == "array_over":
            if not entry:
                raise Unsupported("an array in the place of a number")
            depth = int(self.facts.nodes[here.args[1]].attr)  # type: ignore[arg-type]
            place = self._constant_node(here.args[1], entry[0])
            return self.step(here.args[0], entry[1:], (*env, (depth, place)))
        return self._element(here, node, entry, env)

    def _constant_node(self, index: int, position: int) -> int:
        """A node of the constant that an index is at a position."""
        value = first_of(self.facts, index) + position
        nodes = self.facts.nodes
        for i, node in enumerate(nodes):
            if node.op == "const" and node.attr == value and isinstance(node.attr, int):
                return i
        assert isinstance(nodes, list), "the arena of a finished model cannot grow"
        nodes.append(Node(op="const", attr=value, type=nodes[index].type))
        return len(nodes) - 1

    def _element(self, here: Node, node: int, entry: tuple[int, ...], env: Env) -> int:
        source, positions = here.args[0], [self.step(p, (), env) for p in here.args[1:]]
        known = [self._known(p) for p in positions]
        if all(k is not None for k in known):
            place = tuple(int(k) for k in known if k is not None)
            return self.step(source, (*place, *entry), env)
        below = self.facts.nodes[source]
        if below.op == "array_over" and len(positions) == 1:
            index = below.args[1]
            depth = int(self.facts.nodes[index].attr)  # type: ignore[arg-type]
            if first_of(self.facts, index) == 0:
                return self.step(below.args[0], entry, (*env, (depth, here.args[1])))
        dims = self._dims(source)[: len(positions)]
        count = int(np.prod(dims))
        if count > MAX_ENTRIES and below.op not in ("param", "array"):
            raise Unsupported("a place in a long array that is not known")
        places = list(product(*(range(d) for d in dims)))
        if below.op in ("param", "array"):
            table = self.tape.evaluator._table(below)
            return self._add("lookup", tuple(positions), Table(table), node)
        entries = tuple(self.step(source, (*place, *entry), env) for place in places)
        return self._add("select", (*positions, *entries), dims, node)

    def _known(self, step: int) -> float | None:
        here = self.tape.steps[step]
        if here.op == "const":
            return float(here.attr)
        if here.op == "given" and self.facts.nodes[here.node].op == "const":
            return float(self.facts.nodes[here.node].attr)  # type: ignore[arg-type]
        return None

    def _length(self, here: Node, node: int, env: Env) -> int:
        parts = [[self.step(a, (k,), env) for k in range(self._dims(a)[0])] for a in here.args]
        if here.op == "norm":
            ways = [self._size(p, node) if self._way(p) is not None else p for p in parts[0]]
            return self._add("norm", tuple(ways), None, node)
        pairs = [
            self._add("mul", (a, b), None, node) for a, b in zip(parts[0], parts[1], strict=True)
        ]
        return pairs[0] if len(pairs) == 1 else self._add("add", tuple(pairs), None, node)

    def _reduction(self, here: Node, node: int, entry: tuple[int, ...], env: Env) -> int:
        index = here.args[1]
        body = self.step(here.args[0], entry, env)
        axis = self.axis.get(index)
        count = size_of(self.facts, index)
        step = self._add(here.op, (body,), (axis, count), node)
        if axis is not None:
            self.tape.inside[step] = self.tape.inside[step] - {axis}
        return step

    def _mean(self, here: Node, node: int, entry: tuple[int, ...], env: Env) -> int:
        assert isinstance(here.attr, tuple)
        depth, population = int(here.attr[0]), str(here.attr[1])
        outside = self._binders
        self._binders = {**outside, depth: population}
        body = self.step(here.args[0], entry, env)
        mass = self.step(here.args[1], (), env) if here.op.endswith("_if") else None
        self._binders = outside
        nodes, tape = self.facts.nodes, self.tape
        below = leaves_of(nodes, here.args)
        self._note(below, depth, population)
        own = [i for i in below if nodes[i].op.startswith("peer_") and depth_of(nodes[i]) == depth]
        axes = {_variable_of(nodes[i]): self.axis[i] for i in own if i in self.axis}
        points: dict[tuple[str, str], tuple[int, ...]] = {}
        for i in own:
            if i not in self.axis:
                name = _variable_of(nodes[i])
                key = (population, name)
                points[name] = tuple(
                    place for (other, _), place in self._coordinates.items() if other == key
                )
        if points and self._holds_means(here.args, population):
            raise Unsupported("a mean inside of a mean over real variables of the same population")
        members = frozenset(axes.values())
        used = tape.inside[body] | (tape.inside[mass] if mass is not None else frozenset())
        number = len(tape.statistics)
        coordinate = None
        if not (used - members):
            coordinate = len(tape.coordinates)
            tape.coordinates.append(Coordinate(node, entry, -inf, inf, False, number))
        tape.statistics.append(Statistic(population, body, mass, axes, points, coordinate, node))
        args = (body,) if mass is None else (body, mass)
        step = self._add("statistic", args, number, node)
        tape.inside[step] = used - members
        if coordinate is not None:
            tape.touched[step] = tape.touched[step] | {coordinate}
        return step

    def _holds_means(self, roots: Sequence[int], population: str) -> bool:
        """Whether other members of a population are read below: a step has one member only, and
        one rate for it, while the member of a mean stands still where those inside of it move.
        """
        nodes = self.facts.nodes
        return any(
            nodes[i].op in MEMBERS and nodes[i].attr[1] == population  # type: ignore[index]
            for i in reachable(nodes, roots)
        )

    def _note(self, leaves: Sequence[int], depth: int, population: str) -> None:
        """Remember of which population the coordinates of members are."""
        nodes = self.facts.nodes
        names = {
            (population, _variable_of(nodes[i]))
            for i in leaves
            if nodes[i].op.startswith("peer_") and depth_of(nodes[i]) == depth
        }
        for (key, _), place in self._coordinates.items():
            if key in names:
                self.tape.read.setdefault(place, set()).add(population)

    def _extreme(self, here: Node, node: int, env: Env) -> int:
        """The largest or smallest value over the support of a law: it moves where the mean does, in
        jumps where mass comes to a better place.
        """
        mean = self._mean(here, node, (), env)
        number = self.tape.steps[mean].attr
        return self._add("extreme", (mean,), (here.op.startswith("max"), number), node)

    def _member(self, here: Node, node: int, env: Env) -> int:
        """Transport of a law to points: squared distance between its point and the targets."""
        if here.op != "w2":
            return self._extreme(here, node, env)
        assert isinstance(here.attr, tuple)
        depth, population = int(here.attr[0]), str(here.attr[1])
        dim, count = self._dims(here.args[0])[0], self._dims(here.args[1])[0]
        outside = self._binders
        self._binders = {**outside, depth: population}
        point = [self.step(here.args[0], (k,), env) for k in range(dim)]
        self._binders = outside
        targets = [self.step(here.args[1], (j, k), env) for j in range(count) for k in range(dim)]
        nodes = self.facts.nodes
        own = frozenset(
            self.axis[i]
            for i in leaves_of(nodes, here.args[:1])
            if i in self.axis and nodes[i].op.startswith("peer_") and depth_of(nodes[i]) == depth
        )
        self._note(leaves_of(nodes, here.args[:1]), depth, population)
        attr = (dim, count, tuple(sorted(own)), population)
        step = self._add("w2", (*point, *targets), attr, node)
        self.tape.inside[step] = self.tape.inside[step] - own
        return step


def _is_zero(node: Node) -> bool:
    return node.op == "const" and node.attr == 0


def _variable_of(node: Node) -> tuple[str, str]:
    assert isinstance(node.attr, tuple)
    return node.op.removeprefix("peer_"), str(node.attr[1])


def _ends(
    facts: Facts, here: Node, type_: Type, entry: tuple[int, ...]
) -> tuple[float, float, bool]:
    """The range of a variable that is not enumerated, and whether it takes whole values only."""
    if here.op == "time":
        return 0.0, inf if facts.endless else float(facts.last_time), True
    if type_.box is not None and entry:
        lo, hi = type_.box[entry[-1]]
        return _below(lo), _above(hi), False
    low = -inf if type_.lo is None else _below(type_.lo)
    high = inf if type_.hi is None else _above(type_.hi)
    return low, high, type_.kind != "real"


def _below(end: float) -> float:
    return float(written(np.float64(end)).lo)


def _above(end: float) -> float:
    return float(written(np.float64(end)).hi)
