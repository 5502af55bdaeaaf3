"""Equilibria of linear-quadratic games with many members and majors, backwards in time.

At each stage everybody knows its own state and s, and the value of the next stage is a quadratic
form. A member minimises with s' fixed, since it moves no mean; a major with the actions of all
others fixed (Markov perfect). These first-order conditions are affine in s and in u, the actions of
majors and the mean actions, and hold in the mean; so u solves a linear system. Its matrix, divided
by everybody's own curvature, is the margin: where its determinant is 0 there is no equilibrium in
policies that read s, or there are many.

Sources: Bensoussan, Sung, Yam and Yung, Linear-quadratic mean field games, 2016, arXiv:1404.5741;
Huang, Large-population LQG games involving a major player, SIAM J. Control Optim. 2010.
"""

from dataclasses import dataclass

import numpy as np

from mfdsl.runtime.solvers.base import SolverError
from mfdsl.runtime.solvers.riccati.forms import Array, at, divided
from mfdsl.runtime.solvers.riccati.game import Crowd, Game
from mfdsl.runtime.solvers.riccati.plan import (
    Rows,
    check_curve,
    common_step,
    member_noise,
    member_step,
    noise_cost,
    parts_of,
    played,
)

SINGULAR = 1e-9  # of the reactions, below which their linear system has no sure solution


@dataclass(frozen=True, eq=False)
class Values:
    """Costs to go: a member of each crowd pays (x, s)' members[k] (x, s), a single s' singles s."""

    members: tuple[Array, ...]
    singles: tuple[Array, ...]


def final_values(game: Game) -> Values:
    """What is paid at the end."""
    return Values(tuple(c.final for c in game.crowds), tuple(s.final for s in game.singles))


def equilibrium_step(game: Game, t: int, after: Values) -> tuple[Rows, Values]:
    """The policies of a stage, and its values, from those of the next one.

    Raises:
        SolverError: somebody has no best action, or the reactions have no unique fixed point.
    """
    p, q = game.size, len(game.controls)
    bent = [_bent_member(game, c, t, v) for c, v in zip(game.crowds, after.members, strict=True)]
    whole = [
        at(s.cost, t) + game.discount * at(game.moves, t).T @ v @ at(game.moves, t)
        for s, v in zip(game.singles, after.singles, strict=True)
    ]
    left, right, curve = np.zeros((q, q)), np.zeros((q, p)), np.zeros((q, q))
    for crowd, h in zip(game.crowds, bent, strict=True):
        x, s, a, u = parts_of(game, crowd)
        check_curve(h[a, a], crowd.name, t)
        left[crowd.acts] = h[a, u]
        left[crowd.acts, crowd.acts] += h[a, a]
        right[crowd.acts] = -h[a, s]
        right[crowd.acts, crowd.means] -= h[a, x]
        curve[crowd.acts, crowd.acts] = h[a, a]
    for single, h in zip(game.singles, whole, strict=True):
        if not single.actions:
            continue
        acts = slice(p + single.acts.start, p + single.acts.stop)
        check_curve(h[acts, acts], single.name, t)
        left[single.acts] = h[acts, p:]
        right[single.acts] = -h[acts, :p]
        curve[single.acts, single.acts] = h[acts, acts]
    controls, margin = _fixed_point(left, right, curve, t)
    own, common = [], []
    for crowd, h in zip(game.crowds, bent, strict=True):
        x, s, a, u = parts_of(game, crowd)
        own.append(-divided(h[a, a], h[a, x]))
        common.append(-divided(h[a, a], h[a, s] + h[a, u] @ controls))
    rows = Rows(tuple(own), tuple(common), controls, margin)
    return rows, values_of(game, t, rows, after)


def values_of(game: Game, t: int, rows: Rows, after: Values) -> Values:
    """Everybody's cost to go when all follow these rows now, and have `after` from then on."""
    members, singles = [], []
    for k, (crowd, value) in enumerate(zip(game.crowds, after.members, strict=True)):
        path = played(crowd, rows.own[k], rows.common[k], rows.controls)
        found = path.T @ _bent_member(game, crowd, t, value) @ path
        found[-1, -1] += game.discount * noise_cost(value, member_noise(game, crowd, t))
        members.append((found + found.T) / 2)
    step, draws = common_step(game, t, rows.controls), at(game.shared, t)
    path = np.concatenate([np.eye(game.size), rows.controls])
    for single, value in zip(game.singles, after.singles, strict=True):
        found = path.T @ at(single.cost, t) @ path + game.discount * step.T @ value @ step
        found[-1, -1] += game.discount * noise_cost(value, draws @ draws.T)
        singles.append((found + found.T) / 2)
    return Values(tuple(members), tuple(singles))


def _bent_member(game: Game, crowd: Crowd, t: int, value: Array) -> Array:
    """The cost of z = (x, s, a, u) now and later, but for noise."""
    step = member_step(game, crowd, t)
    found: Array = at(crowd.cost, t) + game.discount * step.T @ value @ step
    return found


def _fixed_point(left: Array, right: Array, curve: Array, t: int) -> tuple[Array, float]:
    """The u = controls s where all first-order conditions hold, and the margin."""
    if not len(left):
        return right, 1.0
    reaction = divided(curve, left)
    if not float(np.linalg.svd(reaction, compute_uv=False)[-1]) > SINGULAR:
        raise SolverError(
            f"the reactions at t = {t} have no unique fixed point (their determinant is"
            f" {float(np.linalg.det(reaction)):.3g}): there is no equilibrium in policies of"
            " states and means, or there are many; the horizon or the couplings are critical"
        )
    return divided(left, right), float(np.linalg.det(reaction))
