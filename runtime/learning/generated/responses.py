"""How the policy answers a frozen law: the four ways, behind one contract.

`quadratic`: the exact best response, where one agent's problem is linear-quadratic given the law.
`tables`: exact values on tables, where the game has some, and a step of mirror descent.
`path` and `score`: networks, by gradients through the simulator or PPO with own rewards.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from mfdsl.runtime.behaviours import Behaviour, Scene
from mfdsl.runtime.exploitability import Exploitability
from mfdsl.runtime.learning.base import LessonError
from mfdsl.runtime.learning.generated.family import Family, lasting
from mfdsl.runtime.learning.generated.fitting import AnyGenerator
from mfdsl.runtime.learning.generated.frozen import Arena, Meeting, doubled
from mfdsl.runtime.learning.generated.judging import gain_against, own_gap
from mfdsl.runtime.learning.generated.quadratic import Prober, respond
from mfdsl.runtime.learning.generated.space import Space
from mfdsl.runtime.learning.sight import model_of

FORGETTING = 6.0  # best response k weighs about k^5 in the average
LEAST_SPREAD = 1e-4  # of means, below which nothing is read off them


class Responder(Protocol):
    """A policy and how it is improved against a law."""

    @property
    def policy(self) -> nn.Module:
        """What plays, with everything that a run has to keep of it."""

    def improve(self, made: AnyGenerator, points: Tensor, iteration: int) -> Mapping[str, float]:
        """Answer the law whose draws are `points` [T + 1, B, M, d]."""

    def act(self, meeting: Meeting) -> Any:
        """What everybody does in an arena."""

    def behaviour(self, *, mode: bool = True) -> Behaviour:
        """How everybody plays the game itself."""

    def gap(self) -> Exploitability | None:
        """What one agent gains by leaving the policy, against its own flow."""

    def gain(self, points: Tensor) -> float | None:
        """What one agent gains by leaving the policy against a crowd at `points` [T + 1, M, d],
        None where that is not known.
        """

    def extend(self, iterations: int) -> None:
        """Let the course be as long as this."""

    def state(self) -> dict[str, Tensor]:
        """All tensors from which training continues."""

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continue from saved tensors."""


class Affine(nn.Module):
    """Actions gain[t] x + offset[t] of all own states x; in a family tilt[t] m is added, where m is
    the mean of the states of the population.
    """

    gain: Tensor
    offset: Tensor
    tilt: Tensor

    def __init__(
        self, space: Space, steps: int, actions: tuple[tuple[int, ...], ...], *, tilted: bool
    ) -> None:
        super().__init__()
        self.space, self.actions, self.tilted = space, actions, tilted
        self.sizes = [max(1, torch.Size(dims).numel()) for dims in actions]
        count = sum(self.sizes)
        self.register_buffer("gain", torch.zeros(steps, count, space.width))
        self.register_buffer("offset", torch.zeros(steps, count))
        self.register_buffer("tilt", torch.zeros(steps, count, space.width), persistent=tilted)

    def __call__(self, scene: Scene, crowd: int | None = None) -> Any:
        """The actions in a scene; the population are its first `crowd` agents, or all."""
        points = self.space.points(scene.state).to(self.gain)
        numbers = points @ self.gain[scene.t].T + self.offset[scene.t]
        if self.tilted:
            mean = points[:, :crowd].mean(1, keepdim=True)
            numbers = numbers + mean @ self.tilt[scene.t].T
        numbers = numbers.to(scene.params.unit)
        parts = torch.split(numbers, self.sizes, -1)
        kind = scene.program.module.Action.__annotations__[self.space.field]
        values = [
            p.reshape(*p.shape[:-1], *dims) for p, dims in zip(parts, self.actions, strict=True)
        ]
        return scene.program.module.Action(**{self.space.field: kind(*values)})

    def approach(self, gain: Tensor, offset: Tensor, tilt: Tensor, part: float) -> float:
        """Move a part of the way to other numbers; how far the offset was off."""
        moved = (offset.to(self.offset) - self.offset).abs().max()
        for own, new in ((self.gain, gain), (self.offset, offset), (self.tilt, tilt)):
            own.lerp_(new.to(own), part)
        return float(moved)


class Exact:
    """The exact best response of a linear-quadratic agent.

    In a family there is one for each game; their offsets are regressed on the mean of the law, so
    that one affine policy of own state and mean answers all of them: exactly, where the law enters
    through its mean.

    Raises:
        LessonError: the game is not one, or agents of a family are told parameters, for which
            gains differ.
    """

    def __init__(self, arena: Arena, family: Family) -> None:
        told = lasting(model_of(arena.program), family)
        if told:
            raise LessonError(
                f"exact responses differ in their gains for other values of `{told[0].name}`",
                "`--opt response=path`, or vary parameters of the start alone",
            )
        self.arena = arena
        self.probers = [Prober(doubled(one)) for one in family.each(arena)]
        first = self.probers[0]
        dims = tuple(a.type.dims for a in first.actions)
        self.actor = Affine(arena.space, arena.steps, dims, tilted=not family.single)
        self.actor = self.actor.to(arena.params.unit.device)
        crowd = arena.params.unit.new_zeros(2, arena.space.width, dtype=torch.float64)
        first.stage(0, arena.space.inside(crowd))

    @property
    def policy(self) -> nn.Module:
        """Gains and offsets."""
        return self.actor

    def improve(self, made: AnyGenerator, points: Tensor, iteration: int) -> Mapping[str, float]:
        """Move towards the best response to the law: averages of affine policies are affine, and
        average out which crowd was drawn.
        """
        part = FORGETTING / (iteration + FORGETTING)
        found = [respond(p, points[:, game]) for game, p in enumerate(self.probers)]
        offsets = torch.stack([one.offset for one in found])
        means = points[:-1].double().mean(2).transpose(0, 1)
        offset, tilt = regressed(offsets, means)
        return {"moved": self.actor.approach(found[0].gain, offset, tilt, part)}

    def act(self, meeting: Meeting) -> Any:
        """Gains times points."""
        return self.actor(meeting.scene, meeting.crowd)

    def behaviour(self, *, mode: bool = True) -> Behaviour:
        """There is nothing random."""
        return self.actor

    def gap(self) -> Exploitability | None:
        """Against the flow of many agents."""
        return own_gap(self.arena, self.act, self.actor, self.probers[0])

    def gain(self, points: Tensor) -> float | None:
        """Of agents who walk against the crowd."""
        return gain_against(self.arena, self.act, points, self.probers[0])

    def extend(self, iterations: int) -> None:
        """Best responses know no length."""

    def state(self) -> dict[str, Tensor]:
        """Gains and offsets."""
        return dict(self.actor.state_dict())

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Put them back."""
        self.actor.load_state_dict(dict(state))


def regressed(values: Tensor, means: Tensor) -> tuple[Tensor, Tensor]:
    """Constants [T, k] and slopes [T, k, d] of values [C, T, k] in means [C, T, d], by least
    squares; directions in which means hardly differ have slope 0.
    """
    centre, level = means.mean(0), values.mean(0)
    apart, other = (means - centre).transpose(0, 1), (values - level).transpose(0, 1)
    square = apart.transpose(1, 2) @ apart
    ridge = LEAST_SPREAD**2 * len(means) * torch.eye(means.shape[-1]).to(square)
    slope = torch.linalg.solve(square + ridge, apart.transpose(1, 2) @ other).transpose(1, 2)
    return level - (slope @ centre[..., None])[..., 0], slope
