"""Statistics that can change places: a search needs to look at them in one order only.

Two statistics of a law are interchangeable when the root stays the same expression with both
swapped, and some renaming of the kinds of members swaps the statistics of every law. Swaps with a
common partner generate all orders of a class, and the constant is the same at all of them, so that
boxes without a point whose coordinates are in order need not be looked at (Margot 2010, Symmetry
in integer linear programming).
"""

from collections.abc import Sequence

import numpy as np

from mfdsl.compiler.analysis.intervals import Array
from mfdsl.compiler.analysis.slopes.domain import Space, members, table_columns
from mfdsl.compiler.analysis.slopes.rows import Rows
from mfdsl.compiler.analysis.slopes.tape import Tape

MAX_STATISTICS = 40
COMMUTATIVE = ("add", "mul", "min", "max", "and", "or", "norm")
Key = tuple[object, ...]


def classes_of(tape: Tape, population: str, space: Space) -> list[list[int]]:
    """Coordinates of interchangeable statistics of a population, in classes of two or more."""
    mine = [s for s in tape.statistics if s.population == population]
    fine = len(tape.roots) == 1 and not tape.sizes and 2 <= len(mine) <= MAX_STATISTICS
    if not fine or any(
        s.coordinate is None or s.mass is not None or tape.touched[s.body] for s in mine
    ):
        return []
    members(space)
    low, high = table_columns(tape, mine, space)
    if not np.array_equal(low, high):
        return []
    places = [s.coordinate or 0 for s in mine]
    numbers: dict[Key, int] = {}
    plain, found = _key(tape, {p: p for p in places}, numbers), list[list[int]]()
    for k, place in enumerate(places):
        for group in found:
            first = places.index(group[0])
            swap = {p: p for p in places} | {group[0]: place, place: group[0]}
            if _same_kinds(low[0], first, k) and _key(tape, swap, numbers) == plain:
                group.append(place)
                break
        else:
            found.append([place])
    return [group for group in found if len(group) > 1]


def _same_kinds(columns: Array, one: int, other: int) -> bool:
    """Whether kinds [members, statistics] are the same set with two statistics swapped."""
    order = np.arange(columns.shape[1])
    order[[one, other]] = order[[other, one]]
    both = columns, columns[:, order]
    first, second = (c[np.lexsort(c.T)] for c in both)
    return np.array_equal(first, second)


def _key(tape: Tape, swap: dict[int, int], numbers: dict[Key, int]) -> int:
    """The number of the root as an expression, the same for sums and products in any order.

    Statistics with a coordinate in `swap` count as those at the other one. Means over other
    populations count with their bodies, which may read those.
    """
    found: list[int] = []
    for step in tape.steps:
        below = [found[a] for a in step.args]
        if step.op in COMMUTATIVE:
            below.sort()
        elif step.op == "softmax":
            below[1:] = sorted(below[1:])
        label: object = step.node if step.op == "given" else step.attr
        if step.op == "statistic":
            place = tape.statistics[step.attr].coordinate
            if place is not None and place in swap:
                below, label = [], ("at", swap[place])
        found.append(numbers.setdefault((step.op, label, *below), len(numbers)))
    return found[tape.roots[0]]


def in_order(classes: Sequence[Sequence[int]], rows: Rows) -> Rows:
    """The rows cut to points whose coordinates grow along each class; with ends that are not in
    order where there are none.
    """
    if not classes:
        return rows
    lo, hi = rows.lo.copy(), rows.hi.copy()
    for group in classes:
        at = list(group)
        lo[:, at] = np.maximum.accumulate(lo[:, at], 1)
        hi[:, at] = np.minimum.accumulate(hi[:, at[::-1]], 1)[:, ::-1]
    return Rows(rows.places, lo, hi)


def ordered(classes: Sequence[Sequence[int]], rows: Rows) -> np.ndarray:
    """Rows that hold such points."""
    cut = in_order(classes, rows)
    return np.asarray((cut.lo <= cut.hi).all(1))
