"""Actors and critics: functions of (own entries, integrals of laws, common entries).

Permutation-invariant by construction: agents share one network, others enter through integrals
only (Li et al. 2021, arXiv:2105.08268), so that trained networks run with any number of agents.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from mfdsl.runtime.learning.encoders import EncoderKind, Members, encoder
from mfdsl.runtime.learning.eyes import View, Widths
from mfdsl.runtime.learning.heads import ActionLaw, Head
from mfdsl.runtime.learning.kinds import Kinds, kinds_of
from mfdsl.runtime.learning.networks import Activation, Mlp, turned


@dataclass(frozen=True)
class Shape:
    """Sizes of the networks: hidden layers, encoder of laws, its width and bins."""

    hidden: tuple[int, ...] = (64, 64)
    activation: Activation = "tanh"
    encoder: EncoderKind = "mean_embed"
    embedding: int = 32
    bins: int = 7


class Last(Protocol):
    """A layer that outputs come from."""

    weight: Tensor
    bias: Tensor


class Trunk(nn.Module):
    """A network on own and shared entries; what is shared goes through the first layer once."""

    def __init__(
        self,
        own: int,
        common: int,
        laws: Sequence[Members],
        outputs: int,
        shape: Shape,
        last: float,
    ) -> None:
        super().__init__()
        encoders = [
            encoder(shape.encoder, law, shape.embedding, shape.hidden[0], shape.bins)
            for law in laws
        ]
        self.encoders = nn.ModuleList(encoders)
        shared = common + sum(e.width for e in encoders)
        first, *rest = shape.hidden
        self.mixed = bool(own)
        whole = Mlp(own + shared, [first], first, shape.activation)
        linear = whole.layers[0]
        assert isinstance(linear, nn.Linear)
        self.own = nn.Parameter(linear.weight.detach()[:, :own].clone()) if own else None
        self.shared = nn.Parameter(linear.weight.detach()[:, own:].clone())
        self.bias = nn.Parameter(torch.zeros(first))
        self.bend = whole.layers[1]
        self.rest = Mlp(first, rest, outputs, shape.activation, last)

    def embedded(self, view: View) -> Tensor:
        """Integrals of the laws and common entries, [B, k]."""
        parts = [
            encode(law, weights)
            for encode, law, weights in zip(self.encoders, view.laws, view.weights, strict=True)
        ]
        return torch.cat([*parts, view.common], -1)

    def before(self, view: View, shared: Tensor) -> Tensor:
        """The first layer before its bend, [B, N, h], or [B, h] without own entries."""
        before = nn.functional.linear(shared, self.shared, self.bias)
        if self.own is None:
            return before
        assert view.own is not None
        return (view.own @ turned(self.own)).add_(before[..., None, :])

    def forward(self, view: View, shared: Tensor | None = None) -> Tensor:
        """Outputs [B, N, k], or [B, k] without own entries; `shared` in place of `embedded`."""
        shared = self.embedded(view) if shared is None else shared
        kinds = kinds_of(view.alike) if self.own is not None and view.alike is not None else None
        if kinds is not None:
            return self._of_kinds(view, shared, kinds)
        found: Tensor = self.rest(self.bend(self.before(view, shared)))
        return found

    def _of_kinds(self, view: View, shared: Tensor, kinds: Kinds) -> Tensor:
        """Outputs [B, N, k], computed once for each kind of agents."""
        assert self.own is not None and view.own is not None
        games = nn.functional.linear(shared, self.shared, self.bias).flatten(0, -2)
        *lead, number, width = view.own.shape
        game = kinds.rows.div(number, rounding_mode="floor")
        own = view.own.reshape(-1, width).index_select(0, kinds.rows)
        before = torch.addmm(games.index_select(0, game), own, turned(self.own))
        found: Tensor = self.rest(self.bend(before))
        return found.index_select(0, kinds.of).view(*lead, number, -1)

    @property
    def last(self) -> nn.Linear:
        """The layer that the outputs come from."""
        found = self.rest.layers[-1]
        assert isinstance(found, nn.Linear)
        return found


Maker = Callable[[int, int, Sequence[Members], int, Shape, float], nn.Module]
"""Makes a network of views from their widths (own, common, laws), outputs, shape, last gain."""


class Actor(nn.Module):
    """The law of the actions of one player, [B, N] agents or one major."""

    def __init__(self, widths: Widths, head: Head, shape: Shape, maker: Maker = Trunk) -> None:
        super().__init__()
        self.head = head
        self.trunk = maker(*widths, head.width_in, shape, 0.01)

    def forward(self, view: View, mask: Tensor | None = None) -> ActionLaw:
        """The law in each situation; `mask` tells legal choices."""
        numbers: Tensor = self.trunk(view)
        return self.head.law(numbers, mask)


class Critic(nn.Module):
    """Values: [B] of a team, or with own entries [B, N] of its members."""

    def __init__(self, widths: Widths, shape: Shape, maker: Maker = Trunk) -> None:
        super().__init__()
        self.trunk = maker(*widths, 1, shape, 1.0)

    @property
    def last(self) -> Last:
        """The layer that the values come from."""
        return cast(Last, self.trunk.last)

    def forward(self, view: View) -> Tensor:
        """The values."""
        found: Tensor = self.trunk(view)[..., 0]
        return found
