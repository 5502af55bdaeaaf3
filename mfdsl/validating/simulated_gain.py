"""What one agent of the N-player game gains by a response that the others do not follow, simulated.

Both plays have the same draws. The mean is an estimate of a lower bound of what the best deviation
gains, so that it must not lie above a certificate, up to its standard error.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mfdsl.errors import UsageError
from mfdsl.game import Game
from mfdsl.playing import by_table
from mfdsl.runtime.behaviours import Behaviour, Scene
from mfdsl.runtime.policy import TabularPolicy

MOST_AGENTS = 64_000  # of all games together
LEAST_GAMES = 8


@dataclass(frozen=True)
class SimulatedGain:
    """Mean gain over paired games and its standard error, in a game of `players`."""

    players: int
    mean: float
    std_error: float
    games: int


@dataclass(frozen=True)
class Deviator:
    """The agent who deviates, its hidden traits, and its actions `response` [stages, states]."""

    agent: int
    traits: Mapping[str, NDArray[np.float64]]
    response: NDArray[np.int64]


def simulated_gain(
    game: Game, policy: TabularPolicy, deviator: Deviator, players: int, *, seed: int
) -> SimulatedGain:
    """The gain of the deviator over following the policy, against players - 1 who follow it.

    Raises:
        UsageError: the game is on grids, or fewer than two players.
    """
    if players < 2 or game.program.grids:
        raise UsageError("a gain is simulated for two players or more with finite states")
    games = max(LEAST_GAMES, min(256, MOST_AGENTS // players))
    follow = by_table(game, policy)
    stages = len(deviator.response)
    returns = [
        _returns(game, _deviating(game, follow, policy, d), deviator, players, games, stages, seed)
        for d in (deviator, None)
    ]
    gain = returns[0] - returns[1]
    error = float(gain.std()) / math.sqrt(games)
    return SimulatedGain(players, float(gain.mean()), error, games)


def _returns(
    game: Game,
    behaviour: Behaviour,
    deviator: Deviator,
    players: int,
    games: int,
    stages: int,
    seed: int,
) -> Tensor:
    """The return of the agent in each game."""
    field = game.agents.populations[0]
    simulator = game.simulator(agents=players, batch=games, seed=seed)
    state = _with_traits(game, simulator.reset(), deviator)
    total = torch.zeros(games, dtype=torch.float64)
    for t in range(stages):
        action = behaviour(simulator.scene(t, state))
        state, rewards = simulator.step(t, state, action)
        total += game.agents.discount**t * getattr(rewards, field)[:, deviator.agent]
    if game.agents.module.HAS_FINAL:
        module: Any = game.agents.module
        final = module.final_rewards(simulator.params, simulator.time(stages), state)
        total += game.agents.discount**stages * getattr(final, field)[:, deviator.agent]
    return total


def _with_traits(game: Game, state: Any, deviator: Deviator) -> Any:
    field = game.agents.populations[0]
    group = getattr(state, field)
    names = dict(zip(game.agents.variables(field, "state"), group._fields, strict=True))
    changed = {}
    for name, value in deviator.traits.items():
        old = getattr(group, names[name])
        new = old.clone()
        new[:, deviator.agent] = torch.as_tensor(value).to(old)
        changed[names[name]] = new
    return state._replace(**{field: group._replace(**changed)})


def _deviating(
    game: Game, follow: Behaviour, policy: TabularPolicy, deviator: Deviator | None
) -> Behaviour:
    """Everybody follows but the deviator, who takes the actions of its response."""
    if deviator is None:
        return follow
    field = game.agents.populations[0]
    states = game.agents.variables(field, "state")
    actions = game.agents.variables(field, "action")
    response = torch.from_numpy(deviator.response)

    def behaviour(scene: Scene) -> Any:
        chosen = follow(scene)
        group = getattr(scene.state, field)
        flat = torch.zeros(scene.batch, dtype=torch.int64)
        for axis in policy.states:
            value = group[states.index(axis.name)][:, deviator.agent]
            flat = flat * axis.size + (value.to(torch.int64) - axis.first)
        best = response[scene.t][flat]
        own = getattr(chosen, field)
        changed = {}
        for axis in reversed(policy.actions):
            name = own._fields[actions.index(axis.name)]
            new = getattr(own, name).clone()
            new[:, deviator.agent] = (best % axis.size + axis.first).to(new.dtype)
            changed[name] = new
            best = best // axis.size
        return chosen._replace(**{field: own._replace(**changed)})

    return behaviour
