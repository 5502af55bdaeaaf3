"""Simulates B games of N agents side by side, with all randomness from named streams."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, Literal

import torch
from torch import Tensor

from mfdsl.compiler.ir.model import DEFAULT_AGENTS
from mfdsl.runtime.agents import AgentProgram, SimulationError as SimulationError
from mfdsl.runtime.behaviours import Behaviour, Scene
from mfdsl.runtime.memory import gibibytes, memory_of
from mfdsl.runtime.program import Params, Program
from mfdsl.runtime.streams import draw
from mfdsl.runtime.transport import surrogate_in_use

NEGLIGIBLE = 1e-4
WORKING_COPIES = 12  # tensors of the size of all draws and states that a step holds at once
LARGEST_KEPT = 31 << 20  # bytes, just below the most that glibc adapts to


@dataclass(frozen=True, eq=False)
class Return:
    """Returns [B] of one player: of a population the mean over its agents.

    `std_error` is over games when there are several, else over the agents, whose returns are
    nearly independent for many agents; nan where there is one return only.
    """

    values: Tensor = field(repr=False)
    mean: float
    std_error: float


@dataclass(frozen=True, eq=False)
class Rollout:
    """A simulated stretch: returns by player and by term, and what was recorded.

    `record` has arrays by name, `drone.pos` [T + 1, B, N, 2], `drone.reward` [T, B, N], ...
    `transport` is "surrogate" when rewards were computed within `smooth_transport`. Games of
    agents that are only counted (`by` is "counts") record `drone.count` and `drone.acting`.
    """

    agents: Mapping[str, int]
    batch: int
    steps: int
    returns: Mapping[str, Return]
    terms: Mapping[str, Mapping[str, float]]
    team: Return | None
    state: Any = field(repr=False)
    seconds: float = 0.0
    record: Mapping[str, Tensor] = field(default_factory=dict, repr=False)
    transport: Literal["exact", "surrogate"] = "exact"
    by: Literal["agents", "counts"] = "agents"

    @property
    def agent_steps_per_second(self) -> float:
        """Moves of single agents in a second of wall time."""
        return sum(self.agents.values()) * self.batch * self.steps / self.seconds


class Simulator:
    """B games of a program; `agents` is a number for all populations or one for each by name.

    Raises:
        SimulationError: a number of agents is missing or below 1, the batch does not fit the
            parameters, or the machine has too little memory.
    """

    def __init__(
        self,
        program: AgentProgram,
        params: Params | None = None,
        *,
        agents: int | Mapping[str, int] | None = None,
        batch: int = 1,
        seed: int = 0,
        compile: bool = False,
    ) -> None:
        self.program = program
        self.params: Any = program.params() if params is None else params
        self.seed = seed
        self.agents = agents_of(program, agents)
        self.batch = _batch(program.batch_of(self.params), batch)
        _check_memory(self)
        _keep_freed_memory()
        self._compiled = compiled_step(program, self.params.unit.device) if compile else None

    @property
    def _step(self) -> Callable[..., Any]:
        step: Callable[..., Any] = self._compiled or self.program.module.step
        return step

    def reset(self, epoch: int = 0) -> Any:
        """States at t = 0; every epoch has draws of its own."""
        module = self.program.module
        draws = self._draws(module.Initial, module.INITIALS, epoch, "initial")
        return self.whole(module.init(self.params, draws))

    def reset_where(self, state: Any, done: Tensor, epoch: int) -> Any:
        """The state with fresh games of an epoch where the bools `done` [B] hold."""
        return _chosen(done, self.reset(epoch), state)

    def noise(self, t: int) -> Any:
        """The standard draws of step t."""
        module = self.program.module
        return self._draws(module.Noise, module.NOISES, t, "noise")

    def step(self, t: int, state: Any, action: Any) -> tuple[Any, Any]:
        """Next state and rewards, from the streams of step t."""
        after, rewards = self._step(self.params, self.time(t), state, action, self.noise(t))
        return self.whole(after), self.whole(rewards)

    def scene(self, t: int, state: Any) -> Scene:
        """What a behaviour may look at."""
        return Scene(
            self.program, self.params, t, self.time(t), state, self.batch, self.agents, self.seed
        )

    def time(self, t: int) -> Tensor:
        """The time index as a tensor, filled in there: a GPU is waited for where one is sent."""
        return torch.full((), t, dtype=torch.int64, device=self.params.unit.device)

    def rollout(
        self,
        behaviour: Behaviour,
        *,
        steps: int | None = None,
        discount: float | None = None,
        terms: bool = False,
        record: bool = False,
        watch: Callable[[int, Any, Any], None] | None = None,
    ) -> Rollout:
        """Let everybody follow a behaviour from t = 0 and add up the rewards.

        `steps` defaults to the horizon; without end, to where discounting leaves 0.01 %. Rewards
        are discounted by `discount`, that of the game when it is None. `watch(t, state, action)`
        is called before each step.
        """
        count = steps_of(self.program, steps)
        rate = self.program.discount if discount is None else discount
        paid: list[tuple[float, dict[tuple[str, str], Tensor]]] = []
        state, total, kept = self.reset(), None, _Record(record)
        if record:
            check_held(_bytes(state) * (count + 1), self.params.unit.device)
        began, weight = time.perf_counter(), 1.0
        for t in range(count):
            action = behaviour(self.scene(t, state))
            if watch is not None:
                watch(t, state, action)
            kept.states(self.program, state)
            noise, now = self.noise(t), self.time(t)
            if terms:
                due = self.program.module.reward_terms(self.params, now, state, action, noise)
                paid.append((weight, _term_means(due, self.program.names)))
            after, rewards = self._step(self.params, now, state, action, noise)
            state, rewards = self.whole(after), self.whole(rewards)
            kept.moves(self.program, action, rewards)
            total = _added(total, rewards, weight)
            weight *= rate
        if self.program.module.HAS_FINAL and count == self.program.horizon:
            total = _added(
                total,
                self.program.module.final_rewards(self.params, self.time(count), state),
                weight,
            )
        kept.states(self.program, state)
        seconds = time.perf_counter() - began
        return self._summed(total, _added_terms(paid), count, seconds, state, kept.stacked())

    def _summed(
        self,
        total: Any,
        named: Mapping[str, Mapping[str, float]],
        steps: int,
        seconds: float,
        state: Any,
        record: Mapping[str, Tensor],
    ) -> Rollout:
        returns = {}
        for name, value in total._asdict().items():
            shape = (self.batch, *value.shape[1:])
            returns[self.program.names[name]] = returned(value.expand(shape))
        team = returned_together(returns) if self.program.objective == "team" else None
        return Rollout(
            self.agents,
            self.batch,
            steps,
            returns,
            named,
            team,
            state,
            seconds,
            record,
            "surrogate" if surrogate_in_use() else "exact",
        )

    def _draws(self, kind: Any, laws: Mapping[str, Any], step: int, what: str) -> Any:
        """The nested tuple of draws, each from its own stream."""
        unit, program = self.params.unit, self.program
        groups = {}
        for player, variables in laws.items():
            lead: tuple[int, ...] = (self.batch,)
            if program.players[player] == "population":
                lead = (self.batch, self.agents[program.names[player]])
            made = {
                name: draw(
                    law,
                    (*lead, *shape),
                    (self.seed, step, f"{what}.{program.names[player]}.{name}"),
                    dtype=unit.dtype,
                    device=unit.device,
                )
                for name, (law, shape) in variables.items()
            }
            groups[player] = kind.__annotations__[player](**made)
        return kind(**groups)

    def whole(self, group: Any) -> Any:
        """Nested tensors with a full batch axis."""
        whole = self.batch
        return _mapped(lambda v: v if len(v) == whole else v.expand(whole, *v.shape[1:]), group)


class _Record:
    """Arrays by name, one entry for each step."""

    def __init__(self, wanted: bool) -> None:
        self.wanted = wanted
        self.kept: dict[str, list[Tensor]] = {}

    def states(self, program: AgentProgram, state: Any) -> None:
        self._add(program, state, "state")

    def moves(self, program: AgentProgram, action: Any, rewards: Any) -> None:
        self._add(program, action, "action")
        if self.wanted:
            for player, value in rewards._asdict().items():
                self.kept.setdefault(f"{program.names[player]}.reward", []).append(value)

    def _add(self, program: AgentProgram, group: Any, kind: Literal["state", "action"]) -> None:
        if not self.wanted:
            return
        for player, values in group._asdict().items():
            for name, value in zip(program.variables(player, kind), values, strict=True):
                self.kept.setdefault(f"{program.names[player]}.{name}", []).append(value)

    def stacked(self) -> dict[str, Tensor]:
        return {name: torch.stack(list(values)) for name, values in self.kept.items()}


def agents_of(program: AgentProgram, wanted: int | Mapping[str, int] | None) -> dict[str, int]:
    """Numbers of agents by population: those that are wanted, else those of the spec, or 1,000.

    Raises:
        SimulationError: a name is unknown, a number is not whole, below 1 or not that of the files.
    """
    names = [program.names[field] for field in program.populations]
    asked = {program.names[k]: v for k, v in program.module.AGENTS.items()}
    given = dict(wanted) if isinstance(wanted, Mapping) else {}
    for number in given.values() if isinstance(wanted, Mapping) else (wanted,):
        if not isinstance(number, Integral | None):
            raise SimulationError(f"a number of agents is a whole number, not {number!r}")
    unknown = [name for name in given if name not in names]
    if unknown:
        raise SimulationError(
            f"`{program.name}` has no population `{unknown[0]}`; it has"
            f" {', '.join(f'`{name}`' for name in names)}"
        )
    fixed = [program.names[field] for field in program.fixed]
    found = {}
    for name in names:
        number = given.get(name, wanted if isinstance(wanted, Integral) else asked.get(name))
        number = DEFAULT_AGENTS if number is None else number
        if number < 1:
            raise SimulationError(f"a simulation needs at least one agent, not {number} of {name}")
        if name in fixed and number != asked[name]:
            raise SimulationError(
                f"the files of `{program.name}` give the {asked[name]:,} agents of `{name}` one by"
                f" one, there are no {number:,}"
            )
        found[name] = int(number)
    return found


def _batch(settings: int, batch: int) -> int:
    if not isinstance(batch, int | Integral):
        raise SimulationError(f"a number of games is a whole number, not {batch!r}")
    if batch < 1:
        raise SimulationError(f"a simulation needs at least one game, not {batch}")
    if settings not in (1, batch) and batch != 1:
        raise SimulationError(f"{settings} parameter settings and batch {batch} do not fit")
    return max(settings, int(batch))


def _check_memory(simulator: Simulator) -> None:
    """Refuse what the machine cannot hold, before anything is allocated."""
    program = simulator.program
    entries = 0
    for laws in (program.module.NOISES, program.module.INITIALS):
        for player, variables in laws.items():
            lead = simulator.batch * simulator.agents.get(program.names[player], 1)
            entries += sum(lead * math.prod(shape) for _, shape in variables.values())
    unit = simulator.params.unit
    check_held(WORKING_COPIES * entries * unit.element_size(), unit.device)


def _keep_freed_memory() -> None:
    """Let the allocator keep what a step frees for the next step.

    glibc gives memory back beyond twice the largest block that was ever freed, so that every step
    would fault in its tensors anew, page by page: about a third of the time of a large step. The
    block is not touched, and other allocators do not mind.
    """
    torch.empty(LARGEST_KEPT, dtype=torch.uint8)


def _bytes(group: Any) -> int:
    """The memory of nested tensors, views at their full size."""
    if isinstance(group, Tensor):
        return group.numel() * group.element_size()
    return sum(_bytes(part) for part in group)


def compiled_step(program: AgentProgram, device: torch.device) -> Callable[..., Any]:
    """The step of a module through torch.compile: as CUDA graphs on a GPU, without launches of
    single operations. Exact transport, whose plans are found on the CPU, is in no such graph.

    Raises:
        SimulationError: within `smooth_transport`.
    """
    if surrogate_in_use():
        raise SimulationError("a compiled step keeps the transport that it was traced with")
    if device.type != "cuda" or "torch.ops.mfdsl" in program.text:
        return torch.compile(program.module.step, fullgraph=True)
    replayed: Callable[..., Any]
    replayed = torch.compile(program.module.step, fullgraph=True, mode="reduce-overhead")

    def step(*given: Any) -> Any:
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        # the next replay overwrites what this one returns
        return tuple(_mapped(torch.clone, group) for group in replayed(*given))

    return step


def check_held(needed: int, device: torch.device) -> None:
    """Refuse more bytes than the device has."""
    held = memory_of(device)
    if needed > held:
        raise SimulationError(
            f"this needs about {gibibytes(needed)}, the machine has {gibibytes(held)}: "
            "simulate fewer agents, games or steps at once, or use float32"
        )


def steps_of(program: AgentProgram | Program, steps: int | None) -> int:
    """The number of steps: the horizon; without end, to where discounting leaves 0.01 %.

    Raises:
        SimulationError: it is no whole number, below 1 or beyond the horizon.
    """
    if not isinstance(steps, int | Integral | None):
        raise SimulationError(f"a number of steps is a whole number, not {steps!r}")
    if steps is not None and steps < 1:
        raise SimulationError(f"a simulation needs at least one step, not {steps}")
    if program.kind == "finite":
        limit = program.horizon or 1
        if steps is not None and steps > limit:
            raise SimulationError(f"{program.name} has {limit} stages, {steps} were asked for")
        return steps or limit
    if steps is not None:
        return steps
    if program.discount == 0:
        return 1
    return math.ceil(math.log(NEGLIGIBLE) / math.log(program.discount))


def _mapped(rule: Callable[[Tensor], Tensor], group: Any) -> Any:
    """A rule on every tensor of nested tuples."""
    if isinstance(group, Tensor):
        return rule(group)
    return type(group)(*(_mapped(rule, part) for part in group))


def _chosen(done: Tensor, fresh: Any, old: Any) -> Any:
    if isinstance(old, Tensor):
        return torch.where(done.reshape(-1, *[1] * (old.ndim - 1)), fresh, old)
    return type(old)(*(_chosen(done, a, b) for a, b in zip(fresh, old, strict=True)))


def _added(total: Any, rewards: Any, weight: float) -> Any:
    if total is None:
        return _mapped(lambda v: v * weight, rewards)
    parts = zip(total, rewards, strict=True)
    return type(rewards)(*(a.add(b, alpha=weight) for a, b in parts))


def _term_means(
    terms: Mapping[str, Mapping[str, Tensor]], names: Mapping[str, str]
) -> dict[tuple[str, str], Tensor]:
    """Means over games and agents, by the names of the player and of the term."""
    return {
        (names[player], name): value.mean()
        for player, named in terms.items()
        for name, value in named.items()
    }


def _added_terms(
    paid: Sequence[tuple[float, Mapping[tuple[str, str], Tensor]]],
) -> dict[str, dict[str, float]]:
    """Weighted sums of the terms of all steps, read at the end: a GPU is waited for then."""
    found: dict[str, dict[str, float]] = {}
    for player, name in paid[0][1] if paid else ():
        values = torch.stack([means[player, name] for _, means in paid]).tolist()
        total = 0.0
        for (weight, _), value in zip(paid, values, strict=True):
            total += weight * value
        found.setdefault(player, {})[name] = total
    return found


def returned(total: Tensor) -> Return:
    """Returns [B] of single players, or of agents [B, N], with their mean and its error."""
    values = total.mean(tuple(range(1, total.ndim))) if total.ndim > 1 else total
    samples = values if len(values) > 1 else total.flatten()
    count = len(samples)
    spread = samples.std().item() if count > 1 else math.nan
    return Return(values, values.mean().item(), spread / math.sqrt(count))


def returned_together(returns: Mapping[str, Return]) -> Return:
    """What all players earn together in each game."""
    return returned(torch.stack([each.values for each in returns.values()]).sum(0))
