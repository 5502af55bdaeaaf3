"""Online mirror descent on values."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.evaluate import Evaluation, View
from mfdsl.runtime.policy import softmax_probs
from mfdsl.runtime.solvers.base import State
from mfdsl.runtime.solvers.table import MirrorDescentConfig


@dataclass(frozen=True, eq=False)
class SummedValues(State):
    """`scores` is the sum of learning_rate * Q over the past policies."""

    scores: Float[Tensor, "batch stages states actions"]


@dataclass(frozen=True)
class MirrorDescent:
    """y_{k+1} = y_k + learning_rate Q^{pi_k}(L(pi_k)), pi_{k+1} = softmax(y_{k+1} / temperature).

    Pérolat et al. 2021, arXiv 2103.00623: the continuous-time limit converges for monotone games.
    In discrete time a rate too large for the game cycles; rewards of size about one over the
    horizon are well served by a rate of one.
    """

    config: MirrorDescentConfig
    state_type = SummedValues

    def init(self, view: View) -> SummedValues:
        """Start from the uniform policy and zero scores."""
        probs = view.uniform().probs
        return SummedValues(0, probs, probs * 0)

    def step(self, evaluation: Evaluation, state: SummedValues) -> SummedValues:
        """Add the values of the current policy and play the softmax of the sum."""
        scores = state.scores.add(evaluation.q, alpha=self.config.learning_rate)
        probs = softmax_probs(scores, self.config.temperature)
        return SummedValues(state.iteration + 1, probs, scores)
