"""What one player gains by leaving an affine policy: its own control problem, solved exactly.

Against fixed policies of all others a member, or a major, has affine moves and a quadratic cost in
(x, s), or in s, so that its best response is one Riccati recursion. Nothing here knows how the
policy was found. A member of N moves the mean by 1 / N of what it does; of infinitely many, not.
"""

import math

import numpy as np

from mfdsl.runtime.solvers.base import SolverError
from mfdsl.runtime.solvers.riccati.flow import (
    Agents,
    common_moments,
    costs,
    noise_moments,
    start_moments,
)
from mfdsl.runtime.solvers.riccati.forms import Array, at, divided
from mfdsl.runtime.solvers.riccati.game import Crowd, Game, Single
from mfdsl.runtime.solvers.riccati.plan import Policy, check_curve, noise_cost, rows_at


def gains(game: Game, policy: Policy, agents: Agents | None = None) -> dict[str, float]:
    """By how much the best response of each player lowers its expected cost.

    Infinite where a deviation costs less than any number, as of a member who moves the mean.
    """
    numbers = agents or {}
    paid = costs(game, policy, numbers)
    found = {}
    for single in game.singles:
        if single.actions:
            found[single.name] = paid[single.name] - _least_of_single(game, policy, single, numbers)
    for k, crowd in enumerate(game.crowds):
        if crowd.actions:
            found[crowd.name] = paid[crowd.name] - _least_of_member(game, policy, k, crowd, numbers)
    return found


def _least_of_member(game: Game, policy: Policy, k: int, crowd: Crowd, agents: Agents) -> float:
    """The least cost of one member of a crowd whose other members keep to the policy."""
    assert game.stages is not None
    d, p, b = crowd.size, game.size, len(crowd.actions)
    share, value = 1.0 / agents.get(crowd.name, math.inf), crowd.final
    for t in reversed(range(game.stages)):
        rows = rows_at(policy, t)
        into = np.zeros((d + p + b + len(game.controls), d + p + b))  # z of (x, s, a)
        into[: d + p + b] = np.eye(d + p + b)
        into[d + p + b :, d : d + p] = rows.controls
        acts = slice(d + p + b + crowd.acts.start, d + p + b + crowd.acts.stop)
        into[acts, d + p :] += share * np.eye(b)
        into[acts, :d] -= share * rows.own[k]
        into[acts, d : d + p] -= share * rows.common[k]
        step = np.concatenate([at(crowd.moves, t), np.zeros((p, into.shape[0]))])
        moves = at(game.moves, t)
        step[d:, d : d + p], step[d:, d + p + b :] = moves[:, :p], moves[:, p:]
        whole = at(crowd.cost, t) + game.discount * step.T @ value @ step
        noise = game.discount * noise_cost(value, noise_moments(game, crowd, t, agents))
        found = _least(into.T @ whole @ into, d + p, crowd.name, t)
        if found is None:
            return -math.inf
        value = found
        value[-1, -1] += noise
    return float((value * start_moments(game, crowd, agents)).sum())


def _least_of_single(game: Game, policy: Policy, single: Single, agents: Agents) -> float:
    """The least cost of a major while everybody else keeps to the policy."""
    assert game.stages is not None
    p, value, own = game.size, single.final, len(single.actions)
    for t in reversed(range(game.stages)):
        into = np.zeros((p + len(game.controls), p + own))  # (s, u) of (s, own actions)
        into[:p, :p] = np.eye(p)
        into[p:, :p] = rows_at(policy, t).controls
        acts = slice(p + single.acts.start, p + single.acts.stop)
        into[acts] = 0.0
        into[acts, p:] = np.eye(own)
        step = at(game.moves, t)
        whole = at(single.cost, t) + game.discount * step.T @ value @ step
        noise = game.discount * noise_cost(value, _common_noise(game, t, agents))
        found = _least(into.T @ whole @ into, p, single.name, t)
        if found is None:
            return -math.inf
        value = found
        value[-1, -1] += noise
    start = next(iter(common_moments(game, policy, agents)))
    return float((value * start).sum())


def _common_noise(game: Game, t: int, agents: Agents) -> Array:
    """The covariance of the noise of s'."""
    if not game.crowds:
        draws = at(game.shared, t)
        found: Array = draws @ draws.T
        return found
    crowd = game.crowds[0]
    return noise_moments(game, crowd, t, agents)[crowd.size :, crowd.size :]


def _least(whole: Array, states: int, name: str, t: int) -> Array | None:
    """The least over the last entries of a quadratic cost; None where there is no least one."""
    try:
        check_curve(whole[states:, states:], name, t)
    except SolverError:
        return None
    gain = divided(whole[states:, states:], whole[states:, :states])
    found: Array = whole[:states, :states] - whole[:states, states:] @ gain
    return (found + found.T) / 2
