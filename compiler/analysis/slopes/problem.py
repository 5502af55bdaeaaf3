"""What all searches for a slope share: the domain, passes in pieces, bounds within a budget."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace

import numpy as np

from mfdsl.compiler.analysis.counted import counted, late
from mfdsl.compiler.analysis.intervals import Array, Interval
from mfdsl.compiler.analysis.slopes.atoms import meet
from mfdsl.compiler.analysis.slopes.domain import (
    Space,
    Template,
    feasible_in,
    root_rows,
    spaces_of,
    templates_of,
)
from mfdsl.compiler.analysis.slopes.forward import Forward, Moves, Rows
from mfdsl.compiler.analysis.slopes.interchange import in_order, ordered
from mfdsl.compiler.analysis.slopes.mean_value import sharpened
from mfdsl.compiler.analysis.slopes.search import Budget, Found, search
from mfdsl.compiler.analysis.slopes.speeds import SpeedsOf
from mfdsl.compiler.analysis.slopes.tape import Tape, Unsupported, size_of
from mfdsl.compiler.analysis.slopes.totals import Total, contracted, possible, totals_of

FIRST = 8  # times the budget of a search, for its first pass: without one there is no bound
SYMMETRY = "one order of interchangeable statistics"
POLYNOMIAL = "Bernstein form of a polynomial"
OVERTIME = 2  # times the budget of a search, for its last pass
RARE, MOST = 0.1, 0.95  # shares of boxes in which a form is sharper
PAUSE = 4  # growth of the boxes seen before a form that did not pay is tried again
ENTRIES = 1 << 19  # numbers of one array of a pass


@dataclass
class Problem(ABC):
    """The slope of the roots of a tape. `jumps` and `joints` are steps at which it may break; no
    pass begins after the `deadline`. Boxes that were `seen` are counted: mean-value forms `wait`
    for some, and are used `alone` where they are nearly always sharper.
    """

    tape: Tape
    spaces: dict[str, Space] = field(init=False)
    templates: list[Template] = field(init=False)
    totals: list[Total] = field(init=False)
    jumps: set[int] = field(default_factory=set, init=False)
    joints: set[int] = field(default_factory=set, init=False)
    deadline: float = field(default=np.inf, init=False)
    speeds: SpeedsOf | None = field(default=None, init=False)
    seen: int = field(default=0, init=False)
    wait: int = field(default=1, init=False)
    classes: list[list[int]] = field(default_factory=list, init=False)
    alone: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.spaces = spaces_of(self.tape)
        self.templates = templates_of(self.tape)
        self.totals = totals_of(self.tape, self.spaces)

    @property
    @abstractmethod
    def width(self) -> int:
        """How many directions there are."""

    @abstractmethod
    def slopes(self, rows: Rows, laws: dict[str, Array] | None = None) -> tuple[Array, Array]:
        """Lower and upper bounds of the slope in each row; with laws, at these."""

    @abstractmethod
    def improve(self, rows: Rows, upper: Array) -> float:
        """The largest slope that is attained close to the best of some rows."""

    def found(self, budget: Budget) -> Found:
        """Both bounds of the constant."""
        if budget.by is not None:
            return budget.by(self, budget)
        began = counted()
        self.deadline = began + FIRST * budget.seconds
        whole = np.array([c.whole for c in self.tape.coordinates], bool)

        cap = np.inf
        if not budget.keep:
            cap, self.classes = self.cap(budget), self.interchangeable()

        def bound(rows: Rows) -> Array:
            found = np.minimum(self.bound(rows), cap)
            self.deadline = began + OVERTIME * budget.seconds
            return found

        def feasible(halves: Rows) -> np.ndarray:
            some = feasible_in(self.tape, self.templates, halves)
            some &= ordered(self.classes, halves)
            return np.asarray(some & possible(self.tape, self.totals, halves))

        found = search(
            root_rows(self.tape),
            bound,
            lambda rows, upper: self.improve(self.contracted(rows), upper),
            budget,
            whole,
            feasible,
            self.tape.several,
            lambda: not self.joints,
        )
        also = (SYMMETRY,) if self.classes else ()
        return replace(found, also=also if found.upper < cap else (*also, POLYNOMIAL))

    def cap(self, budget: Budget) -> float:
        """A bound of the constant that needs no search over boxes, inf if there is none. It is in
        no box, so that searches whose boxes are kept go without.
        """
        return np.inf

    def interchangeable(self) -> list[list[int]]:
        """Coordinates that a search needs in one order only; all where boxes are kept."""
        return []

    @abstractmethod
    def moves_in(self, rows: Rows) -> Moves:
        """The directions of rows."""

    def natural(self, rows: Rows, laws: dict[str, Array] | None = None) -> list[Interval]:
        """Rates [rows, directions] of the roots by one pass; with laws, at these."""
        forward = Forward(self.tape, rows, self.moves_in(rows), laws, self.spaces)
        rates = [self.flat(forward.tangent(root), len(rows)) for root in self.tape.roots]
        self.jumps |= forward.jumps
        self.joints |= forward.joints
        return rates

    def rates(self, rows: Rows) -> list[Interval]:
        """Rates of the roots by one pass, by their mean-value form, or by both where that pays."""
        before, self.seen = self.seen, self.seen + len(rows)
        if self.speeds is None or before < self.wait:
            return self.natural(rows)
        moves = self.moves_in(rows)
        try:
            sharp = sharpened(self.tape, rows, moves, self.spaces, self.speeds, self.totals)
        except Unsupported:
            self.speeds = None
            return self.natural(rows)
        open_ = ~np.all([np.isfinite(r.hi).all(1) & np.isfinite(r.lo).all(1) for r in sharp], 0)
        if self.alone and not open_.all():
            if open_.any():
                _fill(sharp, self.natural(rows.take(open_)), open_)
            return sharp
        plain = self.natural(rows)
        self._learn(plain, sharp)
        return [meet(one, other) for one, other in zip(plain, sharp, strict=True)]

    def _learn(self, plain: list[Interval], sharp: list[Interval]) -> None:
        """Whether the mean-value form is worth its time: in how many rows it is sharper."""
        wide = [np.sum([(r.hi - r.lo).max(1) for r in rates], 0) for rates in (plain, sharp)]
        with np.errstate(invalid="ignore"):
            better = float((wide[1] < 0.9 * wide[0]).mean())
        if better < RARE:
            self.wait = PAUSE * self.seen
        self.alone = better > MOST

    def bound(self, rows: Rows) -> Array:
        """An upper bound of the slope in each row; inf for rows that no steps are left for."""
        found = np.full(len(rows), np.inf)
        start = 0
        for part in self.chunks(self.contracted(rows)):
            if late(self.deadline):
                break
            found[start : start + len(part)] = self.slopes(part)[1]
            start += len(part)
        return found

    def contracted(self, rows: Rows) -> Rows:
        """Rows without parts that no law reaches, or only one with statistics in another order."""
        return contracted(self.tape, self.totals, in_order(self.classes, rows))

    def chunks(self, rows: Rows) -> list[Rows]:
        """Rows in pieces whose passes fit into memory."""
        inner, grid = 1, len(self.tape.grid)
        for axes in self.tape.inside:
            leaves = [self.tape.inner[axis - grid] for axis in axes]
            sizes = [size_of(self.tape.facts, leaf) for leaf in leaves]
            inner = max(inner, int(np.prod(sizes)))
        most = max(1, ENTRIES // (inner * max(1, self.width)))
        return [
            rows.take(np.arange(k, min(k + most, len(rows)))) for k in range(0, len(rows), most)
        ]

    def flat(self, rate: Interval | None, count: int) -> Interval:
        """Rates [rows, directions]."""
        if rate is None:
            return Interval(np.zeros((count, self.width)), np.zeros((count, self.width)))
        shape = (count, *(1,) * len(self.tape.inner), self.width)
        lo, hi = (
            np.broadcast_to(end, shape).reshape(count, self.width) for end in (rate.lo, rate.hi)
        )
        return Interval(lo, hi)


def _fill(rates: list[Interval], others: list[Interval], where: np.ndarray) -> None:
    """Put the rates of some rows in their place."""
    for rate, other in zip(rates, others, strict=True):
        rate.lo[where], rate.hi[where] = other.lo, other.hi
