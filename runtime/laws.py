"""Probability vectors: distances, averages and checks on the simplex."""

from jaxtyping import Float
from torch import Tensor


def l1_distance(
    first: Float[Tensor, "*batch states"], second: Float[Tensor, "*batch states"]
) -> Float[Tensor, "*batch"]:
    """Sum of absolute differences, between 0 and 2 for laws."""
    return (first - second).abs().sum(-1)


def total_variation(
    first: Float[Tensor, "*batch states"], second: Float[Tensor, "*batch states"]
) -> Float[Tensor, "*batch"]:
    """Largest difference of probability over all events, between 0 and 1."""
    return l1_distance(first, second) / 2


def normalized(mass: Float[Tensor, "*batch states"]) -> Float[Tensor, "*batch states"]:
    """Non-negative mass scaled to sum to one; the uniform law where all mass is zero."""
    total = mass.sum(-1, keepdim=True)
    return (mass / total.where(total > 0, 1)).where(total > 0, 1 / mass.shape[-1])


def is_law(mass: Float[Tensor, "*batch states"], *, tolerance: float = 1e-9) -> bool:
    """Whether every row is non-negative and sums to one up to the tolerance."""
    sums = (mass.sum(-1) - 1).abs().max().item()
    return bool(mass.min().item() >= -tolerance and sums <= tolerance)
