"""The learned policies of all players that act: networks from what is seen to actions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mfdsl.runtime.agents import AgentProgram
from mfdsl.runtime.behaviours import Scene
from mfdsl.runtime.learning.actor import Actor, Shape
from mfdsl.runtime.learning.eyes import Eyes, View
from mfdsl.runtime.learning.heads import ActionLaw, Drawn, Head, Squash
from mfdsl.runtime.learning.sight import Sight, model_of, sights_of, values_seen
from mfdsl.runtime.streams import draw


@dataclass(frozen=True)
class Look:
    """How policies look at the game: neighbours among the own entries, values left out."""

    nearest: int = 0
    hidden: tuple[str, ...] = ()
    squash: Squash = "tanh"
    log_std: float = -0.5


class Crew(nn.Module):
    """One actor for each player that acts, by field name; all agents of a population share it."""

    def __init__(self, program: AgentProgram, shape: Shape, look: Look) -> None:
        super().__init__()
        self.program, self.look, self.shape = program, look, shape
        model = model_of(program)
        self.sights = sights_of(program, hidden=look.hidden)
        self.eyes = nn.ModuleDict()
        self.actors = nn.ModuleDict()
        for sight in self.sights:
            near = 0 if sight.single else look.nearest
            eyes = Eyes(sight, model, near)
            head = Head(sight.actions, look.squash, look.log_std)
            self.eyes[sight.field] = eyes
            widths = (eyes.own_width, eyes.common_width, eyes.law_widths)
            self.actors[sight.field] = Actor(widths, head, shape)

    def views(self, params: Any, time: Tensor, state: Any, batch: int) -> dict[str, View]:
        """What each acting player sees."""
        seen = values_seen(self.program, params, time, state)
        return {s.field: self.eyes[s.field](seen[s.player], state, batch) for s in self.sights}

    def laws(self, views: Mapping[str, View], masks: Mapping[str, Tensor]) -> dict[str, ActionLaw]:
        """The laws of the actions of each player."""
        return {f: self.actors[f](view, masks.get(f)) for f, view in views.items()}

    def masks(self, params: Any, time: Tensor, state: Any, batch: int) -> dict[str, Tensor]:
        """Legal choices by field name, of masked players only."""
        found = self.program.module.legal(params, time, state)
        return {
            s.field: found[k].expand(batch, *found[k].shape[1:])
            for s in self.sights
            for k in (s.field, s.player)
            if k in found
        }

    def action(self, drawn: Mapping[str, Drawn], unit: Tensor) -> Any:
        """The nested `Action` of the module; reals have the dtype of `unit`."""
        kinds = self.program.module.Action.__annotations__
        values = {s.field: self.head(s).values(drawn[s.field], unit) for s in self.sights}
        return self.program.module.Action(**{f: kinds[f](*v) for f, v in values.items()})

    def head(self, sight: Sight) -> Head:
        """What turns numbers into actions of one player."""
        actor = self.actors[sight.field]
        assert isinstance(actor, Actor)
        return actor.head

    def calibrate(self, params: Any, time: Tensor, state: Any, batch: int) -> None:
        """Centre and scale what has no bounds by what is seen in a state."""
        seen = values_seen(self.program, params, time, state)
        for sight in self.sights:
            eyes = self.eyes[sight.field]
            assert isinstance(eyes, Eyes)
            eyes.calibrate(seen[sight.player], state, batch)


def standard(
    sight: Sight, head: Head, scene: Scene, step: int | None = None
) -> tuple[Tensor | None, Tensor | None]:
    """Standard numbers for the actions of one player: normal [..., k] and uniform [...]."""
    lead = (scene.batch,) if sight.single else (scene.batch, scene.agents[sight.player])
    unit = scene.params.unit
    place = scene.t if step is None else step

    def numbers(law: str, shape: tuple[int, ...]) -> Tensor:
        key = (scene.seed, place, f"policy.{sight.player}.{law}")
        return draw((law,), shape, key, dtype=unit.dtype, device=unit.device)

    normal = numbers("normal", (*lead, head.count)) if head.count else None
    uniform = numbers("uniform", lead) if head.choices else None
    return normal, uniform


@dataclass(frozen=True, eq=False)
class Trained:
    """A behaviour: everybody follows a crew, at random or (`mode`) as is likeliest."""

    crew: Crew
    mode: bool = True

    @torch.no_grad()
    def __call__(self, scene: Scene) -> Any:
        """The actions in a scene."""
        crew = self.crew
        views = crew.views(scene.params, scene.time, scene.state, scene.batch)
        masks = crew.masks(scene.params, scene.time, scene.state, scene.batch)
        drawn = {}
        for sight, law in zip(crew.sights, crew.laws(views, masks).values(), strict=True):
            if self.mode and law.logits is None:
                drawn[sight.field] = law.mode()
                continue
            normal, uniform = standard(sight, crew.head(sight), scene)
            kept = law.mode().reals if self.mode else None
            made = law.sample(normal, uniform)
            drawn[sight.field] = made if kept is None else Drawn(kept, made.index)
        return crew.action(drawn, scene.params.unit)
