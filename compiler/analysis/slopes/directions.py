"""Ways in which a law can move: mass from one kind of member to another.

Laws differ by vectors that sum to 0. In l1 the extreme ones are (e_i - e_j) / 2, so the Lipschitz
constant of a function of the law is half the largest difference of two of its partial derivatives.
Where there are many kinds of members, only those with different statistics count, and where one
statistic is read, only its two extremes.
"""

from dataclasses import dataclass

import numpy as np

from mfdsl.compiler.analysis.intervals import Array
from mfdsl.compiler.analysis.slopes.domain import (
    Space,
    grid_index,
    members,
    spaces_of,
    table_columns,
)
from mfdsl.compiler.analysis.slopes.forward import Moves, Rows
from mfdsl.compiler.analysis.slopes.tape import Tape

MAX_PAIRED = 12  # kinds of members of which all pairs are looked at
MAX_COLUMNS = 4_000_000


@dataclass(frozen=True)
class LawDirections:
    """Directions by grid point: mass goes `to` from `off`, [grid or 1, directions].

    With `span` all come from one kind of member, and the constant is the span of the derivatives.
    """

    population: str
    variables: tuple[tuple[str, str], ...]
    to: np.ndarray
    off: np.ndarray
    span: bool

    def moves(self, tape: Tape, rows: Rows) -> Moves:
        """The directions of some rows."""
        one = len(self.to) == 1
        at = np.zeros(1, dtype=np.int64) if one else grid_index(tape, rows)
        return Moves(self.to.shape[1], self.population, self.variables, self.to[at], self.off[at])


def law_directions(tape: Tape, population: str) -> LawDirections:
    """The directions that matter to the statistics of a tape.

    Raises:
        Unsupported: there are too many kinds of members.
    """
    space = spaces_of(tape).get(population, ())
    variables = tuple(v for v, _ in space)
    count = members(space)
    representatives = _representatives(tape, population, space)
    if count <= MAX_PAIRED and representatives is None:
        representatives = np.arange(count)[None]
    if representatives is not None and representatives.shape[1] <= MAX_PAIRED:
        one, other = np.triu_indices(representatives.shape[1])  # equal enclosures are two numbers
        return LawDirections(
            population, variables, representatives[:, one], representatives[:, other], False
        )
    kinds = np.arange(count)[None] if representatives is None else representatives
    return LawDirections(
        population, variables, kinds, np.repeat(kinds[:, :1], kinds.shape[1], 1), True
    )


def _representatives(tape: Tape, population: str, space: Space) -> np.ndarray | None:
    """Kinds of members with different statistics, [grid, kinds]; None where that is not known."""
    mine = [s for s in tape.statistics if s.population == population]
    grid = int(np.prod(tape.sizes)) if tape.sizes else 1
    scalar = all(
        s.coordinate is not None and s.mass is None and not tape.touched[s.body] for s in mine
    )
    if not mine or not scalar or grid * members(space) * len(mine) > MAX_COLUMNS:
        return None
    low, high = table_columns(tape, mine, space)
    if len(mine) == 1:
        return np.stack([high[..., 0].argmax(1), low[..., 0].argmin(1)], 1)
    if grid > 2000:
        return None
    return padded([distinct(part) for part in np.concatenate([low, high], -1)])


def distinct(columns: Array) -> np.ndarray:
    """The first of each kind of equal rows."""
    _, first = np.unique(columns, axis=0, return_index=True)
    return np.sort(first)


def padded(lists: list[np.ndarray]) -> np.ndarray:
    """Lists of indices as one table, the first repeated."""
    width = max(map(len, lists))
    return np.array([[*found, *[found[0]] * (width - len(found))] for found in lists])
