"""One update of mean-field Q-learning and actor-critic: losses with their slopes in the outputs.

The losses and goals are those of `mean_field_q.py`; slopes are worked out by hand, so that an
update is little more than the products of matrices of its passes.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mfdsl.runtime.learning.dense_passes import descend, passed
from mfdsl.runtime.learning.mean_action import MeanFieldNetwork
from mfdsl.runtime.learning.networks import log_softmax


@dataclass(frozen=True, eq=False)
class Steps:
    """What N agents saw [K, N, o], did [K, N], what the others did [K, N, A], own rewards [K, N],
    what they saw then, and whether the game went on [K].
    """

    seen: Tensor
    index: Tensor
    mean: Tensor
    rewards: Tensor
    after: Tensor
    going: Tensor

    def some(self, scenes: Int[Tensor, " rows"], agents: Int[Tensor, " rows"]) -> "Steps":
        """Single agents in single scenes, as scenes of one agent each."""
        rows = scenes * self.index.shape[1] + agents
        each = {
            name: value.flatten(0, 1).index_select(0, rows)[:, None]
            for name, value in vars(self).items()
            if name != "going"
        }
        return Steps(**each, going=self.going.index_select(0, scenes))


@dataclass(frozen=True, eq=False)
class Loss:
    """A mean loss over rows and its slopes in what the network put out."""

    value: Float[Tensor, ""]
    slopes: Float[Tensor, "rows actions"]


def value_goal(target: MeanFieldNetwork, steps: Steps, discount: float) -> Tensor:
    """Rewards and the discounted value of what follows while the others go on so, [K, N]."""
    values = target.q(steps.after, steps.mean)
    ahead = (target.played(steps.after, values) * values).sum(-1)
    return steps.rewards + discount * steps.going[:, None] * ahead


def value_loss(
    values: Float[Tensor, "rows actions"],
    index: Int[Tensor, " rows"],
    goal: Float[Tensor, " rows"],
) -> Loss:
    """Mean squared temporal difference of what was done."""
    place = index[:, None]
    miss = values.gather(1, place) - goal[:, None]
    slopes = torch.zeros_like(values).scatter_(1, place, miss * (2 / len(values)))
    return Loss(miss.square().mean(), slopes)


def policy_loss(
    logits: Float[Tensor, "rows actions"],
    values: Float[Tensor, "rows actions"],
    temperature: Tensor,
) -> Loss:
    """Minus the expected value of one's own action, and its entropy at the temperature.

    With cost c = temperature * log p - value of an action, the loss is the mean of sum_a p c, and
    its slope in a logit p (c - sum_a p c): that of log p itself adds up to nothing.
    """
    logs = log_softmax(logits)
    chances = logs.exp()
    cost = temperature * logs - values
    expected = (chances * cost).sum(-1, keepdim=True)
    return Loss(expected.mean(), chances * (cost - expected) / len(logits))


@torch.no_grad()
def set_slopes(
    network: MeanFieldNetwork, target: MeanFieldNetwork, steps: Steps, discount: float
) -> Float[Tensor, "2"]:
    """Set the gradients of both losses in all parameters; the losses of values and policy."""
    goal = value_goal(target, steps, discount).flatten()
    seen, mean = steps.seen.flatten(0, 1), steps.mean.flatten(0, 1)
    critic = passed(network.values, torch.cat([seen, mean], -1))
    fit = value_loss(critic.outputs, steps.index.flatten(), goal)
    descend(network.values, critic, fit.slopes)
    if network.logits is None:
        return torch.stack([fit.value, torch.zeros_like(fit.value)])
    actor = passed(network.logits, seen)
    gain = policy_loss(actor.outputs, critic.outputs, network.temperature)
    descend(network.logits, actor, gain.slopes)
    return torch.stack([fit.value, gain.value])
