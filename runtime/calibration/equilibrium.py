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

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse.linalg import LinearOperator, gmres
from torch import Tensor

from mfdsl.runtime.calibration.response import TEMPERATURE, CalibrationError, SoftResponse

SETTLED = 1e-10  # residual of scores relative to their size
MOST_STEPS = 30
MOST_HALVINGS = 8
MOST_STAGES = 200
DENSE = 1200  # numbers up to which the matrix is written out
KRYLOV = 60
LINEAR = 1e-10  # relative residual of linear systems

Solver = Callable[[Tensor], Tensor | None]


@dataclass(frozen=True, eq=False)
class LogitEquilibrium:
    """Scores of a fixed point at parameters `theta`, with what is left of its equation."""

    theta: Float[Tensor, " names"]
    scores: Float[Tensor, "stages states actions"]
    residual: float


def logit_equilibrium(
    response: SoftResponse,
    theta: Float[Tensor, " names"],
    near: LogitEquilibrium | None = None,
) -> LogitEquilibrium:
    """The equilibrium that continues one `near`, else the one on the branch of the uniform policy.

    Raises:
        CalibrationError: none was found.
    """
    if near is not None:
        found = _newton(response, theta, near.scores)
        if found is not None:
            return found
    return _cooled(response, theta)


@dataclass(frozen=True, eq=False)
class Slopes:
    """Derivatives of laws [names, T + 1, S] and of what is earned [names] at an equilibrium."""

    laws: Float[Tensor, "names laws states"]
    earned: Float[Tensor, " names"]


def slopes_of(response: SoftResponse, found: LogitEquilibrium) -> Slopes:
    """How laws and earnings at an equilibrium move with each parameter.

    Raises:
        CalibrationError: the equilibrium is where two branches meet, so that it has no slope.
    """
    theta, scores = found.theta, found.scores
    moved = columns(lambda p: response(p, scores), theta)
    solve = _solver(response, theta, scores)
    ways = [solve(part) for part in moved]
    known = [way for way in ways if way is not None]
    if len(known) < len(ways):
        raise CalibrationError(
            "the equilibrium has no slope in the parameters here: take a higher temperature"
        )
    directions = torch.stack(known, -1)

    def along(shift: Tensor) -> Tensor:
        here = theta + shift, scores + directions @ shift
        return torch.cat([response.flow(*here)[0].reshape(-1), response.earned(*here).reshape(1)])

    slopes = columns(along, torch.zeros_like(theta))
    laws = slopes[:, :-1].reshape(len(theta), response.stages + 1, -1)
    return Slopes(laws, slopes[:, -1])


def _cooled(response: SoftResponse, theta: Tensor) -> LogitEquilibrium:
    """Newton's method at falling temperatures; steps are halved where it fails."""
    target = float(response.bound(theta)[1])
    zero = theta.new_zeros(response.shape)
    warmth, found = 1.0, _newton(response, theta, zero)
    while found is None and warmth < 1e12:
        warmth *= 4
        found = _newton(_warmed(response, warmth * target), _at(response, theta, warmth), zero)
    ratio = 0.25
    for _ in range(MOST_STAGES):
        if found is None or warmth == 1.0:
            break
        colder = max(1.0, warmth * ratio)
        start = found.scores * (warmth / colder)
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
    return replace(found, theta=theta)


def _warmed(response: SoftResponse, temperature: float) -> SoftResponse:
    return replace(response, temperature=temperature)


def _at(response: SoftResponse, theta: Tensor, warmth: float) -> Tensor:
    """Parameters with the temperature among them raised, if it is."""
    if TEMPERATURE not in response.names:
        return theta
    factors = [warmth if name == TEMPERATURE else 1.0 for name in response.names]
    return theta * torch.tensor(factors).to(theta)


def _newton(response: SoftResponse, theta: Tensor, start: Tensor) -> LogitEquilibrium | None:
    """Newton's method from scores near enough; None where it does not settle."""
    scores = start
    off = response(theta, scores) - scores
    size = float(off.norm())
    for _ in range(MOST_STEPS):
        if not np.isfinite(size):
            return None
        if size <= SETTLED * (1 + float(scores.norm())):
            return LogitEquilibrium(theta, scores + off, size)
        way = _solver(response, theta, scores)(off)
        if way is None:
            return None
        searched = _shortened(response, theta, scores, way, size)
        if searched is None:
            return None
        scores, off, size = searched
    return None


def _shortened(
    response: SoftResponse, theta: Tensor, scores: Tensor, way: Tensor, size: float
) -> tuple[Tensor, Tensor, float] | None:
    """The first of ever shorter steps that lowers the residual."""
    for halving in range(MOST_HALVINGS):
        share = 0.5**halving
        here = scores + share * way
        off = response(theta, here) - here
        left = float(off.norm())
        if left <= (1 - 0.1 * share) * size:
            return here, off, left
    return None


def _solver(response: SoftResponse, theta: Tensor, scores: Tensor) -> Solver:
    """Solves (1 - dG/dz) x = right, None where there is no solution: by elimination where the
    matrix is small, else by products.
    """
    if scores.numel() <= DENSE:
        return _eliminated(response, theta, scores)
    return _by_products(response, theta, scores)


def _eliminated(response: SoftResponse, theta: Tensor, scores: Tensor) -> Solver:
    count = scores.numel()
    unit = torch.eye(count).to(scores)
    with torch.enable_grad():
        here = scores.detach().requires_grad_()
        value = response(theta, here) + 0 * here  # a game may not read the law at all
        rows = unit.reshape(count, *value.shape)
        (jacobian,) = torch.autograd.grad(value, here, rows, is_grads_batched=True)
    matrix = unit - jacobian.reshape(count, count)
    factors, pivots, flag = torch.linalg.lu_factor_ex(matrix)

    def solve(right: Tensor) -> Tensor | None:
        if flag.item() != 0:
            return None
        found = torch.linalg.lu_solve(factors, pivots, right.reshape(-1, 1)).reshape(scores.shape)
        return found if bool(found.isfinite().all()) else None

    return solve


def _by_products(response: SoftResponse, theta: Tensor, scores: Tensor) -> Solver:
    count, apply = scores.numel(), products(lambda z: response(theta, z), scores)

    def product(vector: np.ndarray) -> np.ndarray:
        part = torch.from_numpy(np.asarray(vector, np.float64)).to(scores).reshape(scores.shape)
        return np.asarray((part - apply(part)).reshape(-1).cpu().numpy())

    operator = LinearOperator((count, count), matvec=product, dtype=np.float64)

    def solve(right: Tensor) -> Tensor | None:
        flat = right.detach().reshape(-1).cpu().numpy()
        found, flag = gmres(operator, flat, rtol=LINEAR, restart=KRYLOV, maxiter=10)
        if flag != 0 or not np.isfinite(found).all():
            return None
        return torch.from_numpy(found).to(scores).reshape(scores.shape)

    return solve


def columns(function: Callable[[Tensor], Tensor], point: Float[Tensor, " names"]) -> Tensor:
    """Derivatives of a function in each of a few numbers, one after the other."""
    product = products(function, point)
    return torch.stack([product(unit) for unit in torch.eye(len(point)).to(point)])


def products(function: Callable[[Tensor], Tensor], point: Tensor) -> Callable[[Tensor], Tensor]:
    """Products of the Jacobian of a function at a point with vectors.

    The product of its transpose with u is linear in u, so the derivative of that is the product
    wanted; one backward pass for each vector, where forward mode traces all operations anew.
    """
    with torch.enable_grad():
        here = point.detach().requires_grad_()
        value = function(here) + 0 * here.sum()  # which need not depend on the point at all
        weights = torch.zeros_like(value).requires_grad_()
        (pulled,) = torch.autograd.grad(value, here, weights, create_graph=True)

    def apply(direction: Tensor) -> Tensor:
        (found,) = torch.autograd.grad(pulled, weights, direction, retain_graph=True)
        return found

    return apply
