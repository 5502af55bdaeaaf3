"""Fixed-point iteration of the soft best response, a contraction when it is warm enough."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.evaluate import Evaluation, View
from mfdsl.runtime.flow import Flow
from mfdsl.runtime.policy import TabularPolicy, softmax_probs
from mfdsl.runtime.solvers.base import State, mixed
from mfdsl.runtime.solvers.options import SoftFixedPointConfig
from mfdsl.runtime.solvers.soft import entropy_q_values, probs_of, scaled, soft_response
from mfdsl.runtime.views.stationary import StationaryView

MOST_IMPROVEMENTS = 1000
SETTLED = 1e-12


@dataclass(frozen=True)
class SoftFixedPoint:
    """pi_{k+1} = (1 - damping) softBR(Lambda(pi_k)) + damping pi_k.

    The soft best response maximises the return plus temperature times the discounted entropies:
    soft dynamic programming over the stages, soft policy iteration on a stationary horizon. The
    fixed point is the equilibrium of the regularised game, whose exploitability in the game itself
    is at most temperature * H * log|A|.

    Over a finite horizon, without damping, flows contract by tau* / temperature in the norm
    max_h |.|_h / w_h, with tau* and w the Perron root and vector of the matrix that composes the
    moduli of the rewards and moves (`rates.contraction`); below tau* nothing is promised. When
    moves do not read the law and rewards have modulus L, tau* = L / (2 sin(pi / (4 H + 2)))^2.
    `rates.soft_fixed_point_bound` is the bound after T steps. The unregularised map never contracts
    on finite games (Cui and Koeppl 2021, arXiv 2102.01585).

    On a stationary horizon the laws that policies keep contract by tau* / temperature in l1, with
    tau* = d S / (1 - delta - K) where delta is the Dobrushin coefficient of the moves, d that of
    two actions at one state, K the modulus of the moves in the law, and S that of the discounted
    values: values move by S |dL|, a softmax by 1 / temperature times that in l1, the next law by d
    times that, and a law that is kept by 1 / (1 - delta - K) times what one step changes. It needs
    delta + K < 1. Regularised stationary games: Anahtarci, Kariksiz and Saldi 2023, doi
    10.1007/s13235-022-00450-2; Yardim, Cayci, Geist and He 2023, arXiv 2212.14449.
    `rates.soft_stationary_bound` is the bound after T steps where moves do not read the law.
    """

    config: SoftFixedPointConfig

    def init(self, view: View) -> State:
        """Start from the uniform policy."""
        return State(0, view.uniform().probs)

    def step(self, evaluation: Evaluation, state: State) -> State:
        """Respond softly to the flow of the current policy."""
        view, flow = evaluation.view, evaluation.flow
        if isinstance(view, StationaryView):
            best = _without_end(view, flow, evaluation.policy, self.config.temperature)
        else:
            best = _over_stages(view, flow, self.config.temperature)
        return State(state.iteration + 1, mixed(state.probs, best, self.config.damping))


def _over_stages(
    view: View, flow: Flow, temperature: float
) -> Float[Tensor, "batch stages states actions"]:
    problem = flow.problem
    assert problem is not None
    inverse = torch.full_like(problem.rewards[:, 0, 0], 1 / temperature)
    return probs_of(soft_response(scaled(problem, inverse, inverse[-1]), view.program.discount))


def _without_end(
    view: View, flow: Flow, policy: TabularPolicy, temperature: float
) -> Float[Tensor, "batch stages states actions"]:
    """Soft policy iteration (Haarnoja et al. 2018, arXiv 1801.01290) until the policy settles."""
    for _ in range(MOST_IMPROVEMENTS):
        q = entropy_q_values(view, flow, policy, temperature)
        better = softmax_probs(q, temperature)
        change = (better - policy.probs).abs().max()
        policy = view.policy(better)
        if not change > SETTLED:
            break
    return policy.probs
