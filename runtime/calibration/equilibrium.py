"""Logit equilibria by Newton's method along falling temperatures, and their slopes in parameters.

A logit (quantal response) equilibrium is a fixed point z = G(z) of the soft best response in
scores (McKelvey and Palfrey 1995, doi 10.1006/game.1995.1023; in mean-field games Cui and Koeppl
2021, arXiv 2102.01585). Plain iteration only contracts when it is warm; Newton's method with
products of the Jacobian (Knoll and Keyes 2004, doi 10.1016/j.jcp.2003.08.010) converges wherever it
starts close enough, and a fall of the temperature from where everything contracts leads there. What
is found from afar lies on the branch that begins at the uniform policy.

By the implicit function theorem dz / dtheta = (1 - dG/dz)^{-1} dG/dtheta.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.calibration.law_system import ByLaws
from mfdsl.runtime.calibration.linear import Eliminated, Linear, products
from mfdsl.runtime.calibration.moving import TEMPERATURE, CalibrationError, Response

MOST_STEPS = 30
MOST_HALVINGS = 8
MOST_STAGES = 200
QUICK = 0.25  # of a residual, left by a step with an older matrix that is worth another one

NO_SLOPE = "the equilibrium has no slope in the parameters here: take a higher temperature"


@dataclass(frozen=True, eq=False)
class LogitEquilibrium:
    """A fixed point at parameters `theta`, with what is left of its equation. `scores` are the
    numbers of its point: of a stationary horizon the law follows them.
    """

    response: Response
    theta: Float[Tensor, " entries"]
    scores: Tensor
    residual: float

    @cached_property
    def linear(self) -> Linear:
        """The system (1 - dG/dz) x = right here."""
        return self.response.system(self.theta, self.scores)


def logit_equilibrium(
    response: Response,
    theta: Float[Tensor, " entries"],
    near: LogitEquilibrium | None = None,
) -> LogitEquilibrium:
    """The equilibrium that continues one `near`, else the one on the branch of the uniform policy.

    Raises:
        CalibrationError: none was found.
    """
    if near is not None:
        found = _newton(response, theta, near.scores, near.linear)
        if found is not None:
            return found
    return _cooled(response, theta)


@dataclass(frozen=True, eq=False)
class Slopes:
    """Derivatives of laws [entries, laws, S] and of what is earned [entries] at an equilibrium."""

    laws: Float[Tensor, "entries laws states"]
    earned: Float[Tensor, " entries"]


def slopes_of(response: Response, found: LogitEquilibrium) -> Slopes:
    """How laws and earnings at an equilibrium move with each parameter.

    Raises:
        CalibrationError: the equilibrium is where two branches meet, so that it has no slope.
    """

    def seen(theta: Tensor, scores: Tensor) -> Tensor:
        laws, joints = response.flow(theta, scores)
        return torch.cat([laws.reshape(-1), response.paid(theta, laws, joints).reshape(1)])

    slopes = slopes_in(response, found, seen)
    laws = slopes[:, :-1].reshape(len(found.theta), response.laws, -1)
    return Slopes(laws, slopes[:, -1])


def slopes_in(
    response: Response, found: LogitEquilibrium, seen: Callable[[Tensor, Tensor], Tensor]
) -> Float[Tensor, "entries seen"]:
    """How numbers seen(theta, scores) at an equilibrium move with each parameter.

    Raises:
        CalibrationError: the equilibrium is where two branches meet, so that it has no slope.
    """
    theta, scores = found.theta, found.scores
    moved = columns(lambda p: response(p, scores), theta)
    ways = [found.linear.solve(part) for part in moved]
    known = [way for way in ways if way is not None]
    if len(known) < len(ways):
        raise CalibrationError(NO_SLOPE)
    directions = torch.stack(known, -1)
    return columns(
        lambda shift: seen(theta + shift, scores + directions @ shift), torch.zeros_like(theta)
    )


def adjoint_slope(
    response: Response, found: LogitEquilibrium, value: Callable[[Tensor, Tensor], Tensor]
) -> Float[Tensor, " entries"]:
    """How a number value(theta, scores) at an equilibrium moves with each parameter.

    One linear system whatever the number of parameters: with (1 - dG/dz)^T u = dvalue/dz the slope
    is dvalue/dtheta + u dG/dtheta.

    Raises:
        CalibrationError: the equilibrium is where two branches meet, so that it has no slope.
    """
    with torch.enable_grad():
        theta = found.theta.detach().requires_grad_()
        scores = found.scores.detach().requires_grad_()
        number = value(theta, scores) + 0 * (theta.sum() + scores.sum())
        direct, pull = torch.autograd.grad(number, (theta, scores))
    way = found.linear.solve_transposed(pull)
    if way is None:
        raise CalibrationError(NO_SLOPE)
    with torch.enable_grad():
        answer = response(theta, found.scores) + 0 * theta.sum()
        (through,) = torch.autograd.grad(answer, theta, way)
    return direct + through


def _cooled(response: Response, theta: Tensor) -> LogitEquilibrium:
    """Newton's method at falling temperatures; steps are halved where it fails."""
    target = float(response.bound(theta)[1])
    first = response.begin(theta)
    warmth, found = 1.0, _newton(response, theta, first)
    while found is None and warmth < 1e12:
        warmth *= 4
        found = _newton(_warmed(response, warmth * target), _at(response, theta, warmth), first)
    ratio = 0.25
    for _ in range(MOST_STAGES):
        if found is None or warmth == 1.0:
            break
        colder = max(1.0, warmth * ratio)
        start = response.cooled(found.scores, warmth / colder)
        here = _warmed(response, colder * target)
        better = _newton(here, _at(response, theta, colder), start)
        if better is None:
            ratio = ratio**0.5
            if ratio > 0.999:
                break
            continue
        warmth, found, ratio = colder, better, max(0.1, ratio**1.5)
    if found is None or warmth != 1.0:
        raise CalibrationError(
            f"no equilibrium was found at temperature {target:g}: take a higher one"
        )
    return replace(found, response=response, theta=theta)


def _warmed(response: Response, temperature: float) -> Response:
    return replace(response, temperature=temperature)


def _at(response: Response, theta: Tensor, warmth: float) -> Tensor:
    """Parameters with the temperature among them raised, if it is."""
    if not response.warms:
        return theta
    factors = [warmth if name == TEMPERATURE else 1.0 for name, _ in response.entries]
    return theta * torch.tensor(factors).to(theta)


def _newton(
    response: Response, theta: Tensor, start: Tensor, known: Linear | None = None
) -> LogitEquilibrium | None:
    """Newton's method from scores near enough; None where it does not settle.

    A matrix that is `known`, of a point near by, serves as long as it lowers the residual quickly:
    where it is written out, it costs as much as dozens of steps.
    """
    scores = start
    off = response(theta, scores) - scores
    size = float(off.norm())
    older = known if isinstance(known, Eliminated | ByLaws) else None
    for _ in range(MOST_STEPS):
        if not np.isfinite(size):
            return None
        if response.settled(scores, off):
            if not response.reached(theta, scores + off):
                return None
            return LogitEquilibrium(response, theta, scores + off, size)
        way = (older or response.system(theta, scores)).solve(off)
        searched = None if way is None else _shortened(response, theta, scores, way, size)
        if older is not None and (searched is None or searched[2] > QUICK * size):
            older = None
            if searched is None:
                continue
        if searched is None:
            return None
        scores, off, size = searched
    return None


def _shortened(
    response: Response, theta: Tensor, scores: Tensor, way: Tensor, size: float
) -> tuple[Tensor, Tensor, float] | None:
    """The first of ever shorter steps that lowers the residual."""
    for halving in range(MOST_HALVINGS):
        share = 0.5**halving
        here = response.stepped(scores, share * way)
        off = response(theta, here) - here
        left = float(off.norm())
        if left <= (1 - 0.1 * share) * size:
            return here, off, left
    return None


def columns(function: Callable[[Tensor], Tensor], point: Float[Tensor, " entries"]) -> Tensor:
    """Derivatives of a function in each of a few numbers, one after the other."""
    product = products(function, point)
    return torch.stack([product(unit) for unit in torch.eye(len(point)).to(point)])
