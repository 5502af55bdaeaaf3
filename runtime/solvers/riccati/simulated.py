"""The states, actions and draws of a simulator as vectors, entry by entry in the order of names."""

from collections.abc import Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor

from mfdsl.runtime.agents import AgentProgram


def shapes(program: AgentProgram, field: str, kind: str) -> list[tuple[int, ...]]:
    """The shapes of the entries of a player's `State` or `Action`."""
    assert program.model is not None
    player = program.model.player(program.names[field])
    group = player.actions if kind == "Action" else (*player.states, *player.traits)
    return [program.model.types[v.type].dims for v in group]


def flat(program: AgentProgram, group: Any) -> dict[str, Tensor]:
    """Vectors by player of a nested tuple of states, actions or draws, by the names of the spec."""
    found = {}
    for field, values in group._asdict().items():
        lead = 2 if program.players[field] == "population" else 1
        parts = [v.reshape(*v.shape[:lead], -1) for v in values]
        if parts:
            batch = max(len(p) for p in parts)
            found[program.names[field]] = torch.cat(
                [p.expand(batch, *p.shape[1:]) for p in parts], -1
            )
    return found


def nested(program: AgentProgram, kind: str, values: Mapping[str, Tensor]) -> Any:
    """The module's tuple `State` or `Action` with these vectors by player."""
    outer = getattr(program.module, kind)
    groups = {}
    for field, inner in outer.__annotations__.items():
        vector, parts, start = values[program.names[field]], [], 0
        for dims in shapes(program, field, kind):
            size = prod(dims)
            part = vector[..., start : start + size]
            parts.append(part.reshape(*vector.shape[:-1], *dims))
            start += size
        groups[field] = inner(*parts)
    return outer(**groups)


def width(program: AgentProgram, field: str, kind: str) -> int:
    """The number of entries of a player's states and traits, or of its actions."""
    return sum(prod(dims) for dims in shapes(program, field, kind))


def draws(
    program: AgentProgram, kind: str, laws: Mapping[str, Any], values: Mapping[str, Tensor]
) -> Any:
    """The module's tuple `Noise` or `Initial` with these vectors by player."""
    outer = getattr(program.module, kind)
    groups = {}
    for field, variables in laws.items():
        vector, parts, start = values[program.names[field]], {}, 0
        for name, (_, dims) in variables.items():
            part = vector[..., start : start + prod(dims)]
            parts[name] = part.reshape(*vector.shape[:-1], *dims)
            start += prod(dims)
        groups[field] = outer.__annotations__[field](**parts)
    return outer(**groups)


def law_of(law: tuple[str | float, ...]) -> tuple[float, float] | None:
    """Mean and standard deviation of a standard law; None of one whose entries are not independent.

    Laws are those of `NoiseVariable.law`.
    """
    match law:
        case ("normal",):
            return 0.0, 1.0
        case ("uniform",):
            return 0.5, 12**-0.5
        case ("exponential",):
            return 1.0, 1.0
        case ("gamma", k):
            return float(k), float(k) ** 0.5
        case ("beta", a, b):
            a, b = float(a), float(b)
            return a / (a + b), (a * b / (a + b + 1)) ** 0.5 / (a + b)
    return None
