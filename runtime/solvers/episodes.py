"""Games of N agents played to learn tables from: who stood where, did what and was paid what."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mfdsl.compiler.ir.reduced import Reduced
from mfdsl.runtime.agents import AgentProgram
from mfdsl.runtime.behaviours import Scene
from mfdsl.runtime.learning.engine import Engine
from mfdsl.runtime.policy import Axis
from mfdsl.runtime.program import Params
from mfdsl.runtime.simulator import Simulator
from mfdsl.runtime.solvers.agents_line import AgentsLine
from mfdsl.runtime.solvers.agents_played import fits, line_of, played_by_loops
from mfdsl.runtime.solvers.followed import Followed
from mfdsl.runtime.streams import hashed
from mfdsl.runtime.tabled import Places
from mfdsl.runtime.views.native import available


@dataclass(frozen=True, eq=False)
class Crowd:
    """The agents of a game with a finite horizon that has tables, and what the tables stand for."""

    program: AgentProgram
    params: Params
    reduced: Reduced
    states: tuple[Axis, ...]
    actions: tuple[Axis, ...]
    seed: int = 0

    @property
    def acting(self) -> list[str]:
        """Who acts, by name; their agents stand side by side in this order."""
        assert self.program.model is not None
        return [p.name for p in self.program.model.players if p.actions]

    @property
    def stages(self) -> int:
        """How often everybody acts."""
        assert self.program.horizon is not None
        return self.program.horizon

    def key(self, step: int) -> tuple[int, int, str]:
        """The stream that actions are drawn from at a step of all episodes."""
        return (self.seed, step, "policy")

    @cached_property
    def line(self) -> AgentsLine | None:
        """A step of the game for the compiled loop, None where tensors play it."""
        return line_of(self) if available() else None

    def places(self) -> Places:
        """Where agents stand in the tables.

        Raises:
            ValueError: the past of a game cannot be told from what happens in it.
        """
        assert self.program.model is not None
        return Places(self.states, self.actions, self.reduced, self.program.model)

    def simulator(self, games: int, agents: int | None = None) -> Simulator:
        """Games to play; `agents` None takes the number of the spec."""
        return Simulator(self.program, self.params, agents=agents, batch=games, seed=self.seed)


@dataclass(frozen=True, eq=False)
class Episodes:
    """Places, actions and rewards of all who act; `final` is paid at the end."""

    places: Int[Tensor, "stages games agents"]
    actions: Int[Tensor, "stages games agents"]
    rewards: Float[Tensor, "stages games agents"]
    final: Float[Tensor, "games agents"]


def play(crowd: Crowd, simulator: Simulator, policies: Followed, number: int) -> Episodes:
    """Play the games of a simulator from start to end; `number` fixes all draws beside its seed."""
    if crowd.line is not None and fits(crowd.line, simulator):
        return played_by_loops(crowd, crowd.line, simulator, policies, number)
    return played_by_tensors(crowd, simulator, policies, number)


def played_by_tensors(
    crowd: Crowd, simulator: Simulator, policies: Followed, number: int
) -> Episodes:
    """Step by step, all agents at once."""
    places = crowd.places()
    stood: list[Tensor] = []
    done: list[Tensor] = []
    paid: list[Tensor] = []

    acting, unit = crowd.acting, crowd.params.unit

    def act(scene: Scene, step: int) -> Any:
        where = places.standing(scene)
        flat = _side_by_side([where[name] for name in acting])
        # one hash a number: a loop has it in a register, where Philox would be most of its time
        u = hashed(tuple(flat.shape), crowd.key(step), unit.device).to(unit.dtype)
        u = u.clamp_(max=1 - torch.finfo(unit.dtype).eps / 2)  # rounding must not reach 1
        taken = policies.drawn(len(done), flat, u)
        stood.append(flat)
        done.append(taken)
        parts = zip(acting, _apart(taken, [where[name] for name in acting]), strict=True)
        return places.moves(scene, dict(parts))

    engine = Engine(simulator, crowd.stages, 1.0)
    final = None
    for turn in engine.turns(number, act):
        if turn.rewards is not None:
            paid.append(paid_to(crowd, simulator, turn.rewards))
        elif (last := engine.paid(turn)) is not None:
            final = paid_to(crowd, simulator, last)
    rewards = torch.stack(paid)
    ended = torch.zeros_like(rewards[0]) if final is None else final
    return Episodes(torch.stack(stood), torch.stack(done), rewards, ended)


def paid_to(crowd: Crowd, simulator: Simulator, rewards: Any) -> Tensor:
    """Rewards of all who act; whoever has none is paid 0."""
    fields = {name: field for field, name in crowd.program.names.items()}
    found = []
    for name in crowd.acting:
        lead = (simulator.batch, simulator.agents.get(name, 1))
        value = getattr(rewards, fields[name], None)
        if value is None:
            value = crowd.params.unit.new_zeros(lead)
        found.append(_wide(value).expand(lead))
    return _side_by_side(found)


def _side_by_side(values: Sequence[Tensor]) -> Tensor:
    wide = [_wide(value) for value in values]
    return wide[0] if len(wide) == 1 else torch.cat(wide, 1)


def _apart(values: Tensor, like: Sequence[Tensor]) -> Sequence[Tensor]:
    """What stands side by side, each part of the shape of its own."""
    if len(like) == 1:
        return [values.reshape(like[0].shape)]
    parts = torch.split(values, [_wide(one).shape[1] for one in like], 1)
    return [part.reshape(one.shape) for part, one in zip(parts, like, strict=True)]


def _wide(value: Tensor) -> Tensor:
    """Majors, which have no axis of agents, as one agent."""
    return value if value.ndim > 1 else value[:, None]
