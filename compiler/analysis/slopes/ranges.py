"""Values of a tape over many boxes at once: intervals [rows, inner axes].

A row is a point of the grid together with a box of coordinates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from mfdsl.compiler.analysis.grid_intervals import GRID_RULES
from mfdsl.compiler.analysis.intervals import (
    REDUCTIONS,
    RULES,
    Array,
    Interval,
    multiply,
    point,
    remainder,
)
from mfdsl.compiler.analysis.slopes.atoms import WHOLE, hull_where, logistic
from mfdsl.compiler.analysis.slopes.merged import ring_gap, soft_sign
from mfdsl.compiler.analysis.slopes.rows import Moves, Rows
from mfdsl.compiler.analysis.slopes.rules import (
    distance,
    looked_up,
    norm,
    powers,
    softmax,
    xlogx,
)
from mfdsl.compiler.analysis.slopes.tape import Statistic, Step, Tape, Unsupported
from mfdsl.compiler.analysis.written import written


@dataclass
class Ranges:
    """The values of one pass. With `laws` [rows, members], a law of each population by its
    variables, statistics have the values of these laws instead of coordinates; with `tops` masses
    lie between those of `laws` and these.

    With `single` every law has all mass in one point, that of the row; else a row may be a part of
    where its members are. `moves` are the directions of the slopes of the pass.
    """

    tape: Tape
    rows: Rows
    moves: Moves
    laws: Mapping[str, Array] | None = None
    spaces: Mapping[str, Sequence[tuple[tuple[str, str], int]]] = field(default_factory=dict)
    tops: Mapping[str, Array] | None = field(default=None, kw_only=True)
    single: bool = field(default=False, kw_only=True)
    values: dict[int, Interval] = field(default_factory=dict, kw_only=True)
    _widened: Self | None = field(default=None, kw_only=True)

    def value(self, step: int) -> Interval:
        """The enclosure of a step, [rows, inner axes]."""
        for i in self._order(step, self.values):
            self.values[i] = self._value(self.tape.steps[i])
        return self.values[step]

    def _order(self, step: int, known: Mapping[int, object]) -> list[int]:
        seen: set[int] = set()
        stack = [step]
        while stack:
            top = stack.pop()
            if top not in seen and top not in known:
                seen.add(top)
                stack.extend(self.tape.steps[top].args)
        return sorted(seen)

    def _shape(self) -> tuple[int, ...]:
        return (1,) * len(self.tape.inner)

    def _value(self, step: Step) -> Interval:
        shape = self._shape()
        if step.op == "given":
            return self._gathered(self.tape.evaluator.value(step.node))
        if step.op == "const":
            return written(np.full((1, *shape), step.attr))
        if step.op == "hull":
            lo, hi = step.attr
            return Interval(np.full((1, *shape), lo), np.full((1, *shape), hi))
        if step.op == "coordinate":
            return self._coordinate(step.attr)
        args = [self.values[a] for a in step.args]
        if step.op == "statistic":
            return self._statistic(self.tape.statistics[step.attr], args)
        return self._applied(step, args)

    def _applied(self, step: Step, args: list[Interval]) -> Interval:
        if step.op in REDUCTIONS:
            return self._reduced(step, args[0])
        if step.op == "norm":
            return norm(args)
        if step.op == "w2":
            anywhere = args if self.single else [self._wide().value(a) for a in step.args]
            far = self._over_members(step, self._reaches(step, anywhere))
            return Interval(np.zeros_like(far), far)
        if step.op == "logistic_down":
            return logistic(RULES["neg"](args[0]))
        if step.op == "softmax":
            return softmax(args)
        if step.op == "xlogx":
            return xlogx(args[0])
        if step.op == "ring_gap":
            return ring_gap(args[0], args[1])
        if step.op == "extreme":
            return self._over_support(*step.attr)
        if step.op in ("l1", "l2"):
            return self._distance(step, args)
        if step.op == "soft_sign":
            return soft_sign(args[0], args[1])
        if step.op == "lookup":
            return looked_up(step.attr.values, args)
        if step.op == "select":
            return self._selected(step, args)
        if step.op == "mul" and len(set(step.args)) < len(step.args):
            return powers(step.args, args)
        if step.op == "rem":
            whole = self.tape.facts.types[self.tape.facts.nodes[step.node].type].kind == "int"
            return remainder(args[0], args[1], integers=whole)
        if step.op in GRID_RULES:
            return GRID_RULES[step.op](
                self.tape.facts.grids, self.tape.facts.nodes[step.node], args
            )
        if step.op not in RULES:
            raise Unsupported(f"`{step.op}`")
        return RULES[step.op](*args)

    def _gathered(self, table: Interval) -> Interval:
        grid = len(self.tape.grid)
        rank = grid + len(self.tape.inner)

        def rows(end: Array) -> Array:
            whole = np.asarray(end)
            whole = whole.reshape((1,) * (rank - whole.ndim) + whole.shape)
            at = tuple(
                self.rows.places[:, k] if whole.shape[k] > 1 else np.zeros(1, dtype=np.int64)
                for k in range(grid)
            )
            return whole[at] if grid else whole[None]

        return Interval(rows(table.lo), rows(table.hi))

    def _coordinate(self, place: int) -> Interval:
        shape = self._shape()
        lo = self.rows.lo[:, place].reshape(-1, *shape)
        return Interval(lo, self.rows.hi[:, place].reshape(-1, *shape))

    def _statistic(self, statistic: Statistic, args: list[Interval]) -> Interval:
        if self.laws is not None and statistic.population in self.laws:
            return self._mean(statistic, args)
        if statistic.coordinate is None and statistic.points and not self.single:
            args = [self._wide().value(a) for a in args_of(statistic)]
        body = args[0]
        if statistic.mass is not None:
            possible = args[1].hi > 0
            body = Interval(
                np.where(possible, body.lo, np.inf), np.where(possible, body.hi, -np.inf)
            )
        lo, hi = self._hull(statistic, body)
        if statistic.coordinate is None:
            return Interval(lo, hi)
        box = self._coordinate(statistic.coordinate)
        if statistic.points:  # the body ranges over a part of its members here
            return box
        return Interval(np.maximum(lo, box.lo), np.minimum(hi, box.hi))

    def _wide(self) -> Self:
        """The same with the members of all laws anywhere: a mean is not taken over a part."""
        if self._widened is None:
            lo, hi = self.rows.lo.copy(), self.rows.hi.copy()
            for place in self.tape.read:
                lo[:, place] = self.tape.coordinates[place].lo
                hi[:, place] = self.tape.coordinates[place].hi
            rows = Rows(self.rows.places, lo, hi)
            self._widened = type(self)(self.tape, rows, self.moves, self.laws, self.spaces)
            self._widened._widened = self._widened
        return self._widened

    def _hull(self, statistic: Statistic, body: Interval) -> tuple[Array, Array]:
        axes = self._positions(statistic)
        return body.lo.min(axes, keepdims=True), body.hi.max(axes, keepdims=True)

    def _positions(self, statistic: Statistic) -> tuple[int, ...]:
        """Axes of the members of a statistic among those of a value."""
        return tuple(self._place(axis) for axis in statistic.axes.values())

    def _mean(self, statistic: Statistic, args: list[Interval]) -> Interval:
        """The mean of the body over given laws."""
        weights = self._weights(statistic)
        total = self._weighted(statistic, weights, args[0])
        if statistic.mass is None:
            return total
        holds = args[1]
        top = self._weighted(statistic, weights, multiply(args[0], holds))
        mass = self._weighted(statistic, weights, holds)
        return hull_where(mass.lo > 0, RULES["div"](top, mass), WHOLE)  # else there is no value

    def _weights(self, statistic: Statistic) -> Interval:
        """Weights [rows, inner axes] of the members of a statistic: a marginal of its law."""
        assert self.laws is not None
        low = self._marginal(statistic, self.laws[statistic.population])
        tops = None if self.tops is None else self.tops.get(statistic.population)
        if tops is None:
            return point(low)
        slack = tops.shape[1] * np.finfo(float).eps  # of sums of masses
        return Interval(low * (1 - slack), self._marginal(statistic, tops) * (1 + slack))

    def _marginal(self, statistic: Statistic, law: Array) -> Array:
        space = self.spaces[statistic.population]
        sizes = [size for _, size in space]
        whole = law.reshape(len(law), *sizes)
        shape = [len(law), *self._shape()]
        keep = []
        for variable, size in space:
            if variable in statistic.axes:
                keep.append((self._place(statistic.axes[variable]), size))
        gone = tuple(1 + k for k, (v, _) in enumerate(space) if v not in statistic.axes)
        whole = whole.sum(gone)  # exact for laws whose masses are multiples of one power of two
        order = np.argsort([position for position, _ in keep])
        whole = whole.transpose(0, *(1 + order))
        for position, size in keep:
            shape[position] = size
        return np.asarray(whole.reshape(shape))

    def _weighted(self, statistic: Statistic, weights: Interval, body: Interval) -> Interval:
        each = multiply(weights, body)
        for axis in self._positions(statistic):
            lo, hi = np.broadcast_arrays(each.lo, each.hi)
            each = REDUCTIONS["sum_over"](lo, hi, axis)
        return each

    def _reduced(self, step: Step, body: Interval) -> Interval:
        axis, count = step.attr
        if axis is None:
            if step.op == "sum_over":
                return multiply(body, point(np.float64(count)))
            if step.op == "prod_over":
                raise Unsupported("a long product")
            return body
        place = self._place(axis)
        shape = list(np.broadcast_shapes(body.lo.shape, body.hi.shape))
        shape[place] = count
        return REDUCTIONS[step.op](
            np.broadcast_to(body.lo, shape), np.broadcast_to(body.hi, shape), place
        )

    def _selected(self, step: Step, args: list[Interval]) -> Interval:
        found: Interval | None = None
        for mask, part in self._choices(step, args):
            if found is None:
                found = Interval(np.where(mask, part.lo, np.inf), np.where(mask, part.hi, -np.inf))
            else:
                found = Interval(
                    np.where(mask, np.minimum(found.lo, part.lo), found.lo),
                    np.where(mask, np.maximum(found.hi, part.hi), found.hi),
                )
        assert found is not None
        return found

    def _choices(self, step: Step, args: Sequence[Interval]) -> list[tuple[Array, Interval]]:
        """Entries of an array, each with the mask of where it may be the one that is read."""
        dims = step.attr
        rank = len(dims)
        found = []
        for k, place in enumerate(np.ndindex(*dims)):
            masks = [(p.lo <= i) & (p.hi >= i) for p, i in zip(args[:rank], place, strict=True)]
            found.append((np.logical_and.reduce(np.broadcast_arrays(*masks)), args[rank + k]))
        return found

    def _over_support(self, top: bool, number: int) -> Interval:
        """The largest or smallest body of a statistic over the support of its law; over any members
        where there is no law.
        """
        statistic = self.tape.statistics[number]
        if self.laws is None or statistic.population not in self.laws:
            wide = self if self.single else self._wide()
            return Interval(*wide._hull(statistic, wide.value(statistic.body)))
        body, mass = self.value(statistic.body), self._weights(statistic)
        body = body if top else RULES["neg"](body)
        sure = np.where(mass.lo > 0, body.lo, -np.inf)
        possible = np.where(mass.hi > 0, body.hi, -np.inf)
        axes = self._positions(statistic)
        found = Interval(sure.max(axes, keepdims=True), possible.max(axes, keepdims=True))
        return found if top else RULES["neg"](found)

    def _distance(self, step: Step, args: Sequence[Interval]) -> Interval:
        """The distance of the first half of the arguments to the second. `attr.values` [grid,
        arguments] numbers their entries, whose values add up; -1 where there is none.
        """
        table, flat = step.attr.values, np.zeros(len(self.rows), dtype=np.int64)
        if self.tape.grid:
            at = tuple(self.rows.places.T)
            flat = np.asarray(np.ravel_multi_index(at, self.tape.sizes))
        numbers, count = table[flat], table.shape[1]
        apart = [a if 2 * k < count else RULES["neg"](a) for k, a in enumerate(args)]
        ends = [
            [np.broadcast_to(e.reshape(len(e), -1)[:, 0], len(flat)) for e in (a.lo, a.hi)]
            for a in apart
        ]
        return distance(ends, numbers, step.op, self._shape())

    def _reaches(self, step: Step, args: Sequence[Interval]) -> list[Array]:
        """The largest distance between the point and any target along each axis."""
        dim, count, _, _ = step.attr
        found = []
        for k in range(dim):
            targets = [args[dim + j * dim + k] for j in range(count)]
            low = np.minimum.reduce(np.broadcast_arrays(*(t.lo for t in targets)))
            high = np.maximum.reduce(np.broadcast_arrays(*(t.hi for t in targets)))
            reach = np.maximum(np.abs(args[k].hi - low), np.abs(high - args[k].lo))
            found.append(np.nextafter(reach, np.inf))
        return found

    def _over_members(self, step: Step, reaches: Sequence[Array]) -> Array:
        """The largest squared distance, of any member."""
        total = np.nextafter(sum(np.nextafter(r * r, np.inf) for r in reaches), np.inf)
        axes = tuple(self._place(axis) for axis in step.attr[2])
        return np.asarray(total.max(axes, keepdims=True))

    def _place(self, axis: int) -> int:
        """Where an inner axis stands among those of a value."""
        return 1 + axis - len(self.tape.grid)


def args_of(statistic: Statistic) -> list[int]:
    """The body of a statistic, and the condition on its members if there is one."""
    return [statistic.body] if statistic.mass is None else [statistic.body, statistic.mass]
