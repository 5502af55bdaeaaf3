"""Networks with an affine part: outputs are affine in what is read, and a network is added.

Policies of linear-quadratic games are affine, and near their equilibrium many others are. Hidden
layers of tangents are flatter the farther agents stand from the middle: alone they give states of a
wide law, as those at the start, smaller gains than those of a narrow one (residual connections; He
et al. 2016, arXiv:1512.03385).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mfdsl.runtime.learning.actor import Actor, Shape, Trunk
from mfdsl.runtime.learning.crew import Crew
from mfdsl.runtime.learning.encoders import Members
from mfdsl.runtime.learning.eyes import View


class StraightTrunk(Trunk):
    """A network on own and shared entries beside an affine map of them, which is 0 at first."""

    def __init__(
        self,
        own: int,
        common: int,
        laws: Sequence[Members],
        outputs: int,
        shape: Shape,
        last: float,
    ) -> None:
        super().__init__(own, common, laws, outputs, shape, last)
        self.straight = nn.Linear(own + self.shared.shape[1], outputs)
        nn.init.zeros_(self.straight.weight)
        nn.init.zeros_(self.straight.bias)

    def forward(self, view: View, shared: Tensor | None = None) -> Tensor:
        """Outputs [B, N, k]; `shared` in place of `embedded`."""
        shared = self.embedded(view) if shared is None else shared
        assert view.own is not None
        alike = shared[..., None, :].expand(*view.own.shape[:-1], -1)
        straight: Tensor = self.straight(torch.cat([view.own, alike], -1))
        return super().forward(view, shared) + straight


def straightened(crew: Crew) -> Crew:
    """The crew of a population, untrained, whose actor has an affine part."""
    for sight in crew.sights:
        widths = crew.widths[sight.field]
        crew.actors[sight.field] = Actor(widths, crew.head(sight), crew.shape, StraightTrunk)
    return crew
