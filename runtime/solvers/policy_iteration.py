"""Policy iteration: improvement on the policy's own values."""

from dataclasses import dataclass, field

from mfdsl.runtime.evaluate import Evaluation, View
from mfdsl.runtime.solvers.base import State, mixed, response
from mfdsl.runtime.solvers.options import PolicyIterationConfig
from mfdsl.runtime.solvers.varied import Varied


@dataclass(frozen=True)
class PolicyIteration:
    """pi_{k+1} = (1 - damping) improve(Q^{pi_k}) + damping pi_k.

    Greedy improvement at temperature 0 (Cacace, Camilli and Goffi 2021, arXiv 2007.04818), a
    softmax of the values otherwise (Boltzmann policy iteration; Cui and Koeppl 2021, arXiv
    2102.01585), which converges to a regularised equilibrium when the temperature is high enough.
    """

    config: PolicyIterationConfig
    varied: Varied = field(default_factory=Varied)

    def init(self, view: View) -> State:
        """Start from the uniform policy."""
        return State(0, view.uniform().probs)

    def step(self, evaluation: Evaluation, state: State) -> State:
        """Improve on the values of the current policy against its own flow."""
        temperature = self.varied.of(self.config, "temperature", state.probs)
        damping = self.varied.of(self.config, "damping", state.probs)
        better = response(evaluation.q, temperature, self.config.ties)
        return State(state.iteration + 1, mixed(state.probs, better, damping))
