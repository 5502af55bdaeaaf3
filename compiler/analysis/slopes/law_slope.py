"""The Lipschitz constant of expressions in a law over finitely many kinds of members, in l1.

For one number it is half the largest difference of two partial derivatives; for a law over outcomes
(a kernel) the l1 norm of the difference counts. Bounds from above come from branch and bound over
statistics of the law, bounds from below from two laws a small way apart.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from mfdsl.compiler.analysis.counted import late
from mfdsl.compiler.analysis.intervals import Array, Interval, add
from mfdsl.compiler.analysis.slopes.directions import LawDirections, law_directions
from mfdsl.compiler.analysis.slopes.domain import (
    dyadic,
    grid_index,
    in_balls,
    members,
    middle_of,
    midpoint_laws,
    sample_laws,
)
from mfdsl.compiler.analysis.slopes.forward import Forward, Moves, Rows
from mfdsl.compiler.analysis.slopes.interchange import classes_of
from mfdsl.compiler.analysis.slopes.jumps import BOUNDLESS
from mfdsl.compiler.analysis.slopes.polynomial import half_span, law_polynomials
from mfdsl.compiler.analysis.slopes.problem import Problem
from mfdsl.compiler.analysis.slopes.search import Budget
from mfdsl.compiler.analysis.slopes.speeds import law_speeds, moving_statistics
from mfdsl.compiler.analysis.slopes.tape import Unsupported

STEEPEST = 6  # directions that are tried at a law
SHIFTS = (2.0**-12, 2.0**-20)
NEAR = 16  # of the worst boxes, where laws are tried
SAMPLED_ROWS = 4
SHARE = 0.5  # of the time of a search, for a polynomial
CLIMBS = 8
FIRST = 16  # boxes that are looked at before it is worth to climb
GAIN = 1e-4  # relative, of a step that is worth another one
PARTS = (1.0, 0.5, 0.125, 2.0**-6)
MAX_MOVES = 100


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
        with suppress(Unsupported):
            mine = moving_statistics(self.tape, lambda s: s.population == self.population)
            self.speeds = law_speeds(mine)

    @property
    def width(self) -> int:
        """How many directions there are."""
        return int(self.directions.to.shape[1])

    def moves_in(self, rows: Rows) -> Moves:
        """The directions of rows."""
        return self.directions.moves(self.tape, rows)

    def slopes(self, rows: Rows, laws: dict[str, Array] | None = None) -> tuple[Array, Array]:
        """Lower and upper bounds of the slope in each row; with laws, at these."""
        flat = self.rates(rows) if laws is None else self.natural(rows, laws)
        if self.outcomes is None:
            return _number(flat[0], self.directions.span)
        if not self.outcomes.size:
            return _vector(flat, self.directions.span)
        outcomes = self.outcomes[grid_index(self.tape, rows)]
        return _masses(flat, outcomes, self.directions.span)

    def cap(self, budget: Budget) -> float:
        """The bound of a polynomial of the law; inf where the root is none."""
        if self.outcomes is not None or self.population not in self.spaces:
            return np.inf
        try:
            roots = law_polynomials(self.tape, self.population, self.spaces[self.population])
            slack = max(root.slack for root in roots)
            centres = [root.centre for root in roots]
            return half_span(centres, budget.gap / 2, SHARE * budget.seconds, slack=slack).upper
        except Unsupported:
            return np.inf

    def interchangeable(self) -> list[list[int]]:
        """Classes of statistics that may change places in the root."""
        if self.outcomes is not None or self.population not in self.spaces:
            return []
        return classes_of(self.tape, self.population, self.spaces[self.population])

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
        if self.seen > FIRST:
            self._climb()
        return self.attained.slope if self.attained is not None else 0.0

    def _climb(self) -> None:
        """From the best pair of laws to others close by, for as long as they are steeper."""
        for _ in range(CLIMBS):
            best = self.attained
            if best is None or late(self.deadline):
                return
            laws = _moved(best.laws[self.population])
            points = self._ends(best.point)
            count = len(laws) + len(points)
            which = np.r_[np.zeros(len(laws), dtype=np.int64), np.arange(1, 1 + len(points))]
            point = np.concatenate([best.point[None], points])[which]
            first = np.repeat(best.laws[self.population][None], len(points), 0)
            here = {name: np.tile(law, (count, 1)) for name, law in best.laws.items()}
            here[self.population] = np.concatenate([laws, first])
            self._try(Rows(np.tile(best.place, (count, 1)), point, point), here)
            if self.attained is None or self.attained.slope <= best.slope * (1 + GAIN):
                return

    def _ends(self, point: Array) -> Array:
        """The point with one variable at an end of its range, [points, coordinates]."""
        found = []
        for k, coordinate in enumerate(self.tape.coordinates):
            if coordinate.statistic is None and k not in self.tape.several:
                for end in (coordinate.lo, coordinate.hi):
                    if np.isfinite(end) and point[k] != end:
                        other = point.copy()
                        other[k] = end
                        found.append(other)
        return in_balls(np.array(found).reshape(len(found), len(point)), self.tape)

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
            if start and late(self.deadline):
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
        """The best of pairs of laws a small way apart along the steepest directions."""
        pairs = (self._span_pairs if self.directions.span else self._steep_pairs)(row, laws)
        chosen = [
            (to, off, shift, start)
            for shift in SHIFTS
            for to, off in dict.fromkeys(pairs)
            if (start := _with_room(laws[self.population], to, off, shift)) is not None
        ]
        if not chosen:
            return None
        to, off = (np.array([c[k] for c in chosen]) for k in (0, 1))
        shift = np.array([c[2] for c in chosen])
        starts = np.stack([c[3] for c in chosen])
        ends, each = starts.copy(), np.arange(len(chosen))
        ends[each, to] += shift
        ends[each, off] -= shift
        change = self._changes(row, laws, starts, ends)
        with np.errstate(over="ignore"):
            slopes = np.nextafter(change / (2 * shift), 0.0)
        slopes = np.where(slopes < BOUNDLESS, slopes, 0.0)  # else one of both has no value
        k = int(slopes.argmax())
        used = laws | {self.population: starts[k]}
        if not slopes[k] > 0:
            return None
        best = chosen[k]
        return Attained(float(slopes[k]), tuple(row.places[0]), row.lo[0], used, *best[:3])

    def _changes(self, row: Rows, laws: dict[str, Array], starts: Array, ends: Array) -> Array:
        """Lower bounds of how far apart the values at pairs of laws [pairs, members] are."""
        count = len(starts)
        rows = row.take(np.zeros(2 * count, dtype=np.int64))
        here = {name: np.tile(law, (2 * count, 1)) for name, law in laws.items()}
        here[self.population] = np.concatenate([starts, ends])
        forward = Forward(
            self.tape, rows, self.directions.moves(self.tape, rows), here, self.spaces
        )
        parts = []
        for root in self.tape.roots:
            value = forward.value(root)
            lo, hi = (np.broadcast_to(_line(e), (2 * count,)) for e in (value.lo, value.hi))
            before, after = Interval(-hi[:count], -lo[:count]), Interval(lo[count:], hi[count:])
            parts.append(add(after, before))
        if self.outcomes is None:
            return _least(parts[0])
        if not self.outcomes.size:
            return np.sqrt(sum(_least(part) ** 2 for part in parts)) * (1 - 1e-14)
        outcomes = self.outcomes[grid_index(self.tape, row)][0]
        joint = [
            add(*(p for p, o in zip(parts, outcomes, strict=True) if o == outcome))
            for outcome in np.unique(outcomes)
        ]
        return sum((_least(part) for part in joint), np.zeros(count)) * (1 - 1e-14)

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


def _moved(law: Array) -> Array:
    """Laws with a part of the mass of one kind of member at another, [laws, members]."""
    pairs = [(i, j) for i in range(len(law)) for j in range(len(law)) if i != j and law[j] > 0]
    if len(pairs) > MAX_MOVES:
        chosen = np.random.default_rng(0).choice(len(pairs), MAX_MOVES, replace=False)
        pairs = [pairs[k] for k in chosen]
    found = []
    for i, j in pairs:
        for share in PARTS:
            moved = law.copy()
            part = np.floor(law[j] * share * 2.0**30) / 2.0**30
            moved[j] -= part
            moved[i] += part
            found.append(moved)
    return np.array(found).reshape(len(found), len(law))


def _with_room(law: Array, to: int, off: int, shift: float) -> Array | None:
    """The law, with mass to take `off` where it has none."""
    if to == off:
        return None
    start = law.copy()
    if start[off] < shift:
        start = dyadic(((1 - 2 * shift) * start)[None])[0]
        top = int(start.argmax())
        start[top] -= 2 * shift
        start[off] += 2 * shift
    return None if start.min() < 0 else start


def _line(end: Array) -> Array:
    """Values of rows without inner axes, which have length 1."""
    return end.reshape(len(end))


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
