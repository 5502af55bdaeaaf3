"""Sums of all statistics of a law, as of its masses, which are 1: boxes that they cut smaller.

Bounds consistency of one linear constraint (Davis 1987, Artificial Intelligence 32): a statistic is
at most what the total leaves when all others are as small as they can be.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mfdsl.compiler.analysis.intervals import Array
from mfdsl.compiler.analysis.slopes.domain import (
    MAX_MEMBERS,
    Space,
    grid_index,
    table_columns,
    tabled,
)
from mfdsl.compiler.analysis.slopes.rows import Rows
from mfdsl.compiler.analysis.slopes.tape import Tape

MAX_COLUMNS = 4_000_000
SWEEPS = 2
SLACK = 1e-12  # of sums, relative to the sizes of what they add up


@dataclass(frozen=True)
class Total:
    """Coordinates whose sum lies between `low` and `high` [grid]."""

    coordinates: tuple[int, ...]
    low: Array
    high: Array


def totals_of(tape: Tape, spaces: Mapping[str, Space]) -> list[Total]:
    """The totals of the statistics of each population whose bodies are tables."""
    found = []
    grid = int(np.prod(tape.sizes)) if tape.sizes else 1
    for population, space in spaces.items():
        linear = tabled(tape, population)
        count = int(np.prod([size for _, size in space])) if space else 1
        if len(linear) < 2 or count > MAX_MEMBERS or grid * count * len(linear) > MAX_COLUMNS:
            continue
        low, high = table_columns(tape, linear, space)  # [grid, members, statistics]
        size = SLACK * (np.abs(low) + np.abs(high)).sum(2)
        places = tuple(s.coordinate or 0 for s in linear)
        found.append(Total(places, (low.sum(2) - size).min(1), (high.sum(2) + size).max(1)))
    return [t for t in found if np.isfinite(t.low).all() and np.isfinite(t.high).all()]


def ends_of(tape: Tape, totals: Sequence[Total], rows: Rows) -> list[tuple[Array, Array, Total]]:
    """The ends of each total at the grid points of rows, [rows]."""
    flat = grid_index(tape, rows)
    return [(t.low[flat], t.high[flat], t) for t in totals]


def possible(tape: Tape, totals: Sequence[Total], rows: Rows) -> np.ndarray:
    """Rows that may hold a sum that is allowed."""
    ok = np.ones(len(rows), bool)
    for low, high, t in ends_of(tape, totals, rows):
        lo, hi = rows.lo[:, t.coordinates], rows.hi[:, t.coordinates]
        slack = _slack(lo, hi)
        ok &= (lo.sum(1) - slack <= high) & (hi.sum(1) + slack >= low)
    return ok


def contracted(tape: Tape, totals: Sequence[Total], rows: Rows) -> Rows:
    """Rows without parts that no allowed sum reaches; those that hold none stay as they are."""
    if not totals:
        return rows
    low, high = rows.lo.copy(), rows.hi.copy()
    for least_sum, most_sum, t in ends_of(tape, totals, rows):
        at = list(t.coordinates)
        lo, hi = low[:, at], high[:, at]
        slack = _slack(lo, hi)[:, None]
        for _ in range(SWEEPS):
            least, most = lo.sum(1, keepdims=True), hi.sum(1, keepdims=True)
            top = most_sum[:, None] - (least - lo) + slack
            bottom = least_sum[:, None] - (most - hi) - slack
            smaller = np.maximum(lo, bottom), np.minimum(hi, top)
            fine = (smaller[0] <= smaller[1]).all(1, keepdims=True)
            lo, hi = np.where(fine, smaller[0], lo), np.where(fine, smaller[1], hi)
        low[:, at], high[:, at] = lo, hi
    return Rows(rows.places, low, high)


def _slack(lo: Array, hi: Array) -> Array:
    return np.asarray(SLACK * (np.abs(lo) + np.abs(hi)).sum(1))
