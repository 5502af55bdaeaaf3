"""The learned policies of all players that act: networks from what is seen to actions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mfdsl.runtime.agents import AgentProgram
from mfdsl.runtime.behaviours import Behaviour, Scene
from mfdsl.runtime.learning.actor import Actor, Maker, Shape
from mfdsl.runtime.learning.experience import ActionLaws, Choice
from mfdsl.runtime.learning.eyes import Eyes, View, Widths
from mfdsl.runtime.learning.heads import ActionLaw, Drawn, Head, Squash
from mfdsl.runtime.learning.identity import actor_of, maker_of, numbered
from mfdsl.runtime.learning.pathwise import Move
from mfdsl.runtime.learning.sight import Sight, model_of, sights_of, values_seen
from mfdsl.runtime.learning.table import Identity
from mfdsl.runtime.streams import draw


@dataclass(frozen=True)
class Look:
    """How policies look at the game: neighbours and fields beside own values, what is left out and
    what is shown that the spec hides, and how networks know whose they are.
    """

    nearest: int = 0
    hidden: tuple[str, ...] = ()
    squash: Squash = "tanh"
    log_std: float = -0.5
    fields: bool = False
    laws: bool = True
    shown: tuple[str, ...] = ()
    identity: Identity = "symmetric"


class Crew(nn.Module):
    """One actor for each player that acts, by field name; all agents of a population share it.

    Where networks know whose they are, `agents` has the number of each population that acts by its
    field name, and no other number can play.
    """

    def __init__(
        self,
        program: AgentProgram,
        shape: Shape,
        look: Look,
        agents: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        self.program, self.look, self.shape = program, look, shape
        self.known = {} if look.identity == "symmetric" or agents is None else dict(agents)
        model = model_of(program)
        self.sights = sights_of(program, hidden=look.hidden, shown=look.shown)
        self.eyes = nn.ModuleDict()
        self.actors = nn.ModuleDict()
        for sight in self.sights:
            near = 0 if sight.single else look.nearest
            fields = look.fields and not sight.single
            eyes = Eyes(sight, model, near, fields, look.laws)
            self.eyes[sight.field] = eyes
            known = self.known.get(sight.field, 0)
            self.actors[sight.field] = actor_of(
                look.identity if known else "symmetric",
                known,
                self._widths(sight.field),
                (sight.actions, look.squash, look.log_std),
                shape,
            )

    @property
    def names(self) -> list[str]:
        """Field names of the players that act."""
        return [sight.field for sight in self.sights]

    @property
    def widths(self) -> dict[str, Widths]:
        """How much each of them sees."""
        return {name: self._widths(name) for name in self.names}

    @property
    def makers(self) -> dict[str, Maker]:
        """What makes the networks of the populations that know whose they are."""
        return {name: maker_of(self.look.identity, n) for name, n in self.known.items()}

    def _widths(self, name: str) -> Widths:
        own, common, laws = self._eyes(name).widths
        return own + (name in self.known), common, laws

    def _eyes(self, name: str) -> Eyes:
        eyes = self.eyes[name]
        assert isinstance(eyes, Eyes)
        return eyes

    def views(self, scene: Scene) -> dict[str, View]:
        """What each acting player sees; who they are is part of it, where networks know it."""
        return {name: self.told(view, name) for name, view in self.seen(scene).items()}

    def seen(self, scene: Scene) -> dict[str, View]:
        """What each acting player sees of the game."""
        seen = values_seen(self.program, scene.params, scene.time, scene.state)
        return {
            s.field: self._eyes(s.field)(seen[s.player], scene.state, scene.batch)
            for s in self.sights
        }

    def told(self, view: View, name: str) -> View:
        """A view of all agents with who they are, where networks know it."""
        known = self.known.get(name)
        return numbered(view, known, self.look.identity) if known else view

    def choose(self, scene: Scene, number: int) -> tuple[dict[str, Choice], Any]:
        """What everybody draws with the numbers of a step."""
        views, masks = self.views(scene), self.masks(scene)
        choices = {}
        for sight in self.sights:
            name = sight.field
            law = self.laws[name](views[name], masks.get(name))
            made = law.sample(*standard(sight, self.head(sight), scene, number))
            choices[name] = Choice(views[name], made, masks.get(name), law.log_prob(made))
        drawn = {name: choice.drawn for name, choice in choices.items()}
        return choices, self.action(drawn, scene.params.unit)

    @property
    def laws(self) -> dict[str, ActionLaws]:
        """How each of them draws."""
        return {name: self.actors[name] for name in self.names}

    def drawn_from(self, scene: Scene, views: Mapping[str, View]) -> dict[str, ActionLaw]:
        """The laws of the actions of each player in a scene."""
        masks = self.masks(scene)
        return {name: self.laws[name](view, masks.get(name)) for name, view in views.items()}

    def behaviour(self, *, mode: bool = True) -> Behaviour:
        """How everybody plays."""
        return Trained(self, mode)

    def move(self, scene: Scene, number: int, *, noisy: bool) -> Move:
        """What everybody does with the numbers of a step, with gradients."""
        laws = self.drawn_from(scene, self.views(scene))
        drawn, scores = {}, []
        for sight, law in zip(self.sights, laws.values(), strict=True):
            made = law.sample(*standard(sight, self.head(sight), scene, number))
            if not noisy and law.mean is not None:
                made = Drawn(law.mean, made.index)
            drawn[sight.field] = made
            if law.logits is not None:
                chance = ActionLaw(None, None, law.logits).log_prob(made)
                scores.append(chance.flatten(1).sum(1) if chance.ndim > 1 else chance)
        score = torch.stack(scores).sum(0) if scores else None
        entropy = torch.stack([law.entropy().mean() for law in laws.values()]).mean()
        return Move(self.action(drawn, scene.params.unit), score, entropy)

    def masks(self, scene: Scene) -> dict[str, Tensor]:
        """Legal choices by field name, of masked players only."""
        found = self.program.module.legal(scene.params, scene.time, scene.state)
        return {
            s.field: found[k].expand(scene.batch, *found[k].shape[1:])
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

    def calibrate(self, scene: Scene) -> None:
        """Centre and scale what has no bounds by what is seen in a scene."""
        seen = values_seen(self.program, scene.params, scene.time, scene.state)
        for sight in self.sights:
            self._eyes(sight.field).calibrate(seen[sight.player], scene.state, scene.batch)


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
        laws = crew.drawn_from(scene, crew.views(scene))
        drawn = {}
        for sight, law in zip(crew.sights, laws.values(), strict=True):
            if self.mode and law.logits is None:
                drawn[sight.field] = law.mode()
                continue
            normal, uniform = standard(sight, crew.head(sight), scene)
            kept = law.mode().reals if self.mode else None
            made = law.sample(normal, uniform)
            drawn[sight.field] = made if kept is None else Drawn(kept, made.index)
        return crew.action(drawn, scene.params.unit)
