"""What all searches for a slope share: the domain, passes in pieces, bounds until time is up."""

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np

from mfdsl.compiler.analysis.intervals import Array, Interval
from mfdsl.compiler.analysis.slopes.domain import (
    Space,
    Template,
    feasible_in,
    root_rows,
    spaces_of,
    templates_of,
)
from mfdsl.compiler.analysis.slopes.forward import Rows
from mfdsl.compiler.analysis.slopes.search import Budget, Found, search
from mfdsl.compiler.analysis.slopes.tape import Tape, size_of

OVERTIME = 2  # times the budget of a search, for its last pass
ENTRIES = 1 << 19  # numbers of one array of a pass


@dataclass
class Problem(ABC):
    """The slope of the roots of a tape. `jumps` and `joints` are steps at which it may break; no
    pass begins after the `deadline`.
    """

    tape: Tape
    spaces: dict[str, Space] = field(init=False)
    templates: list[Template] = field(init=False)
    jumps: set[int] = field(default_factory=set, init=False)
    joints: set[int] = field(default_factory=set, init=False)
    deadline: float = field(default=np.inf, init=False)

    def __post_init__(self) -> None:
        self.spaces = spaces_of(self.tape)
        self.templates = templates_of(self.tape)

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
        self.deadline = time.perf_counter() + OVERTIME * budget.seconds
        whole = np.array([c.whole for c in self.tape.coordinates], bool)

        def feasible(halves: Rows) -> np.ndarray:
            return feasible_in(self.tape, self.templates, halves)

        return search(
            root_rows(self.tape),
            self.bound,
            self.improve,
            budget,
            whole,
            feasible,
            self.tape.several,
            lambda: not self.joints,
        )

    def bound(self, rows: Rows) -> Array:
        """An upper bound of the slope in each row; inf for rows that no time is left for."""
        found = np.full(len(rows), np.inf)
        start = 0
        for part in self.chunks(rows):
            if time.perf_counter() > self.deadline:
                break
            found[start : start + len(part)] = self.slopes(part)[1]
            start += len(part)
        return found

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
