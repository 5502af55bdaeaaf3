"""Parameters of a game from an observed flow: least squares on shares in logit equilibrium.

The structural estimation of dynamic discrete choice (Rust 1987, doi 10.2307/1911259), where the
population that everybody responds to is the one that their choices make. Slopes come from the
implicit function theorem; steps are those of a trust region with bounds (Branch, Coleman and Li
1999, doi 10.1137/S1064827595289108), as scipy has it.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.optimize import least_squares
from torch import Tensor

from mfdsl.runtime.calibration.equilibrium import (
    LogitEquilibrium,
    Slopes,
    logit_equilibrium,
    slopes_of,
)
from mfdsl.runtime.calibration.moving import CalibrationError, Response

Array = NDArray[np.float64]
ROUNDING = 1e-6  # of shares that add up to a whole
BLURRED = 1e-7  # of the largest singular value: below this a direction is not seen in the data


@dataclass(frozen=True, eq=False)
class Observed:
    """Shares [rows] that were seen: each the mass at one time, `times` [rows], of the states of
    `cells` [rows, S] (1 where it counts). Errors count with `weights` [rows], those of shares in
    the inverse of their standard deviations. `groups` [K, S] are the states (1) of each population,
    whose shares add up to 1 / K.
    """

    times: NDArray[np.int64]
    cells: Float[Tensor, "rows states"]
    shares: Array
    weights: Array
    groups: Float[Tensor, "populations states"]

    @property
    def free(self) -> int:
        """How many of the shares say something: without those of no weight, and one less each time
        that shares of all states add up as they must, so that the last follows from the others.
        """
        counted = self.weights > 0
        cells, groups = self.cells.cpu().numpy(), self.groups.cpu().numpy()
        found = int(counted.sum())
        for time in np.unique(self.times[counted]):
            now = counted & (self.times == time)
            for group in groups:
                inside = now & (cells @ (1 - group) == 0)
                covered, mass = cells[inside].sum(0), self.shares[inside].sum() * len(groups)
                times = covered[group > 0].min(initial=np.inf) if inside.any() else 0.0
                if times > 0 and np.array_equal(covered, times * group):
                    found -= int(times) if abs(mass - times) < ROUNDING else 0
        return found


@dataclass(frozen=True, eq=False)
class Fit:
    """Fitted values, their standard errors (nan where the data do not see them), what is left.

    `rms` is the weighted root mean square of `left` [rows], shares of the equilibrium minus
    observed ones. `blurred` has combinations of parameters that the data do not see, the
    coefficients by name; `at_end` names those at an end of their range, where the data ask for
    more and errors mean little. `spare` is how many shares more than parameters there are: without
    any, what is left says nothing of the noise, and all errors are nan. `equilibrium` is the one
    at the fitted values.
    """

    values: dict[str, float]
    errors: dict[str, float]
    rms: float
    left: Array = field(repr=False)
    blurred: tuple[dict[str, float], ...]
    at_end: tuple[str, ...]
    spare: int
    converged: bool
    evaluations: int
    equilibrium: LogitEquilibrium = field(repr=False)


@dataclass(eq=False)
class _Path:
    """The equilibria that a fit went through: each starts from the one before."""

    response: Response
    data: Observed
    last: LogitEquilibrium | None = None
    slopes: Slopes | None = None

    def at(self, point: Array) -> LogitEquilibrium:
        """The equilibrium at some values, kept while they stay."""
        theta = torch.from_numpy(point.copy()).to(self.response.start)
        if self.last is None or not torch.equal(self.last.theta, theta):
            self.last = logit_equilibrium(self.response, theta, self.last)
        return self.last

    def left(self, point: Array) -> Array:
        """Weighted differences of shares."""
        found = self.at(point)
        laws, _ = self.response.flow(found.theta, found.scores)
        return self._seen(laws) * self.data.weights - self.data.shares * self.data.weights

    def slope(self, point: Array) -> Array:
        """Their derivatives [rows, names]."""
        laws = slopes_of(self.response, self.at(point)).laws
        return np.stack([self._seen(law) * self.data.weights for law in laws], -1)

    def _seen(self, laws: Tensor) -> Array:
        rows = laws[torch.from_numpy(self.data.times).to(laws.device)]
        return np.asarray((rows * self.data.cells).sum(-1).detach().cpu().numpy())


def fit(
    response: Response, data: Observed, bounds: list[tuple[float, float]], evaluations: int
) -> Fit:
    """Values of the parameters of `response` between `bounds` whose logit equilibrium is nearest to
    the data, from those that are bound.

    Raises:
        CalibrationError: no equilibrium was found at the start, or nothing in the data depends on
            the parameters.
    """
    path = _Path(response, data)
    start = response.start.cpu().numpy()
    low, high = np.array(bounds).T
    start = np.clip(start, *inside(low, high))
    if not np.any(path.slope(start)):
        raise CalibrationError("no observed share moves with the parameters that are to be fitted")
    found = least_squares(
        path.left,
        start,
        path.slope,
        (low, high),
        x_scale=scales(start, low, high),
        ftol=1e-15,
        xtol=1e-12,
        gtol=1e-14,
        max_nfev=evaluations,
    )
    slope = path.slope(found.x)
    spare = max(0, data.free - len(response.names))
    variance = float((found.fun**2).sum()) / spare if spare else float("nan")
    errors, blurred = _errors(slope, variance, scales(start, low, high), response.names)
    left = np.divide(found.fun, data.weights, out=np.zeros_like(found.fun), where=data.weights > 0)
    return Fit(
        values=dict(zip(response.names, map(float, found.x), strict=True)),
        errors=errors,
        rms=float(np.sqrt((found.fun**2).sum() / max(1e-300, (data.weights**2).sum()))),
        left=left,
        blurred=blurred,
        at_end=tuple(n for n, e in zip(response.names, found.active_mask, strict=True) if e),
        spare=spare,
        converged=bool(found.status > 0),
        evaluations=int(found.nfev),
        equilibrium=path.at(found.x),
    )


def inside(low: Array, high: Array) -> tuple[Array, Array]:
    """Ends that lie strictly between the bounds, where a trust region may begin."""
    room = np.where(np.isfinite(high - low), 1e-6 * (high - low), 1e-9)
    return low + room, high - room


def scales(start: Array, low: Array, high: Array) -> Array:
    """How far parameters may go: the width of their range, or their size."""
    width = high - low
    size = np.maximum(np.abs(start), 1e-3)
    return np.where(np.isfinite(width), np.minimum(width, 10 * size), size)


def _errors(
    slope: Array, variance: float, scales: Array, names: tuple[str, ...]
) -> tuple[dict[str, float], tuple[dict[str, float], ...]]:
    """Standard errors, and directions in the space of parameters that the data do not see."""
    few = max(0, len(names) - len(slope))  # rows of nothing, for the directions beyond the data
    padded = np.pad(slope * scales, ((0, few), (0, 0)))
    _, sizes, ways = np.linalg.svd(padded, full_matrices=False)
    seen = sizes > BLURRED * max(sizes.max(), 1e-300)
    blurred = tuple(
        {n: float(c * s) for n, c, s in zip(names, way, scales, strict=True) if abs(c) > 1e-3}
        for way, ok in zip(ways, seen, strict=True)
        if not ok
    )
    shares = (ways[seen] / sizes[seen, None]) ** 2
    errors = scales * np.sqrt(variance * shares.sum(0))
    hidden = {name for way in blurred for name in way}
    return {
        n: float("nan") if n in hidden else float(e) for n, e in zip(names, errors, strict=True)
    }, blurred
