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


@dataclass(frozen=True, eq=False)
class Deviator:
    """The agent of a population who deviates, its hidden traits, and the table that it follows."""

    population: str
    agent: int
    traits: Mapping[str, NDArray[np.float64]]
    response: TabularPolicy


def simulated_gain(
    game: Game, policy: TabularPolicy, deviator: Deviator, players: int, *, seed: int
) -> SimulatedGain:
    """The gain of the deviator over following the policy, among `players` in each population.

    Raises:
        UsageError: the game is on grids, the past cannot be told, or fewer than two players.
    """
    if players < 2 or game.program.grids:
        raise UsageError("a gain is simulated for two players or more with finite states")
    games = max(LEAST_GAMES, min(256, MOST_AGENTS // players))
    stays = by_table(game, policy)
    leaves = _deviating(game, stays, by_table(game, deviator.response), deviator)
    gain = _returns(game, leaves, deviator, players, games, seed)
    gain -= _returns(game, stays, deviator, players, games, seed)
    error = float(gain.std()) / math.sqrt(games)
    return SimulatedGain(players, float(gain.mean()), error, games)


def _field(game: Game, population: str) -> str:
    return next(f for f, name in game.agents.names.items() if name == population)


def _returns(
    game: Game, behaviour: Behaviour, deviator: Deviator, players: int, games: int, seed: int
) -> Tensor:
    """The return of the agent in each game."""
    field, stages = _field(game, deviator.population), game.program.horizon or 0
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
    field = _field(game, deviator.population)
    group = getattr(state, field)
    names = dict(zip(game.agents.variables(field, "state"), group._fields, strict=True))
    changed = {}
    for name, value in deviator.traits.items():
        old = getattr(group, names[name])
        new = old.clone()
        new[:, deviator.agent] = torch.as_tensor(value).to(old)
        changed[names[name]] = new
    return state._replace(**{field: group._replace(**changed)})


def _deviating(game: Game, stays: Behaviour, leaves: Behaviour, deviator: Deviator) -> Behaviour:
    """Everybody follows the first behaviour, but the deviator the second."""
    field, agent = _field(game, deviator.population), deviator.agent

    def behave(scene: Scene) -> Any:
        usual, instead = stays(scene), leaves(scene)
        part, new = getattr(usual, field), getattr(instead, field)
        values = [
            torch.cat([b[:, :agent], a[:, agent : agent + 1], b[:, agent + 1 :]], 1)
            for b, a in zip(part, new, strict=True)
        ]
        return usual._replace(**{field: type(part)(*values)})

    return behave
