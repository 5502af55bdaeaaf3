"""What a linear-quadratic player is, as it was read from a spec: a vector that everything reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Name = tuple[str, str]  # sort, name: ("state", "x[0]"), ("mean", "bank.x"), ("noise", "e")


@dataclass(frozen=True, eq=False)
class Quadratic:
    """constant + linear . z + z' matrix z, each with a first axis of stages, or of 1 for all."""

    constant: Array
    linear: Array
    matrix: Array


@dataclass(frozen=True, eq=False)
class Form:
    """One player: next states are offset + slopes z, rewards `running` and `final` of z.

    `states` are the entries of its states, `traits` of what never changes, `actions` of what it
    chooses, by name. `noises` has mean and standard deviation of each entry of its own draws.
    Sorts of `z` are state, trait, action, mean, common and noise.
    """

    player: str
    kind: Literal["population", "major", "environment"]
    states: tuple[str, ...]
    traits: tuple[str, ...]
    actions: tuple[str, ...]
    z: tuple[Name, ...]
    offset: Array
    slopes: Array
    running: Quadratic
    final: Quadratic
    noises: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def own(self) -> tuple[str, ...]:
        """The entries of states and traits."""
        return (*self.states, *self.traits)


@dataclass(frozen=True, eq=False)
class Start:
    """The law of a player at t = 0: mean [d], and loadings of independent draws of variance 1.

    `own` [d, draws] are draws of each member for itself, `shared` [d, draws of everybody] those of
    majors and environments.
    """

    mean: Array
    own: Array
    shared: Array


def at(values: Array, t: int) -> Array:
    """The entry of stage t of an array whose first axis is the stages, or 1 for all."""
    found: Array = values[t if len(values) > 1 else 0]
    return found


def divided(matrix: Array, right: Array) -> Array:
    """matrix^-1 right, in double precision."""
    return np.asarray(np.linalg.solve(matrix, right), dtype=np.float64)
