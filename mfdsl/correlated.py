"""Coarse correlated equilibria: from a spec to a mixture of policies, kept and played."""

from dataclasses import dataclass
from pathlib import Path

import numpy
import torch

from mfdsl import api
from mfdsl.errors import UsageError
from mfdsl.game import Game
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.solvers.base import SolverError
from mfdsl.runtime.solvers.correlated import Mixture, coarse_correlated
from mfdsl.runtime.views.particles import Simulation


@dataclass(frozen=True)
class Played:
    """The mean return of an agent over games in which all follow one draw, with its error."""

    mean: float
    std_error: float
    games: int
    drawn: tuple[int, ...]


def correlate(
    game: Game,
    *,
    iterations: int = 100,
    tolerance: float = 1e-6,
    rate: float = 1.0,
    temperature: float = 1.0,
) -> Mixture:
    """A mixture of policies with the least coarse gap that was found.

    Raises:
        UsageError: the game is a team, has no tables, a stationary horizon, or moves that read the
            law.
    """
    if game.model.objective == "team":
        raise UsageError(
            f"the players of {game.name} are a team: nobody leaves a recommendation",
            "--solver social_gradient",
        )
    try:
        return coarse_correlated(
            game.program,
            iterations=iterations,
            tolerance=tolerance,
            rate=rate,
            temperature=temperature,
        )
    except SolverError as error:
        raise UsageError(str(error)) from None


def play(
    game: Game, mixture: Mixture, *, agents: int = 1000, games: int = 32, seed: int = 0
) -> Played:
    """Games of N agents: in each one policy is drawn, and everybody follows it.

    Raises:
        UsageError: the game is not tabular as it is written, or a size is out of range.
    """
    if not game.model.tabular:
        raise UsageError(
            f"{game.name} is not tabular as it is written: play its policies one by one"
        )
    drawn = mixture.drawn(seed, games).tolist()
    program = game.program
    returns: list[torch.Tensor] = []
    for place in sorted(set(drawn)):
        probs = mixture.policies[place][None]
        policy = TabularPolicy(probs, program.state_axes(), program.action_axes())
        found = api.simulate(
            game, policy, agents=agents, batch=drawn.count(place), seed=seed + place
        )
        assert isinstance(found, Simulation)
        returns.append(found.returns.flatten())
    each = torch.cat(returns)
    error = float(each.std() / len(each) ** 0.5) if len(each) > 1 else 0.0
    counts = tuple(drawn.count(place) for place in range(len(mixture.weights)))
    return Played(float(each.mean()), error, games, counts)


def save_mixture(mixture: Mixture, path: Path) -> None:
    """Write `policies` [K, T, S, A] and `weights` [K] as an npz file.

    Raises:
        UsageError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        numpy.savez_compressed(
            path, policies=mixture.policies.numpy(), weights=mixture.weights.numpy()
        )
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
