"""Loads the module of agents of a game: pure functions of states, actions and draws."""

import hashlib
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import torch

from mfdsl.compiler.ir.model import Model
from mfdsl.runtime.program import (
    Number,
    Params,
    ProgramError,
    batch_of,
    checked_module,
    overridden,
)

REQUIRED = (
    "VIEW NAME OBJECTIVE HORIZON HORIZON_KIND DISCOUNT PLAYERS NAMES AGENTS NOISES INITIALS ACTIONS"
    " HAS_FINAL CUTS State Action Noise Initial Rewards default_params init step reward_terms"
    " final_rewards legal observe"
).split()


class SimulationError(ValueError):
    """A simulation that cannot be run as it is asked for; the message says why."""


@dataclass(frozen=True, eq=False)
class AgentProgram:
    """A loaded module of agents; `players` gives the kind of each player by its field name.

    `names` are the players as the spec writes them, by field name, `fixed` the fields of the
    populations whose agents are given one by one, so that their number is.
    """

    module: types.ModuleType
    text: str = field(repr=False)
    model: Model | None = field(repr=False)
    name: str
    objective: str
    horizon: int | None
    kind: str
    discount: float
    players: dict[str, str]
    names: dict[str, str]
    fixed: tuple[str, ...] = ()

    @property
    def populations(self) -> tuple[str, ...]:
        """Field names of the populations."""
        return tuple(name for name, kind in self.players.items() if kind == "population")

    @property
    def key(self) -> str:
        """Hash of the text, in hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def variables(self, field: str, kind: Literal["state", "action", "noise"]) -> tuple[str, ...]:
        """Names in the spec of the entries of a player's tuple: states, then traits; or actions,
        or noises.
        """
        if self.model is None:
            group = getattr(self.module, kind.capitalize()).__annotations__[field]
            return tuple(group._fields)
        player = self.model.player(self.names[field])
        if kind == "noise":
            return tuple(variable.name for variable in player.noises)
        group = player.actions if kind == "action" else (*player.states, *player.traits)
        return tuple(variable.name for variable in group)

    def params(
        self,
        overrides: Mapping[str, Number] | None = None,
        *,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> Params:
        """Parameter tensors; a list in place of a number makes a batch [B].

        Raises:
            ProgramError: a name is unknown, a value has the wrong shape, or two lists differ
                in length.
        """
        defaults = cast(Params, self.module.default_params(dtype=dtype, device=device))
        return overridden(defaults, overrides or {}, self.name, self.model)

    def batch_of(self, params: Params) -> int:
        """Length B of the batch axis of the parameters, 1 without one."""
        return batch_of(self.module, params)


def load_agents(text: str, model: Model | None = None, name: str = "game") -> AgentProgram:
    """Run the text of a module of agents and return it as a program.

    Raises:
        ProgramError: the text does not parse, does something a compiled game never does,
            lacks part of the contract, or was compiled for another version of it.
    """
    module: Any = checked_module(text, name, REQUIRED)
    if module.VIEW != "particles":
        raise ProgramError(f"{name} is not a module of agents")
    return AgentProgram(
        module=module,
        text=text,
        model=model,
        name=module.NAME,
        objective=module.OBJECTIVE,
        horizon=module.HORIZON,
        kind=module.HORIZON_KIND,
        discount=float(module.DISCOUNT),
        players=dict(module.PLAYERS),
        names=dict(module.NAMES),
        fixed=tuple(getattr(module, "FIXED", ())),  # modules before 0.2 have no such populations
    )
