"""Generators of the law of a population at every time, from noise and from where agents start.

`implicit`: x_t = x_0 + sqrt(t/T) f(x_0, z, t), which is the initial law at t = 0 whatever the
network is (the interpolation of APAC-Net, Lin et al. 2021, arXiv:2002.10113, moved to the
noise scale of a diffusion). `flow`: a conditional RealNVP with a density (Dinh et al. 2017,
arXiv:1605.08803). `cfm`: conditional flow matching (Lipman et al. 2023, arXiv:2210.02747),
which regresses velocities and needs no discriminator. All work on points that are centred and
scaled by what was seen at first; at t = 0 all give the starts themselves.

Where one generator draws the laws of a family of games, what it is told of each of them stands
beside the time: `share` is then [T, 1 + k] and every row has its own starts, [T, n, d].
"""

from math import log, pi
from typing import Protocol

import torch
from torch import Tensor, nn

from mfdsl.runtime.learning.networks import Mlp

CLOCK = 4  # features of the time
EULER = 16  # steps along a learned velocity
STEEPEST = 2.0  # bound of the logarithm of a scale in a coupling
LEAST_SPREAD = 1e-3


class Generator(Protocol):
    """Draws points at many times at once."""

    def draw(self, start: Tensor, share: Tensor, noise: Tensor) -> Tensor:
        """Points [T, n, d] at the parts `share` [T] of the horizon of agents who began at `start`
        [n, d]; `noise` [T, n, d] is standard normal. With k told numbers `share` is [T, 1 + k].
        """

    def calibrate(self, seen: Tensor) -> None:
        """Centre and scale by points [..., n, d]."""


def elapsed(share: Tensor) -> Tensor:
    """The parts [T] of the horizon alone."""
    return share if share.ndim == 1 else share[:, 0]


def clock(share: Tensor) -> Tensor:
    """Features [T, 4 + k] of the parts of the horizon (t, t^2, sin and cos of one turn), and what
    is told.
    """
    part = elapsed(share)
    turn = 2 * pi * part
    found = torch.stack([part, part**2, torch.sin(turn), torch.cos(turn)], -1)
    return found if share.ndim == 1 else torch.cat([found, share[:, 1:]], -1)


def begun(share: Tensor, start: Tensor, points: Tensor) -> Tensor:
    """The points [T, n, d], at share 0 the starts."""
    return torch.where(elapsed(share)[:, None, None] == 0, start, points)


class Scaled(nn.Module):
    """Points in the unit of their deviation over all times."""

    centre: Tensor
    spread: Tensor

    def __init__(self, axes: int) -> None:
        super().__init__()
        self.axes = axes
        self.register_buffer("centre", torch.zeros(axes))
        self.register_buffer("spread", torch.ones(axes))

    def calibrate(self, seen: Tensor) -> None:
        """Centre and scale by points [..., n, d]."""
        flat = seen.reshape(-1, self.axes)
        self.centre.copy_(flat.mean(0))
        deviation = flat.std(0)
        self.spread.copy_(torch.where(deviation > LEAST_SPREAD, deviation, 1.0))

    def scaled(self, points: Tensor) -> Tensor:
        """Points around 0 with deviations around 1."""
        return (points - self.centre) / self.spread

    def unscaled(self, points: Tensor) -> Tensor:
        """The way back."""
        return self.centre + self.spread * points


def beside(share: Tensor, count: int) -> Tensor:
    """The clock beside each of `count` points, [T, n, 4 + k]."""
    return clock(share)[:, None].expand(-1, count, -1)


class Implicit(Scaled):
    """Displacements by a network of the start, noise and time; traits (the last `fixed` entries)
    stay as they are.
    """

    def __init__(self, axes: int, fixed: int, hidden: int, layers: int, told: int = 0) -> None:
        super().__init__(axes)
        self.fixed = fixed
        moving = axes - fixed
        self.network = Mlp(axes + moving + CLOCK + told, [hidden] * layers, moving, "silu", 0.1)

    def draw(self, start: Tensor, share: Tensor, noise: Tensor) -> Tensor:
        """Points [T, n, d]; at share 0 the starts."""
        moving = self.axes - self.fixed
        first = self.scaled(start).expand(len(share), *start.shape[-2:])
        inputs = torch.cat([first, noise[..., :moving], beside(share, start.shape[-2])], -1)
        moved = elapsed(share).sqrt()[:, None, None] * self.network(inputs)
        if self.fixed:
            moved = torch.cat([moved, moved.new_zeros(*moved.shape[:-1], self.fixed)], -1)
        found: Tensor = start + moved * self.spread
        return found


class Coupling(nn.Module):
    """One coupling: half of the entries are scaled and moved by a network of the other half."""

    kept: Tensor

    def __init__(self, axes: int, even: bool, hidden: int, told: int = 0) -> None:
        super().__init__()
        kept = (torch.arange(axes) % 2 == int(even)).float()
        self.register_buffer("kept", kept if axes > 1 else torch.zeros(1))
        self.network = Mlp(axes + CLOCK + told, [hidden, hidden], 2 * axes, "silu", 0.01)

    def _terms(self, points: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        scale, shift = self.network(torch.cat([points * self.kept, times], -1)).chunk(2, -1)
        free = 1 - self.kept
        return STEEPEST * torch.tanh(scale / STEEPEST) * free, shift * free

    def forward(self, points: Tensor, times: Tensor) -> Tensor:
        """From noise to points."""
        scale, shift = self._terms(points, times)
        return points * scale.exp() + shift

    def backward(self, points: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        """From points to noise, and the logarithm of how much that shrinks volumes."""
        scale, shift = self._terms(points, times)
        return (points - shift) * (-scale).exp(), -scale.sum(-1)


class Flow(Scaled):
    """Couplings from a normal law to the law at each time, with its density."""

    def __init__(self, axes: int, hidden: int, told: int = 0, couplings: int = 6) -> None:
        super().__init__(axes)
        parts = [Coupling(axes, bool(k % 2), hidden, told) for k in range(couplings)]
        self.couplings = nn.ModuleList(parts)

    def draw(self, start: Tensor, share: Tensor, noise: Tensor) -> Tensor:
        """Points [T, n, d]; at share 0 the starts."""
        points, times = noise, beside(share, noise.shape[1])
        for coupling in self.couplings:
            points = coupling(points, times)
        return begun(share, start, self.unscaled(points))

    def log_density(self, points: Tensor, share: Tensor) -> Tensor:
        """The logarithm of the density [T, n] at points [T, n, d]."""
        times = beside(share, points.shape[1])
        noise = self.scaled(points)
        total = -self.spread.log().sum().expand(points.shape[:-1])
        for coupling in reversed(self.couplings):
            assert isinstance(coupling, Coupling)
            noise, volume = coupling.backward(noise, times)
            total = total + volume
        return total - 0.5 * (noise**2).sum(-1) - 0.5 * self.axes * log(2 * pi)


class FlowMatching(Scaled):
    """A velocity along which noise moves to the law at each time."""

    def __init__(self, axes: int, hidden: int, layers: int, told: int = 0) -> None:
        super().__init__(axes)
        self.network = Mlp(axes + 1 + CLOCK + told, [hidden] * layers, axes, "silu", 0.1)

    def velocity(self, points: Tensor, way: Tensor, times: Tensor) -> Tensor:
        """The velocity at points [T, n, d] the part `way` [T, n, 1] of the way from noise."""
        found: Tensor = self.network(torch.cat([points, way, times], -1))
        return found

    def draw(self, start: Tensor, share: Tensor, noise: Tensor) -> Tensor:
        """Points [T, n, d] by the midpoint rule; at share 0 the starts."""
        points, times = noise, beside(share, noise.shape[1])
        step = 1 / EULER
        for k in range(EULER):
            way = points.new_full((*points.shape[:-1], 1), k * step)
            half = points + step / 2 * self.velocity(points, way, times)
            points = points + step * self.velocity(half, way + step / 2, times)
        return begun(share, start, self.unscaled(points))

    def regression(self, points: Tensor, share: Tensor, noise: Tensor, way: Tensor) -> Tensor:
        """The mean squared error of velocities on straight lines from `noise` to points
        [T, n, d], at the parts `way` [T, n, 1] of them.
        """
        goal = self.scaled(points)
        there = (1 - way) * noise + way * goal
        found = self.velocity(there, way, beside(share, points.shape[1]))
        return ((found - (goal - noise)) ** 2).mean()
