"""Lipschitz constants in variables that vary continuously, in the Euclidean norm.

The variables are one's own, those of a major or the environment, or those of the members of a law:
then the constant is that of the law in the Wasserstein-1 distance, the steepest slope of the
statistics at any member. Bounds from above come from branch and bound, bounds from below from two
points a small way apart; of laws, two that have all mass in one point.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from mfdsl.compiler.analysis.counted import late
from mfdsl.compiler.analysis.intervals import RULES, Array, Interval, add, squared
from mfdsl.compiler.analysis.slopes.domain import (
    dyadic,
    in_balls,
    members,
    middle_of,
    midpoint_laws,
)
from mfdsl.compiler.analysis.slopes.forward import Forward, Moves, Rows
from mfdsl.compiler.analysis.slopes.jumps import BOUNDLESS
from mfdsl.compiler.analysis.slopes.problem import Problem
from mfdsl.compiler.analysis.slopes.speeds import moving_statistics, point_speeds
from mfdsl.compiler.analysis.slopes.tape import Statistic, Unsupported

NEAR = 16
FEW = 4  # of these, where laws are fitted
SHIFTS = (2.0**-10, 2.0**-18)


@dataclass(frozen=True)
class Step:
    """Two points that attain a slope: a place on the grid, a point, and the way to the other."""

    slope: float
    place: tuple[int, ...]
    point: Array
    way: Array


@dataclass
class PointSlope(Problem):
    """The slope of `roots` (the entries of one vector) in some coordinates of a tape.

    With `concentrated`, the law of that population has all mass in one point, at the coordinates
    of its members; it is used to attain slopes.
    """

    moving: Sequence[int]
    concentrated: str | None = None
    attained: Step | None = None
    moves: Moves = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(self.tape.coordinates[k].whole for k in self.moving):
            raise Unsupported("a variable that takes more whole numbers than are listed")
        units = np.eye(len(self.moving))
        self.moves = Moves(len(units), seeds=dict(zip(self.moving, units, strict=True)))
        with suppress(Unsupported):
            self.speeds = point_speeds(moving_statistics(self.tape, self._moves), self.moving)

    def _moves(self, statistic: Statistic) -> bool:
        steps = [statistic.body] if statistic.mass is None else [statistic.body, statistic.mass]
        return any(self.tape.touched[step] & set(self.moving) for step in steps)

    @property
    def width(self) -> int:
        """How many directions there are."""
        return len(self.moving)

    def moves_in(self, rows: Rows) -> Moves:
        """The directions of rows."""
        return self.moves

    def slopes(self, rows: Rows, laws: dict[str, Array] | None = None) -> tuple[Array, Array]:
        """Lower and upper bounds of the slope in each row; with laws, at these."""
        flat = self.rates(rows) if laws is None else self.natural(rows, laws)
        return _lengths(flat)

    def improve(self, rows: Rows, upper: Array) -> float:
        """The largest slope that is attained close to the best of some rows."""
        top = rows.take(np.argsort(-upper)[:NEAR])
        for share in (0.5, 0.25, 1.0):
            point = middle_of(top, self.tape, share)
            for k in range(len(top)):
                if late(self.deadline):
                    break
                row = Rows(top.places[k : k + 1], point[k : k + 1], point[k : k + 1])
                for laws in self._laws_near(row, share == 0.5 and k < FEW):
                    self._secants(row, laws)
        return self.attained.slope if self.attained is not None else 0.0

    def _secants(self, row: Rows, laws: dict[str, Array]) -> None:
        forward = self.at(row, laws)
        ways = [self.flat(forward.tangent(root), 1) for root in self.tape.roots]
        with np.errstate(invalid="ignore"):
            middles = np.array([w.lo[0] / 2 + w.hi[0] / 2 for w in ways])
        middles = np.nan_to_num(middles, nan=1.0, posinf=1.0, neginf=-1.0)
        if not middles.any():
            return
        direction = np.linalg.svd(middles)[2][0]
        for shift in SHIFTS:
            for sign in (1.0, -1.0):
                self._pair(row, laws, direction * sign * shift)

    def _pair(self, row: Rows, laws: dict[str, Array], way: Array) -> None:
        moving = list(self.moving)
        start = row.lo[0].copy()
        end = start.copy()
        end[moving] += way
        ends = self.tape.coordinates
        lows = np.array([ends[k].lo for k in moving])
        highs = np.array([ends[k].hi for k in moving])
        end[moving] = np.clip(end[moving], lows, highs)
        length = float(np.linalg.norm(end[moving] - start[moving]) * (1 + 1e-12))
        if length == 0 or not np.array_equal(in_balls(end[None].copy(), self.tape)[0], end):
            return
        values = []
        for point in (start, end):
            forward = self.at(Rows(row.places, point[None], point[None]), laws)
            values.append([forward.value(root) for root in self.tape.roots])
        squares = 0.0
        for before, after in zip(*values, strict=True):
            change = add(after, RULES["neg"](before))
            crosses = (change.lo <= 0) & (change.hi >= 0)
            least = np.where(crosses, 0.0, np.minimum(np.abs(change.lo), np.abs(change.hi)))
            squares += float(least.max()) ** 2
        slope = float(np.sqrt(squares) * (1 - 1e-12) / length)
        best = self.attained.slope if self.attained is not None else 0.0
        if best < slope < BOUNDLESS:
            self.attained = Step(slope, tuple(row.places[0]), start, end[moving] - start[moving])

    def _laws_near(self, row: Rows, close: bool) -> list[dict[str, Array]]:
        """Even laws, and if `close` those with about the statistics of a point."""
        even = self.even_laws()
        if not even or not close:
            return [even]
        spaces = {name: self.spaces[name] for name in even}
        forward = Forward(self.tape, row, self.moves, None, self.spaces, single=True)
        return [even, midpoint_laws(forward, row.lo, spaces)]

    def even_laws(self) -> dict[str, Array]:
        """Even laws of the populations that have finitely many kinds of members."""
        return {
            name: dyadic(np.full((1, members(space)), 1.0 / members(space)))
            for name, space in self.spaces.items()
            if name != self.concentrated and self._finite(name)
        }

    def _finite(self, population: str) -> bool:
        return not any(s.points for s in self.tape.statistics if s.population == population)

    def at(self, row: Rows, laws: dict[str, Array]) -> Forward:
        """A pass at points: laws that are not given have all mass in one."""
        return Forward(self.tape, self.filled(row), self.moves, laws, self.spaces, single=True)

    def filled(self, row: Rows) -> Rows:
        """The row with statistics of laws that have all mass in one point, the first by finite
        variables; nan where that does not meet the condition of a mean.
        """
        lo, hi = row.lo.copy(), row.hi.copy()
        for step in self.tape.steps:
            if step.op != "statistic":
                continue
            statistic = self.tape.statistics[step.attr]
            if statistic.coordinate is None or self._finite(statistic.population):
                continue
            here = Rows(row.places, lo, hi)
            forward = Forward(self.tape, here, self.moves, None, self.spaces, single=True)
            body = forward.value(statistic.body)
            first = [end.reshape(len(end), -1)[:, 0] for end in (body.lo, body.hi)]
            if statistic.mass is not None:
                holds = forward.value(statistic.mass).lo
                met = holds.reshape(len(holds), -1)[:, 0] > 0
                first = [np.where(met, end, np.nan) for end in first]
            lo[:, statistic.coordinate], hi[:, statistic.coordinate] = first
        return Rows(row.places, lo, hi)


def _lengths(rates: Sequence[Interval]) -> tuple[Array, Array]:
    """Bounds of the operator norm of the matrix of rates, [roots] x [rows, moving]."""
    most = [
        squared(Interval(np.zeros_like(r.lo), np.maximum(np.abs(r.lo), np.abs(r.hi))))
        for r in rates
    ]
    total = np.sum([m.hi for m in most], axis=(0, 2)) * (1 + 1e-14)
    frobenius = np.sqrt(total)
    sizes = np.array([np.maximum(np.abs(r.lo), np.abs(r.hi)) for r in rates])
    rows_, columns = sizes.sum(2).max(0), sizes.sum(0).max(1)
    mixed = np.sqrt(rows_ * columns)
    upper = np.minimum(frobenius, mixed) * (1 + 1e-14)
    lower = [
        np.where((r.lo <= 0) & (r.hi >= 0), 0.0, np.minimum(np.abs(r.lo), np.abs(r.hi)))
        for r in rates
    ]
    return np.sqrt(np.max([(x**2).sum(1) for x in lower], axis=0)), upper
