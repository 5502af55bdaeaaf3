"""Advantages from rewards and values (Schulman et al. 2016, arXiv:1506.02438)."""

import math

import torch
from torch import Tensor


def advantages(
    rewards: Tensor, values: Tensor, last: Tensor, discount: float, decay: float
) -> Tensor:
    """Generalised advantages [T, ...] of rewards and values [T, ...].

    `last` [...] is the value after the last step: 0 where the game ends there, the critic's where
    it was only cut.
    """
    found = torch.empty_like(rewards)
    ahead, rest = last, torch.zeros_like(last)
    for t in range(len(rewards) - 1, -1, -1):
        error = rewards[t] + discount * ahead - values[t]
        rest = error + discount * decay * rest
        found[t] = rest
        ahead = values[t]
    return found


class Scale:
    """A running mean and deviation of returns, so that critics fit numbers around 1.

    Old batches count less by `decay` for each new one.
    """

    def __init__(self, decay: float = 0.9) -> None:
        self.decay, self.mass, self.mean, self.square = decay, 0.0, 0.0, 0.0

    def add(self, values: Tensor) -> None:
        """Take a batch into account."""
        keep = self.decay
        self.mass = keep * self.mass + (1 - keep)
        self.mean = keep * self.mean + (1 - keep) * values.mean().item()
        self.square = keep * self.square + (1 - keep) * (values**2).mean().item()

    @property
    def centre(self) -> float:
        """The mean of what was seen, 0 before."""
        return self.mean / self.mass if self.mass else 0.0

    @property
    def spread(self) -> float:
        """The deviation of what was seen, 1 before."""
        if not self.mass:
            return 1.0
        return math.sqrt(max(self.square / self.mass - self.centre**2, 1e-8))

    def state(self) -> Tensor:
        """The three sums."""
        return torch.tensor([self.mass, self.mean, self.square], dtype=torch.float64)

    def restore(self, state: Tensor) -> None:
        """Go on from saved sums."""
        self.mass, self.mean, self.square = (float(v) for v in state)
