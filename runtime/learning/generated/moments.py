"""Means and covariances of points at each time, and how points hang on where agents began.

Read off the paths that are kept, before every fit: what is linear of a law needs no network, and
generators learn on points whose means are 0 and covariances 1 at all times. In a family of games
means are affine in what is told of a game, and covariances those around them.
"""

import torch
from torch import Tensor, nn

LEAST_SPREAD = 1e-3  # deviations below that are none
LEAST_PART = 1e-6  # of the largest variance at the start: directions with less say nothing


def designed(told: Tensor) -> Tensor:
    """Rows [C, 1 + k] of what affine functions of the told numbers [C, k] are fitted by."""
    return torch.cat([told.new_ones(len(told), 1), told], 1).double()


def affine(terms: Tensor, share: Tensor) -> Tensor:
    """Values [M, 1, d] of affine functions [M, 1 + k, d] of what is told beside the times."""
    if share.ndim == 1:
        return terms[:, :1]
    return terms[:, :1] + share[:, None, 1:] @ terms[:, 1:]


class Moments(nn.Module):
    """Affine maps between points [M, n, d] at the moments `share` ([M], or [M, 1 + k] with k told
    numbers) and standard ones. Times between those of the paths take the nearest of these.
    """

    spread: Tensor
    centre: Tensor
    root: Tensor
    inverse: Tensor
    carried: Tensor
    rest: Tensor

    def __init__(self, axes: int, steps: int, told: int) -> None:
        super().__init__()
        self.axes, self.steps = axes, steps
        every = torch.eye(axes).repeat(steps + 1, 1, 1)
        self.register_buffer("spread", torch.ones(axes))
        self.register_buffer("centre", torch.zeros(steps + 1, 1 + told, axes))
        self.register_buffer("root", every)
        self.register_buffer("inverse", every.clone())
        self.register_buffer("carried", every.clone())
        self.register_buffer("rest", torch.zeros_like(every))

    @torch.no_grad()
    def read(self, paths: Tensor, told: Tensor) -> None:
        """From paths [T + 1, R, d], game after game, of which `told` [C, k] is told."""
        deviation = paths.reshape(-1, self.axes).std(0)
        self.spread.copy_(torch.where(deviation > LEAST_SPREAD, deviation, 1.0))
        design = designed(told)
        solved = torch.linalg.pinv(design)
        centres, wholes, crossed = [], [], []
        first = None
        for now in paths:
            points = (now / self.spread).double().reshape(len(told), -1, self.axes)
            centre = solved @ points.mean(1)
            apart = (points - (design @ centre)[:, None]).flatten(0, 1)
            first = apart if first is None else first
            centres.append(centre)
            wholes.append(apart.T @ apart / len(apart))
            crossed.append(first.T @ apart / len(apart))
        whole, cross = torch.stack(wholes), torch.stack(crossed)
        slope = torch.linalg.pinv(whole[:1], rtol=LEAST_PART, hermitian=True) @ cross
        left = whole - cross.transpose(1, 2) @ slope
        values, axes = torch.linalg.eigh(whole)
        lengths = values.clamp(min=LEAST_SPREAD**2).sqrt()[:, None]
        root = (axes * lengths) @ axes.transpose(1, 2)
        self.centre.copy_(torch.stack(centres))
        self.root.copy_(root)
        inverse = (axes / lengths) @ axes.transpose(1, 2)
        self.inverse.copy_(inverse)
        self.carried.copy_(root[:1] @ slope @ inverse)
        values, axes = torch.linalg.eigh(left)
        rest = (axes * values.clamp(min=0).sqrt()[:, None]) @ axes.transpose(1, 2)
        self.rest.copy_(rest @ inverse)

    def at(self, share: Tensor) -> Tensor:
        """The times [M] of moments."""
        part = share if share.ndim == 1 else share[:, 0]
        return (part * self.steps).round().long().clamp(0, self.steps)

    def means(self, share: Tensor, times: Tensor) -> Tensor:
        """Means [M, 1, d] at times, for what is told, in the unit of deviations over all times."""
        return affine(self.centre[times], share)

    def standard(self, points: Tensor, share: Tensor) -> Tensor:
        """Points around 0 with covariances around 1."""
        times = self.at(share)
        return (points / self.spread - self.means(share, times)) @ self.inverse[times]

    def placed(self, points: Tensor, share: Tensor) -> Tensor:
        """The way back."""
        times = self.at(share)
        return (self.means(share, times) + points @ self.root[times]) * self.spread

    def begun(self, start: Tensor, share: Tensor) -> Tensor:
        """Standard points [M, n, d] of where agents of the games at `share` began, [n, d] or
        [M, n, d].
        """
        times = torch.zeros_like(self.at(share))
        return (start / self.spread - self.means(share, times)) @ self.inverse[times]

    def straight(self, first: Tensor, noise: Tensor, share: Tensor) -> Tensor:
        """Standard points [M, n, d] that are linear in standard starts and normal numbers."""
        times = self.at(share)
        maps = torch.cat([self.carried[times], self.rest[times]], 1)
        return torch.cat([first, noise], -1) @ maps

    def volume(self, share: Tensor) -> Tensor:
        """The logarithm [M] of how much larger points are than standard ones."""
        _, logs = torch.linalg.slogdet(self.root[self.at(share)])
        found: Tensor = logs + self.spread.log().sum()
        return found
