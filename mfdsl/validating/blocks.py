"""Several populations along one axis of states, as their tables have them: who has which part."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mfdsl.runtime.finite_population.constants import Constants, along_flow, of_populations
from mfdsl.runtime.finite_population.theorem_b import TypedFlow, TypedGame

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
EXACT_MIXING = 400  # pairs of state and action; beyond that delta is 1


@dataclass(frozen=True)
class Blocks:
    """`count` populations of equal mass; `of_type` [types] is the population of each type."""

    count: int
    states: int
    of_type: Ints

    @property
    def size(self) -> int:
        """The number of states of each population."""
        return self.states // self.count

    def rows(self, population: int) -> slice:
        """The states of a population."""
        return slice(population * self.size, (population + 1) * self.size)

    def types(self, population: int) -> Ints:
        """The types of a population."""
        return np.flatnonzero(self.of_type == population)


def block_constants(
    game: TypedGame,
    flow: TypedFlow,
    table: Floats,
    blocks: Blocks,
    slopes: tuple[Floats, Floats],
    groups: Ints | None,
) -> Constants:
    """The constants along a flow, of each population among its own states.

    `table` [steps, states, actions] is the policy; `slopes` are those of kernels and rewards per
    unit of the l1 distance of the law of all populations.
    """
    parts = []
    for k in range(blocks.count):
        mine, rows = blocks.types(k), blocks.rows(k)
        part = along_flow(
            flow.kernels[mine][:, :, rows][..., rows],
            flow.rewards[mine][:, :, rows],
            flow.joint[:, rows] * blocks.count,
            table[:, rows],
            slopes[0][mine][:, :, rows],
            slopes[1][mine][:, :, rows],
            groups=None if groups is None else groups[rows],
            legal=None if game.legal is None else game.legal[rows],
            discount=game.discount,
            exact_mixing=table[0, rows].size <= EXACT_MIXING,
        )
        parts.append(part)
    return of_populations(parts, np.ones(blocks.count))
