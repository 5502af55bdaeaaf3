"""Transitions of whole teams that are kept for later, the oldest given up first."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Transitions:
    """Observations [K, N, o], actions [K, N, a], rewards of the team [K], observations after."""

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    after: Tensor


class Replay:
    """The last `room` transitions of teams of N agents; pages of memory are taken as they fill."""

    def __init__(self, room: int, observation: int, action: int, agents: int, unit: Tensor) -> None:
        self.room, self.count, self.next = room, 0, 0
        self.kept = Transitions(
            unit.new_empty(room, agents, observation),
            unit.new_empty(room, agents, action),
            unit.new_empty(room),
            unit.new_empty(room, agents, observation),
        )

    def add(self, new: Transitions) -> None:
        """Keep some more; where there is no room they take the place of the oldest.

        Raises:
            ValueError: more than there is room for at all.
        """
        size = len(new.rewards)
        if size > self.room:
            raise ValueError(f"no room for {size} transitions among {self.room}")
        places = (self.next + torch.arange(size, device=new.rewards.device)) % self.room
        for name, value in vars(new).items():
            getattr(self.kept, name)[places] = value
        self.next = (self.next + size) % self.room
        self.count = min(self.room, self.count + size)

    def sample(self, count: int, generator: torch.Generator) -> Transitions:
        """So many of those kept, drawn with replacement."""
        chosen = torch.randint(self.count, (count,), generator=generator)
        chosen = chosen.to(self.kept.rewards.device)
        return Transitions(*(v[chosen] for v in vars(self.kept).values()))

    def state(self) -> dict[str, Tensor]:
        """All that is kept, and where the next goes."""
        kept = {name: value[: self.count].clone() for name, value in vars(self.kept).items()}
        return kept | {"next": torch.tensor(self.next)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Put back what was kept."""
        self.next, self.count = int(state["next"]), len(state["rewards"])
        for name, value in vars(self.kept).items():
            value[: self.count] = state[name]
