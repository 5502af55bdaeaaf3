"""The player that gains most in the limit, and what it gains when it is simulated."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from mfdsl.compiler.ir.model import Player
from mfdsl.game import Game
from mfdsl.runtime.finite_population.theorem_b import TypedFlow, TypedGame
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.validating.asymmetric import starts_apart
from mfdsl.validating.simulated_gain import (
    LEAST_GAMES,
    MOST_AGENTS,
    Deviator,
    SimulatedGain,
    simulated_gain,
)


def best_response(game: TypedGame, flow: TypedFlow, kind: int) -> NDArray[np.int64]:
    """Best actions [steps, states] of one type against the flow."""
    best = np.zeros(game.initial.shape[1])
    actions = np.zeros((game.steps, len(best)), dtype=np.int64)
    for h in reversed(range(game.steps)):
        kernel, reward = flow.kernels[kind, h], flow.rewards[kind, h]
        q = reward + game.discount * kernel @ best
        if game.legal is not None:
            q = np.where(game.legal > 0, q, -np.inf)
        actions[h], best = q.argmax(-1), q.max(-1)
    return actions


def deviator_of(
    game: Game,
    player: Player,
    typed: TypedGame,
    flow: TypedFlow,
    kind: int,
    traits: Mapping[str, NDArray[np.float64]],
) -> Deviator | None:
    """An agent of the type `kind` with its best response; None where nobody can be made one.

    Of agents that stand in files it is the first one with these traits.
    """
    if starts_apart(game.model, player) or game.program.grids:
        return None
    response = best_response(typed, flow, kind)[: game.program.horizon or 0]
    probs = torch.from_numpy(np.eye(game.program.action_count)[response])[None]
    table = TabularPolicy(probs, game.program.state_axes(), game.program.action_axes())
    if not player.fixed:
        return Deviator(player.name, 0, traits, table)
    state = game.simulator(batch=1).reset()
    field = next(f for f, name in game.agents.names.items() if name == player.name)
    fields = game.agents.variables(field, "state")
    same = np.ones(player.agents or 0, dtype=bool)
    for name, value in traits.items():
        given = getattr(state, field)[fields.index(name)][0].numpy()
        close = np.isclose(given, value, rtol=1e-9)
        same &= close.reshape(len(same), -1).all(-1)
    if not same.any():
        return None
    return Deviator(player.name, int(np.flatnonzero(same)[0]), {}, table)


def simulated_worst(
    game: Game,
    policy: TabularPolicy,
    deviator: Deviator | None,
    agents: Sequence[int],
    seed: int,
) -> SimulatedGain | None:
    """The gain of the deviator among the fewest agents; None where that is too long to play."""
    if deviator is None or min(agents) > MOST_AGENTS // LEAST_GAMES:
        return None
    given = [p.agents for p in game.model.populations if p.fixed]
    if given and any(n != min(agents) for n in given):
        return None
    return simulated_gain(game, policy, deviator, min(agents), seed=seed)
