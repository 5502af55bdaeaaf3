"""One agent beside a sampled crowd that follows a policy and does not feel the one.

The copies of the agent are members with weight 0 of a game in which everybody else counts
(`compiler/ir/marginal.py`), so that they meet the crowd's law and leave it as it is.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mfdsl.compiler.ir.marginal import WEIGHT
from mfdsl.compiler.ir.model import DEFAULT_AGENTS
from mfdsl.errors import UsageError
from mfdsl.export.spaces import values_of
from mfdsl.game import Game
from mfdsl.runtime.behaviours import Behaviour, Scene, actions_of
from mfdsl.runtime.learning.sight import sights_of, values_seen
from mfdsl.runtime.simulator import Simulator, agents_of, steps_of

EXTREMES = ("min_members", "max_members", "min_others", "max_others")


class SampledFlow:
    """Copies [R] of one agent of a `population` of N members who follow a behaviour.

    The members' own draws are the same in every episode, so that the flow is frozen; common states
    are drawn anew. With common states each copy has a game [B = R] of its own, else all share one.

    Raises:
        UsageError: weights of members cannot say what the crowd is, or nobody of that name acts.
        SimulationError: a number of agents or of steps is out of range.
    """

    def __init__(
        self,
        game: Game,
        behaviour: Behaviour,
        population: str,
        copies: int,
        *,
        agents: int | Mapping[str, int] | None,
        steps: int | None,
        seed: int,
    ) -> None:
        _check(game, population)
        self.program, self._plain = game.agents_of("weighted"), game.agents
        self.steps = steps_of(self.program, steps)
        self.copies = copies
        self._behaviour, self._crowd_seed = behaviour, seed
        shared = all(p.kind == "population" for p in game.model.players)
        self._sight = next(s for s in sights_of(self.program) if s.player == population)
        seen = (*self._sight.own, *self._sight.common, *self._sight.points)
        self.seen = tuple(f for f in seen if f.name != WEIGHT)
        self.actions = self._sight.actions
        numbers = agents_of(self.program, DEFAULT_AGENTS if agents is None else agents)
        self._crowd, added = numbers[population], copies if shared else 1
        self._simulator = Simulator(
            self.program,
            self.program.params(),
            agents={**numbers, population: self._crowd + added},
            batch=1 if shared else copies,
        )
        everybody = self._crowd + added
        unit = self._simulator.params.unit
        self._weights = unit.new_full((1, everybody), everybody / self._crowd)
        self._weights[:, self._crowd :] = 0

    def start(self, seed: int) -> None:
        """Draw the states at t = 0."""
        self._t, self._seed = 0, seed
        module = self.program.module
        draws = self._merged(lambda s: s._draws(module.Initial, module.INITIALS, 0, "initial"))
        state = self._simulator.whole(module.init(self._simulator.params, draws))
        own = getattr(state, self._sight.field)
        weights = self._weights.expand(self._simulator.batch, -1)
        self._state = state._replace(**{self._sight.field: own._replace(**{WEIGHT: weights})})

    def views(self) -> dict[str, NDArray[Any]]:
        """What each copy sees, [R, ...]; finite values count from 0."""
        simulator = self._simulator
        now = simulator.time(self._t)
        shown = values_seen(self.program, simulator.params, now, self._state)[self._sight.player]
        found = {}
        for feature in self.seen:
            value = shown[feature.name]
            if feature.name == "t":
                continue
            if value.ndim == len(feature.type.dims) + 2:  # [B or 1, N or 1, ...]
                whole = value.expand(simulator.batch, self._weights.shape[1], *feature.type.dims)
                rows = whole[:, self._crowd :].reshape(self.copies, *feature.type.dims)
            else:
                rows = value.expand(self.copies, *feature.type.dims)
            if feature.type.finite:
                found[feature.name] = (rows.long() - feature.type.first).numpy()
            else:
                found[feature.name] = rows.detach().to(torch.float32).numpy()
        return found

    def masks(self) -> NDArray[np.int8] | None:
        """What is legal [R, A], None where all is or nobody moves any more."""
        if self._t == self.program.horizon:
            return None
        simulator, sight = self._simulator, self._sight
        legal = self.program.module.legal(simulator.params, simulator.time(self._t), self._state)
        mask = legal.get(sight.field, legal.get(sight.player))
        if mask is None:
            return None
        whole = mask.expand(simulator.batch, self._weights.shape[1], mask.shape[-1])
        own: Tensor = whole[:, self._crowd :].reshape(self.copies, -1)
        return own.to(torch.int8).numpy()

    def move(self, actions: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """One step from actions [R, ...]; gives the rewards, with final ones at the end.

        Raises:
            ValueError: an action is out of its range or forbidden.
        """
        simulator, program = self._simulator, self.program
        simulator.seed = self._crowd_seed
        scene = simulator.scene(self._t, self._state)
        taken = self._with_copies(self._behaviour(self._without_weights(scene)), actions)
        action = actions_of(scene, taken, check=True)
        noise, now = self._merged(lambda s: s.noise(self._t)), simulator.time(self._t)
        after, paid = program.module.step(simulator.params, now, self._state, action, noise)
        self._state, paid = simulator.whole(after), simulator.whole(paid)
        self._t += 1
        rewards = self._own(paid)
        if self._t == program.horizon and program.module.HAS_FINAL:
            end = simulator.time(self._t)
            last = program.module.final_rewards(simulator.params, end, self._state)
            rewards = rewards + self._own(last)
        found: NDArray[np.float64] = rewards.detach().double().numpy()
        return found

    def _without_weights(self, scene: Scene) -> Scene:
        """The scene as behaviours know it, who were made for the game as it is."""
        kinds = self._plain.module.State.__annotations__
        groups = {}
        for field in self._plain.module.State._fields:
            values = getattr(scene.state, field)
            groups[field] = kinds[field](*(getattr(values, name) for name in kinds[field]._fields))
        state = self._plain.module.State(**groups)
        return replace(scene, program=self._plain, params=self._plain.params(), state=state)

    def _with_copies(self, crowd: Any, actions: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """The actions of all by name; copies have the last places of their population."""
        chosen: dict[str, Any] = {}
        for field, group in crowd._asdict().items():
            names = self.program.variables(field, "action")
            chosen[self.program.names[field]] = dict(zip(names, group, strict=True))
        own = chosen[self._sight.player]
        batch = self._simulator.batch
        for feature in self.actions:
            value = own[feature.name].expand(batch, *own[feature.name].shape[1:])
            given = values_of(actions[feature.name], feature.type).to(value.dtype)
            copies = given.reshape(batch, -1, *feature.type.dims)
            own[feature.name] = torch.cat([value[:, : self._crowd], copies], 1)
        return chosen

    def _own(self, paid: Any) -> Tensor:
        value = getattr(paid, self._sight.field, None)
        if value is None:
            return torch.zeros(self.copies)
        whole: Tensor = value.expand(self._simulator.batch, self._weights.shape[1])
        return whole[:, self._crowd :].reshape(self.copies)

    def _merged(self, drawn: Any) -> Any:
        """Draws of members from the crowd's seed, of the copies and of what is common from that of
        the episode.
        """
        simulator, program = self._simulator, self.program
        simulator.seed = self._crowd_seed
        crowd = drawn(simulator)
        simulator.seed = self._seed
        own = drawn(simulator)
        groups = {}
        for field, theirs in crowd._asdict().items():
            mine = getattr(own, field)
            if field == self._sight.field:
                pairs = zip(theirs, mine, strict=True)
                groups[field] = type(theirs)(
                    *(torch.cat([a[:, : self._crowd], b[:, self._crowd :]], 1) for a, b in pairs)
                )
            else:
                groups[field] = theirs if program.players[field] == "population" else mine
        return type(crowd)(**groups)


def _check(game: Game, population: str) -> None:
    """Refuse games in which a member without weight would still be felt."""
    extremes = sorted({n.op for n in game.model.nodes if n.op in EXTREMES})
    if extremes:
        raise UsageError(
            f"`{game.name}` reads the smallest or largest value over all members, in which one"
            " agent counts however little it weighs"
        )
    given = [p.name for p in game.model.players if p.kind == "population" and p.fixed]
    if population in given:
        raise UsageError(
            f"files give the agents of `{population}` one by one, and one more is none of them"
        )
