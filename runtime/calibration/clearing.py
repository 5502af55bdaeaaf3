"""Parameters at which terms are 0 in logit equilibrium: prices that clear markets.

Nobody sets such a price: it is where what the crowd wants at the price adds up to what there is
(Walras 1874; with a mean field of traders Gomes and Saude 2021, arXiv 1807.07090). The equations
are solved by least squares with a trust region and bounds (Branch, Coleman and Li 1999, doi
10.1137/S1064827595289108), as scipy has it, each equilibrium starting from the one before.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import least_squares
from torch import Tensor

from mfdsl.runtime.calibration.equilibrium import LogitEquilibrium, logit_equilibrium, slopes_in
from mfdsl.runtime.calibration.fit import Array, inside, scales
from mfdsl.runtime.calibration.moving import Response

CLEARED = 1e-8  # of the largest residual at the start or of 1, whichever is more
NEAR_END = 1e-6  # of its scale: from here a number is tried at the end of its range
STEERED = 1e-9  # slopes below this part of the largest, or of 1, move nothing


@dataclass(frozen=True, eq=False)
class Cleared:
    """Values of the parameters, and what is left of each equation: `left` [equations] and, at the
    first values, `began`. `free` counts the directions in the numbers along which the equations do
    not move to first order.
    """

    theta: Float[Tensor, " entries"]
    left: Array = field(repr=False)
    began: Array = field(repr=False)
    at_end: tuple[int, ...]
    free: int
    converged: bool
    evaluations: int
    equilibrium: LogitEquilibrium = field(repr=False)


@dataclass(frozen=True, eq=False)
class Equations:
    """Terms that are to be 0, each the rewards of a game of its own: at every stage, or in the sum
    over stages, discounted and with what is paid at the end.
    """

    terms: tuple[Response, ...]
    each_stage: bool

    def __call__(self, theta: Tensor, scores: Tensor) -> Float[Tensor, " equations"]:
        """What is left of the equations."""
        laws, joints = self.terms[0].flow(theta, scores)
        if self.each_stage:
            return torch.cat([term.paid_at(theta, joints) for term in self.terms])
        return torch.stack([term.paid(theta, laws, joints) for term in self.terms])


def clear(
    response: Response,
    equations: Equations,
    bounds: Sequence[tuple[float, float]],
    evaluations: int,
) -> Cleared:
    """Values of the parameters of `response` between `bounds` [entries] that solve the equations,
    from those that are bound.

    Raises:
        CalibrationError: no equilibrium was found at some values.
    """
    path = _Path(response, equations)
    low, high = np.array(bounds, dtype=np.float64).T
    start = np.clip(response.start.cpu().numpy(), *inside(low, high))
    began = path.left(response.start.cpu().numpy())
    scale = scales(start, low, high)
    found = least_squares(
        path.left,
        start,
        path.slope,
        (low, high),
        x_scale=scale,
        ftol=1e-15,
        xtol=1e-14,
        gtol=1e-15,
        max_nfev=evaluations,
    )
    point = _ended(path, found.x, low, high, scale)
    left = path.left(point)
    size = max(1.0, float(np.abs(began).max(initial=0.0)))
    return Cleared(
        theta=path.last.theta,
        left=left,
        began=began,
        at_end=tuple(np.flatnonzero((point == low) | (point == high)).tolist()),
        free=_free(path.slope(point) * scale),
        converged=bool(np.abs(left).max(initial=0.0) <= CLEARED * size),
        evaluations=int(found.nfev),
        equilibrium=path.last,
    )


def _ended(path: "_Path", point: Array, low: Array, high: Array, scale: Array) -> Array:
    """Numbers next to an end of their range at it, if no more is left there: a trust region stays
    strictly inside.
    """
    moved = np.where(point - low <= NEAR_END * scale, low, point)
    moved = np.where(high - point <= NEAR_END * scale, high, moved)
    here, there = (np.abs(path.left(each)).max(initial=0.0) for each in (point, moved))
    return moved if there <= here else point


def _free(slope: Array) -> int:
    """How many directions the equations [equations, entries] do not follow."""
    sizes = np.linalg.svd(slope, compute_uv=False)
    return int(slope.shape[1] - (sizes > STEERED * max(1.0, sizes.max(initial=0.0))).sum())


class _Path:
    """The equilibria that the search went through."""

    def __init__(self, response: Response, equations: Equations) -> None:
        self.response, self.equations = response, equations
        self.last = logit_equilibrium(response, response.start)

    def left(self, point: Array) -> Array:
        """What is left of the equations at some values."""
        found = self._at(point)
        return np.asarray(self.equations(found.theta, found.scores).detach().cpu().numpy())

    def slope(self, point: Array) -> Array:
        """Its derivatives [equations, entries]."""
        slopes = slopes_in(self.response, self._at(point), self.equations)
        return np.asarray(slopes.T.cpu().numpy())

    def _at(self, point: Array) -> LogitEquilibrium:
        theta = torch.from_numpy(point.copy()).to(self.response.start)
        if not torch.equal(self.last.theta, theta):
            self.last = logit_equilibrium(self.response, theta, self.last)
        return self.last
