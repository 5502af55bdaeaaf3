"""Transitions of small games as dense tables, for direct solves."""

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.views.kernels import (
    Kernel,
    MatrixKernel,
    RowsKernel,
    ScatteredKernel,
    WeightedKernel,
)

DENSE_STATES = 256
DENSE_TABLE = 1 << 21

Moves = Float[Tensor, "games states actions next"]


def dense_table(kernel: Kernel, actions: int, states: int) -> Moves | None:
    """The transitions, of one game where all share them, when they are small; else None."""
    games = 1 if kernel.shared else _games(kernel)
    if states > DENSE_STATES or games * actions * states * states > DENSE_TABLE:
        return None
    if isinstance(kernel, MatrixKernel | RowsKernel):
        return kernel.by_state
    if isinstance(kernel, WeightedKernel):
        return _summed(kernel.successors.view(*kernel.shape, 1), kernel.weights)
    assert isinstance(kernel, ScatteredKernel)
    return _summed(kernel.flat // kernel.flat.shape[-1], kernel.weights)


def chains_of(
    table: Moves, probs: Float[Tensor, "actions states batch"]
) -> Float[Tensor, "batch states next"]:
    """The chains that the policies make of the moves, contiguous."""
    if len(table) == 1:
        return torch.bmm(probs.permute(1, 2, 0), table[0]).transpose(0, 1).contiguous()
    return (probs.permute(2, 1, 0)[..., None] * table).sum(2)


def _games(kernel: Kernel) -> int:
    assert isinstance(kernel, WeightedKernel | ScatteredKernel)
    return kernel.weights.shape[-1]


def _summed(places: Tensor, weights: Tensor) -> Moves:
    """Chances [K, A or 1, S or 1, B or 1] of the same place [K, A, S, B or 1] summed."""
    noises, actions, states, games = *places.shape[:3], max(places.shape[3], weights.shape[3])
    shape = (noises, actions, states, games)
    table = weights.new_zeros(games, states, actions, states)
    chances = weights.expand(shape).permute(3, 2, 1, 0)
    return table.scatter_add_(3, places.expand(shape).permute(3, 2, 1, 0), chances)
