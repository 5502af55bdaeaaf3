"""Generators of the law of a population at every time, from noise and from where agents start.

All of them draw standard points, to which moments of the paths give means and covariances at each
time (`moments.py`); at t = 0 all give the starts themselves. `implicit`: points that are linear in
the start and in noise, as those of linear-quadratic games are, and displacements
sqrt(t/T) f(x_0, z, t) (after APAC-Net, Lin et al. 2021, arXiv:2002.10113, at the noise scale of a
diffusion). `flow`: a conditional RealNVP with a density (Dinh et al. 2017, arXiv:1605.08803).
`cfm`: conditional flow matching (Lipman et al. 2023, arXiv:2210.02747), which regresses velocities
and needs no discriminator.

`draw` gives points [T, n, d] at the parts `share` [T] of the horizon of agents who began at `start`
[n, d], from standard normal `noise` [T, n, d]; `calibrate` reads off paths what is linear.

Where one generator draws the laws of a family of games, what it is told of each of them stands
beside the time: `share` is then [T, 1 + k] and every row has its own starts, [T, n, d].
"""

from math import log, pi

import torch
from torch import Tensor, nn

from mfdsl.runtime.learning.generated.moments import Moments, affine, designed
from mfdsl.runtime.learning.networks import Mlp

CLOCK = 4  # features of the time
EULER = 16  # steps along a learned velocity
LEAST_PART = 1e-2  # of its variance that a direction has before moments are corrected
STEEPEST = 2.0  # bound of the logarithm of a scale in a coupling


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
    """Points with the means and covariances that paths have at their time."""

    def __init__(self, axes: int, steps: int, told: int) -> None:
        super().__init__()
        self.axes = axes
        self.moments = Moments(axes, steps, told)

    def calibrate(self, paths: Tensor, told: Tensor) -> None:
        """Read moments off paths [T + 1, R, d] of games of which `told` [C, k] is told."""
        self.moments.read(paths, told)


def beside(share: Tensor, count: int) -> Tensor:
    """The clock beside each of `count` points, [T, n, 4 + k]."""
    return clock(share)[:, None].expand(-1, count, -1)


class Implicit(Scaled):
    """Displacements by a network of the start, noise and time, from points that are linear in both;
    traits (the last `fixed` entries) stay as they are.

    What displacements do to means and covariances is taken back by `drift` and `unit`, after a fit
    (`settled`).
    """

    drift: Tensor
    unit: Tensor

    def __init__(
        self, axes: int, fixed: int, hidden: int, layers: int, steps: int, told: int = 0
    ) -> None:
        super().__init__(axes, steps, told)
        self.fixed = fixed
        self.network = Mlp(2 * axes + CLOCK + told, [hidden] * layers, axes, "silu", 0.0)
        self.register_buffer("drift", torch.zeros(steps + 1, 1 + told, axes))
        self.register_buffer("unit", torch.eye(axes).repeat(steps + 1, 1, 1))

    def draw(self, start: Tensor, share: Tensor, noise: Tensor, *, level: bool = False) -> Tensor:
        """Points [T, n, d]; at share 0 the starts. With `level` what is linear has the mean 0 that
        is known of it, over the n points of each row, and the deviations of before; starts have
        the mean that paths have there.
        """
        if level:
            start = self._levelled(start, share)
        straight, bent = self._terms(start, share, noise)
        if level:
            count = straight.shape[1]
            straight = (straight - straight.mean(1, keepdim=True)) * (count / (count - 1)) ** 0.5
        times = self.moments.at(share)
        standard = (straight + bent - affine(self.drift[times], share)) @ self.unit[times]
        found = begun(share, start, self.moments.placed(standard, share))
        if self.fixed:
            same = start[..., -self.fixed :].expand(*found.shape[:-1], -1)
            found = torch.cat([found[..., : -self.fixed], same], -1)
        return found

    def _levelled(self, start: Tensor, share: Tensor) -> Tensor:
        """Starts, [n, d] or [M, n, d], with the mean of those of the paths, [M, n, d]; traits, and
        entries that all agents have alike, stay.
        """
        first = self.moments.means(share, torch.zeros_like(self.moments.at(share)))
        off = first * self.moments.spread - start.mean(-2, keepdim=True)
        free = start.amax(-2, keepdim=True) > start.amin(-2, keepdim=True)
        if self.fixed:
            free[..., -self.fixed :] = False
        return start + off * free

    @torch.no_grad()
    def settled(self, starts: Tensor, told: Tensor, draws: torch.Generator) -> None:
        """Let draws have the moments of the paths, from starts [C, n, d] of games of which `told`
        [C, k] is told.

        The moments of what is linear are known, so that only the displacements are sampled.
        """
        games, steps = len(told), self.moments.steps
        times = (torch.arange(1, steps + 1).to(told) / steps)[:, None]
        drifts, units = [self.drift[0].double()], [self.unit[0].double()]
        solved = torch.linalg.pinv(designed(told))
        for time in times:
            share = torch.cat([time.expand(games, 1), told], 1)
            noise = torch.randn(starts.shape, generator=draws).to(starts)
            straight, bent = (v.double() for v in self._terms(starts, share, noise))
            drift = solved @ bent.mean(1)
            bent = (bent - (designed(told) @ drift)[:, None]).flatten(0, 1)
            crossed = straight.flatten(0, 1).T @ bent / len(bent)
            whole = crossed + crossed.T + bent.T @ bent / len(bent)
            values, axes = torch.linalg.eigh(whole + torch.eye(self.axes).to(whole))
            drifts.append(drift)
            units.append((axes * values.clamp(min=LEAST_PART).rsqrt()) @ axes.T)
        self.drift.copy_(torch.stack(drifts))
        self.unit.copy_(torch.stack(units))

    def _terms(self, start: Tensor, share: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """What is linear, and displacements, of standard points [T, n, d]."""
        first = self.moments.begun(start.expand(len(share), *start.shape[-2:]), share)
        inputs = torch.cat([first, noise, beside(share, start.shape[-2])], -1)
        bent = elapsed(share).sqrt()[:, None, None] * self.network(inputs)
        return self.moments.straight(first, noise, share), bent


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

    def __init__(
        self, axes: int, hidden: int, steps: int, told: int = 0, couplings: int = 6
    ) -> None:
        super().__init__(axes, steps, told)
        parts = [Coupling(axes, bool(k % 2), hidden, told) for k in range(couplings)]
        self.couplings = nn.ModuleList(parts)

    def draw(self, start: Tensor, share: Tensor, noise: Tensor) -> Tensor:
        """Points [T, n, d]; at share 0 the starts."""
        points, times = noise, beside(share, noise.shape[1])
        for coupling in self.couplings:
            points = coupling(points, times)
        return begun(share, start, self.moments.placed(points, share))

    def log_density(self, points: Tensor, share: Tensor) -> Tensor:
        """The logarithm of the density [T, n] at points [T, n, d]."""
        times = beside(share, points.shape[1])
        noise = self.moments.standard(points, share)
        total = -self.moments.volume(share)[:, None].expand(points.shape[:-1])
        for coupling in reversed(self.couplings):
            assert isinstance(coupling, Coupling)
            noise, volume = coupling.backward(noise, times)
            total = total + volume
        return total - 0.5 * (noise**2).sum(-1) - 0.5 * self.axes * log(2 * pi)


class FlowMatching(Scaled):
    """A velocity along which noise moves to the law at each time."""

    def __init__(self, axes: int, hidden: int, layers: int, steps: int, told: int = 0) -> None:
        super().__init__(axes, steps, told)
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
        return begun(share, start, self.moments.placed(points, share))

    def regression(self, points: Tensor, share: Tensor, noise: Tensor, way: Tensor) -> Tensor:
        """The mean squared error of velocities on straight lines from `noise` to points
        [T, n, d], at the parts `way` [T, n, 1] of them.
        """
        goal = self.moments.standard(points, share)
        there = (1 - way) * noise + way * goal
        found = self.velocity(there, way, beside(share, points.shape[1]))
        return ((found - (goal - noise)) ** 2).mean()
