"""Single agents followed beside the counts.

Given all counts, who of a state takes which of its moves is a draw without replacement: agents are
exchangeable. So an agent's path, drawn after the counts, has with them the law that it has in the
simulator of agents. Its draws have streams of their own and change no count.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mfdsl.runtime.counted.cells import CountedProgram
from mfdsl.runtime.counted.returns import by_cell
from mfdsl.runtime.counted.splits import Counts
from mfdsl.runtime.streams import generator

if TYPE_CHECKING:
    from mfdsl.runtime.counted.simulate import Step


class Followed:
    """Agents (population, number) of game 0 on their way, with what is shown of them."""

    def __init__(
        self,
        program: CountedProgram,
        agents: Sequence[tuple[str, int]],
        counts: Mapping[str, Counts],
        seed: int,
    ) -> None:
        self.program, self.seed = program, seed
        self.kept: dict[str, list[int | float]] = {}
        self.at: dict[str, dict[int, int]] = {}
        for field, player in program.fields.items():
            wanted = dict.fromkeys(number for name, number in agents if name == player.name)
            left, stream = counts[field][0].copy(), self._stream(field, 0, "start")
            self.at[field] = {number: _taken(left, stream) for number in wanted}

    def step(self, t: int, moved: Mapping[str, "Step"], rewards: Any) -> None:
        """Let everybody who is followed take one of the moves of the own state."""
        for field, standing in self.at.items():
            if not standing:
                continue
            step, stream = moved[field], self._stream(field, t, "follow")
            acting, going = step.acting[0].copy(), step.moved[0].copy()
            noisy = self.program.fields[field].name in self.program.reward_noises
            paid = (
                by_cell(getattr(rewards, field), step, noisy)[0]
                if field in rewards._fields
                else None
            )
            for number, state in standing.items():
                action = _taken(acting[state], stream)
                cell = state * acting.shape[1] + action
                landing = cell if step.ways.of is None else int(step.ways.of[cell])
                outcome = _taken(going[landing], stream)
                reward = None
                if paid is not None:
                    reward = float(paid[state, action, outcome if noisy else 0])
                self._keep(field, number, state, action, reward)
                standing[number] = int(step.ways.target[0, landing, outcome])

    def stacked(self) -> dict[str, Tensor]:
        """What was kept, [T, 1] each, by names like `person[3].x`."""
        return {name: torch.tensor(values)[:, None] for name, values in self.kept.items()}

    def _keep(self, field: str, number: int, state: int, action: int, reward: float | None) -> None:
        player = self.program.fields[field]
        who = f"{player.name}[{number}]"
        for variables, place in ((self.program.axes(player), state), (player.actions, action)):
            sizes = self.program.sizes(variables)
            at = np.unravel_index(place, sizes) if sizes else ()
            for variable, position in zip(variables, at, strict=True):
                first = self.program.model.types[variable.type].first
                self.kept.setdefault(f"{who}.{variable.name}", []).append(int(position) + first)
        if reward is not None:
            self.kept.setdefault(f"{who}.reward", []).append(reward)

    def _stream(self, field: str, t: int, what: str) -> np.random.Generator:
        name = self.program.fields[field].name
        return generator((self.seed, t, f"counts.{name}.{what}.single"))


def _taken(left: Counts, stream: np.random.Generator) -> int:
    """The place of one of those who are left, who is then no longer there."""
    edges = left.cumsum()
    place = int(np.searchsorted(edges, stream.integers(edges[-1]), side="right"))
    left[place] -= 1
    return place
