"""The stages of simulated games one by one, and whether values lie in their domains."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mfdsl.compiler.ir.types import Type
from mfdsl.runtime.behaviours import Behaviour
from mfdsl.runtime.simulator import Simulator

SLACK = 1e-9


@dataclass(frozen=True, eq=False)
class Stage:
    """One step of B games: before it, what everybody does, what they are paid, and after it."""

    t: int
    state: Any
    action: Any
    rewards: Any
    after: Any


def stages(simulator: Simulator, behaviour: Behaviour, steps: int) -> Iterator[Stage]:
    """The first stages of the games of a simulator, from t = 0."""
    state = simulator.reset()
    for t in range(steps):
        action = behaviour(simulator.scene(t, state))
        after, rewards = simulator.step(t, state, action)
        yield Stage(t, state, action, rewards, after)
        state = after


def horizon_of(simulator: Simulator, most: int) -> int:
    """The number of stages of a game, at most `most`."""
    program = simulator.program
    return min(most, program.horizon or most) if program.kind == "finite" else most


def outside(kind: Type, value: Tensor) -> Tensor:
    """Which entries are outside of their domain, or not numbers; of a ball, which points are."""
    if kind.kind != "real":
        value = value.long()
        wrong = torch.zeros_like(value, dtype=torch.bool)
    else:
        wrong = ~value.isfinite()
    if kind.ball is not None:
        long: Tensor = value.norm(dim=-1) > kind.ball * (1 + SLACK)
        return wrong.any(-1) | long
    if kind.box is not None:
        low, high = (value.new_tensor([ends[k] for ends in kind.box]) for k in (0, 1))
    else:
        bounds = (-torch.inf if kind.lo is None else kind.lo, kind.hi)
        low, high = (
            value.new_tensor(float(b) if b is not None else torch.inf, dtype=torch.float64)
            for b in bounds
        )
    slack = SLACK if kind.kind == "real" else 0.0
    below: Tensor = value < low - slack * (1 + low.abs())
    above: Tensor = value > high + slack * (1 + high.abs())
    return wrong | below | above
