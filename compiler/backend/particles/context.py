"""Where an expression of the model stands when it is copied into the arena."""

from dataclasses import dataclass, replace
from typing import Literal

Moment = Literal["start", "running"]
Bound = tuple[tuple[str, object], int]


@dataclass(frozen=True)
class Context:
    """The moment, the player whose expression it is, and what binders further out bind.

    `peers` holds (depth, population); `bound` maps leaves (op, attr) to nodes of the arena.
    """

    moment: Moment
    player: str
    peers: tuple[tuple[int, str], ...] = ()
    bound: tuple[Bound, ...] = ()

    def population(self, depth: int) -> str:
        """The population of the member bound at `depth`."""
        return next(name for d, name in reversed(self.peers) if d == depth)

    def binding(self, op: str, attr: object) -> int | None:
        """The node that stands for a leaf, None when it is not bound."""
        return next((node for key, node in reversed(self.bound) if key == (op, attr)), None)

    def member_of(self, depth: int, population: str) -> "Context":
        """Inside a mean."""
        return replace(self, peers=(*self.peers, (depth, population)))

    def with_leaf(self, op: str, attr: object, node: int) -> "Context":
        """With a leaf replaced by a node."""
        return replace(self, bound=(*self.bound, ((op, attr), node)))

    def without_leaf(self, op: str, attr: object) -> "Context":
        """Inside a binder of a leaf that further out is replaced by a node."""
        return replace(self, bound=tuple(b for b in self.bound if b[0] != (op, attr)))
