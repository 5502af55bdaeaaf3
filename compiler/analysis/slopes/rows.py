"""What a pass over a tape is given: rows of boxes, and directions in which something moves."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from mfdsl.compiler.analysis.intervals import Array

Seeds = Mapping[int, Array]
"""By coordinate: its rate along each direction [directions]."""


@dataclass(frozen=True)
class Rows:
    """Rows of a tape: places on the grid [rows, grid axes], ends of boxes [rows, coordinates]."""

    places: np.ndarray
    lo: Array
    hi: Array

    def __len__(self) -> int:
        return len(self.lo)

    def take(self, which: np.ndarray) -> "Rows":
        """Some of the rows."""
        return Rows(self.places[which], self.lo[which], self.hi[which])


@dataclass(frozen=True)
class Moves:
    """Directions in which a law moves: mass from one kind of member to another.

    `population` moves; `to` and `off` [directions] are positions on the axes of `variables`. Seeds
    of coordinates that move instead are in `seeds`; there are `count` directions.
    """

    count: int
    population: str | None = None
    variables: tuple[tuple[str, str], ...] = ()
    to: np.ndarray | None = None
    off: np.ndarray | None = None
    seeds: Seeds = field(default_factory=dict)
