"""Online mirror descent with a network: Munchausen values, fitted on the exact flow."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.evaluate import Evaluation, View
from mfdsl.runtime.layout import inner
from mfdsl.runtime.policy import softmax_probs
from mfdsl.runtime.solvers.networks.dense import fresh
from mfdsl.runtime.solvers.networks.fitting import (
    Networks,
    fitted,
    legal_actions,
    log_policy,
    shape_of,
    weights_in,
)
from mfdsl.runtime.solvers.networks.options import DeepMunchausenConfig
from mfdsl.runtime.solvers.networks.replay import replay
from mfdsl.runtime.solvers.soft import entropy_q_values


@dataclass(frozen=True, eq=False)
class LogNetworks(Networks):
    """`log_probs` are the logarithms of the policy, minus infinity at illegal actions."""

    log_probs: Float[Tensor, "batch stages states actions"]


@dataclass(frozen=True)
class DeepMunchausen:
    """pi_{k+1} = softmax(f), f a network fitted to q_k / temperature, Munchausen values of pi_k.

    q_t = r_t + alpha temperature log pi_t + discount * P_t V_{t+1}, V_t = sum_a pi_t (q_t -
    temperature log pi_t), worked out exactly along the flow of pi_k. The fit is on rows (stage,
    state) of a replay: the laws of the flow, and every state by the part `spread`. With `alpha` 1
    and a perfect fit iterates are those of `munchausen_omd`, so of `omd`; below 1 they lean towards
    the uniform policy.

    Laurière et al. 2022, arXiv 2203.11973. There values are learned from transitions of single
    agents, by squared errors and with a delayed copy of the network; with the tables at hand
    neither is needed, and what is fitted is the policy that they make.
    """

    config: DeepMunchausenConfig

    def init(self, view: View) -> LogNetworks:
        """Start from the uniform policy: networks whose outputs are zero."""
        probs = view.uniform().probs.contiguous()
        weights = fresh(shape_of(view, self.config), len(probs), self.config.seed, probs.device)
        blank = torch.zeros_like(weights)
        return LogNetworks(0, probs, weights, blank, blank.clone(), probs.log())

    def step(self, evaluation: Evaluation, state: LogNetworks) -> LogNetworks:
        """Values with the logarithm paid, and a network fitted to them."""
        config, view = self.config, evaluation.view
        shape, legal = shape_of(view, config), legal_actions(view)
        q = paid_values(evaluation, state.log_probs, config.temperature, config.alpha)
        counts = replay(evaluation.flow.laws[:, : q.shape[1]], config.spread)
        goal = softmax_probs(q, config.temperature)
        before = weights_in(config, state)
        after = fitted(shape, before, goal, counts, config, state.iteration, legal=legal)
        logs = log_policy(shape, after.values, legal).to(state.probs)
        return LogNetworks(
            state.iteration + 1, logs.exp(), after.values, after.mean, after.square, logs
        )


def paid_values(
    evaluation: Evaluation,
    log_probs: Float[Tensor, "batch stages states actions"],
    temperature: float,
    alpha: float,
) -> Float[Tensor, "batch stages states actions"]:
    """Munchausen values of the policy against its own flow, -inf at illegal actions."""
    flow = evaluation.flow
    problem = flow.problem or evaluation.view.flow(flow.policy).problem
    assert problem is not None
    legal = log_probs > -torch.inf
    logs = alpha * temperature * log_probs.where(legal, 0)
    paid = replace(flow, problem=replace(problem, rewards=problem.rewards + inner(logs)))
    q = entropy_q_values(evaluation.view, paid, evaluation.policy, temperature)
    return q.where(legal, -torch.inf)
