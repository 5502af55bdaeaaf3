"""Frank-Wolfe on the flows of a potential game: fictitious play with proved steps."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.evaluate import Evaluation, View
from mfdsl.runtime.flow import Flow
from mfdsl.runtime.layout import inner, outer
from mfdsl.runtime.policy import greedy_probs
from mfdsl.runtime.solvers.base import State
from mfdsl.runtime.solvers.line_search import summit
from mfdsl.runtime.solvers.mirror_prox import stage_weights
from mfdsl.runtime.solvers.needs import need_flows_that_average
from mfdsl.runtime.solvers.options import FrankWolfeConfig
from mfdsl.runtime.views.finite import FiniteView
from mfdsl.runtime.views.tables import final_rewards, flow_rewards


@dataclass(frozen=True)
class FrankWolfe:
    """L_{k+1} = (1 - w) L_k + w L(best response to L_k), with L_k the flow of the policy.

    When moves do not read the law (else refused) and R is the gradient of a potential F, this is
    Frank-Wolfe on F over the polytope of flows, and the exploitability is its gap (Geist et al.
    2022, arXiv 2106.03787). C = 4 M bounds the curvature of F, M the sum over the stages of the l1
    moduli of the discounted rewards.

    - `step = open`, w = 2 / (k + 2), or `search`, where the slope of F along the segment vanishes:
      when F is concave, the least exploitability of the first T >= 2 iterates is at most
      27 C / (4 (T + 2)) (Jaggi 2013, theorem 2).
    - `step = short`, w = min(exploitability / curvature, 1): for any F, it is at most
      max(2 (max F - F(L_0)), C) / sqrt(T + 1) (Lacoste-Julien 2016, arXiv 1607.00345).

    `rates.frank_wolfe_bound` and `rates.frank_wolfe_short_bound` are these functions of T. Concave
    on flows is enough. Several populations move by the same weight, which is Frank-Wolfe on the
    product of their polytopes; M and the exploitability are sums over them (`rates` says why).
    """

    config: FrankWolfeConfig

    def init(self, view: View) -> State:
        """Start from the uniform policy.

        Raises:
            SolverError: the moves read the law, or the horizon is stationary.
        """
        need_flows_that_average(view, "frank_wolfe")
        return State(0, view.uniform().probs)

    def step(self, evaluation: Evaluation, state: State) -> State:
        """Move towards the flow of the best response."""
        view, flow = need_flows_that_average(evaluation.view, "frank_wolfe"), evaluation.flow
        best = view.policy(greedy_probs(evaluation.best_q, "first"))
        laws = view.laws(best)
        toward = laws[:, :-1, :, None] * best.probs
        match self.config.step:
            case "open":
                weight = torch.full_like(laws[:, 0, 0], 2 / (state.iteration + 2))
            case "short":
                gap = evaluation.best_value - evaluation.value
                weight = (gap / self.config.curvature).clamp(0, 1)
            case "search":
                weight = _summit(view, flow, toward, laws[:, -1])
        mixed = torch.lerp(flow.joint, toward, weight[:, None, None, None].expand_as(toward))
        return State(state.iteration + 1, _policy_of(mixed, view.uniform().probs))


def _policy_of(
    mass: Float[Tensor, "batch stages states actions"],
    rest: Float[Tensor, "batch stages states actions"],
) -> Float[Tensor, "batch stages states actions"]:
    """The policy whose flow has these masses; that of the rest where nobody is."""
    total = mass.sum(-1, keepdim=True)
    return (mass / total).where(total > 0, rest)


def _summit(
    view: FiniteView,
    flow: Flow,
    toward: Float[Tensor, "batch stages states actions"],
    last: Float[Tensor, "batch states"],
) -> Float[Tensor, " batch"]:
    """The weight where the slope of the potential along the segment falls to zero.

    The slope at a weight is <R(mixed flow), toward - flow>, discounted, final rewards included: the
    potential itself is not needed.
    """
    joint, end = flow.joint, flow.laws[:, -1]
    moved, change = toward - joint, last - end
    weights = stage_weights(view, last)
    worth, rest = weights[:-1, None, None] * moved, view.uniform().probs

    def slope(weight: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        mixed = joint + weight[:, None, None, None] * moved
        rewards, final = _rewards(view, mixed, rest, end + weight[:, None] * change)
        found = (rewards * worth).sum((1, 2, 3))
        if final is not None and view.truncation is None:
            found = found + weights[-1] * (final.t() * change).sum(-1)
        return found

    return summit(slope, torch.zeros_like(last[:, 0]))


def _rewards(
    view: FiniteView,
    mixed: Float[Tensor, "batch stages states actions"],
    rest: Float[Tensor, "batch stages states actions"],
    end: Float[Tensor, "batch states"],
) -> tuple[Tensor, Float[Tensor, "states batch"] | None]:
    """Rewards and final ones at a flow; of a small game those along its policy, in one call."""
    tables = view.tables
    if tables.rewards is not None:
        rewards = outer(tables.rewards)
    elif len(mixed) == 1 and view.compiled is not None:
        problem = view.flow(view.policy(_policy_of(mixed, rest))).problem
        assert problem is not None
        return outer(problem.rewards), problem.final
    else:
        rewards = outer(flow_rewards(tables, inner(mixed)))
    return rewards, final_rewards(tables, end.t().contiguous())
