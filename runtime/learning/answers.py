"""Deviators with a network of what the game lets them see, while they learn and afterwards."""

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.ir.types import Type
from mfdsl.runtime.behaviours import Scene
from mfdsl.runtime.learning.actor import Actor, Shape
from mfdsl.runtime.learning.crew import standard
from mfdsl.runtime.learning.deviators import Arena, seen_by
from mfdsl.runtime.learning.engine import Engine, Turn
from mfdsl.runtime.learning.experience import ActionLaws, Choice
from mfdsl.runtime.learning.eyes import Eyes, View, Widths
from mfdsl.runtime.learning.heads import ActionLaw, Drawn, Head
from mfdsl.runtime.learning.sight import Feature, Sight


@dataclass(frozen=True)
class Budget:
    """How much goes into a response: iterations of one episode in each game, with a number of
    `deviators` (of weight 0, else there is one in each game); `restarts`, every second of which
    first learns in `imitation` episodes to do as the policy does; networks; and `test_games` to
    judge, four times as many where one player of each deviates.

    With `replays` another answer is found by values in that many episodes of each game, where
    actions are finite and games short (`replayed.py`).
    `steps` is the length of games without end; 0: until 1 % of the discount is left.
    """

    iterations: int = 40
    imitation: int = 8
    deviators: int = 32
    restarts: int = 2
    replays: int = 0
    test_games: int = 128
    hidden: int = 64
    layers: int = 2
    learning_rate: float = 5e-3
    steps: int = 0


class Answer(nn.Module):
    """The network of a deviator: from what it sees to laws of actions.

    Time is told one by one while it is short, for the response to a flow changes with it.
    """

    def __init__(self, model: Model, sight: Sight, budget: Budget) -> None:
        super().__init__()
        self.sight = _with_clock(sight, model)
        self.eyes = Eyes(self.sight, model, laws=_reads_laws(model, sight))
        self.actor = Actor(self.eyes.widths, Head(sight.actions), shape_of(budget))

    def view(self, arena: Arena, scene: Scene) -> View:
        """What deviators see; laws are those of the others."""
        found: View = self.eyes(arena.seen(scene), arena.crowd(scene).state, scene.batch)
        return found

    def law(self, view: View, mask: Tensor | None) -> ActionLaw:
        """The laws of their actions."""
        found: ActionLaw = self.actor(view, mask)
        return found


@dataclass(frozen=True, eq=False)
class Deviating:
    """Deviators who learn in their games; a player of experience."""

    arena: Arena
    answer: Answer

    @property
    def names(self) -> list[str]:
        """The field name of the one player that learns."""
        return [self.arena.sight.field]

    @property
    def widths(self) -> dict[str, Widths]:
        """How much it sees."""
        return {self.arena.sight.field: self.answer.eyes.widths}

    @property
    def laws(self) -> dict[str, ActionLaws]:
        """How it draws."""
        return {self.arena.sight.field: self.answer.actor}

    def views(self, scene: Scene) -> dict[str, View]:
        """What it sees."""
        return {self.arena.sight.field: self.answer.view(self.arena, scene)}

    def choose(self, scene: Scene, number: int) -> tuple[dict[str, Choice], Any]:
        """What it draws with the numbers of a step, and everybody's actions."""
        view, mask = self.answer.view(self.arena, scene), self.arena.mask(scene)
        law = self.answer.law(view, mask)
        drawn = self.drawn(law, scene, number)
        choice = Choice(view, drawn, mask, law.log_prob(drawn))
        return {self.arena.sight.field: choice}, self.action(drawn, scene, number)

    def drawn(self, law: ActionLaw, scene: Scene, number: int) -> Drawn:
        """Draws from the laws of all deviators."""
        sight = self.arena.sight
        mine = replace(scene, agents={**scene.agents, sight.player: self.arena.count})
        return law.sample(*standard(sight, self.answer.actor.head, mine, number))

    def action(self, drawn: Drawn, scene: Scene, number: int) -> Any:
        """Everybody's actions."""
        mine = self.answer.actor.head.values(drawn, scene.params.unit)
        return self.arena.acted(self.arena.followed(scene, number), mine)

    def rewards(self, engine: Engine, turn: Turn, paid: Any) -> dict[str, Tensor]:
        """Own credit: what deviators are paid themselves."""
        return {self.arena.sight.field: self.arena.paid(paid)}


@dataclass(frozen=True, eq=False)
class Answering:
    """A behaviour of the player that has learned an answer, in games where all are agents alike.

    Its actions have the field of that player only.
    """

    answer: Answer
    mode: bool

    @torch.no_grad()
    def __call__(self, scene: Scene) -> Any:
        """What all members of the player would do."""
        sight, head = self.answer.sight, self.answer.actor.head
        view: View = self.answer.eyes(seen_by(sight, scene), scene.state, scene.batch)
        legal = scene.program.module.legal(scene.params, scene.time, scene.state)
        masks = [legal[key] for key in (sight.field, sight.player) if key in legal]
        mask = masks[0].expand(scene.batch, *masks[0].shape[1:]) if masks else None
        law = self.answer.law(view, mask)
        drawn = law.mode()
        if not self.mode and law.logits is not None:
            named = replace(scene, seed=scene.seed * 1_000_003 + 1)  # not as all others draw
            drawn = Drawn(law.mean, law.sample(*standard(sight, head, named)).index)
        kind = scene.program.module.Action.__annotations__[sight.field]
        return SimpleNamespace(**{sight.field: kind(*head.values(drawn, scene.params.unit))})


@dataclass(frozen=True, eq=False)
class Found:
    """The best answer of a course, how it is played best, and its gains on the way.

    `gain` with its `error` is what it gained where it was chosen, `learned` where it learned.
    """

    answer: Answer
    mode: bool
    gain: float = 0.0
    quarters: tuple[float, ...] = ()
    error: float = 0.0
    learned: float = 0.0


def shape_of(budget: Budget) -> Shape:
    """The sizes of the networks."""
    return Shape((budget.hidden,) * budget.layers)


def _with_clock(sight: Sight, model: Model) -> Sight:
    """The sight with time as a number of steps, whose features tell short times one by one."""
    steps = model.horizon.steps
    if steps is None:
        return sight
    clock = Type(kind="int", lo=0, hi=steps)
    common = tuple(Feature(f.name, clock, f.own) if f.name == "t" else f for f in sight.common)
    return replace(sight, common=common)


def _reads_laws(model: Model, sight: Sight) -> bool:
    """Whether a deviator may need the law: it does not where nothing moves it at random."""
    others = [p for p in model.players if p.kind != "population"]
    random = any(p.noises or p.draws or p.actions for p in others)
    return bool(sight.points) or (bool(sight.crowds) and random)
