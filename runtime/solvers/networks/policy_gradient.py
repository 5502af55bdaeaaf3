"""A policy network along the gradient of its exact return, the population held fixed."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.evaluate import Evaluation, View
from mfdsl.runtime.solvers.networks.dense import Shape, Weights, descended, fresh, outputs
from mfdsl.runtime.solvers.networks.fitting import (
    Networks,
    legal_actions,
    log_policy,
    shape_of,
    step_of,
    weights_in,
)
from mfdsl.runtime.solvers.networks.options import StructuralConfig
from mfdsl.runtime.solvers.networks.replay import drawn_rows
from mfdsl.runtime.solvers.soft import entropy_q_values


@dataclass(frozen=True)
class StructuralPolicyGradient:
    """Steps of Adam along the derivative of J(pi', L(pi)) in pi' at pi' = pi.

    J is the expected return of one agent against the flow of all others, exact through the tables.
    Its derivative with the flow held fixed is sum_t discount^t sum_s L_t(s) sum_a Q_t(s, a) dpi_t(a
    | s), the laws and values of one exact sweep, so that no gradient runs through the push-forward.
    A zero of it is an equilibrium where networks can be any policy and every state is visited.

    Wibault et al. 2026, arXiv 2602.20141 (structural and, with `memory`, recurrent structural
    policy gradients), where values are means over drawn paths of the common noise; here these are
    all in the tables, as pasts of the common state. The policy reads the common state as it is, and
    with `memory` what a gated unit keeps of its past, never what is still to come, so the
    exploitability beside it is against deviations that know no more of the future either.
    """

    config: StructuralConfig

    def init(self, view: View) -> Networks:
        """Start from the uniform policy: networks whose outputs are zero."""
        shape = shape_of(view, self.config, memory=self.config.memory)
        probs = view.uniform().probs.contiguous()
        weights = fresh(shape, len(probs), self.config.seed, probs.device)
        blank = torch.zeros_like(weights)
        return Networks(0, probs, weights, blank, blank.clone())

    def step(self, evaluation: Evaluation, state: Networks) -> Networks:
        """Steps uphill, each along a flow of its own."""
        config, view = self.config, evaluation.view
        shape = shape_of(view, config, memory=config.memory)
        legal, weights = legal_actions(view), weights_in(config, state)
        probs = state.probs
        for step in range(config.updates):
            now = evaluation if step == 0 else Evaluation(view, view.policy(probs))
            slopes = return_slopes(now, config.entropy)
            number = state.iteration * config.updates + step
            rows = None
            if config.batch:
                key = (config.seed, number, "replay")
                rows = drawn_rows(slopes[1].flatten(1), config.batch, key)
            weights = self._climbed(shape, weights, slopes, rows, legal, state.iteration)
            probs = log_policy(shape, weights.values, legal).exp().to(probs)
        return Networks(state.iteration + 1, probs, weights.values, weights.mean, weights.square)

    def _climbed(
        self,
        shape: Shape,
        weights: Weights,
        slopes: tuple[Tensor, Tensor],
        rows: Tensor | None,
        legal: Tensor,
        iteration: int,
    ) -> Weights:
        """One step of Adam; `rows` were drawn by their weights, so that all count alike."""
        gains, counts = slopes
        gain, mask = gains.flatten(1, 2).float(), legal.flatten(1, 2)
        count = counts.flatten(1).float()
        if rows is not None:
            gain, mask = gain[:, rows], mask[:, rows]
            count = count.sum(-1, keepdim=True) / len(rows)

        def loss(leaves: list[Tensor], step: int) -> Tensor:
            found = outputs(shape, leaves, rows).masked_fill(~mask, -torch.inf)
            return -(count * (torch.softmax(found, -1) * gain).sum(-1)).sum(-1)

        return descended(shape, weights, loss, steps=1, rate=step_of(self.config, iteration))


def return_slopes(
    evaluation: Evaluation, temperature: float = 0.0
) -> tuple[Float[Tensor, "batch stages states actions"], Float[Tensor, "batch stages states"]]:
    """Advantages A and weights w: the derivative of the return in pi is sum w A dpi.

    `temperature` is the price of entropy that is paid beside the rewards. Advantages are 0 at
    illegal actions.
    """
    view, flow, policy = evaluation.view, evaluation.flow, evaluation.policy
    probs = policy.probs
    q = evaluation.q
    if temperature > 0:
        q = entropy_q_values(view, flow, policy, temperature) - temperature * probs.log()
    q = q.where(q > -torch.inf, 0)
    gain = q - (probs * q).sum(-1, keepdim=True)
    stages = torch.arange(policy.stages, dtype=probs.dtype, device=probs.device)
    factor = view.program.discount**stages
    return gain, flow.laws[:, : policy.stages] * factor[:, None]
