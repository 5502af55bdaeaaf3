"""Online mirror descent that remembers nothing but the last policy."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.evaluate import Evaluation, View
from mfdsl.runtime.layout import inner
from mfdsl.runtime.policy import softmax_probs
from mfdsl.runtime.solvers.base import State
from mfdsl.runtime.solvers.options import MunchausenConfig
from mfdsl.runtime.solvers.soft import entropy


@dataclass(frozen=True, eq=False)
class LogPolicy(State):
    """`log_probs` are the logarithms of the policy, minus infinity at illegal actions."""

    log_probs: Float[Tensor, "batch stages states actions"]


@dataclass(frozen=True)
class Munchausen:
    """pi_{k+1} = softmax(q_k / temperature), with values that are paid the logarithm of the policy:
    q_t = r_t + temperature log pi_t + discount * P_t V_{t+1}, V_t = sum_a pi_t (q_t - temperature
    log pi_t).

    q_k is Q of the policy plus temperature log pi_k, so that iterates are those of `omd` with
    `learning_rate = 1 / temperature`: the sum over past values that mirror descent needs is in the
    last policy. This is what lets networks take the place of tables, which cannot be summed.
    Laurière et al. 2022, arXiv 2203.11973; Vieillard et al. 2020, arXiv 2007.14430.
    """

    config: MunchausenConfig

    def init(self, view: View) -> LogPolicy:
        """Start from the uniform policy."""
        probs = view.uniform().probs
        return LogPolicy(0, probs, probs.log())

    def step(self, evaluation: Evaluation, state: LogPolicy) -> LogPolicy:
        """Values with the logarithm paid, and their softmax."""
        temperature, flow = self.config.temperature, evaluation.flow
        problem = flow.problem or evaluation.view.flow(flow.policy).problem
        assert problem is not None
        legal = state.log_probs > -torch.inf
        logs = temperature * state.log_probs.where(legal, 0)
        bonus = temperature * entropy(state.probs)
        paid = problem.rewards + inner(logs + bonus)
        q = evaluation.view.q_values(
            replace(flow, problem=replace(problem, rewards=paid)), evaluation.policy
        )
        q = (q - bonus).where(legal, -torch.inf)
        probs = softmax_probs(q, temperature)
        return LogPolicy(state.iteration + 1, probs, torch.log_softmax(q / temperature, -1))
