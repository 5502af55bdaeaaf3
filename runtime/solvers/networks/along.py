"""Exact flows and values along drawn paths of a common noise that has too many pasts for tables.

Along a path everything common is known at each stage, so that laws are pushed forward and values
taken back as in any game with tables; policies are asked stage after stage, for what they see of
the law depends on what was done before. All tables are batch-first, [B paths, S states, A actions].
"""

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mfdsl.runtime.agents import AgentProgram
from mfdsl.runtime.behaviours import still
from mfdsl.runtime.program import Params, Program
from mfdsl.runtime.simulator import Simulator
from mfdsl.runtime.views import native

# What a policy does at a stage where the members see these numbers: probabilities [B, S, A].
Act = Callable[[int, Float[Tensor, "paths seen"]], Float[Tensor, "paths states actions"]]


@dataclass(frozen=True, eq=False)
class Paths:
    """Paths of the common states: a parameter [B, T] for each, and the state of the simulator at
    each stage, from where other futures are drawn.
    """

    number: int
    values: Mapping[str, Tensor]
    states: tuple[Any, ...] = field(repr=False)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(next(iter(self.values.values())))


@dataclass(frozen=True, eq=False)
class PathGame:
    """`program` has the tables along a path, `agents` draws them: `parameters` says which parameter
    is which state of an environment, `noises` which one is which of its standard draws of a stage,
    that members feel and do not see. `seen` are the observed values that all members share.
    """

    program: Program
    agents: AgentProgram
    parameters: Mapping[str, tuple[str, str]]
    seen: tuple[str, ...]
    seed: int = 0
    noises: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def stages(self) -> int:
        """Number of decisions."""
        return self.program.horizon or 0

    def drawn(self, number: int, count: int) -> Paths:
        """The paths of a number, a function of it and the seed."""
        simulator = self._simulator(count)
        state, states, draws = simulator.reset(number), [], []
        for t in range(self.stages):
            states.append(state)
            draws.append(simulator.noise(number * self.stages + t))
            state = self._moved(simulator, t, state, draws[-1])
        values = self._read("state", self.parameters, states)
        return Paths(number, values | self._read("noise", self.noises, draws), tuple(states))

    def futures(self, paths: Paths, t: int, count: int) -> Iterator[Params]:
        """Parameters with other draws at t, and what they make of the common states at t + 1."""
        simulator = self._simulator(paths.count)
        for k in range(count):
            draw = simulator.noise(-1 - ((paths.number * self.stages + t) * count + k))
            after = [self._moved(simulator, t, paths.states[t], draw)]
            changed = {name: value.clone() for name, value in paths.values.items()}
            for name, value in self._read("noise", self.noises, [draw]).items():
                changed[name][:, t] = value[:, 0]
            for name, value in self._read("state", self.parameters, after).items():
                changed[name][:, t + 1 : t + 2] = value
            yield self.params(changed)

    def params(self, values: Mapping[str, Tensor], dtype: torch.dtype = torch.float64) -> Params:
        """The parameters of the tables along these paths."""
        whole = self.program.params(dtype=dtype)
        given = {name: value.to(getattr(whole, name).dtype) for name, value in values.items()}
        return whole._replace(**given)

    def _simulator(self, count: int) -> Simulator:
        return Simulator(self.agents, agents=1, batch=count, seed=self.seed)

    def _moved(self, simulator: Simulator, t: int, state: Any, noise: Any) -> Any:
        action, step = still(simulator.scene(t, state)), self.agents.module.step
        return simulator.whole(step(simulator.params, simulator.time(t), state, action, noise)[0])

    def _read(
        self,
        kind: Literal["state", "noise"],
        wanted: Mapping[str, tuple[str, str]],
        rows: Sequence[Any],
    ) -> dict[str, Tensor]:
        """Common states or draws by parameter, [B, len(rows)]."""
        fields = {name: place for place, name in self.agents.names.items()}
        found = {}
        for name, (player, variable) in wanted.items():
            place = self.agents.variables(fields[player], kind).index(variable)
            found[name] = torch.stack([getattr(r, fields[player])[place] for r in rows], 1)
        return found


@dataclass(frozen=True, eq=False)
class Moves:
    """Where each pair of state and action leads at a stage on each path, N = S * A pairs."""

    places: Int[Tensor, "paths pairs outcomes"] = field(repr=False)
    chances: Float[Tensor, "paths pairs outcomes"] = field(repr=False)

    def push(self, mass: Float[Tensor, "paths pairs"], states: int) -> Float[Tensor, "paths S"]:
        """The law after the moves."""
        law = mass.new_zeros(len(mass), states)
        if self.compiled:
            _loops().push(*self._arrays, mass.contiguous().numpy(), law.numpy())
            return law
        arrived = (mass[..., None] * self.chances).flatten(1)
        return law.scatter_add_(1, self.places.flatten(1).long(), arrived)

    def expect(
        self, value: Float[Tensor, "paths S"], base: Float[Tensor, "paths pairs"], discount: float
    ) -> Float[Tensor, "paths pairs"]:
        """Base + discount * the mean value after the moves."""
        if self.compiled:
            out = torch.empty_like(base)
            given = (value.contiguous().numpy(), base.numpy())
            _loops().expect(*self._arrays, *given, value.new_tensor(discount).item(), out.numpy())
            return out
        ahead = value.gather(1, self.places.flatten(1).long()).view_as(self.chances)
        return base + discount * (ahead * self.chances).sum(-1)

    @property
    def compiled(self) -> bool:
        """Whether moves run as compiled loops."""
        return self.places.device.type == "cpu" and native.available()

    @cached_property
    def _arrays(self) -> tuple[Any, Any]:
        return self.places.numpy(), self.chances.numpy()


@dataclass(frozen=True, eq=False)
class Walk:
    """One flow along each path. Lists have an entry for each stage; `laws` [B, S] one more."""

    game: PathGame
    params: Params = field(repr=False)
    laws: list[Tensor] = field(repr=False)
    seen: list[Tensor] = field(repr=False)
    probs: list[Tensor] = field(repr=False)
    rewards: list[Tensor] = field(repr=False)
    moves: list[Moves] = field(repr=False)

    def sweep(
        self,
        choose: Callable[[int, Tensor], Tensor],
        ahead: Callable[[int, Tensor], Tensor] | None = None,
    ) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Backwards (stage, Q [B, S, A], value [B, S]) with value = choose(stage, Q).

        `ahead(stage, value)` replaces the value after a stage (but the last) that its Q is made of.
        """
        last, value = self.game.stages - 1, final_value(self)
        for t in range(last, -1, -1):
            if value is not None and ahead is not None and t < last:
                value = ahead(t, value)
            q = self.q_at(t, value)
            value = choose(t, q)
            yield t, q, value

    def q_at(self, t: int, value: Tensor | None) -> Float[Tensor, "paths states actions"]:
        """Q of a stage from the values [B, S] after it; None where nothing follows."""
        base = self.rewards[t].flatten(1)
        if value is not None:
            base = self.moves[t].expect(value, base, self.game.program.discount)
        return base.view_as(self.rewards[t])

    def first(self, sweep: Iterator[tuple[int, Tensor, Tensor]]) -> Float[Tensor, " paths"]:
        """What one member is worth at t = 0 on each path."""
        *_, (_, _, value) = sweep
        return (self.laws[0] * value).sum(-1).double()

    def of_policy(self, t: int, q: Tensor) -> Tensor:
        """The value of those who follow the policy."""
        return (self.probs[t] * q).where(self.probs[t] > 0, 0).sum(-1)


def best(t: int, q: Tensor) -> Tensor:
    """The value of those who know the whole path."""
    return q.amax(-1)


@dataclass(frozen=True, eq=False)
class Room:
    """Memory for all stages of a walk: getting it anew for each one takes longer than filling it.

    A walk in it is lost when the next one is made there.
    """

    places: Int[Tensor, "stages paths pairs outcomes"] = field(repr=False)
    chances: Float[Tensor, "stages paths pairs outcomes"] = field(repr=False)
    probs: Float[Tensor, "stages paths states actions"] = field(repr=False)
    rewards: Float[Tensor, "stages paths states actions"] = field(repr=False)

    @classmethod
    def of(cls, game: PathGame, paths: int, dtype: torch.dtype) -> "Room":
        """Room for so many paths."""
        program, blank = game.program, torch.empty((), dtype=dtype)
        table = (game.stages, paths, program.state_count, program.action_count)
        pairs = (game.stages, paths, program.state_count * program.action_count)
        outcomes = (*pairs, program.noise_count)
        return cls(
            torch.empty(outcomes, dtype=torch.int32),
            blank.new_empty(outcomes),
            blank.new_empty(table),
            blank.new_empty(table),
        )


def walk(game: PathGame, params: Params, act: Act, room: Room | None = None) -> Walk:
    """The flow when all follow a policy."""
    program, module = game.program, game.program.module
    states = program.state_count
    paths = program.batch_of(params)
    law = module.initial_law(params).reshape(-1, states).expand(paths, -1).contiguous()
    found = Walk(game, params, [law], [], [], [], [])
    room = room or Room.of(game, paths, law.dtype)
    for t in range(game.stages):
        seen = observed(game, params, t, law)
        probs = room.probs[t].copy_(act(t, seen))
        mass = law[..., None] * probs
        space = room.rewards[t], room.places[t], room.chances[t]
        rewards, moves = stage_tables(game, params, t, mass, space)
        law = moves.push(mass.flatten(1), states)
        found.laws.append(law)
        found.seen.append(seen)
        found.probs.append(probs)
        found.rewards.append(rewards)
        found.moves.append(moves)
    return found


def stage_tables(
    game: PathGame,
    params: Params,
    t: int,
    mass: Float[Tensor, "paths states actions"],
    space: tuple[Tensor, Tensor, Tensor],
) -> tuple[Float[Tensor, "paths states actions"], Moves]:
    """Rewards and moves at a stage where so many do what; they are written into `space`."""
    program, module, time = game.program, game.program.module, torch.tensor(t)
    rewards, places, chances = space
    joint = mass.view(len(mass), *program.states.values(), *program.actions.values())
    met = module.field(params, time, joint)
    rewards.copy_(module.rewards(params, time, joint))
    if module.MASKED:
        rewards.masked_fill_(~legal_at(game, params, t), -torch.inf)
    table = places.view(*mass.shape, -1)
    table.copy_(module.successors(params, time, met))
    chances.view_as(table).copy_(module.weights(params, time, met))
    return rewards, Moves(places, chances)


def observed(game: PathGame, params: Params, t: int, law: Tensor) -> Float[Tensor, "paths seen"]:
    """What all members see at a stage, where the law of states [B, S] is this one."""
    module, sizes = game.program.module, tuple(game.program.states.values())
    actions = tuple(game.program.actions.values())
    lead = law.view(len(law), *sizes, *[1] * len(actions))
    joint = (lead / game.program.action_count).expand(len(law), *sizes, *actions)
    time = torch.tensor(t)
    nobody = module.State(*[torch.zeros(len(law), 1, dtype=torch.int64) for _ in sizes])
    shown = module.observe(params, time, nobody, module.field(params, time, joint))
    columns = [shown[name].expand(len(law), 1)[:, 0].to(law.dtype) for name in game.seen]
    return torch.stack(columns, -1) if columns else law.new_zeros(len(law), 0)


def legal_at(game: PathGame, params: Params, t: int) -> Bool[Tensor, "paths states actions"]:
    """Which actions may be taken."""
    legal: Tensor = game.program.module.legal(params, torch.tensor(t))
    return legal


def final_value(flow: Walk) -> Float[Tensor, "paths states"] | None:
    """Reward of the states at the end, None when the game has none."""
    return final_at(flow.game, flow.params, flow.laws[-1])


def final_at(
    game: PathGame, params: Params, last: Float[Tensor, "paths states"]
) -> Float[Tensor, "paths states"] | None:
    """Reward of the states where this is their law at the end."""
    program = game.program
    if not program.module.HAS_FINAL:
        return None
    public = last.view(len(last), *program.states.values())
    reward: Tensor = program.module.final_rewards(params, torch.tensor(game.stages), public)
    return reward.reshape(-1, last.shape[1]).expand_as(last).contiguous()


def _loops() -> Any:
    return importlib.import_module("mfdsl.runtime.solvers.networks.along_loops")
