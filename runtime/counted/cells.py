"""Members at all cells: each state with each action, and with each value of the noises."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import torch
from torch import Tensor

from mfdsl.compiler.ir.model import Model, Player, Variable
from mfdsl.runtime.agents import AgentProgram
from mfdsl.runtime.program import Params
from mfdsl.runtime.simulator import Simulator


@dataclass(frozen=True, eq=False)
class CountedProgram:
    """A game and its parts (`compiler.ir.counted`).

    Members of `start` stand at all states and draws of t = 0, those of `moves` at all states,
    actions and noises, those of `rest` at all states and actions, and noises where their rewards
    read them (`reward_noises`, names). `fixed`: `moves` is always the same.
    """

    agents: AgentProgram
    start: AgentProgram
    moves: AgentProgram
    rest: AgentProgram
    reward_noises: frozenset[str]
    fixed: bool

    @property
    def model(self) -> Model:
        """The game of the agents."""
        assert self.agents.model is not None
        return self.agents.model

    @cached_property
    def fields(self) -> Mapping[str, Player]:
        """The populations by their field names."""
        return {f: self.model.player(self.agents.names[f]) for f in self.agents.populations}

    def axes(self, player: Player) -> tuple[Variable, ...]:
        """The states and traits of a population, in the order of its places."""
        return (*player.states, *player.traits)

    def sizes(self, variables: Sequence[Variable]) -> tuple[int, ...]:
        """The number of values of each of these variables."""
        return tuple(self.model.types[v.type].size for v in variables)

    def states(self, field: str) -> int:
        """The number of places of a population."""
        return prod(self.sizes(self.axes(self.fields[field])))

    def actions(self, field: str) -> int:
        """The number of joint actions of a population."""
        return prod(self.sizes(self.fields[field].actions))

    def outcomes(self, field: str) -> int:
        """The number of joint values of the noises of a population."""
        return prod(self.sizes(self.fields[field].noises))

    @property
    def cells(self) -> int:
        """Places with actions and noises of all populations."""
        return sum(self.states(f) * self.actions(f) * self.outcomes(f) for f in self.fields)


class Part:
    """A part of a game for B games, with one member at each of its cells [M].

    The streams of majors and environments are those of the simulator of agents.
    """

    def __init__(self, program: AgentProgram, params: Params, batch: int, seed: int) -> None:
        self.program = program
        self.params: Any = params_of(program, params)
        self.simulator = Simulator(program, self.params, agents=1, batch=batch, seed=seed)
        assert program.model is not None
        self.model = program.model
        self._times: tuple[Tensor, ...] = ()
        self.states: dict[str, list[Tensor]] = {}
        self.acts: dict[str, list[Tensor]] = {}
        self.places: dict[str, list[Tensor]] = {}
        for field in program.populations:
            player = self.model.player(program.names[field])
            stored = (*player.states, *player.traits[:-1])  # the last is the weight
            values = self._grid((*stored, *player.actions))
            self.states[field] = values[: len(stored)]
            self.acts[field] = values[len(stored) :]
            self.places[field] = self._grid(stored)

    def cells(self, field: str) -> int:
        """The number of members of a population, that is of its cells."""
        values = (*self.states[field], *self.acts[field])
        return values[0].shape[1] if values else 1

    def ask(
        self,
        t: int,
        common: Mapping[str, Any],
        weights: Mapping[str, Tensor],
        acts: Mapping[str, Any],
    ) -> tuple[Any, Any]:
        """Next states and rewards at the cells.

        `common` are the states of majors and environments, `weights` [B or 1, M] the shares of the
        agents at the cells, `acts` the actions of majors.
        """
        return self._ask(self.program.module.step, t, common, weights, acts)  # type: ignore[no-any-return]

    def terms(
        self,
        t: int,
        common: Mapping[str, Any],
        weights: Mapping[str, Tensor],
        acts: Mapping[str, Any],
    ) -> Mapping[str, Mapping[str, Tensor]]:
        """The named rewards at the cells."""
        return self._ask(self.program.module.reward_terms, t, common, weights, acts)  # type: ignore[no-any-return]

    def final(self, t: int, common: Mapping[str, Any], laws: Mapping[str, Tensor]) -> Any:
        """Final rewards [B or 1, S] at the places where the agents have the laws [B, S]."""
        state = self._state(common, self.places, laws)
        return self.program.module.final_rewards(self.params, self._time(t), state)

    def after(self, field: str, state: Any) -> Tensor:
        """The flat places [B or 1, M] of next states of a population."""
        player = self.model.player(self.program.names[field])
        stored = (*player.states, *player.traits[:-1])
        place = torch.zeros(1, 1, dtype=torch.int64, device=self.params.unit.device)
        for variable, value in zip(stored, getattr(state, field), strict=False):
            kind = self.model.types[variable.type]
            place = place * kind.size + (value.long() - kind.first)
        return place.expand(-1, self.cells(field))

    def _time(self, t: int) -> Tensor:
        if t >= len(self._times):
            self._times = torch.arange(2 * t + 64, device=self.params.unit.device).unbind()
        return self._times[t]

    def _ask(self, function: Any, t: int, common: Any, weights: Any, acts: Any) -> Any:
        module = self.program.module
        groups = {}
        for field in module.Action._fields:
            if field in self.acts:
                groups[field] = module.Action.__annotations__[field](*self.acts[field])
            else:
                groups[field] = module.Action.__annotations__[field](*acts[field])
        state = self._state(common, self.states, weights)
        noise = self.simulator.noise(t)
        return function(self.params, self._time(t), state, module.Action(**groups), noise)

    def _state(
        self,
        common: Mapping[str, Any],
        values: Mapping[str, Sequence[Tensor]],
        weights: Mapping[str, Tensor],
    ) -> Any:
        """The state of the module; a share of the agents weighs as many members as there are."""
        module = self.program.module
        groups = {}
        for field in module.State._fields:
            kind = module.State.__annotations__[field]
            if field in values:
                share = weights[field].to(self.params.unit)
                groups[field] = kind(*values[field], share * share.shape[1])
            else:
                groups[field] = kind(*common[field])
        return module.State(**groups)

    def _grid(self, variables: Sequence[Variable]) -> list[Tensor]:
        """The values of variables at all their joint places, row-major, each [1, M]."""
        device = self.params.unit.device
        kinds = [self.model.types[v.type] for v in variables]
        axes = [torch.arange(k.first, k.first + k.size, device=device) for k in kinds]
        whole = torch.meshgrid(*axes, indexing="ij") if axes else ()
        return [
            (v.bool() if k.kind == "bool" else v).reshape(1, -1)
            for v, k in zip(whole, kinds, strict=True)
        ]


def params_of(program: AgentProgram, params: Params) -> Any:
    """Parameters as those of another module of the same game; what that has alone is its own."""
    unit = params.unit
    own: Any = program.params(dtype=unit.dtype, device=unit.device)
    return own._replace(**{k: v for k, v in params._asdict().items() if k in own._fields})
