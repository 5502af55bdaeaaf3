"""Agents who may leave the policy of all others, and the games in which they do.

Deviators beside the crowd have weight 0: they react to the law of N others and do not move it
(`credit.py`, Carmona and Delarue 2018, section 5.2), so that many of them learn in one game. Where
members cannot have weights, and for majors, one player of each game deviates.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from mfdsl.compiler.ir.model import Model, Node
from mfdsl.compiler.ir.walk import MEANS, MEMBERS, reachable
from mfdsl.runtime.agents import AgentProgram
from mfdsl.runtime.behaviours import Behaviour, Scene
from mfdsl.runtime.learning.engine import Engine
from mfdsl.runtime.learning.sight import Feature, Sight, model_of, values_seen
from mfdsl.runtime.program import Params
from mfdsl.runtime.simulator import Simulator

UNWEIGHTED = frozenset((*MEMBERS, "weight")) - {"mean", "mean_others"}
STEEP = ("log", "div", "pow", "sqrt", "norm")
WARM_UP = 300  # steps after which the law of a stationary game has settled
AGAIN = 20  # steps before each of its games, which start with other draws


class Settled(Simulator):
    """Games that start from the law that a policy keeps, as stationary ones do.

    The policy is played from t = 0 once, and then again for some steps before each game.
    """

    def __init__(self, program: AgentProgram, behaviour: Behaviour, **sizes: Any) -> None:
        super().__init__(program, **sizes)
        self.behaviour = behaviour
        self._kept: Any = None

    def reset(self, epoch: int = 0) -> Any:
        """States after enough steps for a law that no longer moves; every epoch has its draws."""
        if self._kept is None:
            self._kept = self._played(super().reset(), range(-WARM_UP, 0))
        first = -WARM_UP - AGAIN * (epoch + 1)  # numbers of draws that no episode has
        return self._played(self._kept, range(first, first + AGAIN))

    @torch.no_grad()
    def _played(self, state: Any, numbers: range) -> Any:
        step = self.program.module.step
        for t, number in enumerate(numbers):
            scene, noise = reseeded(self.scene(t, state), number), self.noise(number)
            state, _ = step(self.params, scene.time, state, self.behaviour(scene), noise)
            state = self.whole(state)
        return state


class Shadowed(Simulator):
    """Games of a crowd with shadows: copies of its first agents that count nothing.

    Shadows start where the agents stand whose copies they are, with the same draws of the game, so
    that both differ by what they do.
    """

    def __init__(
        self,
        weighted: AgentProgram,
        crowd: Simulator,
        field: str,
        shadows: int,
    ) -> None:
        self.crowd, self.field, self.shadows = crowd, field, shadows
        name = crowd.program.names[field]
        self.others = crowd.agents[name]
        agents = {**crowd.agents, name: self.others + shadows}
        super().__init__(weighted, crowd.params, agents=agents, batch=crowd.batch, seed=crowd.seed)

    def reset(self, epoch: int = 0) -> Any:
        """States at t = 0, where the shadows stand with their agents."""
        state = self.crowd.reset(epoch)
        kinds = self.program.module.State.__annotations__
        groups = {}
        for field in self.program.module.State._fields:
            values = list(getattr(state, field, ()))
            if field in self.program.populations:
                values.append(self.params.unit.new_ones(values[0].shape[:2]))
            if field == self.field:
                values = [self._copied(value) for value in values]
                values[-1] = self._weights(values[-1])
            groups[field] = kinds[field](*values)
        return self.program.module.State(**groups)

    def noise(self, t: int) -> Any:
        """The draws of a step; those of shadows are their agents'."""
        return self._extended(self.crowd.noise(t), self.program.module.Noise)

    def scene_of_crowd(self, scene: Scene) -> Scene:
        """The scene without shadows and weights."""
        kinds = self.crowd.program.module.State.__annotations__
        groups = {}
        for field in self.crowd.program.module.State._fields:
            values = list(getattr(scene.state, field))
            if field in self.program.populations:
                values = values[:-1]
            if field == self.field:
                values = [value[:, : self.others] for value in values]
            groups[field] = kinds[field](*values)
        state = self.crowd.program.module.State(**groups)
        return replace(scene, program=self.crowd.program, state=state, agents=self.crowd.agents)

    def _weights(self, ones: Tensor) -> Tensor:
        whole = ones.clone()
        whole[:, : self.others] = (self.others + self.shadows) / self.others
        whole[:, self.others :] = 0
        return whole

    def _extended(self, group: Any, kind: Any) -> Any:
        parts = {}
        for field in kind._fields:
            values = list(getattr(group, field))
            if field == self.field:
                values = [self._copied(value) for value in values]
            parts[field] = kind.__annotations__[field](*values)
        return kind(**parts)

    def _copied(self, value: Tensor) -> Tensor:
        return torch.cat([value, value[:, : self.shadows]], 1)


def seen_by(sight: Sight, scene: Scene) -> dict[str, Tensor]:
    """What a player observes by name, and its own states and traits whether it observes them."""
    program = scene.program
    own = dict(
        zip(program.variables(sight.field, "state"), getattr(scene.state, sight.field), strict=True)
        if hasattr(scene.state, sight.field)
        else ()
    )
    seen: dict[str, dict[str, Tensor]] = values_seen(program, scene.params, scene.time, scene.state)
    return {**own, **seen[sight.player]}


def knowing(sight: Sight, model: Model) -> Sight:
    """The sight of one who knows all its own traits, also those that the policy does not see."""
    if sight.single:
        return sight
    named = {feature.name for feature in sight.own}
    hidden = [t for t in model.player(sight.player).traits if t.name not in named]
    more = (Feature(t.name, model.types[t.type], True) for t in hidden)
    return replace(sight, own=(*sight.own, *more))


def reseeded(scene: Scene, number: int) -> Scene:
    """A scene whose policies draw with the numbers of a step."""
    return replace(scene, seed=scene.seed * 1_000_003 + number)


@dataclass(frozen=True, eq=False)
class Arena:
    """Games where `count` agents of the player of `sight`, from agent `first` on, may deviate.

    All others follow `behaviour`.
    """

    engine: Engine
    behaviour: Behaviour
    sight: Sight
    first: int
    count: int

    @property
    def simulator(self) -> Simulator:
        """The games."""
        return self.engine.simulator

    @property
    def program(self) -> AgentProgram:
        """The game of those who follow the policy."""
        return self.simulator.program if self.shadows is None else self.shadows.crowd.program

    @property
    def shadows(self) -> Shadowed | None:
        """The games as those with shadows, None where one player of each game deviates."""
        found = self.simulator
        return found if isinstance(found, Shadowed) else None

    def crowd(self, scene: Scene) -> Scene:
        """What those see who follow the policy."""
        return scene if self.shadows is None else self.shadows.scene_of_crowd(scene)

    def followed(self, scene: Scene, number: int) -> Any:
        """What everybody does by the policy."""
        with torch.no_grad():
            return self.behaviour(reseeded(self.crowd(scene), number))

    def acted(self, usual: Any, mine: list[Tensor]) -> Any:
        """The `Action` in which deviators do something else."""
        module, field = self.simulator.program.module, self.sight.field
        groups = {}
        for name in module.Action._fields:
            values = list(getattr(usual, name))
            if name == field and self.sight.single:
                values = mine
            elif name == field and self.shadows is not None:
                values = [torch.cat(pair, 1) for pair in zip(values, mine, strict=True)]
            elif name == field:
                pairs = zip(values, mine, strict=True)
                values = [torch.cat([new, old[:, 1:]], 1) for old, new in pairs]
            groups[name] = module.Action.__annotations__[name](*values)
        return module.Action(**groups)

    def seen(self, scene: Scene) -> dict[str, Tensor]:
        """What deviators observe by name; own values are theirs, [B, count, ...]."""
        found = seen_by(self.sight, scene)
        if self.sight.single:
            return found
        own = {f.name: self.part(found[f.name], scene) for f in self.sight.own}
        return {**found, **own}

    def mask(self, scene: Scene) -> Tensor | None:
        """Which choices deviators have, None where all of them."""
        legal = scene.program.module.legal(scene.params, scene.time, scene.state)
        for key in (self.sight.field, self.sight.player):
            if key in legal:
                mask: Tensor = legal[key].expand(scene.batch, *legal[key].shape[1:])
                return mask if self.sight.single else self.part(mask, scene)
        return None

    def part(self, value: Tensor, scene: Scene) -> Tensor:
        """The entries of deviators of values [B, N, ...] of their population."""
        count = scene.agents[self.sight.player]
        whole = value.expand(scene.batch, count, *value.shape[2:])
        mine: Tensor = whole[:, self.first : self.first + self.count]
        return mine

    def paid(self, rewards: Any) -> Tensor:
        """What deviators are paid, [B, count], of a major [B]."""
        return self._paid(rewards, self.first)

    def usually_paid(self, rewards: Any) -> Tensor:
        """What those are paid whom the shadows copy, [B, count]."""
        return self._paid(rewards, 0)

    def _paid(self, rewards: Any, first: int) -> Tensor:
        batch, unit = self.engine.batch, self.simulator.params.unit
        value: Tensor | None = getattr(rewards, self.sight.field, None)
        if self.sight.single:
            whole: Tensor = unit.new_zeros(batch) if value is None else value.expand(batch)
            return whole
        if value is None:
            return torch.zeros(batch, self.count, dtype=unit.dtype, device=unit.device)
        count = self.simulator.agents[self.sight.player]
        part: Tensor = value.expand(batch, count)[:, first : first + self.count]
        return part


def arena_of(
    program: AgentProgram,
    weighted: AgentProgram | None,
    params: Params,
    behaviour: Behaviour,
    sight: Sight,
    *,
    agents: int | Mapping[str, int] | None,
    games: int,
    deviators: int,
    steps: int,
    seed: int,
) -> Arena:
    """B games of N agents who follow a policy, and those who need not.

    Raises:
        SimulationError: a size is out of range, or the machine has too little memory.
    """
    sizes: dict[str, Any] = {"params": params, "agents": agents, "batch": games, "seed": seed}
    still = program.kind != "stationary"
    crowd = Simulator(program, **sizes) if still else Settled(program, behaviour, **sizes)
    if sight.single or weighted is None or not weighs(model_of(program), sight):
        return Arena(Engine(crowd, steps, program.discount), behaviour, sight, 0, 1)
    others = crowd.agents[sight.player]
    count = min(deviators, others)
    shadowed = Shadowed(weighted, crowd, sight.field, count)
    return Arena(Engine(shadowed, steps, program.discount), behaviour, sight, others, count)


def weighs(model: Model, sight: Sight) -> bool:
    """Whether members of weight 0 leave the game of the others as it is, and can play it.

    Nothing is a mean of those who are like oneself and count nothing.
    """
    player = model.player(sight.player)
    if player.fixed or any(p.weights for p in model.players):
        return False
    return not any(node.op in UNWEIGHTED for node in model.nodes)


def steep(model: Model) -> bool:
    """Whether a mean over members may be a denominator, or in a logarithm or root.

    Then rewards at small masses are far from those at 0, and one who counts nothing is paid for
    being where nobody is what no agent is ever paid.
    """
    for node in model.nodes:
        read = node.args[1:] if node.op == "div" else node.args
        if node.op not in STEEP or _polynomial(model, node):
            continue
        if any(model.nodes[k].op in MEANS for k in reachable(model.nodes, read)):
            return True
    return False


def _polynomial(model: Model, node: Node) -> bool:
    """Whether a power has a constant exponent of at least 1."""
    exponent = model.nodes[node.args[-1]]
    return node.op == "pow" and exponent.op == "const" and float(exponent.attr or 0) >= 1  # type: ignore[arg-type]
