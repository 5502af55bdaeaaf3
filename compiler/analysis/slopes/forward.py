"""Values and directional derivatives of a tape over many boxes at once.

Derivatives have one more axis than values, the directions. They enclose Clarke's generalised
directional derivative over the box.
"""

from collections.abc import Sequence
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
)
from mfdsl.compiler.analysis.slopes.atoms import (
    ATOMS,
    ONE,
    WHOLE,
    ZERO,
    bump,
    hull_where,
    meet,
    slopes,
)
from mfdsl.compiler.analysis.slopes.ranges import Ranges
from mfdsl.compiler.analysis.slopes.rows import Moves, Rows
from mfdsl.compiler.analysis.slopes.rules import (
    combined,
    lifted,
    moving,
    norm_slopes,
)
from mfdsl.compiler.analysis.slopes.shares import share_tangent, shares
from mfdsl.compiler.analysis.slopes.tape import BOOLEAN, Statistic, Step, Unsupported


@dataclass
class Forward(Ranges):
    """One pass with slopes. The step `cut` counts as one that does not move; with `lead` only that
    step does, at rate 1.

    `jumps` and `joints` collect steps that may jump, and conditions that are not decided, where the
    direction moves them.
    """

    cut: int | None = field(default=None, kw_only=True)
    lead: int | None = field(default=None, kw_only=True)
    jumps: set[int] = field(default_factory=set, kw_only=True)
    joints: set[int] = field(default_factory=set, kw_only=True)
    tangents: dict[int, Interval | None] = field(default_factory=dict, kw_only=True)
    shares: dict[int, list[Interval]] = field(default_factory=dict, kw_only=True)

    def tangent(self, step: int) -> Interval | None:
        """The enclosure of its slopes, [rows, inner axes, directions]; None where all are 0."""
        self.value(step)
        for i in self._order(step, self.tangents):
            self.tangents[i] = self._tangent(i, self.tape.steps[i])
        return self.tangents[step]

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
                far = lifted(self.values[index]).hi
                return Interval(-far, far)
        if all(part is None for part in parts):
            return None
        if step.op in BOOLEAN:
            return self._flips(index, parts)
        return self._chain(index, step, parts)

    def _flips(self, index: int, parts: Sequence[Interval | None]) -> Interval:
        """A truth value has no slope where it is decided or stands still, else any."""
        value = self.values[index]
        moves = np.any(np.broadcast_arrays(*map(moving, parts)), axis=0)
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
            return share_tangent(self.shares_of(index), parts)
        rates = rates_of(step.op, args, value)
        if step.op in GRID_RULES or (step.op in ATOMS and ATOMS[step.op].jump):
            if any(np.any(~np.isfinite(r.hi)) for r in rates):
                self.jumps.add(index)
        return combined(rates, parts)

    def shares_of(self, index: int) -> list[Interval]:
        """All shares of a softmax step."""
        if index not in self.shares:
            found = shares([self.values[a] for a in self.tape.steps[index].args])
            self.shares[index] = [meet(self.values[index], found[0]), *found[1:]]
        return self.shares[index]

    def _branch(
        self, index: int, args: list[Interval], parts: list[Interval | None]
    ) -> Interval | None:
        condition = args[0]
        surely, never = (condition.lo > 0)[..., None], (condition.hi <= 0)[..., None]
        one, other = (ZERO if p is None else p for p in parts[1:])
        both = joined(one, other)
        if np.any(moving(parts[0]) & ~(surely | never)):
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
            return hull_where(unsure & moving(part), WHOLE, ZERO)
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

    def _transport_tangent(
        self, step: Step, args: list[Interval], parts: list[Interval | None]
    ) -> Interval:
        """Members move at twice their distance to where they go, targets for their share."""
        dim, count, own, _ = step.attr
        found = ZERO
        for k, reach in enumerate(self._reaches(step, args)):
            twice = lifted(Interval(-2 * reach, 2 * reach))
            each = RULES["div"](twice, point(np.float64(count)))
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
            factor = lifted(others)
            found = add(found, multiply(factor, here))
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
        mass = lifted(self._mass(statistic, holds))
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
        return Interval(
            self.at_members(statistic, body.lo, places), self.at_members(statistic, body.hi, places)
        )

    def at_members(self, statistic: Statistic, end: Array, places: np.ndarray) -> Array:
        """Entries of an array [rows, inner axes, ...] at members [rows or 1, directions] of a
        statistic, [rows, inner axes, ..., directions].
        """
        if not statistic.axes:
            return end[..., None]
        spaces = dict(self.spaces[statistic.population])
        order = list(self.moves.variables)
        positions = dict(
            zip(order, np.unravel_index(places, [spaces[v] for v in order]), strict=True)
        )
        variable = {self._place(axis): v for v, axis in statistic.axes.items()}
        axes = sorted(variable)
        count = max(len(end), len(places))
        wide = np.broadcast_to(end, (count, *end.shape[1:]))
        first = np.moveaxis(wide, axes, range(1, 1 + len(axes)))
        at = [positions[variable[k]] if end.shape[k] > 1 else np.zeros((1, 1), int) for k in axes]
        taken = first[(np.arange(count)[:, None], *at)]  # [rows, directions, other axes]
        return np.expand_dims(np.moveaxis(taken, 1, -1), axes)

    def member_axes(self, statistic: Statistic) -> tuple[int, ...]:
        """Axes of the members of a statistic in arrays [rows, inner axes]."""
        return self._positions(statistic)


def rates_of(op: str, args: Sequence[Interval], value: Interval) -> list[Interval]:
    """The slope of one operator in each of its arguments.

    Raises:
        Unsupported: it has none that is known.
    """
    if op == "norm":
        return norm_slopes(args, value)
    if op == "logistic_down":
        return [RULES["neg"](bump(value))]
    if op == "xlogx":
        return [add(RULES["log"](args[0]), ONE)]
    if op in GRID_RULES or op == "lookup":
        return [hull_where(value.lo == value.hi, ZERO, WHOLE)] * len(args)
    if op in ATOMS:
        return slopes(op, args, value)
    raise Unsupported(f"the slope of `{op}`")


__all__ = ["Forward", "Moves", "Rows", "rates_of"]
