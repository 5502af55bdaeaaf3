"""The range of an expression over its whole domain, sharpened by branch and bound."""

from dataclasses import dataclass, field, replace

import numpy as np

from mfdsl.compiler.analysis.intervals import Array
from mfdsl.compiler.analysis.slopes.domain import (
    STILL,
    Space,
    Template,
    feasible_in,
    members,
    middle_of,
    midpoint_laws,
    root_rows,
    sample_laws,
    spaces_of,
    templates_of,
)
from mfdsl.compiler.analysis.slopes.forward import Forward, Rows
from mfdsl.compiler.analysis.slopes.search import Budget, Found, Leaves, search
from mfdsl.compiler.analysis.slopes.tape import Tape

NEAR = 16


@dataclass
class LargestValue:
    """The largest value of the root of a tape, or with `least` the negated smallest one."""

    tape: Tape
    least: bool = False
    spaces: dict[str, Space] = field(init=False)
    templates: list[Template] = field(init=False)
    place: tuple[int, ...] | None = None
    point: Array | None = None
    laws: dict[str, Array] = field(default_factory=dict)
    best: float = -np.inf
    _sampled: bool = False

    def __post_init__(self) -> None:
        self.spaces = spaces_of(self.tape)
        self.templates = templates_of(self.tape)

    def found(self, budget: Budget) -> Found:
        """Both bounds of the largest value, shifted so that the search sees positive numbers."""
        if budget.by is not None:
            return budget.by(self, budget)
        whole = np.array([c.whole for c in self.tape.coordinates], bool)

        def feasible(halves: Rows) -> np.ndarray:
            return feasible_in(self.tape, self.templates, halves)

        rows = root_rows(self.tape)
        certain = float(self._values(rows, None)[0].min())
        low = certain if np.isfinite(certain) else 0.0

        def bound(some: Rows) -> Array:
            above = np.nextafter(self._values(some, None)[1] - low, np.inf)
            return np.where(above < 0, 0.0, above)

        def improve(some: Rows, upper: Array) -> float:
            return max(float(np.nextafter(self._improved(some, upper) - low, -np.inf)), 0.0)

        found = search(rows, bound, improve, budget, whole, feasible, self.tape.several)
        return Found(
            max(certain, self.best),
            float(np.nextafter(found.upper + low, np.inf)),
            found.boxes,
            found.closed,
            found.worst,
            found.leaves and _shifted(found.leaves, low),
        )

    def _values(self, rows: Rows, laws: dict[str, Array] | None) -> tuple[Array, Array]:
        forward = Forward(self.tape, rows, STILL, laws, self.spaces)
        value = forward.value(self.tape.roots[0])
        shape = (len(rows), *(1,) * len(self.tape.inner))
        lo, hi = (np.broadcast_to(end, shape).reshape(len(rows)) for end in (value.lo, value.hi))
        return (-hi, -lo) if self.least else (lo, hi)

    def _improved(self, rows: Rows, upper: Array) -> float:
        top = rows.take(np.argsort(-upper)[:NEAR])
        for share in (0.5, 0.0, 1.0):
            point = middle_of(top, self.tape, share)
            at = Rows(top.places, point, point)
            if not self._all_finite():
                return self.best
            laws = midpoint_laws(Forward(self.tape, at, STILL, None, {}), point, self.spaces)
            self._keep(at, laws)
        if not self._sampled and self.spaces:
            self._sampled = True
            laws = {name: sample_laws(members(space)) for name, space in self.spaces.items()}
            count = max(map(len, laws.values()))
            at = top.take(np.zeros(count, dtype=np.int64))
            middle = middle_of(at, self.tape)
            resized = {n: np.resize(law, (count, law.shape[1])) for n, law in laws.items()}
            self._keep(Rows(at.places, middle, middle), resized)
        return self.best

    def _all_finite(self) -> bool:
        return not any(s.points for s in self.tape.statistics)

    def _keep(self, at: Rows, laws: dict[str, Array]) -> None:
        lower = self._values(at, laws)[0]
        finite = np.where(np.isfinite(lower), lower, -np.inf)
        k = int(finite.argmax())
        if finite[k] > self.best:
            self.best = float(finite[k])
            self.place, self.point = tuple(at.places[k]), at.lo[k]
            self.laws = {name: law[k] for name, law in laws.items()}


def _shifted(leaves: Leaves, by: float) -> Leaves:
    """The leaves with bounds of the values themselves."""
    upper = np.nextafter(leaves.upper + by, np.inf)
    return replace(leaves, upper=np.where(leaves.empty, -np.inf, upper))
