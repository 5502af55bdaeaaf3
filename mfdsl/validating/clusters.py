"""Many types as few: clusters with a member as centre, and how far the others are from it.

Centres are chosen one after another, each the type that is furthest from all before (Gonzalez,
"Clustering to minimize the maximum intercluster distance", 1985: at most twice the best radius).
The distance of two types is that of their kernels and rewards. Both are affine in the law, so that
it is largest at a law of one cell.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mfdsl.errors import UsageError
from mfdsl.game import Game
from mfdsl.runtime.finite_population.theorem_b import TypedGame
from mfdsl.validating.asymmetric import Everybody, starts_apart
from mfdsl.validating.blocks import Blocks, Floats, Ints
from mfdsl.validating.law_slopes import affine
from mfdsl.validating.typed_game import game_of_types, typed_program

MOST = 1024  # types of all populations that are looked at one by one
CENTRES = 256  # clusters of all populations, where there are more types than that
LARGEST_TABLE = 5 * 10**7


@dataclass(frozen=True)
class Features:
    """Kernels [types, points, next] and rewards [types, points] at all laws of one cell."""

    kernels: Floats
    rewards: Floats
    finals: Floats

    def distances(self, centre: int) -> Floats:
        """How far each type is from one, [types, 3]: l1 of next laws, rewards, final rewards."""
        kernels = np.abs(self.kernels - self.kernels[centre]).sum(-1).max(-1)
        rewards = np.abs(self.rewards - self.rewards[centre]).max(-1)
        finals = np.abs(self.finals - self.finals[centre]).max(-1)
        return np.stack([kernels, rewards, finals], -1)


def clustered(game: Game, everybody: Sequence[Everybody]) -> list[Everybody]:
    """The types, in clusters where there are more than MOST of all populations.

    Raises:
        UsageError: clusters are needed, and the game is not affine in the law, or its rules or its
            start depend on time or traits in a way that they do not allow.
    """
    total = sum(len(e.types.shares) for e in everybody)
    if total <= MOST or all(e.types.note is not None for e in everybody):
        return list(everybody)
    read = game.program.module
    if not affine(game.model) or "time" in read.WEIGHTS_READ | read.REWARDS_READ:
        raise UsageError(f"{total:,} types have clusters only where laws enter affinely, at all t")
    if any(starts_apart(game.model, p) for p in game.model.populations):
        raise UsageError(f"{total:,} types that start apart are too many for a bound")
    features, blocks = _features(game, everybody)
    found = []
    for k, own in enumerate(everybody):
        mine = blocks.types(k)
        if own.types.note is not None or not own.complete:
            raise UsageError("clusters are for types that are listed")
        found.append(_of_population(own, _part(features, mine, blocks, k), CENTRES // blocks.count))
    return found


def _features(game: Game, everybody: Sequence[Everybody]) -> tuple[Features, Blocks]:
    program, params, blocks = typed_program(game, [e.types for e in everybody])
    count = len(blocks.of_type)
    states, actions = program.state_count, program.action_count
    cells = states * actions
    if count * cells**2 * states > LARGEST_TABLE:
        raise UsageError(f"{count:,} types with {states} states are too many for a bound")
    typed = game_of_types(program, params, np.ones(count), 1, blocks)
    points = np.eye(cells).reshape(cells, states, actions)
    kernels = np.stack([typed.kernel(0, law) for law in points], 1)
    rewards = np.stack([typed.reward(0, law) for law in points], 1)
    return Features(kernels, rewards, _finals(typed, points)), blocks


def _finals(typed: TypedGame, points: Floats) -> Floats:
    """Final rewards [types, cells, states, actions]; 0 where there are none."""
    if typed.steps == 1:
        return np.zeros((len(typed.shares), 1, typed.initial.shape[1], 1))
    return np.stack([typed.reward(1, law) for law in points], 1)


def _part(features: Features, mine: Ints, blocks: Blocks, population: int) -> Features:
    """The features of the types of a population, at its own states."""
    rows, count = blocks.rows(population), len(mine)
    kernels = features.kernels[mine][:, :, rows]
    return Features(
        kernels.reshape(count, -1, kernels.shape[-1]),
        features.rewards[mine][:, :, rows].reshape(count, -1),
        features.finals[mine][:, :, rows].reshape(count, -1),
    )


def _of_population(own: Everybody, features: Features, most: int) -> Everybody:
    shares = own.types.shares / own.types.shares.sum()
    scale = np.maximum(features.distances(0).max(0), 1e-300)
    nearest = np.full(len(shares), np.inf)
    centre_of = np.zeros(len(shares), dtype=np.int64)
    apart = np.zeros((len(shares), 3))
    centres: list[int] = []
    while len(centres) < most and nearest.max() > 0:
        centre = int(nearest.argmax()) if centres else 0
        away = features.distances(centre)
        closer = (away / scale).max(-1) < nearest
        nearest = np.where(closer, (away / scale).max(-1), nearest)
        centre_of[closer], apart[closer] = len(centres), away[closer]
        centres.append(centre)
    worst = np.zeros((len(centres), 3))
    np.maximum.at(worst, centre_of, apart)
    types = replace(
        own.types,
        values={name: v[centres] for name, v in own.types.values.items()},
        shares=np.array([shares[centre_of == k].sum() for k in range(len(centres))]),
        centres=np.ones(len(centres), dtype=bool),
    )
    return Everybody(types, False, worst, float(shares @ apart[:, 0]))
