"""Linear-quadratic teams: one problem of the planner for s, one of each member's distance.

A member at x = m + h plays the mean action and `own` h: costs split into those of the means, which
the planner minimises over u, and those of h, which need no mean. The policies are the same for any
number of members; only what noise costs differs (Elliott, Li and Ni, Automatica 2013,
arXiv:1302.6416).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mfdsl.runtime.solvers.riccati.forms import Array, at, divided
from mfdsl.runtime.solvers.riccati.game import Game, mean_member
from mfdsl.runtime.solvers.riccati.plan import Rows, check_curve, parts_of

PLANNER = "the planner"


@dataclass(frozen=True, eq=False)
class TeamValues:
    """The team pays s' whole s and, for a member of each crowd at a distance h, h' apart[k] h.

    Noise is not in them: it depends on how many members there are.
    """

    whole: Array
    apart: tuple[Array, ...]


def final_team_values(game: Game) -> TeamValues:
    """What is paid at the end."""
    p = game.size
    whole = sum((s.final for s in game.singles), np.zeros((p, p)))
    for crowd in game.crowds:
        middle = np.concatenate([np.eye(p)[crowd.means], np.eye(p)])
        whole = whole + middle.T @ crowd.final @ middle
    return TeamValues(whole, tuple(c.final[: c.size, : c.size] for c in game.crowds))


def team_step(game: Game, t: int, after: TeamValues) -> tuple[Rows, TeamValues]:
    """The policies of a stage and its values, from those of the next one.

    Raises:
        SolverError: the planner has no best action.
    """
    p, q = game.size, len(game.controls)
    moves = at(game.moves, t)
    bent = sum((at(s.cost, t) for s in game.singles), np.zeros((p + q, p + q)))
    for crowd in game.crowds:
        middle = mean_member(game, crowd)
        bent = bent + middle.T @ at(crowd.cost, t) @ middle
    bent = bent + game.discount * moves.T @ after.whole @ moves
    controls = _least(bent, slice(0, p), slice(p, None), PLANNER, t)
    path = np.concatenate([np.eye(p), controls])
    own, common, apart = [], [], []
    for crowd, value in zip(game.crowds, after.apart, strict=True):
        x, _, a, _ = parts_of(game, crowd)
        both = np.r_[x, a]
        step = at(crowd.moves, t)[:, both]
        h = at(crowd.cost, t)[np.ix_(both, both)] + game.discount * step.T @ value @ step
        d = crowd.size
        gain = _least(h, slice(0, d), slice(d, None), crowd.name, t)
        around = np.concatenate([np.eye(d), gain])
        rest = controls[crowd.acts].copy()
        rest[:, crowd.means] -= gain
        own.append(gain)
        common.append(rest)
        apart.append(_symmetric(around.T @ h @ around))
    values = TeamValues(_symmetric(path.T @ bent @ path), tuple(apart))
    return Rows(tuple(own), tuple(common), controls), values


def _least(bent: Array, state: slice, act: slice, name: str, t: int) -> Array:
    """The matrix of the actions that make a quadratic cost of (state, act) least."""
    check_curve(bent[act, act], name, t)
    return -divided(bent[act, act], bent[act, state])


def _symmetric(matrix: Array) -> Array:
    return (matrix + matrix.T) / 2


def least_team_cost(game: Game, agents: Mapping[str, float]) -> float:
    """The least expected cost of the team, summed over majors and mean members, by its values.

    `agents` are by population, infinitely many where none are given.
    """
    assert game.stages is not None
    value, total, weights = final_team_values(game), 0.0, game.discount ** np.arange(game.stages)
    for t in reversed(range(game.stages)):
        own = [at(c.noise, t) for c in game.crowds]
        noise = _noise_of_team(game, value, at(game.shared, t), own, agents)
        total += game.discount * float(weights[t]) * noise
        value = team_step(game, t, value)[1]
    own = [c.start.own for c in game.crowds]
    mean = game.start.mean
    start = _noise_of_team(game, value, game.start.shared, own, agents)
    return total + start + float(mean @ value.whole @ mean)


def _noise_of_team(
    game: Game,
    value: TeamValues,
    shared: Array,
    own: Sequence[Array],
    agents: Mapping[str, float],
) -> float:
    """What draws with these loadings cost under the values of what follows."""
    total = float((value.whole * (shared @ shared.T)).sum())
    for crowd, load, apart in zip(game.crowds, own, value.apart, strict=True):
        share = 1.0 / agents.get(crowd.name, math.inf)
        noise = load @ load.T
        total += share * float((value.whole[crowd.means, crowd.means] * noise).sum())
        total += (1.0 - share) * float((apart * noise).sum())
    return total
