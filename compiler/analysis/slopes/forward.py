"""Values and directional derivatives of a tape over many boxes at once.

A row is a point of the grid together with a box of coordinates. Values are intervals [rows, inner
axes]; derivatives have one more axis at the end, the directions. A derivative encloses Clarke's
generalised directional derivative over the box.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mfdsl.compiler.analysis.grid_intervals import GRID_RULES
from mfdsl.compiler.analysis.intervals import (
    REDUCTIONS,
    RULES,
    Array,
    Interval,
    add,
    joined,
    multiply,
    point,
    remainder,
    squared,
)
from mfdsl.compiler.analysis.slopes.atoms import (
    ATOMS,
    ONE,
    WHOLE,
    ZERO,
    bump,
    hull_where,
    hulled,
    logistic,
    meet,
    slopes,
)
from mfdsl.compiler.analysis.slopes.tape import BOOLEAN, Statistic, Step, Tape, Unsupported

Seeds = Mapping[int, Array]
"""By coordinate: its rate along each direction [directions]."""


@dataclass(frozen=True)
class Rows:
    """Rows of a tape: places on the grid [rows, grid axes], ends of boxes [rows, coordinates]."""

    places: np.ndarray
    lo: Array
    hi: Array

    def __len__(self) -> int:
        return len(self.lo)

    def take(self, which: np.ndarray) -> "Rows":
        """Some of the rows."""
        return Rows(self.places[which], self.lo[which], self.hi[which])


@dataclass(frozen=True)
class Moves:
    """Directions in which a law moves: mass from one kind of member to another.

    `population` moves; `to` and `off` [directions] are positions on the axes of `variables`. Seeds
    of coordinates that move instead are in `seeds`; there are `count` directions.
    """

    count: int
    population: str | None = None
    variables: tuple[tuple[str, str], ...] = ()
    to: np.ndarray | None = None
    off: np.ndarray | None = None
    seeds: Seeds = field(default_factory=dict)


@dataclass
class Forward:
    """One pass over a tape. With `weights` [rows, members], a law of each population by its
    variables, statistics have the values of these laws instead of coordinates.

    The step `cut` counts as one that does not move; with `lead` only that step does, at rate 1.
    With `single` every law has all mass in one point, that of the row; else a row may be a part of
    where its members are. `jumps` and `joints` collect steps that may jump, and conditions that are
    not decided, where the direction moves them.
    """

    tape: Tape
    rows: Rows
    moves: Moves
    laws: Mapping[str, Array] | None = None
    spaces: Mapping[str, Sequence[tuple[tuple[str, str], int]]] = field(default_factory=dict)
    cut: int | None = None
    lead: int | None = None
    jumps: set[int] = field(default_factory=set)
    joints: set[int] = field(default_factory=set)
    single: bool = False
    _widened: "Forward | None" = None
    values: dict[int, Interval] = field(default_factory=dict)
    tangents: dict[int, Interval | None] = field(default_factory=dict)

    def value(self, step: int) -> Interval:
        """The enclosure of a step, [rows, inner axes]."""
        for i in self._order(step, self.values):
            self.values[i] = self._value(self.tape.steps[i])
        return self.values[step]

    def tangent(self, step: int) -> Interval | None:
        """The enclosure of its slopes, [rows, inner axes, directions]; None where all are 0."""
        self.value(step)
        for i in self._order(step, self.tangents):
            self.tangents[i] = self._tangent(i, self.tape.steps[i])
        return self.tangents[step]

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
            return point(np.full((1, *shape), step.attr))
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
            return _norm(args)
        if step.op == "w2":
            anywhere = args if self.single else [self._wide().value(a) for a in step.args]
            far = self._over_members(step, self._reaches(step, anywhere))
            return Interval(np.zeros_like(far), far)
        if step.op == "logistic_down":
            return logistic(RULES["neg"](args[0]))
        if step.op == "softmax":
            return _softmax(args)
        if step.op == "xlogx":
            return _xlogx(args[0])
        if step.op == "lookup":
            return _looked_up(step.attr.values, args)
        if step.op == "select":
            return self._selected(step, args)
        if step.op == "mul" and len(set(step.args)) < len(step.args):
            return _powers(step.args, args)
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
            args = [self._wide().value(a) for a in args_of(self.tape, statistic)]
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

    def _wide(self) -> "Forward":
        """The same with the members of all laws anywhere: a mean is not taken over a part."""
        if self._widened is None:
            lo, hi = self.rows.lo.copy(), self.rows.hi.copy()
            for place in self.tape.read:
                lo[:, place] = self.tape.coordinates[place].lo
                hi[:, place] = self.tape.coordinates[place].hi
            rows = Rows(self.rows.places, lo, hi)
            self._widened = Forward(self.tape, rows, self.moves, self.laws, self.spaces)
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

    def _weights(self, statistic: Statistic) -> Array:
        """Weights [rows, inner axes] of the members of a statistic: a marginal of its law."""
        assert self.laws is not None
        law = self.laws[statistic.population]
        space = self.spaces[statistic.population]
        sizes = [size for _, size in space]
        whole = law.reshape(len(law), *sizes)
        shape = [len(law), *self._shape()]
        keep = []
        for variable, size in space:
            if variable in statistic.axes:
                keep.append((self._place(statistic.axes[variable]), size))
        gone = tuple(1 + k for k, (v, _) in enumerate(space) if v not in statistic.axes)
        whole = whole.sum(gone)  # exact: weights are multiples of one power of two
        order = np.argsort([position for position, _ in keep])
        whole = whole.transpose(0, *(1 + order))
        for position, size in keep:
            shape[position] = size
        return np.asarray(whole.reshape(shape))

    def _weighted(self, statistic: Statistic, weights: Array, body: Interval) -> Interval:
        each = multiply(point(weights), body)
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

    def _tangent(self, index: int, step: Step) -> Interval | None:
        if index == self.lead:
            return point(np.ones((1, *self._shape(), 1)))
        if index == self.cut:
            return None
        if step.op == "coordinate":
            if self.lead is not None:
                return None
            rates = self.moves.seeds.get(step.attr)
            if rates is None:
                return None
            return point(np.asarray(rates).reshape(1, *self._shape(), -1))
        if step.op == "statistic":
            return self._statistic_tangent(index, self.tape.statistics[step.attr])
        parts = [self.tangents[a] for a in step.args]
        if step.op == "w2" and self.moves.to is not None and self.lead is None:
            if step.attr[3] == self.moves.population:
                far = _lifted(self.values[index]).hi
                return Interval(-far, far)
        if all(part is None for part in parts):
            return None
        if step.op in BOOLEAN:
            return self._flips(index, parts)
        return self._chain(index, step, parts)

    def _flips(self, index: int, parts: Sequence[Interval | None]) -> Interval:
        """A truth value has no slope where it is decided or stands still, else any."""
        value = self.values[index]
        moves = np.any(np.broadcast_arrays(*map(_moving, parts)), axis=0)
        unsure = (value.lo != value.hi)[..., None] & moves
        return Interval(np.where(unsure, -np.inf, 0.0), np.where(unsure, np.inf, 0.0))

    def _chain(self, index: int, step: Step, parts: list[Interval | None]) -> Interval | None:
        args = [self.values[a] for a in step.args]
        value = self.values[index]
        if step.op in REDUCTIONS:
            return self._reduced_tangent(step, args[0], value, parts[0])
        if step.op == "if":
            return self._branch(index, args, parts)
        if step.op in ("max", "min"):
            return self._extreme(step, args, value, parts)
        if step.op == "select":
            return self._selected_tangent(step, args, parts)
        if step.op == "w2":
            return self._transport_tangent(step, args, parts)
        if step.op == "softmax":
            return _softmax_tangent(args, value, parts)
        if step.op == "norm":
            rates = _norm_slopes(args, value)
        elif step.op == "logistic_down":
            rates = [RULES["neg"](bump(value))]
        elif step.op == "xlogx":
            rates = [add(RULES["log"](args[0]), ONE)]
        elif step.op in GRID_RULES or step.op == "lookup":
            decided = value.lo == value.hi
            rates = [hull_where(decided, ZERO, WHOLE)] * len(args)
        elif step.op in ATOMS:
            rates = slopes(step.op, args, value)
        else:
            raise Unsupported(f"the slope of `{step.op}`")
        if step.op in GRID_RULES or (step.op in ATOMS and ATOMS[step.op].jump):
            if any(np.any(~np.isfinite(r.hi)) for r in rates):
                self.jumps.add(index)
        return _combined(rates, parts)

    def _branch(
        self, index: int, args: list[Interval], parts: list[Interval | None]
    ) -> Interval | None:
        condition = args[0]
        surely, never = (condition.lo > 0)[..., None], (condition.hi <= 0)[..., None]
        one, other = (ZERO if p is None else p for p in parts[1:])
        both = joined(one, other)
        if np.any(_moving(parts[0]) & ~(surely | never)):
            self.joints.add(index)
        return hull_where(surely, one, hull_where(never, other, both))

    def _extreme(
        self, step: Step, args: list[Interval], value: Interval, parts: list[Interval | None]
    ) -> Interval:
        found: Interval | None = None
        for rate, part in zip(slopes(step.op, args, value), parts, strict=True):
            here = ZERO if part is None else part
            mask = (rate.hi > 0)[..., None]
            lo, hi = np.where(mask, here.lo, np.inf), np.where(mask, here.hi, -np.inf)
            found = Interval(lo, hi) if found is None else joined(found, Interval(lo, hi))
        assert found is not None
        return found

    def _selected_tangent(
        self, step: Step, args: list[Interval], parts: list[Interval | None]
    ) -> Interval:
        rank = len(step.attr)
        if any(part is not None for part in parts[:rank]):
            raise Unsupported("an entry of an array whose place moves")
        found: Interval | None = None
        for (mask, _), part in zip(self._choices(step, args), parts[rank:], strict=True):
            here = ZERO if part is None else part
            at = mask[..., None]
            lo, hi = np.where(at, here.lo, np.inf), np.where(at, here.hi, -np.inf)
            found = Interval(lo, hi) if found is None else joined(found, Interval(lo, hi))
        assert found is not None
        return found

    def _reduced_tangent(
        self, step: Step, body: Interval, value: Interval, part: Interval | None
    ) -> Interval | None:
        if part is None:
            return None
        axis, count = step.attr
        if step.op in ("any_over", "all_over"):
            unsure = (value.lo != value.hi)[..., None]
            if axis is not None:
                place = self._place(axis)
                part = Interval(
                    part.lo.min(place, keepdims=True), part.hi.max(place, keepdims=True)
                )
            return hull_where(unsure & _moving(part), WHOLE, ZERO)
        if axis is None:
            return multiply(part, point(np.float64(count))) if step.op == "sum_over" else part
        place = self._place(axis)
        shape = list(np.broadcast_shapes(part.lo.shape, (*body.lo.shape, 1)))
        shape[place] = count
        lo, hi = np.broadcast_to(part.lo, shape), np.broadcast_to(part.hi, shape)
        if step.op == "sum_over":
            return REDUCTIONS["sum_over"](lo, hi, place)
        if step.op == "prod_over":
            return self._product_tangent(body, Interval(lo, hi), place, count)
        top = step.op == "max_over"
        best = body.lo.max(place, keepdims=True) if top else body.hi.min(place, keepdims=True)
        active = ((body.hi >= best) if top else (body.lo <= best))[..., None]
        return Interval(
            np.where(active, lo, np.inf).min(place, keepdims=True),
            np.where(active, hi, -np.inf).max(place, keepdims=True),
        )

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

    def _transport_tangent(
        self, step: Step, args: list[Interval], parts: list[Interval | None]
    ) -> Interval:
        """Members move at twice their distance to where they go, targets for their share."""
        dim, count, own, _ = step.attr
        found = ZERO
        for k, reach in enumerate(self._reaches(step, args)):
            twice = _lifted(Interval(-2 * reach, 2 * reach))
            each = multiply(twice, point(np.float64(1.0 / count)))
            own_part = parts[k]
            if own_part is not None:
                found = add(found, multiply(twice, own_part))
            for j in range(count):
                part = parts[dim + j * dim + k]
                if part is not None:
                    found = add(found, multiply(each, part))
        axes = tuple(self._place(axis) for axis in own)
        return Interval(found.lo.min(axes, keepdims=True), found.hi.max(axes, keepdims=True))

    def _product_tangent(self, body: Interval, part: Interval, place: int, count: int) -> Interval:
        shape = list(body.lo.shape)
        shape[place] = count
        whole = Interval(np.broadcast_to(body.lo, shape), np.broadcast_to(body.hi, shape))
        found = ZERO
        for k in range(count):
            rest = [
                Interval(whole.lo.take([i], place), whole.hi.take([i], place))
                for i in range(count)
                if i != k
            ]
            others = multiply(*rest) if rest else ONE
            here = Interval(part.lo.take([k], place), part.hi.take([k], place))
            lifted = Interval(others.lo[..., None], others.hi[..., None])
            found = add(found, multiply(lifted, here))
        return found

    def _statistic_tangent(self, index: int, statistic: Statistic) -> Interval | None:
        """How a mean moves: with its body at the members that mass goes to and comes from, and
        with the slopes of its body, on average over members, or at the one that moves itself.
        """
        step = self.tape.steps[index]
        body, inner = self.values[step.args[0]], self.tangents[step.args[0]]
        moved = self._moves_law(statistic)
        if statistic.mass is not None and (moved or inner is not None):
            return self._ratio_tangent(index, statistic, inner)
        found = None if inner is None else self._averaged(statistic, inner)
        if moved:
            direct = self._moved(statistic, body)
            found = direct if found is None else add(found, direct)
        return found

    def _moves_law(self, statistic: Statistic) -> bool:
        same = statistic.population == self.moves.population
        return self.moves.to is not None and same and self.lead is None

    def _averaged(self, statistic: Statistic, inner: Interval) -> Interval:
        axes = self._positions(statistic)
        return Interval(inner.lo.min(axes, keepdims=True), inner.hi.max(axes, keepdims=True))

    def _ratio_tangent(self, index: int, statistic: Statistic, inner: Interval | None) -> Interval:
        """E[f; c] / P(c) moves by (f - value) c / P(c) at a member, and with the slope of f."""
        step = self.tape.steps[index]
        body, holds = self.values[step.args[0]], self.values[step.args[1]]
        if self.tangents[step.args[1]] is not None:
            raise Unsupported("a condition on members that moves")
        mass = _lifted(self._mass(statistic, holds))
        found = ZERO
        if inner is not None:
            found = self._averaged(statistic, inner)
            if statistic.points:  # one member moves, and counts for one part in the mass
                found = joined(ZERO, RULES["div"](found, mass))
        if self._moves_law(statistic):
            pull = multiply(add(body, RULES["neg"](self.values[index])), holds)
            found = add(found, RULES["div"](self._moved(statistic, pull), mass))
        return found

    def _mass(self, statistic: Statistic, holds: Interval) -> Interval:
        """The mass of a condition, from a statistic that is it if there is one."""
        for i, step in enumerate(self.tape.steps):
            if step.op == "statistic" and i in self.values:
                other = self.tape.statistics[step.attr]
                if other.mass is None and self._counts(other, statistic):
                    return self.values[i]
        lo, hi = self._hull(statistic, holds)
        return Interval(lo, hi)

    def _counts(self, one: Statistic, other: Statistic) -> bool:
        """Whether `one` is the mass of the condition of `other`: the mean of its indicator."""
        if one.population != other.population or other.mass is None:
            return False
        if self.tape.inside[other.mass] != frozenset(one.axes.values()) & frozenset(
            other.axes.values()
        ):
            return False
        mine, theirs = self.tape.steps[one.body], self.tape.steps[other.mass]
        nodes = self.tape.facts.nodes
        below = mine.node
        while nodes[below].op in ("real", "ind"):
            below = nodes[below].args[0]
        return mine.op == "given" and theirs.op == "given" and below == theirs.node

    def _moved(self, statistic: Statistic, body: Interval) -> Interval:
        """The body at the member where mass goes to less the one where it comes from."""
        moves = self.moves
        assert moves.to is not None and moves.off is not None
        ends = [self._at(statistic, body, places) for places in (moves.to, moves.off)]
        return add(ends[0], RULES["neg"](ends[1]))

    def _at(self, statistic: Statistic, body: Interval, places: np.ndarray) -> Interval:
        """Values at members [rows or 1, directions] of each direction, along a last axis."""
        if not statistic.axes:
            return Interval(body.lo[..., None], body.hi[..., None])
        spaces = dict(self.spaces[statistic.population])
        order = list(self.moves.variables)
        positions = dict(
            zip(order, np.unravel_index(places, [spaces[v] for v in order]), strict=True)
        )
        variable = {self._place(axis): v for v, axis in statistic.axes.items()}
        axes = sorted(variable)

        def picked(end: Array) -> Array:
            count = max(len(end), len(places))
            wide = np.broadcast_to(end, (count, *end.shape[1:]))
            first = np.moveaxis(wide, axes, range(1, 1 + len(axes)))
            at = [
                positions[variable[k]] if end.shape[k] > 1 else np.zeros((1, 1), int) for k in axes
            ]
            taken = first[(np.arange(count)[:, None], *at)]  # [rows, directions, other axes]
            return np.expand_dims(np.moveaxis(taken, 1, -1), axes)

        return Interval(picked(body.lo), picked(body.hi))

    def _place(self, axis: int) -> int:
        """Where an inner axis stands among those of a value."""
        return 1 + axis - len(self.tape.grid)


def args_of(tape: Tape, statistic: Statistic) -> list[int]:
    """The body of a statistic, and the condition on its members if there is one."""
    return [statistic.body] if statistic.mass is None else [statistic.body, statistic.mass]


def _moving(part: Interval | None) -> np.ndarray:
    """Where a derivative is not surely 0."""
    if part is None:
        return np.zeros(1, bool)
    return np.asarray(~((part.lo == 0) & (part.hi == 0)))


def _combined(rates: Sequence[Interval], parts: Sequence[Interval | None]) -> Interval | None:
    """The sum of rates times derivatives."""
    terms = []
    for rate, part in zip(rates, parts, strict=True):
        if part is not None:
            lifted = Interval(np.asarray(rate.lo)[..., None], np.asarray(rate.hi)[..., None])
            unit = rate is ONE
            terms.append(part if unit else multiply(lifted, part))
    return add(*terms) if terms else None


def _powers(places: Sequence[int], args: Sequence[Interval]) -> Interval:
    """A product in which factors occur twice: their squares are not negative."""
    left = list(zip(places, args, strict=True))
    parts = []
    while left:
        place, value = left.pop(0)
        twin = next((k for k, (other, _) in enumerate(left) if other == place), None)
        if twin is not None:
            left.pop(twin)
            parts.append(squared(value))
        else:
            parts.append(value)
    return multiply(*parts)


def _norm(args: Sequence[Interval]) -> Interval:
    squares = add(*(squared(RULES["abs"](a)) for a in args))
    return RULES["sqrt"](squares)


def _norm_slopes(args: Sequence[Interval], value: Interval) -> list[Interval]:
    unit = Interval(np.asarray(-1.0), np.asarray(1.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return [meet(unit, _nan_free(RULES["div"](a, value))) for a in args]


def _nan_free(a: Interval) -> Interval:
    return Interval(np.where(np.isnan(a.lo), -np.inf, a.lo), np.where(np.isnan(a.hi), np.inf, a.hi))


def _softmax(args: Sequence[Interval]) -> Interval:
    """The share of the first: 1 / (1 + sum of exp(other - first))."""
    first = args[0]
    sums = []
    for end, other in ((first.lo, "hi"), (first.hi, "lo")):
        parts = [RULES["exp"](add(point(getattr(a, other)), point(-end))) for a in args[1:]]
        sums.append(add(ONE, *parts))
    lo, hi = RULES["div"](ONE, sums[0]).lo, RULES["div"](ONE, sums[1]).hi
    return Interval(np.maximum(lo, 0.0), np.minimum(hi, 1.0))


def _softmax_tangent(
    args: Sequence[Interval], value: Interval, parts: Sequence[Interval | None]
) -> Interval:
    """The share p times the sum of p_j (rate - rate_j), and p (1 - p) times its lead."""
    first = ZERO if parts[0] is None else parts[0]
    rest = [ZERO if p is None else p for p in parts[1:]]
    faster = [add(first, RULES["neg"](other)) for other in rest]
    shares = [_softmax([args[k + 1], *args[: k + 1], *args[k + 2 :]]) for k in range(len(rest))]
    apart = add(*(multiply(_lifted(p), d) for p, d in zip(shares, faster, strict=True)))
    return meet(multiply(_lifted(value), apart), multiply(_lifted(bump(value)), hulled(faster)))


def _lifted(a: Interval) -> Interval:
    """With an axis for directions."""
    return Interval(np.asarray(a.lo)[..., None], np.asarray(a.hi)[..., None])


def _xlogx(a: Interval) -> Interval:
    inside = Interval(np.maximum(a.lo, 0.0), np.maximum(a.hi, 0.0))
    ends = []
    for end in (inside.lo, inside.hi):
        value = multiply(point(end), RULES["log"](point(end)))
        zero = end == 0
        ends.append(Interval(np.where(zero, 0.0, value.lo), np.where(zero, 0.0, value.hi)))
    lo, hi = np.minimum(ends[0].lo, ends[1].lo), np.maximum(ends[0].hi, ends[1].hi)
    dip = (inside.lo <= 0.36787944117144233) & (inside.hi >= 0.36787944117144233)
    return Interval(np.where(dip, -0.36787944117144245, lo), hi)


def _looked_up(table: Array, args: Sequence[Interval]) -> Interval:
    """An entry of a constant array; any of them where the place is not known."""
    if all(np.all(a.lo == a.hi) for a in args):
        at = tuple(
            np.clip(a.lo, 0, size - 1).astype(np.int64)
            for a, size in zip(args, table.shape, strict=False)
        )
        return point(table[at])
    return Interval(np.full(args[0].lo.shape, table.min()), np.full(args[0].lo.shape, table.max()))
