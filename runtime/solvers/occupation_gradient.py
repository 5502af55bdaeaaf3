"""Occupation-measure optimisation by gradient steps on an objective that equilibria bring to 0."""

from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.evaluate import Evaluation, View
from mfdsl.runtime.layout import inner
from mfdsl.runtime.solvers.base import State
from mfdsl.runtime.solvers.nash_options import OccupationOptimisationConfig
from mfdsl.runtime.solvers.occupation_residual import Residual, residual
from mfdsl.runtime.views.finite import FiniteView, state_values
from mfdsl.runtime.views.stationary import StationaryView

# Adam's own constants (Kingma and Ba 2015, arXiv 1412.6980).
MEMORY, SQUARED_MEMORY = 0.9, 0.999
SHRINKAGE = 0.5
NOBODY = 1e-12

Point = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Occupation(State):
    """The law `mass` of states and actions, `values` and `gaps` of actions, in units of `scale`.

    `first_*` and `second_*` are Adam's moments, `weights` the prices of the flow and of the value
    residuals, `rate` the step of each game; `low` is the least objective so far and `waited` the
    number of steps since.
    """

    mass: Float[Tensor, "batch stages states actions"]
    values: Float[Tensor, "batch stages states"]
    gaps: Float[Tensor, "batch stages states actions"]
    first_mass: Float[Tensor, "batch stages states actions"]
    first_values: Float[Tensor, "batch stages states"]
    first_gaps: Float[Tensor, "batch stages states actions"]
    second_mass: Float[Tensor, "batch stages states actions"]
    second_values: Float[Tensor, "batch stages states"]
    second_gaps: Float[Tensor, "batch stages states actions"]
    scale: Float[Tensor, " batch"]
    weights: Float[Tensor, "batch 2"]
    rate: Float[Tensor, " batch"]
    low: Float[Tensor, " batch"]
    waited: Float[Tensor, " batch"]


@dataclass(frozen=True)
class GradientSteps:
    """Steps of Adam on flow_weight |flow equations|^2 + value_weight |Bellman equations|^2 +
    gap_weight <gaps, mass>, then a projection.

    Of the mass d onto the laws of each stage, of the gaps z onto z >= 0 with sum at most
    S A (T^2 + T + 2) and of the values onto the ball of radius S (T + 1) (T + 2) / 2, T the last
    stage, in units of the largest reward along the first flow: MF-OMO, Guo, Hu and Zhang 2022,
    arXiv 2206.09608. Equilibria are the zeros of the objective, whatever the game; it is not
    convex, so that steps may end elsewhere. It starts from the flow of the uniform policy with the
    values of the best response, where the objective is gap_weight times the exploitability.

    Steps of the mass are smaller by sqrt(S A), which helps in large games. The step halves when the
    objective has not fallen for `patience` steps. With `balance` the two weights double or halve
    every so many iterations while a residual is ten times the others or a tenth of them. The policy
    is the mass conditioned on the state.
    """

    config: OccupationOptimisationConfig

    def init(self, view: View) -> Occupation:
        """The uniform policy, its flow, and the best response to it."""
        assert isinstance(view, FiniteView | StationaryView)
        config, evaluation = self.config, Evaluation(view, view.uniform())
        flow, best_q = evaluation.flow, evaluation.best_q
        assert flow.problem is not None
        scale = flow.problem.rewards.abs().amax((0, 1, 2)).clamp(min=NOBODY)
        if flow.problem.final is not None and getattr(view, "truncation", None) is None:
            scale = torch.maximum(scale, flow.problem.final.abs().amax(0))
        best = state_values(best_q)
        gaps = (best[..., None] - best_q).where(best_q > -torch.inf, 0)
        unit = scale[:, None, None]
        mass, values, gaps = flow.joint.contiguous(), best / unit, gaps / unit[..., None]
        zeros = (mass * 0, values * 0, gaps * 0)
        one = torch.ones_like(scale)
        return Occupation(
            0,
            evaluation.policy.probs,
            mass,
            values,
            gaps,
            *zeros,
            *zeros,
            scale,
            torch.stack([one * config.flow_weight, one * config.value_weight], -1),
            one * config.learning_rate,
            one * torch.inf,
            one * 0,
        )

    def step(self, evaluation: Evaluation, state: Occupation) -> Occupation:
        """Some steps of Adam, and the policy of the mass."""
        view, config = evaluation.view, self.config
        assert isinstance(view, FiniteView | StationaryView)
        uniform = view.uniform().probs
        legal = (uniform > 0).expand_as(state.mass)
        point = (state.mass, state.values, state.gaps)
        first = (state.first_mass, state.first_values, state.first_gaps)
        second = (state.second_mass, state.second_values, state.second_gaps)
        weights, rate, low, waited = state.weights.t(), state.rate, state.low, state.waited
        for k in range(config.updates):
            found, slopes = self._slopes(view, point, state.scale, weights)
            value = self._objective(found, weights)
            waited = torch.where(value < low, 0, waited + 1)
            low = torch.minimum(low, value)
            tired = waited >= config.patience
            rate, waited = torch.where(tired, rate * SHRINKAGE, rate), waited.where(~tired, 0)
            count = state.iteration * config.updates + k + 1
            first, second = _moments(first, second, slopes)
            point = _projected(_moved(point, first, second, rate, count), legal)
        if config.balance and (state.iteration + 1) % config.balance == 0:
            weights = balanced(weights, found)
            low = torch.full_like(low, torch.inf)
        sums = point[0].sum(-1, keepdim=True)
        probs = (point[0] / sums).where(sums > NOBODY, uniform).contiguous()
        return Occupation(
            state.iteration + 1,
            probs,
            *point,
            *first,
            *second,
            state.scale,
            weights.t(),
            rate,
            low,
            waited,
        )

    def _objective(self, found: Residual, weights: Tensor) -> Float[Tensor, " batch"]:
        return (
            weights[0] * found.flow
            + weights[1] * found.values
            + self.config.gap_weight * found.gaps
        )

    def _slopes(
        self, view: FiniteView | StationaryView, point: Point, scale: Tensor, weights: Tensor
    ) -> tuple[Residual, Point]:
        """The residuals at a point and the gradient of the objective; games do not touch."""
        with torch.enable_grad():
            mass, values, gaps = (part.detach().requires_grad_() for part in point)
            found = residual(view, inner(mass), values.permute(1, 2, 0), inner(gaps), scale)
            total = self._objective(found, weights).sum()
            slopes = cast(Point, torch.autograd.grad(total, (mass, values, gaps)))
        return Residual(found.flow.detach(), found.values.detach(), found.gaps.detach()), slopes


def _moments(first: Point, second: Point, slopes: Point) -> tuple[Point, Point]:
    """Means of the gradients and of their squares, as Adam forgets them."""
    means = (torch.lerp(s, m, MEMORY) for m, s in zip(first, slopes, strict=True))
    squares = (torch.lerp(s * s, m, SQUARED_MEMORY) for m, s in zip(second, slopes, strict=True))
    a, b, c = means
    d, e, f = squares
    return (a, b, c), (d, e, f)


def _moved(point: Point, first: Point, second: Point, rate: Tensor, count: int) -> Point:
    """A step of Adam for each game at its own rate, that of the mass over sqrt(S A)."""
    grown, squared = 1 - MEMORY**count, 1 - SQUARED_MEMORY**count
    # 1.5e-8 in double precision; in single one 3e-4, so that steps do not follow rounding errors
    smallest = torch.finfo(rate.dtype).eps ** 0.5

    def part(at: Tensor, mean: Tensor, square: Tensor, own: Tensor) -> Tensor:
        size = own.view(-1, *[1] * (at.ndim - 1))
        norm = (square / squared).sqrt() + smallest
        return at.addcdiv(size * mean / -grown, norm)

    # masses are spread over all pairs of a stage, values and gaps are not
    finer = rate * point[0][0, 0].numel() ** -0.5
    rates = (finer, rate, rate)
    a, b, c = (part(*entry) for entry in zip(point, first, second, rates, strict=True))
    return a, b, c


def _projected(point: Point, legal: Tensor) -> Point:
    """Laws by stage, gaps that are not negative, and both gaps and values within their bounds."""
    mass, values, gaps = point
    _, stages, states, actions = mass.shape
    last = stages - 1
    one = torch.ones_like(mass[:, :, 0, 0])
    laws = to_simplex(mass.masked_fill(~legal, -torch.inf).flatten(2), one).view_as(mass)
    most = float(states * actions * (last**2 + last + 2))
    gaps = gaps.clamp(min=0).where(legal, 0)
    over = gaps.sum((1, 2, 3)) > most
    if over.any():
        within = to_simplex(gaps.flatten(1), torch.full_like(one[:, 0], most)).view_as(gaps)
        gaps = within.where(over[:, None, None, None], gaps)
    radius = states * (last + 1) * (last + 2) / 2
    size = values.square().sum((1, 2), keepdim=True).sqrt()
    return laws, values * (radius / size.clamp(min=radius)), gaps


def to_simplex(
    points: Float[Tensor, "*rows entries"], total: Float[Tensor, "*rows"]
) -> Float[Tensor, "*rows entries"]:
    """The nearest points with entries at least 0 that sum to `total`; minus infinity stays out.

    By sorting (Held, Wolfe and Crowder 1974, doi 10.1007/BF01580223).
    """
    ordered = points.sort(-1, descending=True).values
    there = ordered > -torch.inf
    sums = ordered.where(there, 0).cumsum(-1) - total[..., None]
    counts = torch.arange(1, points.shape[-1] + 1, dtype=points.dtype, device=points.device)
    kept = (there & (ordered * counts > sums)).sum(-1, keepdim=True).clamp(min=1)
    threshold = sums.gather(-1, kept - 1) / kept
    return (points - threshold).clamp(min=0)


def balanced(weights: Tensor, found: Residual) -> Tensor:
    """A weight doubles where its residual is ten times the others, and halves at a tenth."""
    flow, values, gaps = found.flow, found.values, found.gaps
    changed = []
    for weight, own, others in (
        (weights[0], flow, torch.maximum(values, gaps)),
        (weights[1], values, torch.maximum(flow, gaps)),
    ):
        doubled = torch.where(own > 10 * others, weight * 2, weight)
        changed.append(torch.where(own < others / 10, weight / 2, doubled))
    return torch.stack(changed)
