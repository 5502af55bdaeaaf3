"""Networks that are told whose they are: by a column of their own, as a number, or one for each.

The four kinds of Yardim and He 2025 (arXiv:2408.15173): `symmetric` networks know nobody; `one_hot`
ones add a column of weights of the own for each agent; `integer` ones read the place of the agent
among all, in [-1, 1]; `individual` agents have networks of their own, which share nothing. An agent
is told by the last own entry of its view, so that samples of agents keep their networks.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from mfdsl.runtime.learning.actor import Actor, Maker, Shape, Trunk
from mfdsl.runtime.learning.base import LessonError
from mfdsl.runtime.learning.encoders import Members, encoder
from mfdsl.runtime.learning.eyes import View, Widths
from mfdsl.runtime.learning.heads import ActionLaw, Head, Squash
from mfdsl.runtime.learning.networks import ACTIVATIONS
from mfdsl.runtime.learning.sight import Feature
from mfdsl.runtime.learning.table import Identity
from mfdsl.runtime.memory import gibibytes, machine_memory

ADAM = 4  # numbers that are kept for each weight: itself, its gradient, and two averages


def numbered(view: View, agents: int, kind: Identity) -> View:
    """A view whose last own entry tells agents apart: their place, `integer` in [-1, 1].

    Raises:
        ValueError: there are others than the `agents` that the networks know.
    """
    own = view.own
    if own is None or kind == "symmetric":
        return view
    if own.shape[-2] != agents:
        raise ValueError(
            f"networks that know {agents:,} agents one by one cannot play {own.shape[-2]:,}:"
            " `--opt network=symmetric` learns one policy for any number"
        )
    place = torch.arange(agents, device=own.device, dtype=own.dtype)
    if kind == "integer":
        place = 2 * place / max(1, agents - 1) - 1
    column = place[:, None].expand(*own.shape[:-1], 1)
    return View(torch.cat([own, column], -1), view.common, view.laws, view.weights)


def maker_of(kind: Identity, agents: int) -> Maker:
    """What makes the networks of a population of so many agents."""
    match kind:
        case "one_hot":
            return lambda *sizes: OneHotTrunk(agents, *sizes)
        case "individual":
            return lambda *sizes: IndividualTrunk(agents, *sizes)
    return Trunk


class OneHotTrunk(Trunk):
    """A network of own entries and of who one is, one entry for each agent.

    The entry that is 1 picks a column of the first weights, so it is looked up: the same sums, and
    N agents do not need N^2 numbers.
    """

    def __init__(
        self,
        agents: int,
        own: int,
        common: int,
        laws: Sequence[Members],
        outputs: int,
        shape: Shape,
        last: float,
    ) -> None:
        super().__init__(own - 1, common, laws, outputs, shape, last)
        first = shape.hidden[0]
        columns = torch.randn(agents, first) * (2 / (own - 1 + agents)) ** 0.5
        self.who = nn.Parameter(columns)

    def before(self, view: View, shared: Tensor) -> Tensor:
        """The first layer before its bend, [B, N, h]."""
        assert view.own is not None
        rest = View(view.own[..., :-1], view.common, view.laws, view.weights)
        place = view.own[..., -1].long()
        return super().before(rest, shared).add_(nn.functional.embedding(place, self.who))


class IndividualLinear(nn.Module):
    """An affine layer for each of N agents: weights [N, inputs, outputs], bias [N, outputs]."""

    def __init__(self, agents: int, inputs: int, outputs: int, gain: float) -> None:
        super().__init__()
        weight = torch.empty(agents, inputs, outputs)
        for one in weight:
            nn.init.orthogonal_(one, gain)
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(agents, outputs))

    def forward(self, inputs: Tensor, who: Tensor | None) -> Tensor:
        """Outputs [N, S, o] of inputs [N, S, i] of the agents `who` (None: all, in order)."""
        weight = self.weight if who is None else self.weight[who]
        bias = self.bias if who is None else self.bias[who]
        return torch.baddbmm(bias[:, None], inputs, weight)


class IndividualTrunk(nn.Module):
    """A network for each of N agents, all run as one batch of products of matrices.

    Integrals of laws come from encoders without weights, for agents share none.

    Raises:
        ValueError: the encoder of a law has weights.
        LessonError: the machine cannot hold so many networks.
    """

    def __init__(
        self,
        agents: int,
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
        if any(list(e.parameters()) for e in encoders):
            raise ValueError(
                f"individual networks share no weights, and the encoder {shape.encoder} has some:"
                " take `encoder=histogram`, `moments` or `rff`"
            )
        self.agents, self.encoders = agents, nn.ModuleList(encoders)
        inputs = own - 1 + common + sum(e.width for e in encoders)
        sizes = [inputs, *shape.hidden]
        _check_room(agents, [*sizes, outputs])
        layers = [IndividualLinear(agents, a, b, 2**0.5) for a, b in pairwise(sizes)]
        self.layers = nn.ModuleList([*layers, IndividualLinear(agents, sizes[-1], outputs, last)])
        self.bend = ACTIVATIONS[shape.activation]()

    @property
    def last(self) -> IndividualLinear:
        """The layer that the outputs come from."""
        found = self.layers[-1]
        assert isinstance(found, IndividualLinear)
        return found

    def members(self, view: View) -> Tensor | None:
        """Which agents a view is of, None where it is of all."""
        assert view.own is not None
        if view.own.shape[-2] == self.agents:
            return None
        return view.own[(0,) * (view.own.ndim - 2)][:, -1].long()

    def forward(self, view: View) -> Tensor:
        """Outputs [..., N, k]."""
        assert view.own is not None
        who = self.members(view)
        pairs = zip(self.encoders, view.laws, view.weights, strict=True)
        shared = [encode(law, weights) for encode, law, weights in pairs]
        common = torch.cat([*shared, view.common.to(view.own)], -1)
        lead, number = view.own.shape[:-2], view.own.shape[-2]
        each = view.own[..., :-1].reshape(-1, number, view.own.shape[-1] - 1).transpose(0, 1)
        alike = common.reshape(1, each.shape[1], -1).expand(number, -1, -1)
        values = torch.cat([each, alike], -1)
        for layer in self.layers[:-1]:
            values = self.bend(layer(values, who))
        found: Tensor = self.last(values, who)
        return found.transpose(0, 1).reshape(*lead, number, -1)


def _check_room(agents: int, sizes: Sequence[int]) -> None:
    """Whether weights, their gradients and the two averages of Adam fit for each of N networks."""
    numbers = sum((a + 1) * b for a, b in pairwise(sizes))
    needed = ADAM * agents * numbers * torch.get_default_dtype().itemsize
    held = machine_memory()
    if needed > held:
        raise LessonError(
            f"{agents:,} networks of {numbers:,} weights each need {gibibytes(needed)} to learn,"
            f" there are {gibibytes(held)}",
            "`--opt network=symmetric`, fewer `agents`, or a smaller `hidden`",
        )


class IndividualActor(Actor):
    """Laws of actions of agents that have networks of their own."""

    def forward(self, view: View, mask: Tensor | None = None) -> ActionLaw:
        """The law in each situation; `mask` tells legal choices."""
        assert isinstance(self.trunk, IndividualTrunk)
        return self.head.law(self.trunk(view), mask, self.trunk.members(view))


def actor_of(
    kind: Identity,
    agents: int,
    widths: Widths,
    choice: tuple[tuple[Feature, ...], Squash, float],
    shape: Shape,
) -> Actor:
    """The actor of a population of so many agents; `choice` has what its `Head` is made of."""
    maker = maker_of(kind, agents)
    if kind == "individual":
        return IndividualActor(widths, Head(*choice, agents), shape, maker)
    return Actor(widths, Head(*choice), shape, maker)


@torch.no_grad()
def clip_each(groups: Sequence[Sequence[Tensor]], most: float) -> None:
    """Gradients of mean losses as those of the agents' own, no agent's longer than `most`.

    Every group holds parameters whose first axis is that of the N agents of a population; the loss
    was a mean over them, so that the gradient of each agent's own loss is N times what is there.
    """
    for group in groups:
        slopes = [p.grad for p in group if p.grad is not None]
        if not slopes:
            continue
        number = len(slopes[0])
        squares = torch.stack([slope.flatten(1).square().sum(1) for slope in slopes]).sum(0)
        length = number * squares.sqrt()
        factor = number * (most / length.clamp(min=1e-12)).clamp(max=1.0)
        for slope in slopes:
            slope.mul_(factor.view(-1, *[1] * (slope.ndim - 1)))
