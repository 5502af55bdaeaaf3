"""Parameters that are best for a leader, whose followers are in logit equilibrium at each of them.

The leader announces a rule and keeps it, the crowd plays its game under the rule, and the leader
is paid for what the crowd does: a Stackelberg game with a mean field of followers (Aurell, Carmona,
Dayanikli and Lauriere 2022, arXiv 2011.03105), a mathematical program with equilibrium constraints.
Each slope takes one linear system, however many numbers the rule has; steps are those of L-BFGS-B
(Byrd, Lu, Nocedal and Zhu 1995, doi 10.1137/0916069), as scipy has it. What is found is a local
optimum along one branch of equilibria.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import minimize
from torch import Tensor

from mfdsl.runtime.calibration.equilibrium import (
    LogitEquilibrium,
    adjoint_slope,
    logit_equilibrium,
)
from mfdsl.runtime.calibration.fit import Array, scales
from mfdsl.runtime.calibration.moving import Response

SETTLED = 1e-9  # slope of the value, each number in its own scale, at which the search ends
AT_END = 1e-9  # of its scale: a number as near as this to an end of its range is there
GOOD = 1e-6  # and the one, relative to the value, that counts as an optimum


@dataclass(frozen=True, eq=False)
class Counted:
    """What counts for the leader with one weight: what followers earn in `response`, which has some
    of the terms of their rewards, and the parameters, moves and legal actions of all.
    """

    response: Response
    weight: float


@dataclass(frozen=True, eq=False)
class Led:
    """The best rule that was found.

    `value` is what it is worth to the leader, `began` what the first one was, with their
    equilibria. `slope` is the most that the value still gains, to first order, by a move of one
    number within its bounds. `at_end` has the places of numbers at an end of their range. `flat`
    says that the first values have no slope, so that the search did not begin.
    """

    theta: Float[Tensor, " entries"]
    value: float
    began: float
    slope: float
    at_end: tuple[int, ...]
    flat: bool
    converged: bool
    evaluations: int
    first: LogitEquilibrium = field(repr=False)
    equilibrium: LogitEquilibrium = field(repr=False)


def lead(
    response: Response,
    counted: Sequence[Counted],
    bounds: Sequence[tuple[float, float]],
    evaluations: int,
    start: Float[Tensor, " entries"] | None = None,
) -> Led:
    """The best values of the parameters of `response` between `bounds` [entries], from those that
    are bound or from `start`, within so many equilibria.

    Raises:
        CalibrationError: no equilibrium was found at some values.
    """
    path = _Path(response, counted)
    low, high = np.array(bounds, dtype=np.float64).T
    first = np.clip((response.start if start is None else start).cpu().numpy(), low, high)
    scale = scales(first, low, high)
    began, rises = path.at(first)
    kept = path.equilibrium
    found = minimize(
        lambda moved: path.loss(np.clip(moved * scale, low, high), scale),
        first / scale,
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(low / scale, high / scale, strict=True)),
        options={"maxfun": evaluations, "maxiter": evaluations, "ftol": 1e-15, "gtol": SETTLED},
    )
    point = np.clip(found.x * scale, low, high)
    value, slope = path.at(point)
    left = _rise(slope, point, low, high, scale)
    near = np.minimum(point - low, high - point)
    return Led(
        theta=path.equilibrium.theta,
        value=value,
        began=began,
        slope=left,
        at_end=tuple(np.flatnonzero(near <= AT_END * scale).tolist()),
        flat=bool((np.abs(rises * scale) <= SETTLED).all()),
        converged=left <= GOOD * (1 + abs(value)),
        evaluations=int(found.nfev),
        first=kept,
        equilibrium=path.equilibrium,
    )


@dataclass(eq=False)
class _Path:
    """The equilibria that the search went through: each starts from the one before."""

    response: Response
    counted: Sequence[Counted]
    last: LogitEquilibrium | None = None

    @property
    def equilibrium(self) -> LogitEquilibrium:
        """The one at the values that were asked for last."""
        assert self.last is not None
        return self.last

    def at(self, point: Array) -> tuple[float, Array]:
        """What some values are worth, and the slope of that."""
        theta = torch.from_numpy(point.copy()).to(self.response.start)
        if self.last is None or not torch.equal(self.last.theta, theta):
            self.last = logit_equilibrium(self.response, theta, self.last)
        value = worth(self.counted, theta, self.last.scores)
        slope = adjoint_slope(self.response, self.last, lambda p, z: worth(self.counted, p, z))
        return float(value), np.asarray(slope.cpu().numpy())

    def loss(self, point: Array, scale: Array) -> tuple[float, Array]:
        """The same as what is to be made small, in the scales of the numbers."""
        value, slope = self.at(point)
        return -value, -slope * scale


def worth(counted: Sequence[Counted], theta: Tensor, scores: Tensor) -> Float[Tensor, ""]:
    """What the leader gets when followers play the policy of these scores."""
    along = counted[0].response.flow(theta, scores)
    return torch.stack([each.weight * each.response.paid(theta, *along) for each in counted]).sum()


def _rise(slope: Array, point: Array, low: Array, high: Array, scale: Array) -> float:
    """The most that the value gains, to first order, by a move of one number within its bounds and
    by its scale at most.
    """
    room = np.minimum(np.where(slope > 0, high - point, point - low), scale)
    return float((np.abs(slope) * room).max(initial=0.0))
