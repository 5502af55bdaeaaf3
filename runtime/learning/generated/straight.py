"""Networks with an affine part: outputs are affine in what is read, and a network is added.

Policies of linear-quadratic games are affine, and near their equilibrium many others are. Hidden
layers of tangents are flatter the farther agents stand from the middle: alone they give states of a
wide law, as those at the start, smaller gains than those of a narrow one (residual connections; He
et al. 2016, arXiv:1512.03385).

The affine part has numbers of its own for each time of a game that ends, and reads what agents see
with mean 0 and covariance 1 at that time (`whiten`, which changes no output; natural networks,
Desjardins et al. 2015, arXiv:1507.00210): means of a population move far from where they are at the
start and differ less between games the later it is. What hardly differs beside agents of a game is
stretched no further: nothing in training would hold its slopes, which would be as large, and laws
that agents make among themselves have the noise of their number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from mfdsl.runtime.learning.actor import Actor, Shape, Trunk
from mfdsl.runtime.learning.crew import Crew
from mfdsl.runtime.learning.encoders import Members
from mfdsl.runtime.learning.eyes import Eyes, View

LONGEST = 256  # times that are told apart
LEAST_SPREAD = 1e-2  # deviations, in the units of networks, below which nothing is stretched
LEAST_PART = 0.3  # the same, in the spread of the agents of a game


@dataclass(frozen=True)
class Clock:
    """Which common column of a view is the time, from -1 to 1, and how many times there are; one,
    without a column, where the time is not seen or has no end.
    """

    column: int | None = None
    moments: int = 1

    def at(self, common: Tensor) -> Tensor:
        """The times [B] of common entries [B, k], from 0 on."""
        if self.column is None:
            return torch.zeros(len(common), dtype=torch.int64, device=common.device)
        part = (common[:, self.column] + 1) / 2
        return (part * (self.moments - 1)).round().long().clamp(0, self.moments - 1)


def clock_of(crew: Crew, field: str) -> Clock:
    """What the clock of a population is."""
    eyes, steps = crew.eyes[field], crew.program.horizon
    assert isinstance(eyes, Eyes)
    column = 0
    for feature, entry in zip(eyes.sight.common, eyes.common.entries, strict=True):
        if feature.name == "t" and steps is not None:
            return Clock(column, min(steps + 1, LONGEST))
        column += entry.width
    return Clock()


class StraightTrunk(Trunk):
    """A network on own and shared entries beside an affine map of them, which is 0 at first."""

    centre: Tensor
    inverse: Tensor

    def __init__(
        self,
        own: int,
        common: int,
        laws: Sequence[Members],
        outputs: int,
        shape: Shape,
        last: float,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(own, common, laws, outputs, shape, last)
        self.clock = clock or Clock()
        moments, width = self.clock.moments, own + self.shared.shape[1]
        self.slope = nn.Parameter(torch.zeros(moments, width, outputs))
        self.level = nn.Parameter(torch.zeros(moments, outputs))
        self.register_buffer("centre", torch.zeros(moments, width))
        self.register_buffer("inverse", torch.eye(width).repeat(moments, 1, 1))

    def forward(self, view: View, shared: Tensor | None = None) -> Tensor:
        """Outputs [B, N, k]; `shared` in place of `embedded`."""
        shared = self.embedded(view) if shared is None else shared
        assert view.own is not None
        at, own = self.clock.at(view.common), view.own.shape[-1]
        slope, centre = self.inverse[at] @ self.slope[at], self.centre[at]
        constant = (shared - centre[:, own:])[:, None] @ slope[:, own:] + self.level[at][:, None]
        straight = (view.own - centre[:, None, :own]) @ slope[:, :own] + constant
        return super().forward(view, shared) + straight

    @torch.no_grad()
    def whiten(self, view: View) -> None:
        """Read what is seen at a time with mean 0 and covariance 1 over the agents of a view, all
        at the same time, from now on, where it differs enough; outputs stay as they are.
        """
        assert view.own is not None
        shared = self.embedded(view)
        alike = shared[:, None].expand(*view.own.shape[:-1], -1)
        seen = torch.cat([view.own, alike], -1).flatten(0, 1).double()
        if not bool(torch.isfinite(seen).all()):  # agents have left all bounds
            return
        within = float((view.own - view.own.mean(1, keepdim=True)).square().mean().sqrt())
        least = max(LEAST_SPREAD, LEAST_PART * within)
        at, centre = int(self.clock.at(view.common)[0]), seen.mean(0)
        values, axes = torch.linalg.eigh((seen - centre).T @ (seen - centre) / len(seen))
        lengths = values.clamp(min=least**2).sqrt()
        root, inverse = (axes * lengths) @ axes.T, (axes / lengths) @ axes.T
        maps = self.inverse[at].double() @ self.slope[at].double()
        self.level[at] += ((centre - self.centre[at]) @ maps).to(self.level)
        self.slope[at] = (root @ maps).to(self.slope)
        self.centre[at] = centre.to(self.centre)
        self.inverse[at] = inverse.to(self.inverse)


def straightened(crew: Crew) -> Crew:
    """The crew of a population, untrained, whose actor has an affine part."""
    for sight in crew.sights:
        made = partial(StraightTrunk, clock=clock_of(crew, sight.field))
        head, widths = crew.head(sight), crew.widths[sight.field]
        crew.actors[sight.field] = Actor(widths, head, crew.shape, made)
    return crew
