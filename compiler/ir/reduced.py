"""A game brought to one population with finite scalars, and how its axes stand for the game."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mfdsl.compiler.ir.model import Model


@dataclass(frozen=True)
class Coordinate:
    """One axis that stands for a variable, or for one entry of it (`entry`, row-major).

    Without a `step` the value is the position on the axis plus `first`. With a step the axis is a
    grid: the value at position k is `low + k * step`; a periodic grid goes round.
    """

    player: str
    variable: str
    entry: int
    axis: str
    size: int
    first: int = 0
    low: float = 0.0
    step: float | None = None
    periodic: bool = False


@dataclass(frozen=True)
class Past:
    """The pasts of the common state: policies see which of them has happened.

    `starts` maps the first common state to its past, `children[t]` a past at t and the common
    state at t + 1 to the past at t + 1. Common states list the values of `variables`, (player,
    state), in order. `told` is false where pasts differ by more than the common states.

    `states[t]` has the common state of each past at t, `parents[t]` its past at t - 1, none at 0.
    `turns[t]` has for each past the values of `drawn`, noises and actions of majors at t - 1, None
    where several lead there.
    """

    axis: str
    variables: tuple[tuple[str, str], ...]
    starts: Mapping[tuple[int, ...], int]
    children: tuple[Mapping[tuple[int, tuple[int, ...]], int], ...]
    told: bool
    states: tuple[tuple[tuple[int, ...], ...], ...]
    parents: tuple[tuple[int, ...], ...]
    drawn: tuple[tuple[str, str], ...]
    turns: tuple[tuple[tuple[int | None, ...], ...], ...]


@dataclass(frozen=True, eq=False)
class Choices:
    """The only action of the tables, `axis`, is the rank of a joint action among the legal ones.

    `row_of` [*sizes of `states`] is the row of a state, `rows` [R, ranks] the joint action of the
    game at each rank, flat; beyond the last legal one the first stands again.
    """

    axis: str
    states: tuple[str, ...]
    row_of: NDArray[np.int64] = field(repr=False)
    rows: NDArray[np.int64] = field(repr=False)


@dataclass(frozen=True)
class Reduced:
    """`model` is tabular. Several populations lie along its first axis `who`, in the order of
    `populations`, with equal masses.

    `fixed` names the parameters whose values are worked in, `notes` say what was done. `exact` is
    false when continuous variables stand on grids or rules of quadrature, when traits that are
    drawn anew move what is seen, or policies see a stage that the spec hides. With `choices` the
    tables have ranks in the place of `actions`.
    """

    model: Model
    populations: tuple[str, ...]
    who: str | None
    states: tuple[Coordinate, ...]
    actions: tuple[Coordinate, ...]
    past: Past | None
    fixed: frozenset[str]
    notes: tuple[str, ...]
    exact: bool
    choices: Choices | None = None

    @property
    def grids(self) -> tuple[Coordinate, ...]:
        """The axes that stand for continuous variables."""
        return tuple(c for c in (*self.states, *self.actions) if c.step is not None)
