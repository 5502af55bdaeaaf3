"""Encoders of laws: every one is an integral e = sum_j w_j phi(x_j), so that N does not matter.

Deep sets (Zaheer et al. 2017, arXiv:1703.06114); random Fourier features whose distance
approximates the maximum mean discrepancy (Rahimi and Recht 2007); attention with inducing points
(Lee et al. 2019, arXiv:1810.00825), where the weights enter the softmax.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from mfdsl.runtime.learning.averaging import compiled, mean_tangents
from mfdsl.runtime.learning.features import Axis
from mfdsl.runtime.learning.networks import Mlp, chained
from mfdsl.runtime.views.native import available

LARGEST = 1 << 14  # cells of a histogram

EncoderKind = Literal["mean_embed", "moments", "histogram", "rff", "attention"]
FIXED: tuple[EncoderKind, ...] = ("moments", "histogram")
"""Encoders without numbers of their own: all networks read the same integrals."""


@dataclass(frozen=True)
class Members:
    """What is seen of the members of a law: how many features, and their axes."""

    width: int
    axes: tuple[Axis, ...]


def averaged(features: Tensor, weights: Tensor | None) -> Tensor:
    """The integral of features [B, M, k] over a law, [B, k]; None: all members count alike."""
    if weights is None:
        return features.sum(-2) / features.shape[-2]  # `mean` would divide the gradient M times
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
        """The integral over members [B, M, d], [B, width].

        The last layer is linear, so it is applied to the average.
        """
        *inner, last = self.embed.layers
        first = inner[0]
        assert isinstance(first, nn.Linear) and isinstance(last, nn.Linear)
        if weights is None and compiled(members, first):
            return mean_tangents(members, first) @ last.weight.T + last.bias
        members = chained(inner, members)
        mass = 1.0 if weights is None else weights.sum(-1, keepdim=True)
        return averaged(members, weights) @ last.weight.T + mass * last.bias


class Histogram(Encoder):
    """Shares of the cells of the joint space of all axes; `bins` on a line or a circle, where the
    axis does not say how many.

    Members count for the nearest cell; with `smooth` they are spread over the neighbouring cells in
    proportion (a tent in each direction), so that the shares have gradients.
    """

    def __init__(self, axes: Sequence[Axis], bins: int, smooth: bool = True) -> None:
        super().__init__()
        self.axes, self.smooth = tuple(axes), smooth
        self.sizes = [len(a.columns) if a.kind == "names" else a.cells or bins for a in axes]
        self.width = math.prod(self.sizes)
        if self.width > LARGEST:
            raise ValueError(
                f"a histogram on {len(self.sizes)} axes would have {self.width:,} cells:"
                " take fewer `bins`, or the encoder mean_embed"
            )

    def forward(self, members: Tensor, weights: Tensor | None = None) -> Tensor:
        """The integral over members [B, M, d], [B, width].

        Members are the last axis on the way, so that every operation runs along them; shares along
        the last axis of the space meet those of all others in one product of matrices. Compiled
        loops (extra `native`) look at the few cells instead that each member has a share in.
        """
        if self._compiled(members, weights):
            return self._counted(members.detach().transpose(-1, -2), weights)
        planes = members.transpose(-1, -2).contiguous()
        sized = zip(self.axes, self.sizes, strict=True)
        *others, last = (self._share(_columns(planes, a), a, n) for a, n in sized)
        if not others:
            return averaged(last.transpose(-1, -2), weights)
        cells = others[0]
        for share in others[1:]:
            cells = (cells[..., :, None, :] * share[..., None, :, :]).flatten(-3, -2)
        last = last / last.shape[-1] if weights is None else weights[..., None, :] * last
        return (cells @ last.transpose(-1, -2)).flatten(-2)

    def _compiled(self, members: Tensor, weights: Tensor | None) -> bool:
        """Whether compiled loops apply: they have no gradients."""
        sloping = members.requires_grad or (weights is not None and weights.requires_grad)
        single = any(
            a.kind == "circle" and n == 1 for a, n in zip(self.axes, self.sizes, strict=True)
        )
        fits = self.smooth and not single and members.ndim == 3
        return fits and not sloping and members.device.type == "cpu" and available()

    def _counted(self, planes: Tensor, weights: Tensor | None) -> Tensor:
        from mfdsl.runtime.learning.histogram_native import KINDS, spread  # needs numba

        at = planes.new_empty(len(planes), len(self.axes), planes.shape[-1])
        for row, (axis, cells) in enumerate(zip(self.axes, self.sizes, strict=True)):
            at[:, row : row + 1] = _place(_columns(planes, axis), axis, cells)
        mass = np.full((1, 1), 1 / at.shape[-1]) if weights is None else weights.double().numpy()
        kinds = np.array([KINDS.index(a.kind) for a in self.axes])
        found = torch.zeros(len(at), self.width, dtype=torch.float64)
        spread(at.numpy(), mass, kinds, np.array(self.sizes), found.numpy())
        return found.to(planes.dtype)

    def _share(self, planes: Tensor, axis: Axis, cells: int) -> Tensor:
        """How much of each member lies in each cell of an axis, [B, cells, M]."""
        if axis.kind == "names":
            return planes
        if axis.kind == "circle":
            apart = _around(planes, cells)
        else:
            inside = planes.clamp(-1 + 1 / cells, 1 - 1 / cells)
            centres = -1 + (2 * _places(planes, cells) + 1) / cells
            apart = (inside - centres).abs() * (cells / 2)
        if self.smooth:
            return (1 - apart).clamp(min=0)
        nearest = nn.functional.one_hot(apart.argmin(-2), cells)
        return nearest.movedim(-1, -2).to(planes.dtype)


def _columns(planes: Tensor, axis: Axis) -> Tensor:
    """The features along an axis [B, columns, M], a single one without a copy."""
    first = axis.columns[0]
    if len(axis.columns) == 1:
        return planes[..., first : first + 1, :]
    return planes[..., list(axis.columns), :]


def _place(planes: Tensor, axis: Axis, cells: int) -> Tensor:
    """Where each member is, in cells from the centre of the first, [B, 1, M]."""
    if axis.kind == "names":
        return (planes * _places(planes, len(axis.columns))).sum(-2, keepdim=True)
    if axis.kind == "circle":
        return _turns(planes) * cells + (cells - 1) / 2
    return (planes * (cells / 2) + (cells - 1) / 2).clamp(0, cells - 1)


def _places(planes: Tensor, bins: int) -> Tensor:
    """The numbers of the cells of an axis [bins, 1]."""
    return torch.arange(bins, device=planes.device, dtype=planes.dtype)[:, None]


def _around(planes: Tensor, bins: int) -> Tensor:
    """Distances on a circle from cosine and sine to the centres of its cells, in cells."""
    apart = (_turns(planes) - ((_places(planes, bins) + 0.5) / bins - 0.5)).abs()
    return torch.minimum(apart, 1 - apart) * bins


def _turns(planes: Tensor) -> Tensor:
    """Angles in [-1/2, 1/2] of a whole turn from cosine and sine."""
    return torch.atan2(planes[..., 1:, :], planes[..., :1, :]) / (2 * math.pi)


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


def encoder(kind: EncoderKind, law: Members, width: int, hidden: int, bins: int) -> Encoder:
    """The encoder of a law.

    Raises:
        ValueError: a histogram would have too many cells.
    """
    match kind:
        case "moments":
            return Moments(law.width)
        case "histogram":
            return Histogram(law.axes, bins)
        case "rff":
            return FourierFeatures(law.width, width)
        case "attention":
            return Attention(law.width, width)
    return MeanEmbedding(law.width, width, hidden)
