"""Entropic policy mirror descent with steps that know the temperature."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.evaluate import Evaluation, View
from mfdsl.runtime.policy import softmax_probs
from mfdsl.runtime.solvers.base import State
from mfdsl.runtime.solvers.options import PolicyMirrorDescentConfig
from mfdsl.runtime.solvers.soft import entropy_q_values


@dataclass(frozen=True, eq=False)
class Scored(State):
    """`scores` are the logarithms of the policy up to a constant in each state."""

    scores: Float[Tensor, "batch stages states actions"]


@dataclass(frozen=True)
class PolicyMirrorDescent:
    """pi_{k+1} proportional to pi_k^(1 - temperature * rate) exp(rate * q_k).

    q_k are the values of the policy against its own flow with entropy paid, that of the own step
    left out. The rate is 4 / (temperature (k + 4)) unless `learning_rate` fixes it.

    When moves do not read the law and the reward is monotone, the divergence from the regularised
    equilibrium, Phi = sum over the stages of E_{s ~ mu*} KL(pi* | pi_k), obeys
    Phi_{k+1} <= (1 - temperature * rate / 2) Phi_k + C rate^2 with C half the sum over the stages
    of the squared largest span of q, hence Phi_T <= max(16 C / temperature^2, 4 H log|A|) / (T + 4)
    for the last iterate. `rates.pmd_bound` turns it into a bound on the exploitability, which
    cannot fall below the bias temperature * H * log|A|.

    Mirror descent on policies: Lan 2021, arXiv 2102.00135; for monotone mean-field games Zhang
    et al. 2023, NeurIPS (graphons).
    """

    config: PolicyMirrorDescentConfig

    def init(self, view: View) -> Scored:
        """Start from the uniform policy."""
        probs = view.uniform().probs
        return Scored(0, probs, torch.zeros_like(probs))

    def step(self, evaluation: Evaluation, state: Scored) -> Scored:
        """Tilt the policy towards the actions of higher value."""
        temperature = self.config.temperature
        rate = self.config.learning_rate or 4 / (temperature * (state.iteration + 4))
        q = entropy_q_values(evaluation.view, evaluation.flow, evaluation.policy, temperature)
        legal = q > -torch.inf
        scores = (1 - temperature * rate) * state.scores + rate * q.where(legal, 0)
        probs = softmax_probs(scores.masked_fill(~legal, -torch.inf))
        return Scored(state.iteration + 1, probs, scores)
