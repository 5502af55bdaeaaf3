"""Fixed-point (Banach-Picard) iteration on policies."""

from dataclasses import dataclass, field

from mfdsl.runtime.evaluate import Evaluation, View
from mfdsl.runtime.solvers.base import State, mixed, response
from mfdsl.runtime.solvers.options import FixedPointConfig
from mfdsl.runtime.solvers.varied import Varied


@dataclass(frozen=True)
class FixedPoint:
    """pi_{k+1} = (1 - damping) BR(L(pi_k)) + damping pi_k.

    BR is greedy in the optimal Q values against the flow, or their softmax with a temperature.
    Converges when this map is a contraction; otherwise it usually cycles (Guo, Hu, Xu and Zhang
    2019, arXiv 1901.09585; Cui and Koeppl 2021, arXiv 2102.01585). With a temperature the fixed
    point is that of the regularised game.
    """

    config: FixedPointConfig
    varied: Varied = field(default_factory=Varied)

    def init(self, view: View) -> State:
        """Start from the uniform policy."""
        return State(0, view.uniform().probs)

    def step(self, evaluation: Evaluation, state: State) -> State:
        """Respond to the flow of the current policy."""
        temperature = self.varied.of(self.config, "temperature", state.probs)
        damping = self.varied.of(self.config, "damping", state.probs)
        best = response(evaluation.best_q, temperature, self.config.ties)
        return State(state.iteration + 1, mixed(state.probs, best, damping))
