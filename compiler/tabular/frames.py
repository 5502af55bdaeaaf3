"""Where an expression stands while a model is copied: whose it is, and what is bound around it."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfdsl.compiler.ir.model import Model, Player

# A scalar is the index of a node; an array is an object array of such indices.
Piece = int | NDArray[Any]


class NoTables(ValueError):
    """The game has no finite tables; the message says why, `advice` what to do."""

    def __init__(self, message: str, advice: str | None = None) -> None:
        super().__init__(message)
        self.advice = advice


@dataclass(frozen=True)
class Frame:
    """The player whose expression it is, the populations that means bind by depth, and the values
    of indices that are written out.
    """

    player: str
    bound: tuple[tuple[int, str], ...] = ()
    fixed: tuple[tuple[int, int], ...] = ()

    def inside(self, depth: int, population: str) -> "Frame":
        """The frame of the body of a mean."""
        return replace(self, bound=(*self.bound, (depth, population)))

    def at(self, depth: int, value: int) -> "Frame":
        """The frame in which an index has a value."""
        return replace(self, fixed=(*self.fixed, (depth, value)))

    def freed(self, depth: int) -> "Frame":
        """The frame in which an index that has a value further out is bound anew."""
        return replace(self, fixed=tuple(pair for pair in self.fixed if pair[0] != depth))

    def population(self, depth: int) -> str:
        """The population whose member is bound at a depth."""
        return next(name for d, name in reversed(self.bound) if d == depth)


def owner(model: Model, frame: Frame, op: str, attr: object) -> tuple[Player, str]:
    """The player a leaf belongs to, and the name of the variable."""
    if isinstance(attr, tuple):
        first, name = attr
        player = frame.population(int(first)) if op.startswith("peer_") else str(first)
        return model.player(player), str(name)
    return model.player(frame.player), str(attr)


def entries(piece: Piece) -> list[int]:
    """The scalars of a piece, row-major."""
    return [piece] if isinstance(piece, int) else [int(i) for i in piece.flat]


def shaped(nodes: list[int], dims: tuple[int, ...]) -> Piece:
    """Scalars as a piece of that shape."""
    if not dims:
        return nodes[0]
    array = np.empty(len(nodes), dtype=object)
    array[:] = nodes
    return array.reshape(dims)
