"""The states of a population as points: all entries of its states and traits in a row."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, prod
from typing import Any

import torch
from torch import Tensor

from mfdsl.compiler.ir.model import Model, StateVariable
from mfdsl.compiler.ir.types import Type
from mfdsl.runtime.agents import AgentProgram
from mfdsl.runtime.learning.base import LessonError
from mfdsl.runtime.learning.sight import model_of


@dataclass(frozen=True, eq=False)
class Space:
    """Points [..., width] of a population by the field name of its module.

    The last `fixed` entries are traits, which time does not move. `low` and `high` [width] bound
    the entries (infinite where nothing does). `finite`: all entries are whole numbers.
    """

    name: str
    field: str
    types: tuple[Type, ...]
    fixed: int
    low: Tensor
    high: Tensor
    finite: bool

    @property
    def width(self) -> int:
        """How many numbers a point has."""
        return sum(prod(kind.dims) for kind in self.types)

    def points(self, state: Any) -> Tensor:
        """The points of the members of a state, [B, N, width]; finite values as they are."""
        values: Sequence[Tensor] = getattr(state, self.field)
        parts = [
            value.reshape(*value.shape[: value.ndim - len(kind.dims)], -1)
            for value, kind in zip(values, self.types, strict=False)
        ]
        return torch.cat(parts, -1)

    def values(self, points: Tensor) -> list[Tensor]:
        """States and traits in the order of the module, from points [..., width]."""
        found, start = [], 0
        for kind in self.types:
            size = prod(kind.dims)
            value = points[..., start : start + size].reshape(*points.shape[:-1], *kind.dims)
            found.append(value.bool() if kind.kind == "bool" else value)
            start += size
        return found

    def inside(self, points: Tensor) -> Tensor:
        """Points brought into their bounds."""
        return points.clamp(self.low.to(points), self.high.to(points))


def space_of(program: AgentProgram) -> Space:
    """The space of the only population of a game.

    Raises:
        LessonError: there are several populations, majors or common states, or values that are
            neither all finite nor all on a line.
    """
    model = model_of(program)
    if program.kind == "stationary":
        raise LessonError(
            f"{program.name} asks for a stationary law, and a generator here draws laws over time",
            "use tables, where they fit",
        )
    if len(model.players) > 1:
        others = ", ".join(p.name for p in model.players)
        raise LessonError(
            f"{program.name} has more players than one population ({others}), and a generator here"
            " draws one law",
            "use tables, where they fit",
        )
    (field,) = program.populations
    player = model.players[0]
    variables = (*player.states, *player.traits)
    types = tuple(_type(model, v) for v in variables)
    if not types:
        raise LessonError(f"the agents of {program.name} have no states, so there is no law")
    finite = [kind.finite for kind in types]
    if any(finite) and not all(finite):
        raise LessonError(
            f"{program.name} has finite and real states, and a generator draws one kind",
            "use tables, where they fit",
        )
    if any(kind.periodic and not kind.finite for kind in types):
        raise LessonError(
            f"{program.name} has angles, and a generator draws on lines",
            "use tables, where they fit",
        )
    ends = [_ends(kind) for kind in types]
    low = torch.cat([torch.as_tensor(e[0]) for e in ends])
    high = torch.cat([torch.as_tensor(e[1]) for e in ends])
    fixed = sum(prod(_type(model, v).dims) for v in player.traits)
    return Space(player.name, field, types, fixed, low, high, all(finite))


def _type(model: Model, variable: StateVariable) -> Type:
    return model.types[variable.type]


def _ends(kind: Type) -> tuple[list[float], list[float]]:
    """The bounds of each entry of a type."""
    count = prod(kind.dims)
    if kind.box is not None:
        repeats = count // len(kind.box)
        return [e[0] for e in kind.box] * repeats, [e[1] for e in kind.box] * repeats
    low = -inf if kind.lo is None else float(kind.lo)
    high = inf if kind.hi is None else float(kind.hi)
    return [low] * count, [high] * count
