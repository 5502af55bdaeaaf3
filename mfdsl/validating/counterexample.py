"""One game in which a simulator does not treat agents alike, with its values by name."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mfdsl.compiler.ir.types import Type
from mfdsl.runtime.agents import AgentProgram
from mfdsl.validating.situations import Key, Situation, taken

MOST_NAMED = 64  # agents up to which a witness has the values of all, else of those that move


@dataclass(frozen=True, eq=False)
class Counterexample:
    """One game in which reordering a population does more than that.

    `order[i]` is the agent that takes place i; `names` are the quantities that come out wrong, by
    field of the player and name, and `before`, `after` what they are, [1, N, ...].
    """

    program: AgentProgram
    field: str
    situation: Situation
    order: Tensor
    names: tuple[Key, ...]
    before: Mapping[Key, Tensor]
    after: Mapping[Key, Tensor]

    @property
    def moved(self) -> tuple[int, ...]:
        """The agents that change places."""
        return tuple(i for i, j in enumerate(self.order.tolist()) if i != j)

    @property
    def sentence(self) -> str:
        """What is wrong, in a line."""
        population, agents = self.program.names[self.field], len(self.order)
        field, name = self.names[0]
        shown = name if field == self.field else f"{self.program.names[field]}.{name}"
        what = f"reordering the agents of {population}"
        if len(self.moved) == 2:
            what = f"swapping agents {self.moved[0]} and {self.moved[1]} of {population}"
        wrong = "does not swap" if field == self.field else "changes"
        when = "" if "initial" in self.situation.groups else f", t = {self.situation.t}"
        return f"{what} {wrong} {shown} ({agents} agents{when})"

    @property
    def _named(self) -> tuple[int, ...] | None:
        """The agents whose values the witness has, None for all."""
        return self.moved if len(self.order) > MOST_NAMED else None

    @property
    def expected(self) -> dict[Key, Tensor]:
        """What the wrong quantities should be after reordering."""
        order, count = self.order[None], len(self.order)
        return {
            key: taken(v.expand(-1, count, *v.shape[2:]), order) if key[0] == self.field else v
            for key, v in ((key, self.before[key]) for key in self.names)
        }

    @property
    def witness(self) -> dict[str, float | int | str]:
        """The values by name, as certificates have them."""
        swap = len(self.moved) == 2
        found: dict[str, float | int | str] = {
            "agents": len(self.order),
            "swap" if swap else "order": " ".join(
                map(str, self.moved if swap else self.order.tolist())
            ),
            "t": self.situation.t,
        }
        for group, field, index, name in leaves(self.program, self.situation):
            value = self.situation.groups[group]._asdict()[field][index][0]
            word = f"{self.program.names[field]}.{name}"
            word = f"{word} draw" if group in ("noise", "initial") else word
            for place, entry in _entries(value, self._named if field == self.field else None):
                found[f"{word}{place}"] = entry
        for key in self.names[:1]:
            word = f"{self.program.names[key[0]]}.{key[1]}"
            for kind, values in (("after", self.after), ("expected", self.expected)):
                for place, entry in _entries(values[key][0], self._named):
                    found[f"{kind} {word}{place}"] = entry
        return found


def leaves(program: AgentProgram, situation: Situation) -> Iterator[tuple[str, str, int, str]]:
    """The tensors of a situation: (group, field of the player, place, name of the variable)."""
    for group, value in situation.groups.items():
        for field, part in value._asdict().items():
            names: Sequence[str] = part._fields
            if group == "state":
                names = program.variables(field, "state")
            elif group == "action":
                names = program.variables(field, "action")
            yield from ((group, field, index, name) for index, name in enumerate(names))


def variable_type(program: AgentProgram, group: str, field: str, name: str) -> Type | None:
    """The type of a state, trait or action; None for draws."""
    if group not in ("state", "action") or program.model is None:
        return None
    player = program.model.player(program.names[field])
    variables = (*player.states, *player.traits, *player.actions)
    return next(program.model.types[v.type] for v in variables if v.name == name)


def _entries(value: Tensor, agents: Sequence[int] | None) -> Iterator[tuple[str, float | int]]:
    """The numbers of a tensor with their places, `[0]`, `[0, 1]`, or none for a scalar.

    Of a tensor of agents only the entries of `agents`, unless it is None.
    """
    if value.ndim == 0:
        yield "", value.item()
        return
    for place in torch.ones(value.shape).nonzero().tolist():
        if agents is None or place[0] in agents:
            yield str(place), value[tuple(place)].item()
