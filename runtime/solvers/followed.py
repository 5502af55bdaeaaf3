"""The policies that agents follow in games, ready to draw actions from."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mfdsl.runtime.tabled import picked_from


@dataclass(frozen=True, eq=False)
class Followed:
    """Cumulated probabilities of actions, and where the rows of each agent begin.

    One beginning stands for all agents.
    """

    chances: Float[Tensor, "stages rows actions"]
    first: Int[Tensor, " agents"]

    def drawn(
        self, t: int, places: Int[Tensor, "games agents"], u: Float[Tensor, "games agents"]
    ) -> Int[Tensor, "games agents"]:
        """The actions of all agents at a stage, from their places and uniform numbers."""
        return picked_from(self.chances[t], places + self.first, u)


def shared(policy: Float[Tensor, "stages states actions"]) -> Followed:
    """One policy for all agents."""
    return Followed(policy.cumsum(-1), torch.zeros(1, dtype=torch.int64, device=policy.device))


def alone(policies: Float[Tensor, "agents stages states actions"]) -> Followed:
    """A policy for each agent."""
    agents, stages, states, actions = policies.shape
    chances = policies.cumsum(-1).movedim(1, 0).reshape(stages, -1, actions)
    return Followed(chances, states * torch.arange(agents, device=policies.device))
