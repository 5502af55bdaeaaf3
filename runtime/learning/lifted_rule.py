"""A network from the law to a decision rule, trained through exact moves of the law: no agents.

The lifted mode of mean-field control for finite states: a deterministic process on the simplex,
whose moves and rewards the module gives with gradients (Carmona, Laurière and Tan 2023,
arXiv:1910.12802, for the process). Use it where states times actions are few; `mean_field_mdp` has
the exact values to compare with.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mfdsl.runtime.learning.networks import Mlp
from mfdsl.runtime.program import Params, Program
from mfdsl.runtime.rng import seeded


@dataclass(frozen=True)
class Lifting:
    """Options: laws side by side, steps of each course, updates, size of the network.

    `entropy` is the weight of the mean entropy of the rules at the start; it falls to 0 in the
    first half. Without it rules that are certain early have no gradient to change by.
    """

    laws: int = 32
    steps: int = 40
    updates: int = 600
    rate: float = 1e-2
    hidden: int = 32
    layers: int = 2
    gradient: float = 1.0
    entropy: float = 0.05


class LiftedRule(nn.Module):
    """Chances of the actions in each state, [B, S, A], from laws [B, S]."""

    def __init__(self, states: int, actions: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.shape = states, actions
        self.net = Mlp(states, [hidden] * layers, states * actions, "tanh", 0.1)

    def forward(self, laws: Tensor) -> Tensor:
        """The rules at these laws."""
        numbers: Tensor = self.net(2 * laws - 1)
        return torch.softmax(numbers.reshape(*laws.shape[:-1], *self.shape), -1)


def course_values(
    program: Program, params: Params, rule: nn.Module, laws: Tensor, steps: int
) -> Float[Tensor, " batch"]:
    """Normalised values of laws [B, S] over so many steps, with gradients in the rule.

    What follows is worth what the last step was, for ever.
    """
    module, discount = program.module, program.discount
    shape = (len(laws), *program.states.values(), *program.actions.values())
    total, weight = laws.new_zeros(len(laws)), 1 - discount
    for t in range(steps):
        joint = (laws[..., None] * rule(laws)).reshape(shape)
        time = torch.tensor(t, device=laws.device)
        paid = (joint * module.rewards(params, time, joint)).flatten(1).sum(1)
        last = t == steps - 1
        total = total + (weight / (1 - discount) if last else weight) * paid
        laws = module.push(params, time, joint).flatten(1)
        weight *= discount
    return total


def trained(
    program: Program, params: Params, options: Lifting, seed: int
) -> Iterator[tuple[LiftedRule, float]]:
    """The rule after each update, and the mean value of the laws that it learned from.

    Laws are drawn uniformly from the simplex.

    Raises:
        ValueError: the game has an end, masked actions or several populations.
    """
    if program.kind == "finite" or program.module.MASKED or len(program.populations) != 1:
        raise ValueError(f"{program.name} is not a discounted game of one population without masks")
    unit = params.unit
    generator = torch.Generator().manual_seed(seed)
    with seeded(seed):
        rule = LiftedRule(
            program.state_count, program.action_count, options.hidden, options.layers
        ).to(unit)
    optimizer = torch.optim.Adam(rule.parameters(), options.rate)
    for update in range(options.updates):
        for group in optimizer.param_groups:
            group["lr"] = options.rate * (1 - update / options.updates)
        shape = (options.laws, program.state_count)
        ages = -torch.log1p(-torch.rand(shape, generator=generator, dtype=torch.float64))
        laws = (ages / ages.sum(-1, keepdim=True)).to(unit)
        value = course_values(program, params, rule, laws, options.steps).mean()
        spread = torch.special.entr(rule(laws)).sum(-1).mean()
        gain = value + options.entropy * max(0.0, 1 - 2 * update / options.updates) * spread
        optimizer.zero_grad(set_to_none=True)
        (-gain).backward()
        nn.utils.clip_grad_norm_(rule.parameters(), options.gradient)
        optimizer.step()
        yield rule, value.item()
