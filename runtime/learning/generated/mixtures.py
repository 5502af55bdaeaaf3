"""`mdn`: a mixture of normal laws with parameters by a network of the time (Bishop 1994).

It has a density and is fitted by likelihood, without a discriminator. Its parts have independent
entries, so that it is for few dimensions: laws with many valleys take many parts.
"""

from math import log, pi

import torch
from torch import Tensor, nn

from mfdsl.runtime.learning.generated.generators import CLOCK, Scaled, begun, beside
from mfdsl.runtime.learning.networks import Mlp

PARTS = 8
MOST_AXES = 4  # dimensions
LEAST = 1e-3  # deviation of a part, in the unit of points
EDGE = 1e-6  # of a uniform number, so that its normal one is finite


class Mixture(Scaled):
    """Weights, means and deviations of the parts by a network of the time and what is told."""

    def __init__(self, axes: int, hidden: int, layers: int, steps: int, told: int = 0) -> None:
        super().__init__(axes, steps, told)
        self.network = Mlp(CLOCK + told, [hidden] * layers, PARTS * (1 + 2 * axes), "silu", 0.1)
        self.apart = nn.Parameter(torch.randn(PARTS, axes))

    def parts(self, share: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logarithms of weights [T, K], means and deviations [T, K, d], of scaled points."""
        numbers = self.network(beside(share, 1)[:, 0])
        weights, rest = numbers[:, :PARTS], numbers[:, PARTS:].reshape(-1, PARTS, 2, self.axes)
        deviations = LEAST + nn.functional.softplus(rest[:, :, 1])
        return torch.log_softmax(weights, -1), self.apart + rest[:, :, 0], deviations

    def draw(self, start: Tensor, share: Tensor, noise: Tensor) -> Tensor:
        """Points [T, n, d]; at share 0 the starts.

        The first number of the noise says which part, and what is left of it the first entry there.
        """
        logs, means, deviations = self.parts(share)
        edges = logs.exp().cumsum(-1)
        uniform = 0.5 * (1 + torch.erf(noise[..., 0] / 2**0.5))
        part = torch.searchsorted(edges, uniform.contiguous()).clamp(max=PARTS - 1)
        low = torch.cat([torch.zeros_like(edges[:, :1]), edges], -1).gather(-1, part)
        left = (uniform - low) / logs.exp().gather(-1, part).clamp(min=1e-12)
        first = 2**0.5 * torch.erfinv(2 * left.clamp(EDGE, 1 - EDGE) - 1)
        normal = torch.cat([first[..., None], noise[..., 1:]], -1)
        chosen = part[..., None].expand(-1, -1, self.axes)
        points = means.gather(1, chosen) + deviations.gather(1, chosen) * normal
        return begun(share, start, self.moments.placed(points, share))

    def log_density(self, points: Tensor, share: Tensor) -> Tensor:
        """The logarithm of the density [T, n] at points [T, n, d]."""
        logs, means, deviations = self.parts(share)
        apart = (self.moments.standard(points, share)[:, :, None] - means[:, None]) / deviations[
            :, None
        ]
        each = -0.5 * (apart**2).sum(-1) - deviations.log().sum(-1)[:, None] + logs[:, None]
        volume = self.moments.volume(share)[:, None] + 0.5 * self.axes * log(2 * pi)
        found: Tensor = torch.logsumexp(each, -1) - volume
        return found
