"""What tells generated points from those that agents reach: losses of a generator.

Fixed ones need no training and have one optimum, the law itself: `energy` (the default; Szekely and
Rizzo 2013), `sliced` (squared 2-Wasserstein distances along random directions), `mmd` (random
Fourier features of Gaussian kernels; Rahimi and Recht 2007). `wgan_gp` learns its critic (Gulrajani
et al. 2017, arXiv:1704.00028) with two time scales (Heusel et al. 2017, arXiv:1706.08500): the
least reliable of them, to fine-tune. Points are [T, n, d], scaled to deviations around 1; every
time is compared with itself only.
"""

import torch
from torch import Tensor, nn

from mfdsl.runtime.learning.generated.distances import directions
from mfdsl.runtime.learning.generated.generators import CLOCK, beside
from mfdsl.runtime.learning.networks import Mlp

SLICES = 32
FEATURES = 256
BANDWIDTHS = (0.5, 1.0, 2.0)  # of the median distance


def energy(made: Tensor, real: Tensor) -> Tensor:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'|, the mean over times of its U-statistic."""
    if made.shape[-1] == 1:
        return _energy_on_line(made[..., 0], real[..., 0])
    between = torch.cdist(made, real).mean()
    found: Tensor = 2 * between - _within(made) - _within(real).detach()
    return found


def _within(points: Tensor) -> Tensor:
    count = points.shape[1]
    return torch.cdist(points, points).mean() * count / (count - 1)


def _energy_on_line(made: Tensor, real: Tensor) -> Tensor:
    """The same of points [T, n] and [T, m] on lines, by sorting in the place of all pairs."""
    n, m = made.shape[1], real.shape[1]
    own, other = _pairs(made), _pairs(real)
    between = _pairs(torch.cat([made, real], 1)) - own - other
    within = own / (n * (n - 1)) + other.detach() / (m * (m - 1))
    found: Tensor = 2 * (between / (n * m) - within).mean()
    return found


def _pairs(values: Tensor) -> Tensor:
    """Sums [T] over i < j of |x_i - x_j|: the k-th of n in order is the larger one of k pairs and
    the smaller one of n - 1 - k.
    """
    count = values.shape[1]
    often = 2 * torch.arange(count).to(values) - (count - 1)
    return values.sort(1).values @ often


def sliced(made: Tensor, real: Tensor, generator: torch.Generator) -> Tensor:
    """Squared sliced 2-Wasserstein distance, of as many points on both sides."""
    along = directions(SLICES, made.shape[-1], generator).to(made)
    apart = (made @ along).sort(1).values - (real @ along).sort(1).values
    found: Tensor = (apart**2).mean()
    return found


def mmd(made: Tensor, real: Tensor, generator: torch.Generator) -> Tensor:
    """Squared maximum mean discrepancy in random features, a bandwidth in each third of them."""
    with torch.no_grad():
        median = torch.cdist(real, real).flatten(1).median(1).values.clamp(min=1e-6)
    width = median[:, None] * real.new_tensor(BANDWIDTHS)  # [T, 3]
    waves = torch.randn(len(BANDWIDTHS), real.shape[-1], FEATURES, generator=generator).to(real)
    apart = _features(made, waves, width).mean(2) - _features(real, waves, width).mean(2)
    found: Tensor = (apart**2).sum(-1).mean()
    return found


def _features(points: Tensor, waves: Tensor, width: Tensor) -> Tensor:
    """Cosines and sines [T, 3, n, 2 k] whose inner products are kernels."""
    angles = (points[:, None] @ waves) / width[:, :, None, None]
    found: Tensor = torch.cat([angles.cos(), angles.sin()], -1) / FEATURES**0.5
    return found


class Critic(nn.Module):
    """The learned discriminator of `wgan_gp`: a function of point and time."""

    def __init__(self, axes: int, hidden: int, told: int = 0) -> None:
        super().__init__()
        self.network = Mlp(axes + CLOCK + told, [hidden, hidden], 1, "silu")

    def forward(self, points: Tensor, share: Tensor) -> Tensor:
        """Scores [T, n]."""
        found: Tensor = self.network(torch.cat([points, beside(share, points.shape[1])], -1))
        return found[..., 0]

    def loss(self, made: Tensor, real: Tensor, share: Tensor, mix: Tensor) -> Tensor:
        """What the critic lowers: minus the difference of scores, and how far its slopes are from 1
        on lines between points, at `mix` [T, n, 1].
        """
        made = made.detach()
        apart = self(made, share).mean() - self(real, share).mean()
        between = (mix * real + (1 - mix) * made).requires_grad_()
        (slope,) = torch.autograd.grad(self(between, share).sum(), between, create_graph=True)
        found: Tensor = apart + ((slope.norm(dim=-1) - 1) ** 2).mean()
        return found
