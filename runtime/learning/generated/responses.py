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
from mfdsl.runtime.learning.generated.autoregressive import Autoregressive
from mfdsl.runtime.learning.generated.fitting import AnyGenerator
from mfdsl.runtime.learning.generated.frozen import Arena, Meeting, doubled, flow_of, walked
from mfdsl.runtime.learning.generated.quadratic import Prober, Response, respond
from mfdsl.runtime.learning.generated.space import Space

FORGETTING = 3.0  # best response k weighs about k^2 in the average
JUDGEMENT = 1 << 31  # the episode of an exact judgement
JUDGES = 8192  # agents whose flow an exact response is judged by


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
    """Actions gain[t] x + offset[t] of all own states x."""

    gain: Tensor
    offset: Tensor

    def __init__(self, space: Space, steps: int, actions: tuple[tuple[int, ...], ...]) -> None:
        super().__init__()
        self.space, self.actions = space, actions
        self.sizes = [max(1, torch.Size(dims).numel()) for dims in actions]
        count = sum(self.sizes)
        self.register_buffer("gain", torch.zeros(steps, count, space.width))
        self.register_buffer("offset", torch.zeros(steps, count))

    def __call__(self, scene: Scene) -> Any:
        """The actions in a scene."""
        points = self.space.points(scene.state).to(self.gain)
        numbers = (points @ self.gain[scene.t].T + self.offset[scene.t]).to(scene.params.unit)
        parts = torch.split(numbers, self.sizes, -1)
        kind = scene.program.module.Action.__annotations__[self.space.field]
        values = [
            p.reshape(*p.shape[:-1], *dims) for p, dims in zip(parts, self.actions, strict=True)
        ]
        return scene.program.module.Action(**{self.space.field: kind(*values)})


class Exact:
    """The exact best response of a linear-quadratic agent.

    Raises:
        LessonError: the game is not one.
    """

    def __init__(self, arena: Arena) -> None:
        self.arena, self.prober = arena, Prober(doubled(arena))
        dims = tuple(a.type.dims for a in self.prober.actions)
        self.actor = Affine(arena.space, arena.steps, dims).to(arena.params.unit.device)
        crowd = torch.zeros(2, arena.space.width, dtype=torch.float64)
        self.prober.stage(0, arena.space.inside(crowd))

    @property
    def policy(self) -> nn.Module:
        """Gains and offsets."""
        return self.actor

    def improve(self, made: AnyGenerator, points: Tensor, iteration: int) -> Mapping[str, float]:
        """Move towards the best response to the law: averages of affine policies are affine, and
        average out which crowd was drawn.
        """
        found, part = respond(self.prober, points[:, 0]), FORGETTING / (iteration + FORGETTING)
        moved = (found.offset.to(self.actor.offset) - self.actor.offset).abs().max()
        self.actor.gain.lerp_(found.gain.to(self.actor.gain), part)
        self.actor.offset.lerp_(found.offset.to(self.actor.offset), part)
        return {"moved": float(moved)}

    def act(self, meeting: Meeting) -> Any:
        """Gains times points."""
        return self.actor(meeting.scene)

    def behaviour(self, *, mode: bool = True) -> Behaviour:
        """There is nothing random."""
        return self.actor

    def gap(self) -> Exploitability | None:
        """Against the flow of many agents."""
        flow = flow_of(self.arena, self.act, self.actor, JUDGES, JUDGEMENT)
        lost = self.lost(respond(self.prober, flow), flow)
        name = self.arena.space.name
        return Exploitability(lost, "estimate", {name: lost}, (lost,))

    def gain(self, points: Tensor) -> float | None:
        """Of agents who walk against the crowd."""
        best = respond(self.prober, points)
        paths, _ = walked(self.arena, self.act, points[:, None], JUDGES, JUDGEMENT)
        return self.lost(best, paths)

    def lost(self, best: Response, walked: Tensor) -> float:
        """What agents at points [T + 1, N, d] lose by not playing the best response."""
        total, weight = 0.0, 1.0
        for t in range(self.arena.steps):
            x = walked[t].double()
            action = x @ self.actor.gain[t].double().T + self.actor.offset[t].double()
            total += weight * float(best.lost(t, x, action).mean())
            weight *= self.arena.discount
        return total

    def extend(self, iterations: int) -> None:
        """Best responses know no length."""

    def state(self) -> dict[str, Tensor]:
        """Gains and offsets."""
        return dict(self.actor.state_dict())

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Put them back."""
        self.actor.load_state_dict(dict(state))


def law_table(made: AnyGenerator, share: Tensor) -> Tensor | None:
    """The exact law [T, S] of a generator that has probabilities."""
    return made.table(share) if isinstance(made, Autoregressive) else None
