"""Fictitious play with networks: one responds, another one is the average of all responses."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mfdsl.runtime.evaluate import Evaluation, View
from mfdsl.runtime.policy import softmax_probs
from mfdsl.runtime.solvers.networks.dense import Weights, fresh
from mfdsl.runtime.solvers.networks.fitting import (
    Networks,
    fitted,
    legal_actions,
    log_policy,
    shape_of,
    weights_in,
)
from mfdsl.runtime.solvers.networks.options import DeepAverageConfig
from mfdsl.runtime.solvers.networks.replay import drawn_rows, replay
from mfdsl.runtime.streams import draw
from mfdsl.runtime.views.finite import state_values

SHARPNESS = 0.1  # of the first softmax that stands for a response, in units of what is usually lost


@dataclass(frozen=True, eq=False)
class Averaged(Networks):
    """`mass` is the mean of the exact laws of all responses so far, where they are kept as laws;
    `kept` are triples (stage, state, action) drawn from it, where they are kept as samples.
    The rest are weights and averages of Adam of the network that responds.
    """

    mass: Float[Tensor, "batch rows actions"]
    kept: Int[Tensor, "batch samples"]
    response: Float[Tensor, "games weights"]
    response_mean: Float[Tensor, "games weights"]
    response_square: Float[Tensor, "games weights"]


@dataclass(frozen=True)
class DeepAverage:
    """pi_k is a network fitted to all responses so far; each is the softmax of a network of values.

    Those values are the best response's against the flow of pi_k, and the softmax gets sharper like
    1 / sqrt(k): where actions are nearly as good as each other a response shares them, as exact
    responses share ties. (Greedy ones fall to one side by the errors of the network, and lose as
    much as `fictitious_play` with `ties=first`.) The average is fitted by cross-entropy to the
    exact mean of the laws of the uniform policy and of all responses, or to a `reservoir` of
    samples from it. With perfect fits and exact laws iterates are near those of `fictitious_play`.

    Laurière et al. 2022, arXiv 2203.11973 (average-network fictitious play; the responses there are
    learned from transitions); Heinrich and Silver 2016, arXiv 1603.01121.
    """

    config: DeepAverageConfig

    def init(self, view: View) -> Averaged:
        """Start from the uniform policy, whose law is the first that is kept."""
        config = self.config
        shape, uniform = shape_of(view, config), view.uniform()
        probs = uniform.probs.contiguous()
        weights = fresh(shape, len(probs), config.seed, probs.device)
        blank = torch.zeros_like(weights)
        law = view.flow(uniform).joint.flatten(1, 2)
        kept = _drawn(law, config.reservoir, config.seed, 0)
        mass = law.contiguous() if config.reservoir == 0 else law[:, :0]
        other = fresh(shape, len(probs), config.seed + 1, probs.device)
        return Averaged(0, probs, weights, blank, blank, mass, kept, other, blank, blank)

    def step(self, evaluation: Evaluation, state: Averaged) -> Averaged:
        """A response, its share in what is kept, and the average fitted to that."""
        config, view = self.config, evaluation.view
        shape, legal = shape_of(view, config), legal_actions(view)
        response = self._response(evaluation, state)
        probs = log_policy(shape, response.values, legal).exp().to(state.probs)
        policy = view.policy(probs)
        law = view.flow(policy).joint.flatten(1, 2)
        number = state.iteration + 1
        mass, kept = state.mass, state.kept
        if config.reservoir == 0:
            mass = torch.lerp(mass, law, 1 / (number + 1))
            found = mass
        else:
            new = _drawn(law, config.reservoir, config.seed, number)
            kept = _renewed(kept, new, number, config.seed)
            found = _counted(kept, law)
        total = found.sum(-1, keepdim=True)
        goal = (found / total).where(total > 0, view.uniform().probs.flatten(1, 2))
        average = fitted(
            shape,
            weights_in(config, state),
            goal.view_as(state.probs),
            total[..., 0] / total.sum(1),
            config,
            state.iteration,
            legal=legal,
        )
        probs = log_policy(shape, average.values, legal).exp().to(state.probs)
        own = (average.values, average.mean, average.square)
        others = (response.values, response.mean, response.square)
        return Averaged(number, probs, *own, mass, kept, *others)

    def _response(self, evaluation: Evaluation, state: Averaged) -> Weights:
        """A network whose softmax is nearly greedy in the values of the best response.

        Its errors are small where actions are nearly as good as the best, and large where nobody
        looks.
        """
        config, view = self.config, evaluation.view
        legal, q = legal_actions(view), evaluation.best_q
        counts = replay(evaluation.flow.laws[:, : q.shape[1]], config.spread)
        lost = (state_values(q)[..., None] - q).where(legal, 0).flatten(1, 2)
        usual = (counts[..., None] * lost).sum((1, 2)) / legal.flatten(1, 2).sum(-1).amax(-1)
        sharp = SHARPNESS / math.sqrt(state.iteration + 1) * usual
        sharp = sharp.clamp(min=torch.finfo(q.dtype).tiny)
        goal = softmax_probs(q / sharp[:, None, None, None])
        before = Weights(
            state.response.float(),
            state.response_mean.float(),
            state.response_square.float(),
            state.iteration * config.updates,
        )
        shape = shape_of(view, config)
        return fitted(shape, before, goal, counts, config, state.iteration, legal=legal)


def _drawn(law: Tensor, count: int, seed: int, number: int) -> Tensor:
    """Triples [B, count] drawn from laws [B, rows, actions]."""
    games = [
        drawn_rows(one.flatten()[None], count, (seed, number, f"reservoir {b}"))
        for b, one in enumerate(law)
    ]
    return torch.stack(games)


def _renewed(kept: Tensor, new: Tensor, number: int, seed: int) -> Tensor:
    """A sample of the mean of all laws so far: each entry is of the last with the same chance."""
    chance = draw(("uniform",), tuple(kept.shape), (seed, number, "renewed"), device=kept.device)
    return torch.where(chance < 1 / (number + 1), new, kept)


def _counted(kept: Tensor, law: Tensor) -> Tensor:
    """Shares of the triples, in the shape of laws [B, rows, actions]."""
    counts = torch.zeros_like(law).flatten(1)
    counts.scatter_add_(1, kept, torch.ones_like(kept, dtype=law.dtype))
    return (counts / kept.shape[1]).view_as(law)
