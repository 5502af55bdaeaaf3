"""Moves that share rows: an agent lands somewhere, and what follows depends on the landing alone.

On a grid "move, then noise" takes every action of every state to a landing place, and the noise
spreads it from there, so that the distributions of next states of all (state, action) are few:
about one for each place. Found by comparing the rows of a table, this covers clips, walls, periodic
edges, maps and graphs alike, and a pass costs A + K terms a state in the place of A K.
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

WORTH = 0.75
SPREAD = 0x5DEECE66D


@dataclass(frozen=True, eq=False)
class SharedRows:
    """Entry (a, s) moves as row `landing[a, s]`: to `places[k, row]` with `chances[k, row]`."""

    landing: Int[Tensor, "actions states"] = field(repr=False)
    places: Int[Tensor, "noises rows"] = field(repr=False)
    chances: Float[Tensor, "noises rows"] = field(repr=False)

    @property
    def worth(self) -> bool:
        """Whether landing and spreading are fewer terms than the table has."""
        noises, rows = self.places.shape
        entries = self.landing.numel()
        return entries + noises * rows <= WORTH * noises * entries


def shared_rows(
    successors: Int[Tensor, "noises actions states"],
    weights: Float[Tensor, "noises actions states"],
) -> SharedRows:
    """The distinct rows of a table, numbered as they first occur, and where each entry has its own.

    Weights may have length 1 along actions and states. Rows are compared by a hash of 64 bits and
    then number by number: a collision leaves every entry with a row of its own.
    """
    noises, actions, states = successors.shape
    table = successors.reshape(noises, -1)
    chances = weights if weights[0].numel() == 1 else weights.expand(successors.shape)
    chances = chances.reshape(noises, -1)
    _, inverse = torch.unique(_hashes(table, chances), return_inverse=True)
    first = _first_of_each(inverse)
    order = first.argsort()
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    landing, first = rank[inverse], first[order]
    if not _equal(table, chances, landing, first):
        landing = torch.arange(actions * states, device=successors.device)
        first = landing
    spread = chances[:, first] if chances.shape[1] > 1 else chances.expand(-1, len(first))
    return SharedRows(landing.view(actions, states), table[:, first], spread)


def _hashes(table: Tensor, chances: Tensor) -> Tensor:
    """One number for each row, from all its places and chances; products wrap around."""
    generator = torch.Generator().manual_seed(SPREAD)
    bounds = torch.iinfo(torch.int64)
    drawn = torch.randint(bounds.min, bounds.max, (2, len(table)), generator=generator)
    factors = (drawn | 1).tolist()
    code = torch.zeros_like(table[0])
    bits = torch.int64 if chances.dtype == torch.float64 else torch.int32
    for k, (of_place, of_chance) in enumerate(zip(*factors, strict=True)):
        code += table[k] * of_place
        if chances.shape[1] > 1:
            code += chances[k].contiguous().view(bits).long() * of_chance
    return code


def _first_of_each(inverse: Tensor) -> Tensor:
    count = int(inverse.max()) + 1
    places = torch.arange(len(inverse), device=inverse.device)
    first = places.new_full((count,), len(inverse))
    return first.scatter_reduce_(0, inverse, places, "amin")


def _equal(table: Tensor, chances: Tensor, landing: Tensor, first: Tensor) -> bool:
    """Whether every entry has exactly the numbers of the row that it was given."""
    source = first[landing]
    for k in range(len(table)):
        if not torch.equal(table[k][source], table[k]):
            return False
        if chances.shape[1] > 1 and not torch.equal(chances[k][source], chances[k]):
            return False
    return True
