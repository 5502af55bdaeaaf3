"""Occupation-measure optimisation by gradient steps on an objective that equilibria bring to 0."""

from dataclasses import dataclass, fields, replace
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.evaluate import Evaluation, View
from mfdsl.runtime.flow import Flow
from mfdsl.runtime.layout import inner, outer_laws
from mfdsl.runtime.solvers.base import KeptState, unscored
from mfdsl.runtime.solvers.occupation_residual import Residual, residual
from mfdsl.runtime.solvers.options import OccupationOptimisationConfig
from mfdsl.runtime.solvers.single_games import games_of
from mfdsl.runtime.solvers.state_rows import joined, taken
from mfdsl.runtime.views.finite import FiniteView, state_values, tail_value
from mfdsl.runtime.views.settling import law_kernel
from mfdsl.runtime.views.stationary import StationaryView
from mfdsl.runtime.views.tables import Problem, flow_rewards

# Adam's own constants (Kingma and Ba 2015, arXiv 1412.6980).
MEMORY, SQUARED_MEMORY = 0.9, 0.999
SHRINKAGE = 0.5
NOBODY = 1e-12
TRIED = 100  # steps from each start, then the one of less exploitability goes on
MOST_TRIED = 1 << 16  # entries of a table: in larger games trials would take too long

KEPT = ("iteration", "probs", "scale")  # the same at both starts

Game = FiniteView | StationaryView
Point = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Occupation(KeptState):
    """The law `mass` of states and actions, `values` and `gaps` of actions, in units of `scale`.

    `first_*` and `second_*` are Adam's moments, `weights` the prices of the three residuals,
    `rates` the steps of the mass, and of values and gaps; `low` is the least objective so far and
    `waited` the number of steps since.
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
    weights: Float[Tensor, "batch 3"]
    rates: Float[Tensor, "batch 2"]
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
    convex, so that steps may end elsewhere, and where they end depends on the `start`.

    `flow`: the flow of the uniform policy with the values of the best response, where the objective
    is gap_weight times the exploitability; steps of the mass are smaller by sqrt(S A). `even`: all
    states alike at every stage, with the values of the best response to that law, the objective and
    equal steps in units of the rewards themselves, as in MFGLib. Neither is better in all games:
    `auto` makes `TRIED` steps from both in the first iteration, and then goes on from the start
    whose policy had less exploitability, in games that are not too large for this.

    The step halves when the objective has not fallen for `patience` steps. With `balance` the two
    weights double or halve every so many iterations while a residual is ten times the others or a
    tenth of them. The policy is the mass conditioned on the state.
    """

    config: OccupationOptimisationConfig

    def init(self, view: View) -> Occupation:
        """The uniform policy, a law, and the best response to it.

        Adam divides by the size of what it has seen, so that a rounding of a start comes back as
        1e-9 and more: games of a batch begin where each would alone, to the last digit.
        """
        assert isinstance(view, Game)
        return joined([self._begun(game) for game in games_of(view)])

    def _begun(self, view: Game) -> Occupation:
        evaluation = Evaluation(view, view.uniform())
        flow, best_q = evaluation.flow, evaluation.best_q
        assert flow.problem is not None
        scale = flow.problem.rewards.abs().amax((0, 1, 2)).clamp(min=NOBODY)
        if flow.problem.final is not None and getattr(view, "truncation", None) is None:
            scale = torch.maximum(scale, flow.problem.final.abs().amax(0))
        # masses are spread over all pairs of a stage, values and gaps are not
        mass, one = flow.joint.contiguous(), torch.ones_like(scale)
        finer = one * mass[0, 0].numel() ** -0.5
        state = self._at(evaluation.policy.probs, mass, best_q, scale, (one,) * 3, (finer, one))
        return self._even(view, state) if self.config.start == "even" else state

    def _even(self, view: Game, state: Occupation) -> Occupation:
        """The start at a law with all states alike, in units of the rewards themselves."""
        probs, scale = state.probs, state.scale
        mass = (probs / probs.shape[2]).expand_as(state.mass).contiguous()
        one = torch.ones_like(scale)
        weights, steps = (one, scale.square(), scale), (one, 1 / scale)
        return self._at(probs, mass, _best_against(view, mass), scale, weights, steps)

    def _at(
        self,
        probs: Tensor,
        mass: Tensor,
        best_q: Tensor,
        scale: Tensor,
        weights: tuple[Tensor, Tensor, Tensor],
        steps: tuple[Tensor, Tensor],
    ) -> Occupation:
        """At a mass with the values of the best response; `weights` and `steps` are factors."""
        config, unit = self.config, scale[:, None, None]
        best = state_values(best_q)
        gaps = (best[..., None] - best_q).where(best_q > -torch.inf, 0)
        values, gaps = best / unit, gaps / unit[..., None]
        zeros = (mass * 0, values * 0, gaps * 0)
        prices = (config.flow_weight, config.value_weight, config.gap_weight)
        return Occupation(
            0,
            probs,
            *unscored(probs),
            mass,
            values,
            gaps,
            *zeros,
            *zeros,
            scale,
            torch.stack([w * price for w, price in zip(weights, prices, strict=True)], -1),
            torch.stack([step * config.learning_rate for step in steps], -1),
            torch.full_like(scale, torch.inf),
            torch.zeros_like(scale),
        )

    def step(self, evaluation: Evaluation, state: Occupation) -> Occupation:
        """Some steps of Adam, and the policy of the mass; in the first one maybe another start."""
        view, config = evaluation.view, self.config
        assert isinstance(view, Game)
        if not state.iteration and config.start == "auto" and state.mass[0].numel() <= MOST_TRIED:
            state = self._better_start(view, state)
        state, found = self._descended(view, state, config.updates)
        if config.balance and (state.iteration + 1) % config.balance == 0:
            two = balanced(state.weights.t()[:2], found)
            weights = torch.cat([two.t(), state.weights[:, 2:]], 1)
            state = replace(state, weights=weights, low=torch.full_like(state.low, torch.inf))
        return replace(state, iteration=state.iteration + 1)

    def _better_start(self, view: Game, flow: Occupation) -> Occupation:
        """The start from which some steps lead to less exploitability, game by game."""
        games = enumerate(games_of(view))
        even = joined([self._even(game, taken(flow, [b])) for b, game in games])
        ends = (self._descended(view, start, TRIED)[0] for start in (flow, even))
        here, there = (view.exploitability(view.policy(end.probs)) for end in ends)
        better = there < here
        chosen: dict[str, Any] = {}
        for name in (entry.name for entry in fields(flow) if entry.name not in KEPT):
            one, other = getattr(flow, name), getattr(even, name)
            chosen[name] = torch.where(better.view(-1, *[1] * (one.ndim - 1)), other, one)
        return replace(flow, **chosen)

    def _descended(
        self, view: Game, state: Occupation, updates: int
    ) -> tuple[Occupation, Residual]:
        """The state after so many steps of Adam, and the residuals before the last one."""
        uniform = view.uniform().probs
        legal = (uniform > 0).expand_as(state.mass)
        point = (state.mass, state.values, state.gaps)
        first = (state.first_mass, state.first_values, state.first_gaps)
        second = (state.second_mass, state.second_values, state.second_gaps)
        rates, low, waited = state.rates, state.low, state.waited
        for k in range(updates):
            found, slopes = self._slopes(view, point, state.scale, state.weights.t())
            value = self._objective(found, state.weights.t())
            waited = torch.where(value < low, 0, waited + 1)
            low = torch.minimum(low, value)
            tired = waited >= self.config.patience
            rates = torch.where(tired[:, None], rates * SHRINKAGE, rates)
            waited = waited.where(~tired, 0)
            count = state.iteration * self.config.updates + k + 1
            first, second = _moments(first, second, slopes)
            point = _projected(_moved(point, first, second, rates, count), legal)
        sums = point[0].sum(-1, keepdim=True)
        probs = (point[0] / sums).where(sums > NOBODY, uniform).contiguous()
        after = Occupation(
            state.iteration,
            probs,
            state.best,
            state.gap,
            state.reached,
            *point,
            *first,
            *second,
            state.scale,
            state.weights,
            rates,
            low,
            waited,
        )
        return after, found

    def _objective(self, found: Residual, weights: Tensor) -> Float[Tensor, " batch"]:
        return weights[0] * found.flow + weights[1] * found.values + weights[2] * found.gaps

    def _slopes(
        self, view: Game, point: Point, scale: Tensor, weights: Tensor
    ) -> tuple[Residual, Point]:
        """The residuals at a point and the gradient of the objective; games do not touch."""
        with torch.enable_grad():
            mass, values, gaps = (part.detach().requires_grad_() for part in point)
            found = residual(view, inner(mass), values.permute(1, 2, 0), inner(gaps), scale)
            total = self._objective(found, weights).sum()
            slopes = cast(Point, torch.autograd.grad(total, (mass, values, gaps)))
        return Residual(found.flow.detach(), found.values.detach(), found.gaps.detach()), slopes


def _best_against(
    view: Game, mass: Float[Tensor, "batch stages states actions"]
) -> Float[Tensor, "batch stages states actions"]:
    """Q of the best response to laws that need not follow from each other; the last one stays."""
    joint, tables = inner(mass), view.tables
    rewards = flow_rewards(tables, joint)
    if tables.rewards is not None:
        rewards = tables.rewards.expand_as(joint).contiguous()
    if isinstance(view, StationaryView):
        problem = Problem(
            rewards, (tables.kernel or law_kernel(tables, joint[0]),), tables.legal, None
        )
    else:
        final = tail_value(view, joint[-1].sum(0), joint[-1:])
        problem = Problem(rewards, view.kernels(joint), tables.legal, final)
    return view.q_values(Flow(outer_laws(joint.sum(1)), view.uniform(), problem))


def _moments(first: Point, second: Point, slopes: Point) -> tuple[Point, Point]:
    """Means of the gradients and of their squares, as Adam forgets them."""
    means = (torch.lerp(s, m, MEMORY) for m, s in zip(first, slopes, strict=True))
    squares = (torch.lerp(s * s, m, SQUARED_MEMORY) for m, s in zip(second, slopes, strict=True))
    a, b, c = means
    d, e, f = squares
    return (a, b, c), (d, e, f)


def _moved(point: Point, first: Point, second: Point, rates: Tensor, count: int) -> Point:
    """A step of Adam for each game at its own rates."""
    grown, squared = 1 - MEMORY**count, 1 - SQUARED_MEMORY**count
    # 1.5e-8 in double precision; in single one 3e-4, so that steps do not follow rounding errors
    smallest = torch.finfo(rates.dtype).eps ** 0.5

    def part(at: Tensor, mean: Tensor, square: Tensor, own: Tensor) -> Tensor:
        size = own.view(-1, *[1] * (at.ndim - 1))
        norm = (square / squared).sqrt() + smallest
        return at.addcdiv(size * mean / -grown, norm)

    own = (rates[:, 0], rates[:, 1], rates[:, 1])
    a, b, c = (part(*entry) for entry in zip(point, first, second, own, strict=True))
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
