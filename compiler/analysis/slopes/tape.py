"""An expression as scalar steps over enumerated values, coordinates and statistics of laws.

Finite variables with few values are enumerated: own ones along the grid of rows, those of bound
members and indices along further axes of a row. What depends on them only is `given`, a table. All
other variables are coordinates, intervals that a search may split. A mean over a population is a
statistic: a coordinate between the smallest and the largest value of its body, whose slope in the
law is the body itself. Arrays are taken apart into entries.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mfdsl.compiler.analysis.enclosure import Evaluator, Facts
from mfdsl.compiler.analysis.intervals import Interval

BOOLEAN = ("and", "or", "not", "eq", "ne", "lt", "le")
Binders = tuple[tuple[int, str], ...]
"""Of which population the member of each depth is."""


class Unsupported(Exception):
    """An expression that has no tape; the text says why."""


@dataclass(frozen=True)
class Step:
    """One scalar operation on earlier steps. `node` is the expression it stands for."""

    op: str
    args: tuple[int, ...]
    attr: Any
    node: int


@dataclass(frozen=True)
class Coordinate:
    """A number that is not enumerated. `statistic` is its position among those, if it is one."""

    node: int
    entry: tuple[int, ...]
    lo: float
    hi: float
    whole: bool
    statistic: int | None = None


@dataclass(frozen=True)
class Statistic:
    """The mean of the step `body` over a population, of those where `mass` holds if given.

    `axes` maps variables of its members, (kind, name), to their axes, `points` to coordinates.
    """

    population: str
    body: int
    mass: int | None
    axes: dict[tuple[str, str], int]
    points: dict[tuple[str, str], tuple[int, ...]]
    coordinate: int | None
    node: int


@dataclass
class Tape:
    """Steps of some roots. `grid` and `inner` are the enumerated leaves, an axis each.

    `read` says by coordinate of members of which populations they are. Coordinates in `several`
    stand for several values at once, so that a box of them is never split.
    """

    facts: Facts
    grid: tuple[int, ...]
    inner: tuple[int, ...]
    steps: list[Step] = field(default_factory=list)
    roots: list[int] = field(default_factory=list)
    coordinates: list[Coordinate] = field(default_factory=list)
    statistics: list[Statistic] = field(default_factory=list)
    free: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    read: dict[int, set[str]] = field(default_factory=dict)
    inside: list[frozenset[int]] = field(default_factory=list)
    touched: list[frozenset[int]] = field(default_factory=list)
    several: frozenset[int] = frozenset()
    evaluator: Evaluator = None  # type: ignore[assignment]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes of the grid."""
        return tuple(size_of(self.facts, leaf) for leaf in self.grid)

    def table(self, step: int) -> Interval:
        """The values of a `given` step over all axes, those of the grid first."""
        return self.evaluator.value(self.steps[step].node)


class Table:
    """A constant array as an attribute that is equal to itself only."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values


def with_distance(tape: Tape, numbers: np.ndarray, norm: str) -> Tape:
    """The tape with one root: the distance in a `norm`, l1 or l2, between the first half of its
    roots and the second; `numbers` [grid, roots] says which are of the same entry, -1 nowhere.
    """
    args = tuple(tape.roots)
    tape.steps.append(Step(norm, args, Table(numbers), -1))
    tape.inside.append(frozenset())
    tape.touched.append(frozenset[int]().union(*(tape.touched[a] for a in args)))
    tape.roots = [len(tape.steps) - 1]
    return tape


def size_of(facts: Facts, leaf: int) -> int:
    """How many values an enumerated leaf has."""
    node = facts.nodes[leaf]
    return facts.last_time + 1 if node.op == "time" else facts.types[node.type].size


def first_of(facts: Facts, leaf: int) -> int:
    """Its lowest value."""
    node = facts.nodes[leaf]
    return 0 if node.op == "time" else facts.types[node.type].first
