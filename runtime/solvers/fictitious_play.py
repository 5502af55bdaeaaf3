"""Fictitious play: averages of flows, and the policy that makes the average."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from mfdsl.runtime.evaluate import Evaluation, View
from mfdsl.runtime.policy import greedy_probs
from mfdsl.runtime.solvers.base import State
from mfdsl.runtime.solvers.options import FictitiousPlayConfig
from mfdsl.runtime.solvers.varied import Varied, tall


@dataclass(frozen=True)
class FictitiousPlay:
    """L_{k+1} = (1 - w) L(pi_k) + w L(BR(L(pi_k))), pi_{k+1}(a | s) = L_{k+1}(s, a) / L_{k+1}(s).

    L are joint laws of state and action, so policies are averaged in proportion to the visits;
    the initial policy is kept where nobody goes. w is 1 / (k + 1) or a constant. The average
    flow is the flow of the average policy when moves do not read the law. Converges for monotone
    games (Perrin et al. 2020, arXiv 2007.03458) and potential games (Cardaliaguet and
    Hadikhanloo 2017, arXiv 1507.06280).
    """

    config: FictitiousPlayConfig
    varied: Varied = field(default_factory=Varied)

    def init(self, view: View) -> State:
        """Start from the uniform policy."""
        return State(0, view.uniform().probs)

    def step(self, evaluation: Evaluation, state: State) -> State:
        """Mix the best response into the average flow."""
        view, flow = evaluation.view, evaluation.flow
        best = greedy_probs(evaluation.best_q, self.config.ties)
        laws = view.laws(view.policy(best))[:, : best.shape[1], :, None]
        given, usual = self.varied.of(self.config, "weight", laws), 1 / (state.iteration + 2)
        if isinstance(given, Tensor):
            weight = tall(given.where(given > 0, usual))
            mass = torch.lerp(flow.joint, laws * best, weight)
        else:
            mass = flow.joint.mul(1 - (given or usual)).add_(laws * best, alpha=given or usual)
        total = mass.sum(-1, keepdim=True)
        probs = (mass / total).where(total > 0, view.uniform().probs)
        return State(state.iteration + 1, probs)
