"""Affine policies by stage, and the step that they make of a linear-quadratic game."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mfdsl.runtime.solvers.base import SolverError
from mfdsl.runtime.solvers.riccati.forms import Array, at
from mfdsl.runtime.solvers.riccati.game import Crowd, Game

FLAT = 1e-9  # of the largest entry, below which a curvature is none


@dataclass(frozen=True, eq=False)
class Policy:
    """What everybody does: members of crowd k play own[k][t] x + common[k][t] s, [T, b, d] and
    [T, b, p], majors and means follow u = controls[t] s, [T, q, p].

    `margins` [T] says how far the stages are from having no equilibrium or many: the determinant
    of everybody's reaction to everybody, 1 where nobody reacts (1 + B^2 Pi / D for one population
    of one state); all ones for a team.
    """

    own: tuple[Array, ...]
    common: tuple[Array, ...]
    controls: Array
    margins: Array

    @property
    def stages(self) -> int:
        """The number of stages."""
        return len(self.controls)


@dataclass(frozen=True, eq=False)
class Rows:
    """The policy of one stage: own [b, d] and common [b, p] of each crowd, controls [q, p]."""

    own: tuple[Array, ...]
    common: tuple[Array, ...]
    controls: Array
    margin: float = 1.0


def policy_of(rows: Sequence[Rows]) -> Policy:
    """The policy whose stages are these rows, in order of time."""
    crowds = range(len(rows[0].own))
    return Policy(
        tuple(np.stack([r.own[k] for r in rows]) for k in crowds),
        tuple(np.stack([r.common[k] for r in rows]) for k in crowds),
        np.stack([r.controls for r in rows]),
        np.array([r.margin for r in rows]),
    )


def rows_at(policy: Policy, t: int) -> Rows:
    """The rows of a stage; the last ones go on for ever."""
    t = min(t, policy.stages - 1)
    return Rows(
        tuple(own[t] for own in policy.own),
        tuple(common[t] for common in policy.common),
        policy.controls[t],
        float(policy.margins[t]),
    )


def common_step(game: Game, t: int, controls: Array) -> Array:
    """The matrix of s' when u = controls s."""
    moves = at(game.moves, t)
    found: Array = moves[:, : game.size] + moves[:, game.size :] @ controls
    return found


def member_step(game: Game, crowd: Crowd, t: int) -> Array:
    """The matrix that takes z = (x, s, a, u) to (x', s')."""
    d, p, b = crowd.size, game.size, len(crowd.actions)
    moves = at(game.moves, t)
    whole = np.zeros((d + p, d + p + b + len(game.controls)))
    whole[:d] = at(crowd.moves, t)
    whole[d:, d : d + p] = moves[:, :p]
    whole[d:, d + p + b :] = moves[:, p:]
    return whole


def member_noise(game: Game, crowd: Crowd, t: int) -> Array:
    """The covariance of the noise of (x', s') of one member of infinitely many."""
    own = at(crowd.noise, t)
    both = np.concatenate([at(crowd.shared, t), at(game.shared, t)])
    noise: Array = both @ both.T
    noise[: crowd.size, : crowd.size] += own @ own.T
    return noise


def played(crowd: Crowd, own: Array, common: Array, controls: Array) -> Array:
    """The matrix that takes (x, s) to z of a member who plays these rows."""
    d, p = crowd.size, common.shape[1]
    top = np.eye(d + p)
    act = np.concatenate([own, common], axis=1)
    rest = np.concatenate([np.zeros((len(controls), d)), controls], axis=1)
    return np.concatenate([top, act, rest])


def noise_cost(value: Array, noise: Array) -> float:
    """The expected cost of a noise with this covariance under a quadratic value."""
    return float((value * noise).sum())


def parts_of(game: Game, crowd: Crowd) -> tuple[slice, slice, slice, slice]:
    """Where x, s, a and u stand in z."""
    d, p, b = crowd.size, game.size, len(crowd.actions)
    return slice(0, d), slice(d, d + p), slice(d + p, d + p + b), slice(d + p + b, None)


def check_curve(curve: Array, name: str, t: int) -> None:
    """Refuse costs that have no least action.

    Raises:
        SolverError: their curvature [actions, actions] is not above 0, or not finite.
    """
    if not len(curve):
        return
    if not np.isfinite(curve).all():
        raise SolverError(
            f"the costs of {name} from t = {t} on are no finite numbers: states or weights are too"
            " large for so many stages"
        )
    least = float(np.linalg.eigvalsh((curve + curve.T) / 2)[0])
    if not least > FLAT * max(float(np.abs(curve).max()), 1e-300):
        raise SolverError(
            f"{name} has no best action at t = {t}: the cost of its action has curvature"
            f" {2 * least:.3g}, which has to be above 0"
        )
