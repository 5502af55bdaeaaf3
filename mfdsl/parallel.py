"""A game of N agents as a `ParallelEnv` of PettingZoo, for learners that know nothing of mfdsl.

Terry et al. 2021, PettingZoo (arXiv:2009.14471). Needs the extra `rl`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mfdsl.compiler.driver import ParameterValue
from mfdsl.export.spaces import acts, ends_of, point_of, space_of, values_of
from mfdsl.game import Game, check_choices, loaded
from mfdsl.runtime.behaviours import actions_of
from mfdsl.runtime.learning.sight import Feature, Sight, sights_of, values_seen
from mfdsl.runtime.simulator import steps_of

try:
    from gymnasium import Space, spaces
    from gymnasium.vector.utils import batch_space
    from pettingzoo import ParallelEnv
except ImportError as error:
    raise ImportError("mfdsl.parallel needs `pip install 'mfdsl[rl]'`") from error

Action = Any  # a number, an array, or {name: either} where a player has several actions
Seen = NDArray[np.float32]


class ParallelGame(ParallelEnv[str, Seen, Action]):  # type: ignore[misc, unused-ignore]
    """One game of N agents; who acts is an agent: `person_0`, `person_1`, ... and majors by name.

    An observation is one vector: what `observe` lists, or all that is not private to others, in the
    order of `observed[player]`; laws of populations are not in it. Finite actions count from 0, and
    what lies in the box around a ball is moved to the nearest point of the ball. What `where`
    allows is `infos[agent]["action_mask"]`, over all combinations of finite actions. Rewards are
    those of each player at this step, not discounted, with final rewards at the last.

    Raises:
        CompileError: the spec has errors.
        SimulationError: a number of agents or of steps is out of range.
        UsageError: no file or shipped game is called so, or the seed is none.
    """

    def __init__(
        self,
        game: Game | str | Path,
        *,
        agents: int | Mapping[str, int] | None = None,
        steps: int | None = None,
        params: Mapping[str, ParameterValue] | None = None,
        seed: int = 0,
    ) -> None:
        found = loaded(game, params)
        self.simulator = found.simulator(agents=agents, seed=seed)
        program = self.simulator.program
        self.steps = steps_of(program, steps)
        self.metadata = {"name": program.name, "render_modes": []}
        self.render_mode = None
        self._sights = sights_of(program)
        self._players = {
            agent: (sight, i)
            for sight in self._sights
            for i, agent in enumerate(_names(sight, self.simulator.agents))
        }
        self.possible_agents = list(self._players)
        self.agents: list[str] = []
        self.observed = {
            s.player: tuple(f.name for f in (*s.own, *s.common, *s.points)) for s in self._sights
        }
        self.observation_spaces = {a: self._seen(s) for a, (s, _) in self._players.items()}
        self.action_spaces = {
            agent: acts({feature.name: space_of(feature.type) for feature in sight.actions})
            for agent, (sight, _) in self._players.items()
        }
        self._t, self._first = 0, True

    def observation_space(self, agent: str) -> Space[Any]:
        """The box of what an agent sees."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Space[Any]:
        """What an agent may do; a dictionary by name where it has several actions."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Seen], dict[str, dict[str, Any]]]:
        """Begin again, from a seed, or from the one after the last.

        Raises:
            UsageError: the seed is none.
        """
        if seed is not None:
            check_choices(None, None, seed)
            self.simulator.seed = seed
        elif not self._first:
            self.simulator.seed += 1
        self._t, self._first = 0, False
        self._state = self.simulator.reset()
        self.agents = list(self.possible_agents)
        return self._views(), self._infos()

    def step(
        self, actions: Mapping[str, Action]
    ) -> tuple[
        dict[str, Seen],
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        dict[str, dict[str, Any]],
    ]:
        """Everybody moves, by numbers, arrays or tensors.

        Raises:
            ValueError: an agent is missing, or an action is outside of its space or forbidden.
        """
        if not self.agents:
            raise ValueError("the game is over: call `reset`")
        if not isinstance(actions, Mapping):
            raise ValueError(f"actions are a dictionary by agent, not {type(actions).__name__}")
        missing = [agent for agent in self.agents if agent not in actions]
        if missing:
            raise ValueError(f"no action of {missing[0]}: everybody moves at each step")
        scene = self.simulator.scene(self._t, self._state)
        chosen = {s.player: self._together(s, actions) for s in self._sights}
        action = actions_of(scene, chosen, check=True)
        self._state, paid = self.simulator.step(self._t, self._state, action)
        self._t += 1
        rewards = self._shares(paid)
        over, program = self._t == self.steps, self.simulator.program
        ends = over and program.kind == "finite" and self._t == program.horizon
        if ends and program.module.HAS_FINAL:
            now, params = self.simulator.time(self._t), self.simulator.params
            last = self._shares(program.module.final_rewards(params, now, self._state))
            rewards = {agent: rewards[agent] + last[agent] for agent in self.agents}
        views, infos = self._views(), self._infos()
        ended = dict.fromkeys(self.agents, ends)
        cut = dict.fromkeys(self.agents, over and not ends)
        if over:
            self.agents = []
        return views, rewards, ended, cut, infos

    def close(self) -> None:
        """Nothing is open."""

    def _seen(self, sight: Sight) -> spaces.Box:
        low: list[Seen] = []
        high: list[Seen] = []
        for feature in (*sight.own, *sight.common, *sight.points):
            ends = (0, self.steps) if feature.name == "t" else ends_of(feature.type)
            for found, end in zip((low, high), ends, strict=True):
                found.append(np.broadcast_to(end, feature.type.dims).ravel())
        return spaces.Box(
            np.concatenate(low, dtype=np.float32), np.concatenate(high, dtype=np.float32)
        )

    def _views(self) -> dict[str, Seen]:
        program, now = self.simulator.program, self.simulator.time(self._t)
        values = values_seen(program, self.simulator.params, now, self._state)
        found: dict[str, Seen] = {}
        for sight in self._sights:
            count = 1 if sight.single else self.simulator.agents[sight.player]
            shown, columns = values[sight.player], []
            for feature in (*sight.own, *sight.common, *sight.points):
                columns.append(_rows(shown[feature.name], feature, count))
            table = torch.cat(columns, dim=1).numpy()
            found |= dict(zip(_names(sight, self.simulator.agents), table, strict=True))
        return found

    def _infos(self) -> dict[str, dict[str, Any]]:
        simulator = self.simulator
        now = simulator.time(self._t)
        ended = self._t == simulator.program.horizon  # nobody moves any more
        masks = {} if ended else simulator.program.module.legal(simulator.params, now, self._state)
        infos: dict[str, dict[str, Any]] = {agent: {} for agent in self.agents}
        for agent, (sight, i) in self._players.items():
            mask = masks.get(sight.field, masks.get(sight.player))
            if mask is not None:
                one = mask.reshape(-1, mask.shape[-1])
                infos[agent]["action_mask"] = one[i % len(one)].to(torch.int8).numpy()
        return infos

    def _together(self, sight: Sight, actions: Mapping[str, Action]) -> dict[str, Tensor]:
        """Actions of the members of a player by name, [1, N, ...] or [1, ...]."""
        given = self._given(sight, actions)
        found = {}
        for feature in sight.actions:
            name = feature.name
            each = [one[name] for one in given] if len(sight.actions) > 1 else given
            value = values_of(each, feature.type)
            found[name] = value if sight.single else value[None]
        return found

    def _given(self, sight: Sight, actions: Mapping[str, Action]) -> list[Any]:
        """The actions of the members of a player, all at once where nothing is odd about them."""
        names = _names(sight, self.simulator.agents)
        space, given = self.action_spaces[names[0]], [actions[agent] for agent in names]
        try:
            return list(point_of(given, batch_space(space, len(names)), "actions"))
        except ValueError:
            pairs = zip(names, given, strict=True)
            return [point_of(one, space, f"the action of {agent}") for agent, one in pairs]

    def _shares(self, paid: Any) -> dict[str, float]:
        shares = {}
        for agent, (sight, i) in self._players.items():
            value = getattr(paid, sight.field, None)
            value = torch.zeros(1) if value is None else value.reshape(-1)
            shares[agent] = float(value[i % len(value)])
        return shares


def _names(sight: Sight, agents: Mapping[str, int]) -> list[str]:
    """The agents of a player: groups are told by the number at the end of a name."""
    if sight.single:
        return [sight.player]
    return [f"{sight.player}_{i}" for i in range(agents[sight.player])]


def _rows(value: Tensor, feature: Feature, count: int) -> Tensor:
    """The value of a feature in one game as rows [count, entries] of single precision."""
    entries = int(np.prod(feature.type.dims, dtype=int))
    return value.detach().to(torch.float32).reshape(-1, entries).expand(count, -1)
