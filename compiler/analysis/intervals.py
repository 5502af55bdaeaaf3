"""Enclosures of expressions: interval arithmetic over all values of the finite variables at once.

Every finite variable is an axis, so a state, an action or an index is exact at each of its values;
only the law of the population, and variables that would make the table too large, are intervals.
Results of inexact operations are widened outwards by one unit in the last place.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mfdsl.compiler.ir.model import Node
from mfdsl.compiler.ir.types import Type
from mfdsl.compiler.sema.values import Guard

if TYPE_CHECKING:
    from mfdsl.compiler.sema.spaces import GridSpace

Array = NDArray[np.float64]
MAX_POINTS = 200_000
LEAVES = ("state", "action", "noise", "peer_state", "peer_action", "index", "time")


@dataclass(frozen=True, slots=True)
class Interval:
    """Lower and upper ends over the axes of the enumerated variables (broadcastable)."""

    lo: Array
    hi: Array


@dataclass(frozen=True, slots=True)
class Facts:
    """What the evaluator knows besides the nodes: numbers of parameters, arrays, grids, horizon."""

    nodes: Sequence[Node]
    types: Sequence[Type]
    parameters: Mapping[str, Array]
    arrays: Sequence[Array]
    grids: Mapping[str, "GridSpace"]
    last_time: int


@dataclass(slots=True)
class Evaluator:
    """Evaluates nodes over one choice of enumerated variables.

    `axes` maps a leaf node to its axis; leaves without an axis are intervals. `known` narrows the
    enclosure of single nodes, from conditions on the path.
    """

    facts: Facts
    axes: Mapping[int, int]
    known: dict[int, Interval] = field(default_factory=dict)
    memo: dict[int, Interval] = field(default_factory=dict)

    def value(self, node: int) -> Interval:
        """The enclosure of a node."""
        stack = [node]
        while stack:
            top = stack[-1]
            if top in self.memo:
                stack.pop()
                continue
            waiting = [a for a in self.facts.nodes[top].args if a not in self.memo]
            if waiting:
                stack.extend(waiting)
                continue
            result = self._apply(top)
            if top in self.known:
                narrow = self.known[top]
                result = Interval(
                    np.maximum(result.lo, narrow.lo), np.minimum(result.hi, narrow.hi)
                )
            self.memo[top] = result
            stack.pop()
        return self.memo[node]

    def _apply(self, index: int) -> Interval:
        node = self.facts.nodes[index]
        if node.op in LEAVES:
            return self._leaf(index, node)
        if node.op == "const":
            assert isinstance(node.attr, int | float)
            return _point(np.float64(node.attr))
        if node.op == "param":
            return _point(self.facts.parameters[str(node.attr)])
        if node.op == "array":
            assert isinstance(node.attr, int)
            return _point(self.facts.arrays[node.attr])
        arguments = [self.memo[a] for a in node.args]
        if node.op.endswith("_over"):
            return self._over(node, arguments[0])
        if node.op in ("mean", "mean_if"):
            return self._mean(node, arguments)
        if node.op in ("element", "vector"):
            return _element(arguments) if node.op == "element" else _vector(arguments)
        if node.op in GRID_RULES:
            return GRID_RULES[node.op](self.facts, node, arguments)
        return RULES[node.op](*arguments)

    def _leaf(self, index: int, node: Node) -> Interval:
        type_ = self.facts.types[node.type]
        if node.op == "time":
            lo, hi = 0, self.facts.last_time
        else:
            assert type_.lo is not None and type_.hi is not None
            lo, hi = int(type_.lo), int(type_.hi)
        if index not in self.axes:
            return Interval(np.float64(lo), np.float64(hi))  # type: ignore[arg-type]
        shape = [1] * len(self.axes)
        shape[self.axes[index]] = hi - lo + 1
        return _point(np.arange(lo, hi + 1, dtype=np.float64).reshape(shape))

    def _over(self, node: Node, body: Interval) -> Interval:
        leaf = node.args[1]
        count = self.facts.types[self.facts.nodes[leaf].type].size
        if leaf in self.axes:
            axis = self.axes[leaf]
            reduce = _REDUCTIONS[node.op]
            lo, hi = (
                np.broadcast_to(end, _with_axis(end, axis, count, len(self.axes)))
                for end in (body.lo, body.hi)
            )
            return reduce(lo, hi, axis)
        if node.op == "sum_over":
            return _widened(body.lo * count, body.hi * count)
        if node.op == "prod_over":
            reach = np.maximum(np.abs(body.lo), np.abs(body.hi)) ** count
            return _widened(np.where(body.lo >= 0, body.lo**count, -reach), reach)
        return body

    def _mean(self, node: Node, arguments: list[Interval]) -> Interval:
        """Between the smallest and the largest value over the members."""
        assert isinstance(node.attr, int)
        body = arguments[0]
        lo, hi = body.lo, body.hi
        if node.op == "mean_if":
            possible = arguments[1].hi > 0
            lo, hi = np.where(possible, lo, np.inf), np.where(possible, hi, -np.inf)
        for leaf, axis in self.axes.items():
            other = self.facts.nodes[leaf]
            if other.op.startswith("peer_") and _depth(other) == node.attr:
                lo = lo.min(axis, keepdims=True) if np.ndim(lo) > axis else lo
                hi = hi.max(axis, keepdims=True) if np.ndim(hi) > axis else hi
        return Interval(np.asarray(lo), np.asarray(hi))


def _depth(node: Node) -> int:
    assert isinstance(node.attr, tuple)
    return int(node.attr[0])


def _with_axis(end: Array, axis: int, count: int, rank: int) -> tuple[int, ...]:
    shape = list(np.shape(end)) if np.ndim(end) == rank else [1] * rank
    shape[axis] = count
    return tuple(shape)


def _point(value: Array | np.float64) -> Interval:
    array = np.asarray(value)
    return Interval(array, array)


def _widened(lo: Array, hi: Array) -> Interval:
    return Interval(np.nextafter(lo, -np.inf), np.nextafter(hi, np.inf))


def _whole(lo: Array, hi: Array) -> bool:
    """Whether all ends are whole numbers that floats hold exactly, so that sums are exact."""
    with np.errstate(invalid="ignore"):
        return bool(
            np.all(np.abs(lo) < 2**50)
            and np.all(np.abs(hi) < 2**50)
            and np.all(lo == np.floor(lo))
            and np.all(hi == np.floor(hi))
        )


def _outward(lo: Array, hi: Array, *arguments: Interval) -> Interval:
    """The result of a ring operation, widened unless everything is a whole number."""
    lo = np.where(np.isnan(lo), -np.inf, lo)
    hi = np.where(np.isnan(hi), np.inf, hi)
    if all(_whole(a.lo, a.hi) for a in arguments):
        return Interval(lo, hi)
    return _widened(lo, hi)


def _add(*arguments: Interval) -> Interval:
    lo, hi = arguments[0].lo, arguments[0].hi
    total = arguments[0]
    for other in arguments[1:]:
        with np.errstate(invalid="ignore"):
            total = _outward(lo + other.lo, hi + other.hi, total, other)
        lo, hi = total.lo, total.hi
    return total


def _mul(*arguments: Interval) -> Interval:
    total = arguments[0]
    for other in arguments[1:]:
        with np.errstate(invalid="ignore"):
            ends = [a * b for a in (total.lo, total.hi) for b in (other.lo, other.hi)]
        ends = [np.where(np.isnan(e), 0.0, e) for e in ends]
        lo = np.minimum(np.minimum(ends[0], ends[1]), np.minimum(ends[2], ends[3]))
        hi = np.maximum(np.maximum(ends[0], ends[1]), np.maximum(ends[2], ends[3]))
        total = _outward(lo, hi, total, other)
    return total


def _neg(a: Interval) -> Interval:
    return Interval(-a.hi, -a.lo)


def _inverse(b: Interval) -> Interval:
    zero = (b.lo <= 0) & (b.hi >= 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        lo, hi = 1.0 / b.hi, 1.0 / b.lo
    return _widened(
        np.where(zero, np.where(b.lo >= 0, lo, -np.inf), lo),
        np.where(zero, np.where(b.hi <= 0, hi, np.inf), hi),
    )


def _div(a: Interval, b: Interval) -> Interval:
    exact = _whole(b.lo, b.hi) and bool(np.all(b.lo == b.hi)) and bool(np.all(b.lo != 0))
    if exact:
        ends = (a.lo / b.lo, a.hi / b.lo)
        return _widened(np.minimum(*ends), np.maximum(*ends))
    return _mul(a, _inverse(b))


def _pow(a: Interval, b: Interval) -> Interval:
    exponent = float(np.max(b.hi))
    constant = bool(np.all(b.lo == exponent)) and bool(np.all(b.hi == exponent))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        if constant and exponent.is_integer() and exponent >= 0:
            ends = np.stack(np.broadcast_arrays(a.lo**exponent, a.hi**exponent))
            lo, hi = ends.min(0), ends.max(0)
            if exponent % 2 == 0:
                lo = np.where((a.lo <= 0) & (a.hi >= 0), min(0.0, float(exponent)), lo)
            return _outward(lo, hi, a)
        if constant and exponent.is_integer():
            return _inverse(_pow(a, _neg(b)))
        ends = np.stack(np.broadcast_arrays(*[x**y for x in (a.lo, a.hi) for y in (b.lo, b.hi)]))
    ends = np.where(np.isnan(ends), np.inf, ends)
    return _widened(np.minimum(ends.min(0), np.where(a.lo <= 0, 0.0, np.inf)), ends.max(0))


def _monotone(function: Callable[[Array], Array], lowest: float = -np.inf) -> Callable[..., Interval]:
    def rule(a: Interval) -> Interval:
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            lo, hi = function(a.lo), function(a.hi)
        widened = _widened(np.where(np.isnan(lo), lowest, lo), np.where(np.isnan(hi), np.inf, hi))
        return Interval(np.maximum(widened.lo, lowest), widened.hi)

    return rule


def _exactly(function: Callable[[Array], Array]) -> Callable[[Interval], Interval]:
    return lambda a: Interval(function(a.lo), function(a.hi))


def _abs(a: Interval) -> Interval:
    ends = np.abs(a.lo), np.abs(a.hi)
    lo = np.where((a.lo <= 0) & (a.hi >= 0), 0.0, np.minimum(*ends))
    return Interval(lo, np.maximum(*ends))


def _wave(function: Callable[[Array], Array], top: float) -> Callable[[Interval], Interval]:
    """sin and cos: ends, and the extremes that lie between them (`top` is where 1 is reached)."""

    def rule(a: Interval) -> Interval:
        with np.errstate(invalid="ignore"):
            ends = function(a.lo), function(a.hi)
            lo, hi = np.minimum(*ends), np.maximum(*ends)
            turns = 2 * np.pi
            has_top = np.floor((a.hi - top) / turns) >= np.ceil((a.lo - top) / turns)
            low = top + np.pi
            has_low = np.floor((a.hi - low) / turns) >= np.ceil((a.lo - low) / turns)
        wide = ~np.isfinite(a.hi - a.lo)
        lo, hi = np.where(has_low | wide, -1.0, lo), np.where(has_top | wide, 1.0, hi)
        widened = _widened(lo, hi)
        return Interval(np.maximum(widened.lo, -1.0), np.minimum(widened.hi, 1.0))

    return rule


def _rem(a: Interval, b: Interval) -> Interval:
    point = bool(np.all(b.lo == b.hi)) and bool(np.all(b.lo > 0))
    if not point:
        reach = np.maximum(np.abs(b.lo), np.abs(b.hi))
        return Interval(np.where(b.lo < 0, -reach, 0.0), np.where(b.hi > 0, reach, 0.0))
    with np.errstate(invalid="ignore"):
        same = np.floor(a.lo / b.lo) == np.floor(a.hi / b.lo)
        lo, hi = np.mod(a.lo, b.lo), np.mod(a.hi, b.lo)
    whole = _whole(a.lo, a.hi) and _whole(b.lo, b.hi)
    top = b.lo - 1.0 if whole else b.lo
    result = Interval(np.where(same, lo, 0.0), np.where(same, hi, top))
    return result if whole else _widened(result.lo, result.hi)


def _if(c: Interval, a: Interval, b: Interval) -> Interval:
    surely, never = c.lo > 0, c.hi <= 0
    lo = np.where(surely, a.lo, np.where(never, b.lo, np.minimum(a.lo, b.lo)))
    hi = np.where(surely, a.hi, np.where(never, b.hi, np.maximum(a.hi, b.hi)))
    return Interval(lo, hi)


def _truth(surely: Array, never: Array) -> Interval:
    return Interval(np.where(surely, 1.0, 0.0), np.where(never, 0.0, 1.0))


def _eq(a: Interval, b: Interval) -> Interval:
    point = (a.lo == a.hi) & (b.lo == b.hi) & (a.lo == b.lo)
    return _truth(point, (a.hi < b.lo) | (b.hi < a.lo))


def _not(a: Interval) -> Interval:
    return Interval(1.0 - a.hi, 1.0 - a.lo)


def _fold(function: Callable[[Array, Array], Array]) -> Callable[..., Interval]:
    def rule(*arguments: Interval) -> Interval:
        lo, hi = arguments[0].lo, arguments[0].hi
        for other in arguments[1:]:
            lo, hi = function(lo, other.lo), function(hi, other.hi)
        return Interval(lo, hi)

    return rule


def _vector(elements: list[Interval]) -> Interval:
    """Elements stacked on a new last axis."""
    los = np.broadcast_arrays(*[e.lo for e in elements])
    his = np.broadcast_arrays(*[e.hi for e in elements])
    return Interval(np.stack(los, -1), np.stack(his, -1))


def _element(arguments: list[Interval]) -> Interval:
    array, positions = arguments[0], arguments[1:]
    spread = any(np.any(p.lo != p.hi) for p in positions)
    if spread:
        axes = tuple(range(-len(positions), 0))
        return Interval(array.lo.min(axes), array.hi.max(axes))
    shape = array.lo.shape[-len(positions) :]
    at = tuple(
        np.clip(p.lo, 0, size - 1).astype(np.int64)
        for p, size in zip(positions, shape, strict=True)
    )
    if array.lo.ndim == len(positions):
        return Interval(array.lo[at], array.hi[at])
    lo = np.take_along_axis(*_aligned(array.lo, at[0]), axis=-1)[..., 0]
    hi = np.take_along_axis(*_aligned(array.hi, at[0]), axis=-1)[..., 0]
    return Interval(lo, hi)


def _aligned(array: Array, at: NDArray[np.int64]) -> tuple[Array, NDArray[np.int64]]:
    shape = np.broadcast_shapes(array.shape[:-1], at.shape)
    return (
        np.broadcast_to(array, (*shape, array.shape[-1])),
        np.broadcast_to(at, shape)[..., None],
    )


def _sum_over(lo: Array, hi: Array, axis: int) -> Interval:
    total = Interval(lo.sum(axis, keepdims=True), hi.sum(axis, keepdims=True))
    if _whole(lo, hi):
        return total
    slack = np.abs(total.lo) + np.abs(total.hi) + np.abs(lo).sum(axis, keepdims=True)
    error = slack * lo.shape[axis] * np.finfo(np.float64).eps
    return Interval(total.lo - error, total.hi + error)


def _prod_over(lo: Array, hi: Array, axis: int) -> Interval:
    parts = [
        Interval(lo.take([i], axis), hi.take([i], axis)) for i in range(lo.shape[axis])
    ]
    return _mul(*parts)


def _min_over(lo: Array, hi: Array, axis: int) -> Interval:
    return Interval(lo.min(axis, keepdims=True), hi.min(axis, keepdims=True))


def _max_over(lo: Array, hi: Array, axis: int) -> Interval:
    return Interval(lo.max(axis, keepdims=True), hi.max(axis, keepdims=True))


_REDUCTIONS: dict[str, Callable[[Array, Array, int], Interval]] = {
    "sum_over": _sum_over,
    "prod_over": _prod_over,
    "min_over": _min_over,
    "max_over": _max_over,
    "any_over": _max_over,
    "all_over": _min_over,
}

RULES: dict[str, Callable[..., Interval]] = {
    "add": _add,
    "mul": _mul,
    "neg": _neg,
    "div": _div,
    "pow": _pow,
    "rem": _rem,
    "abs": _abs,
    "exp": _monotone(np.exp, 0.0),
    "log": _monotone(np.log),
    "sqrt": _monotone(np.sqrt, 0.0),
    "tanh": _monotone(np.tanh, -1.0),
    "sin": _wave(np.sin, np.pi / 2),
    "cos": _wave(np.cos, 0.0),
    "floor": _exactly(np.floor),
    "ceil": _exactly(np.ceil),
    "round": _exactly(np.round),
    "min": _fold(np.minimum),
    "max": _fold(np.maximum),
    "and": _fold(np.minimum),
    "or": _fold(np.maximum),
    "not": _not,
    "eq": _eq,
    "ne": lambda a, b: _not(_eq(a, b)),
    "lt": lambda a, b: _truth(a.hi < b.lo, a.lo >= b.hi),
    "le": lambda a, b: _truth(a.hi <= b.lo, a.lo > b.hi),
    "if": _if,
    "real": lambda a: a,
    "ind": lambda a: a,
}


def _component(place: int, moves: bool) -> Callable[[Facts, Node, list[Interval]], Interval]:
    def rule(facts: Facts, node: Node, arguments: list[Interval]) -> Interval:
        space = facts.grids[str(node.attr)]
        table = (
            np.array([move[place + 1] for move in space.grid.moves], dtype=np.float64)
            if moves
            else cell_places(space)[place]
        )
        return _looked_up(table, arguments[0])

    return rule


def cell_places(space: "GridSpace") -> tuple[Array, Array]:
    """Row and column of every free cell, in code order."""
    if space.grid.rows is None:
        rows, columns = np.divmod(np.arange(space.cell_count), space.grid.width)
    else:
        rows, columns = np.array(list(space.cells), dtype=np.int64).T
    return rows.astype(np.float64), columns.astype(np.float64)


def _looked_up(table: Array, at: Interval) -> Interval:
    if np.all(at.lo == at.hi):
        return _point(table[np.clip(at.lo, 0, len(table) - 1).astype(np.int64)])
    return Interval(np.asarray(table.min()), np.asarray(table.max()))


def _any_cell(facts: Facts, node: Node, arguments: list[Interval]) -> Interval:
    space = facts.grids[str(node.attr)]
    return Interval(np.asarray(0.0), np.asarray(float(space.cell_count - 1)))


def _cell(facts: Facts, node: Node, arguments: list[Interval]) -> Interval:
    row, column = arguments
    space = facts.grids[str(node.attr)]
    points = np.all(row.lo == row.hi) and np.all(column.lo == column.hi)
    if not points:
        return _any_cell(facts, node, arguments)
    table = cell_codes(space)
    r = np.clip(row.lo, 0, space.grid.height - 1).astype(np.int64)
    c = np.clip(column.lo, 0, space.grid.width - 1).astype(np.int64)
    return _point(np.maximum(table[r, c], 0.0))


def cell_codes(space: "GridSpace") -> Array:
    """The code of the cell at each row and column, -1 at walls."""
    table = np.full((space.grid.height, space.grid.width), -1.0)
    rows, columns = cell_places(space)
    table[rows.astype(np.int64), columns.astype(np.int64)] = np.arange(space.cell_count)
    return table


def _after_move(facts: Facts, node: Node, arguments: list[Interval]) -> tuple[Array, Array] | None:
    """The cell after the move and whether it is free, for exact cells and moves."""
    cell, move = arguments
    if not (np.all(cell.lo == cell.hi) and np.all(move.lo == move.hi)):
        return None
    space = facts.grids[str(node.attr)]
    rows, columns = cell_places(space)
    steps = np.array([m[1:] for m in space.grid.moves], dtype=np.float64)
    at, by = cell.lo.astype(np.int64), move.lo.astype(np.int64)
    row, column = rows[at] + steps[by, 0], columns[at] + steps[by, 1]
    height, width = space.grid.height, space.grid.width
    if space.grid.periodic:
        row, column = np.mod(row, height), np.mod(column, width)
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    r = np.clip(row, 0, height - 1).astype(np.int64)
    c = np.clip(column, 0, width - 1).astype(np.int64)
    code = np.where(inside, cell_codes(space)[r, c], -1.0)
    return np.where(code >= 0, code, np.broadcast_to(cell.lo, code.shape)), code >= 0


def _step(facts: Facts, node: Node, arguments: list[Interval]) -> Interval:
    moved = _after_move(facts, node, arguments)
    return _any_cell(facts, node, arguments) if moved is None else _point(moved[0])


def _free(facts: Facts, node: Node, arguments: list[Interval]) -> Interval:
    moved = _after_move(facts, node, arguments)
    if moved is None:
        return Interval(np.asarray(0.0), np.asarray(1.0))
    return _point(moved[1].astype(np.float64))


def _distance(facts: Facts, node: Node, arguments: list[Interval]) -> Interval:
    space = facts.grids[str(node.attr)]
    height, width = space.grid.height, space.grid.width
    diagonal = len(space.grid.moves) == 9
    a, b = arguments
    if not (np.all(a.lo == a.hi) and np.all(b.lo == b.hi)):
        far = (height // 2, width // 2) if space.grid.periodic else (height - 1, width - 1)
        return Interval(np.asarray(0.0), np.asarray(float(max(far) if diagonal else sum(far))))
    gaps = []
    for table, length in zip(cell_places(space), (height, width), strict=True):
        gap = np.abs(table[a.lo.astype(np.int64)] - table[b.lo.astype(np.int64)])
        gaps.append(np.minimum(gap, length - gap) if space.grid.periodic else gap)
    return _point(np.maximum(*gaps) if diagonal else gaps[0] + gaps[1])


def _region(facts: Facts, node: Node, arguments: list[Interval]) -> Interval:
    assert isinstance(node.attr, tuple)
    space = facts.grids[str(node.attr[0])]
    table = np.zeros(space.cell_count)
    table[sorted(space.regions[str(node.attr[1])])] = 1.0
    return _looked_up(table, arguments[0])


def _path(facts: Facts, node: Node, arguments: list[Interval]) -> Interval:
    assert isinstance(node.attr, tuple)
    space = facts.grids[str(node.attr[0])]
    return Interval(np.asarray(0.0), np.asarray(float(space.cell_count)))


GRID_RULES: dict[str, Callable[[Facts, Node, list[Interval]], Interval]] = {
    "row": _component(0, False),
    "col": _component(1, False),
    "drow": _component(0, True),
    "dcol": _component(1, True),
    "cell": _cell,
    "step": _step,
    "free": _free,
    "cell_dist": _distance,
    "region": _region,
    "path_dist": _path,
}


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


def choose_axes(facts: Facts, leaves: Sequence[int], first: Sequence[int] = ()) -> dict[int, int]:
    """Axes for as many leaves as fit in MAX_POINTS, smallest first, those in `first` before all."""

    def size(leaf: int) -> int:
        node = facts.nodes[leaf]
        return facts.last_time + 1 if node.op == "time" else facts.types[node.type].size

    chosen: list[int] = []
    points = 1
    for leaf in sorted(leaves, key=lambda i: (i not in first, size(i), i)):
        if points * size(leaf) <= MAX_POINTS:
            chosen.append(leaf)
            points *= size(leaf)
    return {leaf: axis for axis, leaf in enumerate(sorted(chosen))}


def narrowed(facts: Facts, guards: Sequence[Guard]) -> dict[int, Interval]:
    """Enclosures that comparisons with constants on the path give to the compared node."""
    known: dict[int, Interval] = {}
    for guard in guards:
        node = facts.nodes[guard.node]
        if node.op in ("lt", "le"):
            _narrow(facts, known, node, guard.positive)
    return known


def _narrow(facts: Facts, known: dict[int, Interval], node: Node, positive: bool) -> None:
    left, right = node.args
    strict = (node.op == "lt") == positive
    if not positive:
        left, right = right, left
    bound = _constant(facts, left)
    if bound is not None:
        lo = np.nextafter(bound, np.inf) if strict else bound
        known[right] = Interval(np.asarray(lo), np.asarray(np.inf))
    bound = _constant(facts, right)
    if bound is not None:
        hi = np.nextafter(bound, -np.inf) if strict else bound
        known[left] = Interval(np.asarray(-np.inf), np.asarray(hi))


def _constant(facts: Facts, index: int) -> float | None:
    node = facts.nodes[index]
    if node.op == "const" and isinstance(node.attr, int | float):
        return float(node.attr)
    if node.op == "param" and not np.ndim(facts.parameters[str(node.attr)]):
        return float(facts.parameters[str(node.attr)])
    return None
