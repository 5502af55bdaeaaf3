"""Means, covariances and costs under affine policies, forwards in time, with any number of agents.

The pair (x, s) of one member and the common vector is Gaussian, or has at least these first two
moments, which are all that quadratic costs read. With N members a mean moves with 1 / N of the
noise of each; in the limit it does not.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mfdsl.runtime.solvers.riccati.forms import Array, at
from mfdsl.runtime.solvers.riccati.game import Crowd, Game
from mfdsl.runtime.solvers.riccati.plan import (
    Policy,
    Rows,
    common_step,
    member_step,
    played,
    rows_at,
)

Agents = Mapping[str, float]  # by population; infinity where none is given


@dataclass(frozen=True, eq=False)
class Flow:
    """`means` [T + 1, p] and `spread` [T + 1, p, p] are those of s; `members` has the covariance
    [T + 1, d, d] of a member of each crowd, common noise in it.
    """

    means: Array
    spread: Array
    members: tuple[Array, ...]


def costs(game: Game, policy: Policy, agents: Agents | None = None) -> dict[str, float]:
    """Expected costs of every player who is paid, a population's of one of its members."""
    found = {}
    numbers = agents or {}
    assert game.stages is not None
    for single in game.singles:
        total, weight = 0.0, 1.0
        for t, second in enumerate(common_moments(game, policy, numbers)):
            if t == game.stages:
                total += weight * float((single.final * second).sum())
                break
            path = np.concatenate([np.eye(game.size), rows_at(policy, t).controls])
            total += weight * float(((path.T @ at(single.cost, t) @ path) * second).sum())
            weight *= game.discount
        found[single.name] = total
    for k, crowd in enumerate(game.crowds):
        total, weight = 0.0, 1.0
        for t, second in enumerate(moments(game, policy, k, numbers)):
            if t == game.stages:
                total += weight * float((crowd.final * second).sum())
                break
            path = _played(policy, crowd, k, t)
            total += weight * float(((path.T @ at(crowd.cost, t) @ path) * second).sum())
            weight *= game.discount
        found[crowd.name] = total
    return found


def flow(game: Game, policy: Policy, agents: Agents | None = None) -> Flow:
    """Means and covariances at t = 0, ..., T; of s with so many agents, of members in the limit."""
    still = replace(game.start, mean=np.zeros(game.size))
    crowds = [replace(c, start=replace(c.start, mean=np.zeros(c.size))) for c in game.crowds]
    centred = replace(game, start=still, crowds=tuple(crowds))  # second moments are covariances
    spread = np.stack(list(common_moments(centred, policy, agents or {})))
    members = []
    for k, crowd in enumerate(game.crowds):
        d = crowd.size
        members.append(np.stack([m[:d, :d] for m in moments(centred, policy, k, {})]))
    means = [game.start.mean]
    assert game.stages is not None
    for t in range(game.stages):
        means.append(common_step(game, t, rows_at(policy, t).controls) @ means[-1])
    return Flow(np.stack(means), spread, tuple(members))


def moments(game: Game, policy: Policy, k: int, agents: Agents) -> Iterator[Array]:
    """Second moments [d + p, d + p] of (x, s) of a member of crowd k; the last column is the mean.

    Raises:
        AssertionError: the game has no end.
    """
    crowd = game.crowds[k]
    second = start_moments(game, crowd, agents)
    yield second
    assert game.stages is not None
    for t in range(game.stages):
        step = member_step(game, crowd, t) @ _played(policy, crowd, k, t)
        second = step @ second @ step.T + noise_moments(game, crowd, t, agents)
        yield second


def common_moments(game: Game, policy: Policy, agents: Agents) -> Iterator[Array]:
    """Second moments [p, p] of s; the last column is the mean."""
    start = game.start
    second = np.outer(start.mean, start.mean) + start.shared @ start.shared.T
    second = second + _of_means(game, [c.start.own for c in game.crowds], agents)
    yield second
    assert game.stages is not None
    for t in range(game.stages):
        step, draws = common_step(game, t, rows_at(policy, t).controls), at(game.shared, t)
        noise = draws @ draws.T + _of_means(game, [at(c.noise, t) for c in game.crowds], agents)
        second = step @ second @ step.T + noise
        yield second


def start_moments(game: Game, crowd: Crowd, agents: Agents) -> Array:
    """Second moments of (x, s) at t = 0."""
    first = np.concatenate([crowd.start.mean, game.start.mean])
    shared = np.concatenate([crowd.start.shared, game.start.shared])
    own = [c.start.own for c in game.crowds]
    found: Array = np.outer(first, first) + _noise(
        game, crowd, crowd.start.own, shared, own, agents
    )
    return found


def noise_moments(game: Game, crowd: Crowd, t: int, agents: Agents) -> Array:
    """The covariance of the noise of (x', s') of one member among so many."""
    shared = np.concatenate([at(crowd.shared, t), at(game.shared, t)])
    own = [at(c.noise, t) for c in game.crowds]
    return _noise(game, crowd, at(crowd.noise, t), shared, own, agents)


def _noise(
    game: Game, crowd: Crowd, mine: Array, shared: Array, own: Sequence[Array], agents: Agents
) -> Array:
    d = crowd.size
    whole: Array = shared @ shared.T
    alone = mine @ mine.T
    whole[:d, :d] += alone
    whole[d:, d:] += _of_means(game, own, agents)
    means = slice(d + crowd.means.start, d + crowd.means.stop)
    number = agents.get(crowd.name, math.inf)
    whole[:d, means] += alone / number
    whole[means, :d] += alone / number
    return whole


def _of_means(game: Game, own: Sequence[Array], agents: Agents) -> Array:
    """The covariance of means of finitely many independent loadings."""
    found = np.zeros((game.size, game.size))
    for crowd, load in zip(game.crowds, own, strict=True):
        found[crowd.means, crowd.means] = load @ load.T / agents.get(crowd.name, math.inf)
    return found


def _played(policy: Policy, crowd: Crowd, k: int, t: int) -> Array:
    rows: Rows = rows_at(policy, t)
    return played(crowd, rows.own[k], rows.common[k], rows.controls)
