"""The Lipschitz constant of expressions in a law over finitely many kinds of members, in l1.

For one number it is half the largest difference of two partial derivatives; for a law over outcomes
(a kernel) the l1 norm of the difference counts. Bounds from above come from branch and bound over
statistics of the law, bounds from below from two laws a small way apart.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mfdsl.compiler.analysis.intervals import Array, Interval, add
from mfdsl.compiler.analysis.slopes.directions import LawDirections, law_directions
from mfdsl.compiler.analysis.slopes.domain import (
    dyadic,
    grid_index,
    members,
    middle_of,
    midpoint_laws,
    sample_laws,
)
from mfdsl.compiler.analysis.slopes.forward import Forward, Rows
from mfdsl.compiler.analysis.slopes.jumps import BOUNDLESS
from mfdsl.compiler.analysis.slopes.problem import Problem

STEEPEST = 6  # directions that are tried at a law
SHIFTS = (2.0**-12, 2.0**-20)
NEAR = 16  # of the worst boxes, where laws are tried
SAMPLED_ROWS = 4


@dataclass(frozen=True)
class Attained:
    """Two laws that attain a slope, where on the grid and in the box, and how far they differ."""

    slope: float
    place: tuple[int, ...]
    point: Array
    laws: dict[str, Array]
    to: int
    off: int
    shift: float


@dataclass
class LawSlope(Problem):
    """The slope of `roots` of a tape in the law of a population.

    `outcomes` [grid, roots] says which roots are masses of the same outcome; None for one number,
    and an empty table for the entries of a vector.
    """

    population: str
    outcomes: np.ndarray | None = None
    directions: LawDirections = field(init=False)
    attained: Attained | None = None
    _sampled: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.directions = law_directions(self.tape, self.population)

    @property
    def width(self) -> int:
        """How many directions there are."""
        return int(self.directions.to.shape[1])

    def slopes(self, rows: Rows, laws: dict[str, Array] | None = None) -> tuple[Array, Array]:
        """Lower and upper bounds of the slope in each row; with laws, at these."""
        forward = Forward(
            self.tape, rows, self.directions.moves(self.tape, rows), laws, self.spaces
        )
        rates = [forward.tangent(root) for root in self.tape.roots]
        self.jumps |= forward.jumps
        self.joints |= forward.joints
        if all(rate is None for rate in rates):
            return np.zeros(len(rows)), np.zeros(len(rows))
        flat = [self.flat(rate, len(rows)) for rate in rates]
        if self.outcomes is None:
            return _number(flat[0], self.directions.span)
        if not self.outcomes.size:
            return _vector(flat, self.directions.span)
        outcomes = self.outcomes[grid_index(self.tape, rows)]
        return _masses(flat, outcomes, self.directions.span)

    def improve(self, rows: Rows, upper: Array) -> float:
        """The largest slope that is attained close to the best of some rows."""
        top = rows.take(np.argsort(-upper)[:NEAR])
        middle = middle_of(top, self.tape)
        at = Rows(top.places, middle, middle)
        still = Forward(self.tape, at, self.directions.moves(self.tape, at), None, {})
        self._try(at, midpoint_laws(still, middle, self.spaces))
        if not self._sampled:
            self._sampled = True
            self._try(*self._samples(at))
        return self.attained.slope if self.attained is not None else 0.0

    def _samples(self, at: Rows) -> tuple[Rows, dict[str, Array]]:
        """Vertices, edges and random laws at a few rows."""
        some = min(len(at), SAMPLED_ROWS)
        laws = {name: sample_laws(members(space)) for name, space in self.spaces.items()}
        count = max((len(law) for law in laws.values()), default=1)
        which = np.repeat(np.arange(some), count)
        tiled = {
            name: np.tile(np.resize(law, (count, law.shape[1])), (some, 1))
            for name, law in laws.items()
        }
        return at.take(which), tiled

    def _try(self, at: Rows, laws: dict[str, Array]) -> None:
        """The steepest pair of laws around those that are given for some points."""
        chunks, start, lower = self.chunks(at), 0, []
        for part in chunks:
            if start and time.perf_counter() > self.deadline:
                break
            here = {name: law[start : start + len(part)] for name, law in laws.items()}
            lower.append(self.slopes(part, here)[0])
            start += len(part)
        slopes = np.concatenate(lower) if lower else np.zeros(0)
        best = self.attained.slope if self.attained is not None else 0.0
        finite = np.where(np.isfinite(slopes), slopes, -1.0)
        k = int(finite.argmax()) if len(finite) else 0
        if not len(finite) or finite[k] <= best * (1 + 1e-6):
            return
        found = self._secant(at.take(np.array([k])), {n: law[k] for n, law in laws.items()})
        if found is not None and found.slope > best:
            self.attained = found

    def _secant(self, row: Rows, laws: dict[str, Array]) -> Attained | None:
        """Two laws a small way apart along the steepest directions, and the best of these pairs."""
        best: Attained | None = None
        pairs = (self._span_pairs if self.directions.span else self._steep_pairs)(row, laws)
        for shift in SHIFTS:
            for to, off in pairs:
                found = self._between(row, laws, to, off, shift)
                if found is not None and (best is None or found.slope > best.slope):
                    best = found
        return best

    def _forward(self, row: Rows, laws: dict[str, Array]) -> Forward:
        """A pass at one point and its laws."""
        moves = self.directions.moves(self.tape, row)
        weights = {name: law[None] for name, law in laws.items()}
        return Forward(self.tape, row, moves, weights, self.spaces)

    def _steep_pairs(self, row: Rows, laws: dict[str, Array]) -> list[tuple[int, int]]:
        """The directions with the largest rates, all of them where a rate is not known."""
        forward = self._forward(row, laws)
        moves, total = forward.moves, np.zeros(self.width)
        assert moves.to is not None and moves.off is not None
        for root in self.tape.roots:
            flat = self.flat(forward.tangent(root), 1)
            with np.errstate(invalid="ignore"):
                total = total + np.abs(flat.lo[0] / 2 + flat.hi[0] / 2)
        order = np.argsort(-np.nan_to_num(total, nan=np.inf), kind="stable")
        order = order[: STEEPEST if np.isfinite(total).all() else len(order)]
        return [(int(moves.to[0, k]), int(moves.off[0, k])) for k in order]

    def _span_pairs(self, row: Rows, laws: dict[str, Array]) -> list[tuple[int, int]]:
        forward = self._forward(row, laws)
        found = []
        kinds = self.directions.moves(self.tape, row).to
        assert kinds is not None
        for root in self.tape.roots:
            rate = forward.tangent(root)
            if rate is not None:
                flat = self.flat(rate, 1)
                middle = flat.lo[0] + flat.hi[0]
                found.append((int(kinds[0, middle.argmax()]), int(kinds[0, middle.argmin()])))
        return found

    def _between(
        self, row: Rows, laws: dict[str, Array], to: int, off: int, shift: float
    ) -> Attained | None:
        start = laws[self.population].copy()
        if to == off:
            return None
        if start[off] < shift:  # make room for it
            start = dyadic(((1 - 2 * shift) * start)[None])[0]
            top = int(start.argmax())
            start[top] -= 2 * shift
            start[off] += 2 * shift
            if start.min() < 0:
                return None
        end = start.copy()
        end[to] += shift
        end[off] -= shift
        both = []
        for law in (start, end):
            here = {name: w[None] for name, w in laws.items()} | {self.population: law[None]}
            forward = Forward(
                self.tape, row, self.directions.moves(self.tape, row), here, self.spaces
            )
            both.append([forward.value(root) for root in self.tape.roots])
        change = self._change(row, both)
        slope = float(np.nextafter(change / (2 * shift), 0.0))
        if not slope < BOUNDLESS:  # one of both laws has no value
            return None
        used = laws | {self.population: start}
        return Attained(slope, tuple(row.places[0]), row.lo[0], used, to, off, shift)

    def _change(self, row: Rows, both: Sequence[Sequence[Interval]]) -> float:
        """A lower bound of the distance between two values, or two laws over outcomes."""
        parts = [
            add(after, Interval(-before.hi, -before.lo))
            for before, after in zip(*both, strict=True)
        ]
        if self.outcomes is None:
            return float(_least(parts[0]).max())
        if not self.outcomes.size:
            squares = sum(float(_least(part).max()) ** 2 for part in parts)
            return float(squares**0.5) * (1 - 1e-14)
        outcomes = self.outcomes[grid_index(self.tape, row)][0]
        total = 0.0
        for outcome in np.unique(outcomes):
            joint = add(*(p for p, o in zip(parts, outcomes, strict=True) if o == outcome))
            total += float(_least(joint).max())
        return total * (1 - 1e-14)


def _least(value: Interval) -> Array:
    """The smallest absolute value."""
    crosses = (value.lo <= 0) & (value.hi >= 0)
    return np.where(crosses, 0.0, np.minimum(np.abs(value.lo), np.abs(value.hi)))


def _number(rate: Interval, span: bool) -> tuple[Array, Array]:
    """Half the largest rate, or half the span of all of them."""
    if not span:
        upper = np.maximum(np.abs(rate.lo), np.abs(rate.hi)).max(1)
        return _least(rate).max(1) / 2, np.nextafter(
            upper / 2, np.inf, where=upper > 0, out=upper / 2
        )
    high = np.maximum(rate.hi.max(1), 0.0) - np.minimum(rate.lo.min(1), 0.0)
    low = np.maximum(rate.lo.max(1), 0.0) - np.minimum(rate.hi.min(1), 0.0)
    return np.maximum(low, 0.0) / 2, np.nextafter(high / 2, np.inf, where=high > 0, out=high / 2)


def _vector(rates: Sequence[Interval], span: bool) -> tuple[Array, Array]:
    """Half the Euclidean norm of the rates of a vector, of the worst direction."""
    most = np.sqrt(sum(np.maximum(np.abs(r.lo), np.abs(r.hi)) ** 2 for r in rates)) * (1 + 1e-14)
    least = np.sqrt(sum(_least(r) ** 2 for r in rates)) * (1 - 1e-14)
    return least.max(1) / 2, most.max(1) * (1.0 if span else 0.5)


def _masses(rates: Sequence[Interval], outcomes: np.ndarray, span: bool) -> tuple[Array, Array]:
    """Half the l1 norm of the rates of a law over outcomes, of the worst direction.

    With `span` two directions from the same member make one, and their norms add up.
    """
    count = int(outcomes.max()) + 1
    shape = (*rates[0].lo.shape, count)
    lo, hi = np.zeros(shape), np.zeros(shape)
    rows = np.arange(len(outcomes))
    for k, rate in enumerate(rates):
        for end, value, down in ((lo, rate.lo, True), (hi, rate.hi, False)):
            at = (rows[:, None], np.arange(shape[1])[None], outcomes[:, k][:, None])
            total = end[at] + value
            end[at] = np.nextafter(total, -np.inf if down else np.inf)
    most = np.maximum(np.abs(lo), np.abs(hi)).sum(-1) * (1 + 1e-14)
    crosses = (lo <= 0) & (hi >= 0)
    least = np.where(crosses, 0.0, np.minimum(np.abs(lo), np.abs(hi))).sum(-1) * (1 - 1e-14)
    factor = 1.0 if span else 0.5
    return least.max(1) / 2, most.max(1) * factor
