"""Gradients and second derivatives of a tape in all its coordinates, over many boxes at once.

Here a statistic is a variable of its own that may have any value of its box, whether or not there
is a law with that value, so that a box is all of what its ends say and derivatives hold along every
segment in it. Forward over forward (Griewank and Walther 2008, chapter 3), in enclosures.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mfdsl.compiler.analysis.intervals import Interval
from mfdsl.compiler.analysis.slopes.bends import bends, share_bends
from mfdsl.compiler.analysis.slopes.centred import (
    UNKNOWN,
    ZERO,
    Centred,
    centred,
    exactly,
    matrix,
    plus,
    stacked,
    times,
    total,
    turned,
    where,
)
from mfdsl.compiler.analysis.slopes.forward import Forward, rates_of
from mfdsl.compiler.analysis.slopes.shares import share_slopes
from mfdsl.compiler.analysis.slopes.tape import BOOLEAN, Statistic, Step, Unsupported

Part = Centred | None
"""Derivatives; None where all are 0."""


@dataclass
class Curvature(Forward):
    """One pass with gradients [rows, inner axes, coordinates] and second derivatives [rows, inner
    axes, coordinates, coordinates].

    Raises Unsupported where an operator has no rule, or a mean no coordinate.
    """

    gradients: dict[int, Part] = field(default_factory=dict, kw_only=True)
    hessians: dict[int, Part] = field(default_factory=dict, kw_only=True)

    def gradient(self, step: int) -> Part:
        """The gradient of a step."""
        self.value(step)
        for i in self._order(step, self.gradients):
            self.gradients[i] = self._gradient(i)
        return self.gradients[step]

    def hessian(self, step: int) -> Part:
        """The second derivatives of a step."""
        self.gradient(step)
        for i in self._order(step, self.hessians):
            found = self._hessian(i)
            self.hessians[i] = _known(found, self.gradients[i])
        return self.hessians[step]

    def _statistic(self, statistic: Statistic, args: list[Interval]) -> Interval:
        if statistic.coordinate is None:
            raise Unsupported("the gradient of a mean inside another")
        return self._coordinate(statistic.coordinate)

    def _unit(self, coordinate: int) -> Centred:
        unit = np.zeros((1, *self._shape(), len(self.tape.coordinates)))
        unit[..., coordinate] = 1.0
        return exactly(unit)

    def _gradient(self, index: int) -> Part:
        step = self.tape.steps[index]
        if step.op == "coordinate":
            return self._unit(step.attr)
        if step.op == "statistic":
            coordinate = self.tape.statistics[step.attr].coordinate
            assert coordinate is not None
            return self._unit(coordinate)
        parts = [self.gradients[a] for a in step.args]
        return self._first_order(index, parts, 1)

    def _first_order(self, index: int, parts: Sequence[Part], more: int) -> Part:
        """Derivatives that go through the first derivatives of an operator; they have `more` axes.

        Used for gradients, and for the second derivatives of arguments.
        """
        if all(part is None for part in parts):
            return None
        step, value = self.tape.steps[index], self.values[index]
        args = [self.values[a] for a in step.args]
        if step.op == "sum_over":
            return self._summed(step, parts[0])
        if step.op == "if":
            return _branched(args[0], parts, more)
        if step.op in BOOLEAN:
            return _boundless(value.lo != value.hi, parts, more)
        if step.op == "softmax":
            rates = share_slopes(self.shares_of(index))
        else:
            rates = rates_of(step.op, args, value)
        terms = [
            times(_lifted(centred(rate), more), part)
            for rate, part in zip(rates, parts, strict=True)
            if part is not None
        ]
        return plus(*terms)

    def _summed(self, step: Step, part: Part) -> Part:
        axis, count = step.attr
        assert part is not None
        if axis is None:
            raise Unsupported("the gradient of a sum over many indices")
        shape = list(part.middle.shape)
        shape[self._place(axis)] = count
        wide = Centred(np.broadcast_to(part.middle, shape), np.broadcast_to(part.radius, shape))
        return total(wide, self._place(axis))

    def _hessian(self, index: int) -> Part:
        step = self.tape.steps[index]
        if not step.args or step.op == "statistic":
            return None
        below = self._first_order(index, [self.hessians[a] for a in step.args], 2)
        if step.op in ("sum_over", "if", *BOOLEAN):
            return below
        bent = self._second_order(index)
        if below is None or bent is None:
            return bent if below is None else below
        return plus(below, bent)

    def _second_order(self, index: int) -> Part:
        """Gradients of arguments that meet in the second derivatives of an operator."""
        step = self.tape.steps[index]
        moving = {k: g for k, a in enumerate(step.args) if (g := self.gradients[a]) is not None}
        if not moving:
            return None
        places = {k: n for n, k in enumerate(moving)}
        if step.op == "softmax":
            found = share_bends(self.shares_of(index))
        else:
            found = bends(step.op, [self.values[a] for a in step.args], self.values[index])
        table = {
            (places[i], places[j]): centred(bend)
            for (i, j), bend in found.items()
            if i in places and j in places
        }
        if not table:
            return None
        gradients = stacked(list(moving.values()), -2)  # [rows, inner axes, arguments, coordinates]
        return _met(table, gradients)


def _known(hessian: Part, gradient: Part) -> Part:
    """The second derivatives, where the gradient is known too."""
    if gradient is None or np.isfinite(gradient.radius).all():
        return hessian
    lost = ~np.isfinite(gradient.radius)
    return where(lost[..., :, None] | lost[..., None, :], UNKNOWN, hessian or ZERO)


def _met(table: dict[tuple[int, int], Centred], gradients: Centred) -> Centred:
    """The sum of entries times the gradients of both arguments, where no entry is unbounded; where
    one is, nothing is known of pairs of coordinates that move both arguments.
    """
    count = gradients.middle.shape[-2]
    shape = np.broadcast_shapes(*(entry.middle.shape for entry in table.values()))
    inner = Centred(np.zeros((*shape, count, count)), np.zeros((*shape, count, count)))
    moves = (gradients.middle != 0) | (gradients.radius != 0)
    unknown: np.ndarray = np.zeros(1, bool)
    for (i, j), entry in table.items():
        fine = np.isfinite(entry.radius)
        for a, b in {(i, j), (j, i)}:
            inner.middle[..., a, b] = np.where(fine, entry.middle, 0.0)
            inner.radius[..., a, b] = np.where(fine, entry.radius, 0.0)
            if not fine.all():
                pairs = moves[..., a, :, None] & moves[..., b, None, :]
                unknown = unknown | (pairs & ~fine[..., None, None])
    found = matrix(turned(gradients), matrix(inner, gradients))
    return where(unknown, UNKNOWN, found) if unknown.any() else found


def _lifted(a: Centred, more: int) -> Centred:
    """With axes for coordinates."""
    shape = (*a.middle.shape, *(1,) * more)
    return Centred(a.middle.reshape(shape), a.radius.reshape(shape))


def _boundless(unsure: np.ndarray, parts: Sequence[Part], more: int) -> Centred:
    """Nothing known where a truth is not decided and its arguments move."""
    found = ZERO
    for part in parts:
        if part is not None:
            moves = (part.middle != 0) | (part.radius != 0)
            open_ = unsure.reshape((*unsure.shape, *(1,) * more))
            found = plus(found, where(open_ & moves, UNKNOWN, ZERO))
    return found


def _branched(condition: Interval, parts: Sequence[Part], more: int) -> Centred:
    """The branch that is chosen; nothing known where that is not decided."""
    surely, never = (
        mask.reshape((*mask.shape, *(1,) * more)) for mask in (condition.lo > 0, condition.hi <= 0)
    )
    one, other = (ZERO if p is None else p for p in parts[1:])
    return where(surely, one, where(never, other, UNKNOWN))
