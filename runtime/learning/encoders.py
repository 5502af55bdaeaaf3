"""Encoders of laws: every one is an integral e = sum_j w_j phi(x_j), so that N does not matter.

Deep sets (Zaheer et al. 2017, arXiv:1703.06114); random Fourier features whose distance
approximates the maximum mean discrepancy (Rahimi and Recht 2007); attention with inducing points
(Lee et al. 2019, arXiv:1810.00825), where the weights enter the softmax.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from mfdsl.runtime.learning.networks import Mlp

EncoderKind = Literal["mean_embed", "moments", "histogram", "rff", "attention"]


def averaged(features: Tensor, weights: Tensor | None) -> Tensor:
    """The integral of features [B, M, k] over a law, [B, k]; None: all members count alike."""
    if weights is None:
        return features.mean(-2)
    return (weights[..., None] * features).sum(-2)


class Encoder(nn.Module):
    """Integrals over a law on points: members [B, M, d] and weights [B, M] give [B, width]."""

    width: int


class Moments(Encoder):
    """Mean and second moments of d features: exact for linear-quadratic games."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.rows, self.columns = torch.triu_indices(inputs, inputs)
        self.width = inputs + len(self.rows)

    def forward(self, members: Tensor, weights: Tensor | None = None) -> Tensor:
        """The integral over members [B, M, d], [B, width]."""
        mean = averaged(members, weights)
        apart = members - mean[..., None, :]
        square = averaged(apart[..., self.rows] * apart[..., self.columns], weights)
        return torch.cat([mean, square], -1)


class MeanEmbedding(Encoder):
    """A network on each member, averaged (deep sets)."""

    def __init__(self, inputs: int, width: int, hidden: int) -> None:
        super().__init__()
        self.width = width
        self.embed = Mlp(inputs, [hidden], width)

    def forward(self, members: Tensor, weights: Tensor | None = None) -> Tensor:
        """The integral over members [B, M, d], [B, width]."""
        return averaged(self.embed(members), weights)


class Histogram(Encoder):
    """Shares of the cells of a grid on [-1, 1]^d; members count for the nearest cell.

    With `smooth` they are spread over the neighbouring cells in proportion (a tent in each
    direction), so that the shares have gradients.
    """

    centres: Tensor

    def __init__(self, inputs: int, bins: int, smooth: bool = True) -> None:
        super().__init__()
        if bins**inputs > 1 << 14:
            raise ValueError(f"{inputs} features with {bins} bins make too many cells")
        self.bins, self.smooth, self.width = bins, smooth, bins**inputs
        centres = -1 + (2 * torch.arange(bins) + 1) / bins
        self.register_buffer("centres", centres)

    def forward(self, members: Tensor, weights: Tensor | None = None) -> Tensor:
        """The integral over members [B, M, d], [B, width]."""
        places = members.clamp(-1 + 1 / self.bins, 1 - 1 / self.bins)
        apart = (places[..., None] - self.centres).abs() * self.bins / 2
        if self.smooth:
            near = (1 - apart).clamp(min=0)
        else:
            near = nn.functional.one_hot(apart.argmin(-1), self.bins).to(members.dtype)
        cells = near[..., 0, :]
        for axis in range(1, near.shape[-2]):
            cells = (cells[..., :, None] * near[..., axis, None, :]).flatten(-2)
        return averaged(cells, weights)


class FourierFeatures(Encoder):
    """Cosines in random directions, fixed: no training needed to tell laws apart."""

    directions: Tensor
    phases: Tensor

    def __init__(self, inputs: int, width: int, bandwidth: float = 0.5) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("directions", torch.randn(inputs, width) / bandwidth)
        self.register_buffer("phases", 2 * math.pi * torch.rand(width))

    def forward(self, members: Tensor, weights: Tensor | None = None) -> Tensor:
        """The integral over members [B, M, d], [B, width]."""
        waves = torch.cos(members @ self.directions + self.phases)
        return averaged(waves, weights) * math.sqrt(2)


class Attention(Encoder):
    """Inducing points attend to the members; the cost is linear in their number."""

    def __init__(self, inputs: int, width: int, points: int = 16) -> None:
        super().__init__()
        self.width = width
        self.size = max(1, width // points)
        self.queries = nn.Parameter(torch.randn(points, self.size) / math.sqrt(self.size))
        self.keys = nn.Linear(inputs, self.size)
        self.values = Mlp(inputs, [width], self.size)
        self.last = nn.Linear(points * self.size, width)

    def forward(self, members: Tensor, weights: Tensor | None = None) -> Tensor:
        """The integral over members [B, M, d], [B, width]."""
        scores = self.keys(members) @ self.queries.T / math.sqrt(self.size)  # [B, M, points]
        if weights is not None:
            scores = scores + weights.clamp(min=1e-30).log()[..., None]
        share = torch.softmax(scores, -2)
        found: Tensor = self.last((share.transpose(-1, -2) @ self.values(members)).flatten(-2))
        return found


def encoder(kind: EncoderKind, inputs: int, width: int, hidden: int, bins: int) -> Encoder:
    """The encoder of a law on points with `inputs` features.

    Raises:
        ValueError: a histogram would have too many cells.
    """
    match kind:
        case "moments":
            return Moments(inputs)
        case "histogram":
            return Histogram(inputs, bins)
        case "rff":
            return FourierFeatures(inputs, width)
        case "attention":
            return Attention(inputs, width)
    return MeanEmbedding(inputs, width, hidden)
