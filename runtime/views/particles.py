"""N agents at once: simulate a population under a policy and measure its returns."""

import math
import time
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.program import Params, Program
from mfdsl.runtime.rng import uniforms
from mfdsl.runtime.simulator import steps_of

Record = TypeVar("Record", bound=tuple[Tensor, ...])


@dataclass(frozen=True, eq=False)
class Simulation:
    """`returns` [B] are means over the agents of each game; laws [B, T + 1, S] are empirical.

    `mean` and `std_error` sum them up: over games when there are several, else over the agents,
    whose returns are nearly independent for many agents.
    """

    agents: int
    batch: int
    steps: int
    returns: Float[Tensor, " batch"]
    mean: float
    std_error: float
    seconds: float
    laws: Float[Tensor, "batch laws states"] | None = field(default=None, repr=False)
    by: Literal["agents", "counts"] = "agents"

    @property
    def agent_steps_per_second(self) -> float:
        """Moves of single agents in a second of wall time."""
        return self.agents * self.batch * self.steps / self.seconds


def simulate(
    program: Program,
    policy: TabularPolicy,
    params: Params | None = None,
    *,
    agents: int = 1000,
    batch: int = 1,
    steps: int | None = None,
    seed: int = 0,
    record_laws: bool = False,
    start: Float[Tensor, "batch states"] | None = None,
) -> Simulation:
    """Let N agents in each of `batch` games follow the policy and add up their rewards.

    With batched parameters or policies the games are those of that batch, and `batch` must be 1
    or its length. `steps` defaults to the horizon; without end, to where discounting leaves
    0.01 %. Agents start from the initial law, or from `start`. Returns are discounted.

    Raises:
        ValueError: a size is below 1, the batches differ, or `steps` exceeds the horizon.
    """
    params = program.params() if params is None else params
    games = games_of(program, params, policy, batch)
    steps = _steps(program, policy, steps)
    if agents < 1:
        raise ValueError(f"a simulation needs at least one agent, not {agents}")
    crowd = _Crowd(program, params, (games, agents), seed)
    began = time.perf_counter()
    state = crowd.initial() if start is None else crowd.placed(start)
    total = params.unit.new_zeros(games, agents)
    laws = [crowd.law(state)] if record_laws else []
    weight = 1.0
    thresholds = [_thresholds(policy.probs[:, t]) for t in range(policy.stages)]
    for t in range(steps):
        action = crowd.act(t, state, thresholds[min(t, policy.stages - 1)])
        state, reward = crowd.step(t, state, action)
        total = total.add(reward, alpha=weight)
        weight *= program.discount
        if record_laws:
            laws.append(crowd.law(state))
    if program.module.HAS_FINAL and steps == program.horizon:
        total = total.add(crowd.final(steps, state), alpha=weight)
    seconds = time.perf_counter() - began
    stacked = torch.stack(laws, 1) if record_laws else None
    return _simulation(total, steps, seconds, stacked)


def reset_where(state: Record, fresh: Record, done: Tensor) -> Record:
    """The state with `fresh` where the bools `done` hold, for whole games [B] or agents [B, N]."""
    mask = done if done.ndim == state[0].ndim else done[:, None]
    return type(state)(
        *(torch.where(mask, new, old) for new, old in zip(fresh, state, strict=True))
    )


@dataclass(frozen=True, eq=False)
class _Crowd:
    """A program at given parameters with [B, N] agents and their streams of random numbers."""

    program: Program
    params: Params
    shape: tuple[int, int]
    seed: int

    def uniform(self, step: int, variable: str) -> Tensor:
        unit = self.params.unit
        return uniforms(self.shape, self.seed, step, variable, dtype=unit.dtype, device=unit.device)

    def initial(self) -> Any:
        """States drawn from the initial law."""
        module = self.program.module
        names = module.Initial._fields
        draw = module.Initial(*(self.uniform(0, f"initial.{name}") for name in names))
        state = module.init(self.params, draw)
        return module.State(*(value.expand(self.shape) for value in state))

    def placed(self, law: Tensor) -> Any:
        """States drawn from a law over the flat states."""
        edges = law.cumsum(-1).expand(self.shape[0], -1).contiguous()
        flat = torch.searchsorted(edges, self.uniform(0, "start"), right=True)
        return self._unflat(flat.clamp(max=law.shape[-1] - 1), "State")

    def act(self, t: int, state: Any, thresholds: tuple[Tensor, ...]) -> Any:
        """Actions drawn from the policy by inverting its distribution function."""
        flat = self.flat(state)
        uniform = self.uniform(t, "policy")
        position = torch.zeros_like(flat)
        for edge in thresholds:
            rows = edge[0][flat] if len(edge) == 1 else edge.gather(1, flat)
            position += uniform >= rows
        return self._unflat(position, "Action")

    def step(self, t: int, state: Any, action: Any) -> tuple[Any, Tensor]:
        """Next states and rewards."""
        module = self.program.module
        names = module.Noise._fields
        noise = module.Noise(*(self.uniform(t, f"noise.{name}") for name in names))
        ahead, reward = module.step(self.params, self.time(t), state, action, noise)
        return module.State(*(value.expand(self.shape) for value in ahead)), reward

    def final(self, t: int, state: Any) -> Tensor:
        """Final reward of each agent."""
        shape = tuple(self.program.states.values())
        law = self.law(state).view(-1, *shape)
        table = self.program.module.final_rewards(self.params, self.time(t), law)
        rewards: Tensor = table.reshape(len(table), -1).expand(self.shape[0], -1)
        return rewards.gather(1, self.flat(state))

    def law(self, state: Any) -> Tensor:
        """Empirical law of the states of each game."""
        unit = self.params.unit
        counts = unit.new_zeros(self.shape[0], self.program.state_count)
        flat = self.flat(state)
        return counts.scatter_add_(1, flat, (unit / self.shape[1]).expand(self.shape))

    def time(self, t: int) -> Tensor:
        return torch.tensor(t, dtype=torch.int64, device=self.params.unit.device)

    def flat(self, state: Any) -> Int[Tensor, "batch agents"]:
        """Flat positions of the states."""
        position = torch.zeros(self.shape, dtype=torch.int64, device=self.params.unit.device)
        for axis, value in zip(self.program.state_axes(), state, strict=True):
            position = position * axis.size + (value - axis.first)
        return position

    def _unflat(self, position: Tensor, kind: str) -> Any:
        axes = self.program.state_axes() if kind == "State" else self.program.action_axes()
        values = []
        for axis in reversed(axes):
            values.append(position % axis.size + axis.first)
            position = position // axis.size
        return getattr(self.program.module, kind)(*reversed(values))


def _thresholds(probs: Float[Tensor, "batch states actions"]) -> tuple[Tensor, ...]:
    """For each action but the last, the uniform number from which a later one is taken.

    It is out of reach once no later action has probability, whatever the rounding.
    """
    later = probs.flip(-1).cumsum(-1).flip(-1)[..., 1:]
    edges = probs.cumsum(-1)[..., :-1].masked_fill(later <= 0, 2.0)
    return edges.unbind(-1)


def games_of(program: Program, params: Params, policy: TabularPolicy, batch: int) -> int:
    """The number of games that parameters, policies and `batch` give together.

    Raises:
        ValueError: it is below 1, or they differ.
    """
    if batch < 1:
        raise ValueError(f"a simulation needs at least one game, not {batch}")
    games = {program.batch_of(params), len(policy.probs), batch} - {1}
    if len(games) > 1:
        raise ValueError(
            f"{program.batch_of(params)} parameter settings, {len(policy.probs)} policies and "
            f"batch {batch} do not fit together"
        )
    return games.pop() if games else 1


def _steps(program: Program, policy: TabularPolicy, steps: int | None) -> int:
    """The number of steps; without end no more than a policy has stages, if it has several."""
    count = steps_of(program, steps)
    if steps is not None or program.kind == "finite" or policy.stages == 1:
        return count
    return min(count, policy.stages)


def _simulation(total: Tensor, steps: int, seconds: float, laws: Tensor | None) -> Simulation:
    games, agents = total.shape
    returns = total.mean(1)
    samples = returns if games > 1 else total[0]
    spread = samples.std().item() if len(samples) > 1 else math.nan
    return Simulation(
        agents=agents,
        batch=games,
        steps=steps,
        returns=returns,
        mean=returns.mean().item(),
        std_error=spread / math.sqrt(len(samples)),
        seconds=seconds,
        laws=laws,
    )
