"""Slopes of small boxes by their value in the middle and second derivatives: the mean-value form.

A slope in a direction d is a sum over coordinates l of how fast l moves along d times the partial
derivative in l. Both are functions of the coordinates x of a box, so that with a middle c the slope
at x lies in slope(c) + sum over k of [its derivative in k over the box] (x_k - c_k), an error that
shrinks with the square of the box (Neumaier 1990, Interval Methods, chapter 2). Where a kink, a
jump or a pole lies in the box the derivative is not bounded, and neither is the result.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from mfdsl.compiler.analysis.intervals import Array, Interval
from mfdsl.compiler.analysis.slopes.centred import (
    ZERO,
    Centred,
    interval,
    matrix,
    pair,
    plus,
    times,
    total,
    where,
)
from mfdsl.compiler.analysis.slopes.curvature import Curvature
from mfdsl.compiler.analysis.slopes.domain import Space
from mfdsl.compiler.analysis.slopes.linear_bounds import Reach, highest
from mfdsl.compiler.analysis.slopes.rows import Moves, Rows
from mfdsl.compiler.analysis.slopes.speeds import Speeds, SpeedsOf
from mfdsl.compiler.analysis.slopes.tape import Tape
from mfdsl.compiler.analysis.slopes.totals import Total, ends_of

SLACK = 2.0**-44  # of sums that are rounded to nearest, relative


def sharpened(
    tape: Tape,
    rows: Rows,
    moves: Moves,
    spaces: Mapping[str, Space],
    speeds_of: SpeedsOf,
    totals: Sequence[Total],
) -> list[Interval]:
    """Rates [rows, directions] of each root, infinite where the form says nothing.

    Raises:
        Unsupported: an operator has no second derivative here.
    """
    with np.errstate(invalid="ignore"):  # of boxes without ends
        middle = rows.lo / 2 + rows.hi / 2
    middle = np.where(np.isfinite(middle), middle, 0.0)
    box = Curvature(tape, rows, moves, None, spaces)
    at = Curvature(tape, Rows(rows.places, middle, middle), moves, None, spaces)
    here, around = speeds_of(at), speeds_of(box)
    reach = _reach(tape, rows, middle, totals)
    return [_rate(root, at, here, box, around, reach) for root in tape.roots]


def _reach(tape: Tape, rows: Rows, middle: Array, totals: Sequence[Total]) -> Reach:
    """How far the points of a box are from its middle. Whole numbers have no derivatives between
    them, so that boxes with several have no end here.
    """
    low = np.where(rows.lo < middle, np.nextafter(rows.lo - middle, -np.inf), 0.0)
    high = np.where(rows.hi > middle, np.nextafter(rows.hi - middle, np.inf), 0.0)
    whole = np.array([c.whole for c in tape.coordinates], bool)
    wide = whole & (rows.hi > rows.lo)
    low, high = np.where(wide, -np.inf, low), np.where(wide, np.inf, high)
    sums = []
    for least, most, t in ends_of(tape, totals, rows):
        at = list(t.coordinates)
        total_, slack = middle[:, at].sum(1), SLACK * np.abs(middle[:, at]).sum(1)
        sums.append((at, least - total_ - slack, most - total_ + slack))
    return Reach(low, high, sums)


def _rate(
    root: int, at: Curvature, here: Speeds, box: Curvature, around: Speeds, reach: Reach
) -> Interval:
    """The rates of one root."""
    count, width = reach.low.shape
    directions = here.speed.middle.shape[-2]
    gradient = _flat(at.gradient(root), (count, width))
    if gradient is None:
        return Interval(np.zeros((count, directions)), np.zeros((count, directions)))
    slope = matrix(here.speed, _of_moving(here, _column(gradient)))
    ends = interval(Centred(*(e[..., 0] for e in pair(slope))))
    parts = []
    if (bent := _flat(box.hessian(root), (count, width, width))) is not None:
        wide = where((reach.high > reach.low)[:, None], bent, ZERO)
        parts.append(matrix(around.speed, _of_moving(around, wide)))
    slopes = _flat(box.gradient(root), (count, width))
    if around.change is not None and slopes is not None:
        each = times(around.change, Centred(*(e[:, None, :, None] for e in pair(slopes))))
        parts.append(Centred(*(e[..., 0, :] for e in pair(total(each, -2)))))
    if not parts:
        return ends
    bend = plus(*parts)
    up, down = highest(bend, reach), highest(Centred(-bend.middle, bend.radius), reach)
    return Interval(np.nextafter(ends.lo - down, -np.inf), np.nextafter(ends.hi + up, np.inf))


def _column(a: Centred) -> Centred:
    return Centred(*(e[..., None] for e in pair(a)))


def _of_moving(speeds: Speeds, a: Centred) -> Centred:
    """Rows of matrices of the coordinates that move, 0 in the others."""
    moves = ((speeds.speed.middle != 0) | (speeds.speed.radius != 0)).any(-2)
    return where(moves[..., None], a, ZERO)


def _flat(part: Centred | None, shape: tuple[int, ...]) -> Centred | None:
    """Derivatives of a root [rows, coordinates, ...] without its inner axes, of length 1."""
    if part is None:
        return None
    full: list[Array] = []
    for end in pair(part):
        inner = max(end.ndim - len(shape), 0)
        wide = np.broadcast_to(end, (shape[0], *(1,) * inner, *shape[1:]))
        full.append(wide.reshape(shape))
    return Centred(*full)
