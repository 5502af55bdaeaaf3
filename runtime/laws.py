"""Probability vectors: their distance, and whether they are ones."""

from jaxtyping import Float
from torch import Tensor


def l1_distance(
    first: Float[Tensor, "*batch states"], second: Float[Tensor, "*batch states"]
) -> Float[Tensor, "*batch"]:
    """Sum of absolute differences, between 0 and 2 for laws."""
    return (first - second).abs().sum(-1)


def is_law(mass: Float[Tensor, "*batch states"], *, tolerance: float = 1e-9) -> bool:
    """Whether every row is non-negative and sums to one up to the tolerance."""
    sums = (mass.sum(-1) - 1).abs().max().item()
    return bool(mass.min().item() >= -tolerance and sums <= tolerance)
