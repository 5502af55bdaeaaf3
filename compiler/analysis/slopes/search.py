"""Branch and bound over rows: split the box that spoils the bound until it is sharp.

Bounds of boxes that are dropped are kept (`parked`): the answer is their largest. A best value that
lies above it is a mistake of the analysis and raises, it is never cut off. On request the boxes
themselves are kept, too: together they are the proof, which can be checked without a search.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mfdsl.compiler.analysis.certificate import ContradictionError
from mfdsl.compiler.analysis.counted import counted, late
from mfdsl.compiler.analysis.intervals import Array
from mfdsl.compiler.analysis.slopes.forward import Rows

Bound = Callable[[Rows], Array]
"""An upper bound on each row, inf where there is none."""

Feasible = Callable[[Rows], np.ndarray]
"""Which rows may hold a point of the domain."""

Improve = Callable[[Rows, Array], float]
"""A value that is attained near the best of these rows, given their bounds."""


@dataclass(frozen=True)
class Budget:
    """When a search stops: boxes in all, seconds, relative gap between the bounds.

    Seconds are those of `counted`, so that every machine comes to the same verdicts.
    With `by`, that answers in the place of a search: it is given the problem and this budget.
    """

    boxes: int = 300_000
    seconds: float = 0.3
    gap: float = 1e-3
    width: float = 1e-9  # of a box that is not split any more, relative to the first
    keep: bool = False  # the boxes that make up the proof
    by: "Callable[[Any, Budget], Found] | None" = None


@dataclass(frozen=True)
class Leaves:
    """The boxes that a search has not split any further; together they cover its first rows.

    `upper` bounds each, by its own bound or that of a box that it is a part of; those that are
    `empty` hold no point of the domain and have the bound -inf. Coordinates that take whole numbers
    are covered at these only.
    """

    rows: Rows
    upper: Array
    empty: np.ndarray


@dataclass(frozen=True)
class Found:
    """Both bounds, how many boxes it took, whether the gap was closed, the rows that spoil it; its
    leaves if they were kept; what the bound rests on `also`, besides the search.
    """

    lower: float
    upper: float
    boxes: int
    closed: bool
    worst: Rows
    leaves: Leaves | None = None
    also: tuple[str, ...] = ()


CHUNK = 4096  # boxes that are split at once
FEW = 32  # fewer boxes than this take about as long as one
PATIENCE = 4  # growth of their number before the best value is looked for again


def search(
    rows: Rows,
    bound: Bound,
    improve: Improve,
    budget: Budget,
    whole: np.ndarray,
    feasible: Feasible | None = None,
    several: Iterable[int] = (),
    smooth: Callable[[], bool] = lambda: True,
) -> Found:
    """The largest value over all rows; `whole` marks coordinates that take whole numbers only,
    those in `several` are not split. The bounds hold where `smooth()` says so at the end.

    Raises:
        ContradictionError: a value is attained above a proved bound.
    """
    deadline = counted() + budget.seconds
    sizes = np.maximum(rows.hi - rows.lo, 0.0)
    first = sizes.max(0) if len(sizes) else sizes
    first[..., list(several)] = 0.0
    upper = _certain(bound(rows))
    best, parked, boxes = improve(rows, upper), -np.inf, len(rows)
    worst, tried = rows.take(np.argsort(-upper)[:1]), boxes
    leaves: list[Leaves] = []
    while len(rows):
        goal = best * (1 + budget.gap) if best > 0 else best
        done = upper <= max(goal, 0.0)
        if done.any():
            parked = max(parked, float(upper[done].max()))
            _keep(leaves, budget, rows, upper, done)
            rows, upper = rows.take(~done), upper[~done]
        if not len(rows):
            break
        spent = late(deadline) or boxes > budget.boxes
        stuck = ~splittable(rows, first, budget.width, whole)
        if spent or stuck.all():
            worst, parked = rows.take(np.argsort(-upper)[:1]), max(parked, float(upper.max()))
            _keep(leaves, budget, rows, upper, np.ones(len(rows), bool))
            return _judged(best, parked, boxes, False, worst, smooth(), leaves)
        order = np.argsort(-upper, kind="stable")
        order = order[~stuck[order]][:CHUNK]
        rest = np.ones(len(rows), bool)
        rest[order] = False
        halves, above = rows.take(order), upper[order]
        while len(halves):
            halves, above = split(halves, first, whole), np.tile(above, 2)
            if feasible is not None:
                possible = feasible(halves)
                _keep(leaves, budget, halves, np.full(len(halves), -np.inf), ~possible)
                halves, above = halves.take(possible), above[possible]
            if len(halves) >= FEW or not splittable(halves, first, budget.width, whole).all():
                break
        boxes += len(halves)
        rows = joined_rows(rows.take(rest), halves)
        upper = np.concatenate([upper[rest], np.minimum(above, _certain(bound(halves)))])
        if len(rows) and boxes > PATIENCE * tried:
            tried = boxes
            best = max(best, improve(rows, upper))
    return _judged(best, parked, boxes, True, worst, smooth(), leaves)


def _keep(leaves: list[Leaves], budget: Budget, rows: Rows, upper: Array, of: np.ndarray) -> None:
    """Remember some of the rows, if that is asked for."""
    if budget.keep and of.any():
        some = upper[of]
        leaves.append(Leaves(rows.take(of), some, some == -np.inf))


def _certain(upper: Array) -> Array:
    """Bounds, infinite where there is none."""
    return np.where(np.isnan(upper), np.inf, upper)


def _judged(
    best: float,
    top: float,
    boxes: int,
    closed: bool,
    worst: Rows,
    smooth: bool,
    leaves: Sequence[Leaves],
) -> Found:
    if smooth and best > top:
        raise ContradictionError(f"a slope of {best!r} is attained above the bound {top!r}")
    return Found(best, top, boxes, closed, worst, joined_leaves(leaves) if leaves else None)


def joined_leaves(parts: Sequence[Leaves]) -> Leaves:
    """The leaves of all parts."""
    return Leaves(
        Rows(
            *(np.concatenate([getattr(p.rows, e) for p in parts]) for e in ("places", "lo", "hi"))
        ),
        np.concatenate([p.upper for p in parts]),
        np.concatenate([p.empty for p in parts]),
    )


def joined_rows(one: Rows, other: Rows) -> Rows:
    """The rows of both."""
    return Rows(
        np.concatenate([one.places, other.places]),
        np.concatenate([one.lo, other.lo]),
        np.concatenate([one.hi, other.hi]),
    )


def _widths(rows: Rows, first: Array, whole: np.ndarray) -> Array:
    """Widths relative to those at the start, 0 where a box cannot be split."""
    with np.errstate(invalid="ignore", divide="ignore"):
        width = rows.hi - rows.lo
        share = np.where(first > 0, width / first, 0.0)
    share = np.where(np.isinf(width) & (first > 0), 1.0, share)
    return np.where(whole & (width < 1), 0.0, np.nan_to_num(share))


def splittable(rows: Rows, first: Array, width: float, whole: np.ndarray) -> np.ndarray:
    """Which rows have a coordinate that is still wide enough, and finite."""
    if not rows.lo.shape[1]:
        return np.zeros(len(rows), bool)
    finite = np.isfinite(rows.lo) & np.isfinite(rows.hi)
    wide: np.ndarray = (_widths(rows, first, whole) > width) & finite
    return np.asarray(wide.any(1))


def split(rows: Rows, first: Array, whole: np.ndarray) -> Rows:
    """Both halves of every row along its widest finite coordinate."""
    finite = np.isfinite(rows.lo) & np.isfinite(rows.hi)
    which = np.argmax(np.where(finite, _widths(rows, first, whole), -1.0), 1)
    at = np.arange(len(rows))
    middle = rows.lo[at, which] / 2 + rows.hi[at, which] / 2
    left, right = np.where(whole[which], np.floor(middle), middle), middle
    right = np.where(whole[which], left + 1, right)
    hi, lo = rows.hi.copy(), rows.lo.copy()
    hi[at, which], lo[at, which] = left, right
    return Rows(
        np.concatenate([rows.places, rows.places]),
        np.concatenate([rows.lo, lo]),
        np.concatenate([hi, rows.hi]),
    )
