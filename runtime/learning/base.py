"""The contract of a learner: a policy, one step of training, and tensors to continue from."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from mfdsl.runtime.agents import AgentProgram
from mfdsl.runtime.behaviours import Behaviour
from mfdsl.runtime.exploitability import Exploitability
from mfdsl.runtime.learning.engine import Engine
from mfdsl.runtime.learning.placed import Tables
from mfdsl.runtime.learning.table import LEARNERS, LearnerConfig
from mfdsl.runtime.program import Params
from mfdsl.runtime.rng import seeded
from mfdsl.runtime.simulator import Simulator


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a learner is given: a game, its parameters, where its draws come from, how long.

    `weighted` gives agents weights (None where the game has none), `iterations` is the length of
    the whole course, by which rates fall. `tables` makes the tables in which policies are judged
    exactly, and says None where the game has none that fit.
    """

    program: AgentProgram
    params: Params
    seed: int
    iterations: int
    weighted: AgentProgram | None = None
    tables: Callable[[], Tables | None] | None = None

    def engine(self, config: LearnerConfig, discount: float | None = None) -> Engine:
        """Games to train in."""
        return engine_of(
            self, config.games, config.agents, config.steps, discount=discount, seed=self.seed
        )


def engine_of(
    lesson: Lesson,
    games: int,
    agents: int,
    steps: int,
    *,
    discount: float | None = None,
    seed: int = 0,
) -> Engine:
    """B games of a lesson; 0 agents and 0 steps mean what the game says.

    Raises:
        LessonError: the game has no end and `steps` is 0, or ends before so many steps.
    """
    program = lesson.program
    simulator = Simulator(program, lesson.params, agents=agents or None, batch=games, seed=seed)
    if not steps and program.horizon is None:
        raise LessonError(f"{program.name} has no end", "`--opt steps=100` says how long to play")
    if program.horizon is not None and steps > program.horizon:
        raise LessonError(
            f"{program.name} ends after {program.horizon} steps, and `steps` is {steps}",
            "leave `steps` out to play to the end",
        )
    rate = program.discount if discount is None else discount
    return Engine(simulator, steps or cast(int, program.horizon), rate)


class LessonError(ValueError):
    """A game that a learner cannot be used on; `hint` says what can be done."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class Learner(Protocol):
    """An algorithm; the loop owns stopping, measurement, history and files."""

    @property
    def config(self) -> LearnerConfig:
        """The options."""

    @property
    def policy(self) -> nn.Module:
        """The networks that play."""

    def behaviour(self, *, mode: bool = True) -> Behaviour:
        """How everybody plays now: at random, or (`mode`) as is likeliest."""

    def step(self, iteration: int) -> Mapping[str, float]:
        """Train once; what it measured, `return` (of the team, at random) among it."""

    def extend(self, iterations: int) -> None:
        """Let the course be as long as this, by which rates fall."""

    def state(self) -> dict[str, Tensor]:
        """All tensors from which training continues exactly."""

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continue from saved tensors."""


class Player(Learner, Protocol):
    """A learner of games where everybody plays for oneself."""

    def gap(self) -> Exploitability | None:
        """What one agent gains at most by leaving the policy, None where that is not measured."""


def make_learner(name: str, config: LearnerConfig, lesson: Lesson) -> Learner:
    """The named learner, its networks drawn from the seed of the lesson.

    Raises:
        LessonError: the learner is not defined on this game.
    """
    row = LEARNERS[name]
    make = getattr(importlib.import_module(row.module), row.symbol)
    with seeded(lesson.seed):
        return cast(Learner, make(config, lesson))


def saved_optimizer(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The moments and counts of an optimizer by position of the parameter."""
    found: dict[str, Tensor] = {}
    for place, entries in optimizer.state_dict()["state"].items():
        for name, value in entries.items():
            found[f"optimizer.{place}.{name}"] = torch.as_tensor(value)
    return found


def restore_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Tensor]) -> None:
    """Put saved moments back."""
    entries: dict[int, dict[str, Any]] = {}
    for key, value in state.items():
        kind, _, rest = key.partition(".")
        if kind == "optimizer":
            place, _, name = rest.partition(".")
            entries.setdefault(int(place), {})[name] = value.clone()
    whole = optimizer.state_dict()
    optimizer.load_state_dict({"state": entries, "param_groups": whole["param_groups"]})


def rate_at(config: LearnerConfig, iteration: int, iterations: int) -> float:
    """The learning rate at an iteration: it falls in a straight line to its last part."""
    share = min(1.0, iteration / max(1, iterations))
    return config.learning_rate * (1 - (1 - config.final_rate) * share)
