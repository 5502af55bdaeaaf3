"""Occupation-measure inclusion: steps along the rewards, projected onto the flows of the game."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.evaluate import Evaluation, View
from mfdsl.runtime.layout import outer
from mfdsl.runtime.memory import gibibytes, memory_of
from mfdsl.runtime.solvers.base import SolverError, State
from mfdsl.runtime.solvers.flow_polytope import Moves, dense_moves, project, reached
from mfdsl.runtime.solvers.mirror_prox import stage_weights
from mfdsl.runtime.solvers.needs import need_flows_that_average
from mfdsl.runtime.solvers.options import OccupationInclusionConfig
from mfdsl.runtime.views.finite import FiniteView

GOLDEN = 1.5
GROWTH = 1 / GOLDEN + 1 / GOLDEN**2
FIRST_RATE = 1.0
MOST_RATE = 1e6
NOBODY = 1e-12
BLOCKS = 5


@dataclass(frozen=True, eq=False)
class Splitting(State):
    """`anchor` is the mean of past flows that steps start from; `last` and `slope` are the flow
    before and the rewards there; `dual` are the multipliers of the last projection.

    `rate` is the last step of each game, `pace` its ratio to the one before, times the golden one.
    """

    anchor: Float[Tensor, "batch stages states actions"]
    last: Float[Tensor, "batch stages states actions"]
    slope: Float[Tensor, "batch stages states actions"]
    dual: Float[Tensor, "batch stages states"]
    rate: Float[Tensor, " batch"]
    pace: Float[Tensor, " batch"]


@dataclass(frozen=True)
class OccupationInclusion:
    """L_{k+1} = projection of anchor_k + rate_k (R(L_k) - perturbation L_k) onto the flows.

    L_k is the flow of the policy, state and action by stage, R its discounted rewards, final ones
    included; the projection is Euclidean. Equilibria are the zeros of -R plus the normal cone of
    the polytope of flows (MF-OMI; Hu and Zhang 2024, arXiv 2405.00282).

    With a `learning_rate` it is their forward-backward splitting: anchor_k = L_k, constant steps.
    It converges for steps below 2 m / l^2 where -R + perturbation is strongly monotone with m and
    Lipschitz with l; on games that are only monotone a perturbation biases it, and without one it
    may cycle. Without a `learning_rate` steps are those of the golden ratio algorithm (Malitsky
    2020, doi 10.1007/s10107-019-01416-w): anchor_k = (L_k (phi - 1) + anchor_{k-1}) / phi, phi =
    1.5, and rates from what rewards changed by, which converges on monotone games with locally
    Lipschitz rewards and needs no constant.

    Where moves read the law, the polytope is that of the moves at L_k, and nothing is promised.
    """

    config: OccupationInclusionConfig

    def init(self, view: View) -> Splitting:
        """Start from the flow of the uniform policy.

        Raises:
            SolverError: the horizon is stationary, or projections do not fit into memory.
        """
        view = need_flows_that_average(view, "mf_omi")
        policy = view.uniform()
        _check_memory(view, policy.probs)
        joint = view.laws(policy)[:, : view.stages, :, None] * policy.probs
        dual = torch.zeros_like(joint[..., 0])
        rate = torch.full_like(dual[:, 0, 0], self.config.learning_rate or FIRST_RATE)
        # the first step finds no change, so that its rate is the first one
        return Splitting(
            0, policy.probs, joint, joint, joint * 0, dual, rate, torch.ones_like(rate)
        )

    def step(self, evaluation: Evaluation, state: Splitting) -> Splitting:
        """Step along the rewards, project, and take the policy of the flow found."""
        view, flow = need_flows_that_average(evaluation.view, "mf_omi"), evaluation.flow
        here = flow.joint
        slope = _rewards(view, evaluation) - self.config.perturbation * here
        rate, pace, anchor = state.rate, state.pace, here
        if self.config.learning_rate == 0:
            rate, pace = _golden(state, here, slope)
            anchor = torch.lerp(state.anchor, here, (GOLDEN - 1) / GOLDEN)
        moves = _moves(view, evaluation)
        uniform = view.uniform().probs.expand_as(here)
        support = reached(moves, flow.laws[:, 0], uniform > 0)
        point = anchor + rate[:, None, None, None] * slope
        # multipliers of distances scale with the step
        guess = state.dual * (rate / state.rate)[:, None, None]
        mass, dual = project(point, moves, flow.laws[:, 0], support, guess)
        sums = mass.sum(-1, keepdim=True)
        nobody = max(NOBODY, torch.finfo(mass.dtype).eps)
        probs = (mass / sums).where(sums > nobody, uniform).contiguous()
        return Splitting(state.iteration + 1, probs, anchor, here, slope, dual, rate, pace)


def _golden(state: Splitting, here: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
    """The next step, and its ratio to the last times the golden ratio."""
    if state.iteration == 0:
        return state.rate, state.pace
    moved = (here - state.last).square().sum((1, 2, 3))
    bent = (slope - state.slope).square().sum((1, 2, 3))
    local = (GOLDEN * state.pace / (4 * state.rate) * moved / bent).where(bent > 0, torch.inf)
    rate = torch.minimum(GROWTH * state.rate, local).clamp(max=MOST_RATE)
    # a flow that stands still says nothing of the slopes
    rate = rate.where(moved > 0, state.rate)
    return rate, GOLDEN * rate / state.rate


def _rewards(view: FiniteView, evaluation: Evaluation) -> Tensor:
    """The discounted rewards along the flow; what comes after the last move is paid with it."""
    problem = evaluation.flow.problem
    assert problem is not None
    rewards = problem.rewards
    weights = stage_weights(view, rewards)
    found = rewards * weights[:-1, None, None, None]
    if problem.final is not None:
        actions, states, games = rewards.shape[1:]
        tail = () if games == 1 else (games,)
        base = found[-1].reshape(actions * states, *tail)
        out = torch.empty_like(base)
        final = (weights[-1] * problem.final).reshape(states, *tail)
        problem.kernels[len(rewards) - 1].expect(final, base, 1.0, out)
        found = torch.cat([found[:-1], out.view(1, actions, states, games)])
    return outer(found)


def _moves(view: FiniteView, evaluation: Evaluation) -> Moves:
    problem = evaluation.flow.problem
    assert problem is not None
    like = problem.rewards[0]
    if view.tables.kernel is not None:
        return dense_moves(view.tables.kernel, like)[:, None]
    return torch.stack([dense_moves(kernel, like) for kernel in problem.kernels], 1)


def _check_memory(view: FiniteView, probs: Tensor) -> None:
    games, stages, states, actions = probs.shape
    entries = games * stages * states * states * (BLOCKS + 2 * actions)
    needed, held = entries * probs.element_size(), memory_of(probs.device)
    if needed > held:
        raise SolverError(
            f"mf_omi projects with blocks of {states} x {states} for each of {stages} stages, "
            f"which need {gibibytes(needed)}, there are {gibibytes(held)}: take omd, or solve "
            "fewer values at once"
        )
