"""Online mirror descent on values."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.evaluate import Evaluation, View
from mfdsl.runtime.policy import softmax_probs
from mfdsl.runtime.solvers.base import State
from mfdsl.runtime.solvers.options import MirrorDescentConfig
from mfdsl.runtime.solvers.varied import Varied, tall

FIRST_RATE = 1.0
LEAST_RATE = 0.01
GROWTH = 1.1
SHRINKAGE = 0.5


@dataclass(frozen=True, eq=False)
class SummedValues(State):
    """`scores` is the sum of rate * Q over the past policies.

    `rate` is the last step of each game, `gap` the exploitability that chose it, inf where it was
    given.
    """

    scores: Float[Tensor, "batch stages states actions"]
    rate: Float[Tensor, " batch"]
    gap: Float[Tensor, " batch"]


@dataclass(frozen=True)
class MirrorDescent:
    """y_{k+1} = y_k + rate Q^{pi_k}(L(pi_k)), pi_{k+1} = softmax(y_{k+1} / temperature).

    Pérolat et al. 2021, arXiv 2103.00623: the continuous-time limit converges for monotone games.
    In discrete time a constant rate that is too large for the game cycles. The adaptive rate
    (learning_rate = 0) starts at 1, grows by a tenth after each fall of the exploitability and
    halves after each rise, down to 0.01; this is a heuristic, and needs a best response at
    every step.
    """

    config: MirrorDescentConfig
    varied: Varied = field(default_factory=Varied)

    def init(self, view: View) -> SummedValues:
        """Start from the uniform policy and zero scores."""
        probs = view.uniform().probs
        given = self.varied.of(self.config, "learning_rate", probs)
        if isinstance(given, Tensor):
            rate = given.where(given > 0, FIRST_RATE)
        else:
            rate = probs.new_full((len(probs),), given or FIRST_RATE)
        return SummedValues(0, probs, probs * 0, rate, torch.full_like(rate, torch.inf))

    def step(self, evaluation: Evaluation, state: SummedValues) -> SummedValues:
        """Add the values of the current policy and play the softmax of the sum."""
        rate, gap = state.rate, state.gap
        given = self.varied.of(self.config, "learning_rate", rate)
        if not isinstance(given, Tensor) and given > 0:
            scores = state.scores.add(evaluation.q, alpha=given)
        else:
            gap = evaluation.best_value - evaluation.value
            factor = torch.where(gap > state.gap, SHRINKAGE, GROWTH)
            rate = (rate * factor).clamp(min=LEAST_RATE) if state.iteration else rate
            if isinstance(given, Tensor):
                rate, gap = given.where(given > 0, rate), state.gap.where(given > 0, gap)
            scores = torch.addcmul(state.scores, tall(rate), evaluation.q)
        probs = softmax_probs(scores, self.varied.of(self.config, "temperature", scores))
        return SummedValues(state.iteration + 1, probs, scores, rate, gap)
