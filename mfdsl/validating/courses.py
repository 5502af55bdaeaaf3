"""Population statistics of simulated games, step by step, and their exact values from tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

import torch
from torch import Tensor

from mfdsl.compiler.ir.model import Player
from mfdsl.runtime.behaviours import Behaviour, Scene
from mfdsl.runtime.simulator import Simulator
from mfdsl.validating.frequencies import flat_of
from mfdsl.validating.outcome import Trial, left
from mfdsl.validating.stages import stages

MOST_PLACES = 1 << 12  # joint states of which shares are kept, else those of each variable
MOST_ENTRIES = 1 << 22


@dataclass(frozen=True, eq=False)
class Course:
    """Statistics of games over time, by population and name: [T, B, K] each.

    `spread` is the standard deviation of what is averaged, over the agents [T, B], which says how
    large an error of one over the root of N would be.
    """

    means: Mapping[str, Tensor]
    spread: Mapping[str, Tensor]

    @property
    def steps(self) -> int:
        """The number of steps T."""
        return min(len(values) for values in self.means.values())


def course(simulator: Simulator, behaviour: Behaviour, steps: int, until: float = inf) -> Course:
    """The statistics of all populations: histograms of finite states, means of reals and rewards.

    States are those at t = 1, 2, ... where the dynamics have acted, rewards those paid before. It
    ends early at the reading `until` of the clock.
    """
    program = simulator.program
    assert program.model is not None
    means: dict[str, list[Tensor]] = {}
    spread: dict[str, list[Tensor]] = {}
    for stage in stages(simulator, behaviour, steps):
        for field in program.populations:
            player = program.model.player(program.names[field])
            named = _histograms(program.model.types, player, getattr(stage.after, field))
            named |= _averages(program.model.types, player, getattr(stage.after, field))
            paid = getattr(stage.rewards, field, None)
            if paid is not None:
                named["reward"] = _mean(paid[..., None])
            for name, (mean, deviation) in named.items():
                means.setdefault(f"{player.name}.{name}", []).append(mean)
                spread.setdefault(f"{player.name}.{name}", []).append(deviation)
        if left(until) <= 0:
            break
    stacked = ({k: torch.stack(v) for k, v in group.items()} for group in (means, spread))
    return Course(*stacked)


def _histograms(types: Any, player: Player, values: Any) -> dict[str, tuple[Tensor, Tensor]]:
    """Shares of the joint values of the finite scalar states, or of each where those are many."""
    finite = [
        (s.name, types[s.type], values[k])
        for k, s in enumerate(player.states)
        if types[s.type].finite and not types[s.type].dims
    ]
    places = 1
    for _, kind, _ in finite:
        places *= kind.size
    groups = [finite] if places <= MOST_PLACES else [[entry] for entry in finite]
    found = {}
    for group in (g for g in groups if g):
        size, flat = 1, torch.zeros_like(group[0][2], dtype=torch.int64)
        for _, kind, value in group:
            flat = flat * kind.size + (value.long() - kind.first)
            size *= kind.size
        found[", ".join(name for name, _, _ in group)] = _shares(flat, size)
    return found


def _shares(flat: Tensor, size: int) -> tuple[Tensor, Tensor]:
    ones = torch.full(flat.shape, 1 / flat.shape[1], dtype=torch.float64)
    shares = torch.zeros(len(flat), size, dtype=torch.float64).scatter_add_(1, flat, ones)
    return shares, (1 - (shares**2).sum(1)).clamp(min=0).sqrt()


def _averages(types: Any, player: Player, values: Any) -> dict[str, tuple[Tensor, Tensor]]:
    return {
        s.name: _mean(values[k].reshape(*values[k].shape[:2], -1))
        for k, s in enumerate(player.states)
        if types[s.type].kind == "real"
    }


def _mean(value: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [B, K] over the agents of [B, N, K], and their standard deviation [B]."""
    mean = value.mean(1)
    return mean, (value - mean[:, None]).pow(2).sum(-1).mean(1).sqrt()


def exact_course(trial: Trial, steps: int) -> Course | None:
    """The statistics of the limit from the tables of a tabular game; None for other games, and
    for networks, which draw actions from laws of their own.
    """
    game = trial.game
    if not game.model.tabular or trial.training is not None:
        return None
    program, params = game.program, game.program.params()
    if program.state_count * program.action_count * program.noise_count > MOST_ENTRIES:
        return None
    if program.state_count > MOST_PLACES:
        return None
    module = program.module
    table = trial.table.probs if trial.table is not None else None
    law = module.initial_law(params).reshape(1, -1)
    laws, paid, spreads = [], [], []
    for t in range(steps):
        now = torch.tensor(t)
        chosen = table[:, min(t, table.shape[1] - 1)] if table is not None else _odds(trial, t)
        pairs = law[..., None] * chosen.to(law)
        joint = pairs.reshape(1, *program.states.values(), *program.actions.values())
        rewards = module.rewards(params, now, joint).reshape(1, *pairs.shape[1:])
        rewards = torch.where(pairs > 0, rewards, 0.0)
        mean = (rewards * pairs).sum((1, 2))
        paid.append(mean[:, None])
        spreads.append(((rewards - mean) ** 2 * pairs).sum((1, 2)).sqrt())
        law = module.push(params, now, joint).reshape(1, -1)
        laws.append(law)
    population = game.model.population
    name = ", ".join(s.name for s in population.states)
    states = torch.stack(laws)
    keys = (f"{population.name}.{name}", f"{population.name}.reward")
    spread = (1 - (states**2).sum(-1)).clamp(min=0).sqrt(), torch.stack(spreads)
    return Course(
        dict(zip(keys, (states, torch.stack(paid)), strict=True)),
        dict(zip(keys, spread, strict=True)),
    )


def _odds(trial: Trial, t: int) -> Tensor:
    """Probabilities [1, S, A] of the actions of a behaviour by name, at stage t."""
    program, params = trial.game.program, trial.game.program.params()
    now = torch.tensor(t)
    legal = program.module.legal(params, now)
    legal = legal.reshape(-1, program.state_count, program.action_count)[:1].double()
    if trial.policy == "uniform":
        even: Tensor = legal / legal.sum(-1, keepdim=True)
        return even
    agents = trial.game.agents
    (field,) = agents.populations
    flat, values = torch.arange(program.state_count), []
    for axis in reversed(program.state_axes()):
        values.append((flat % axis.size + axis.first)[None])
        flat = flat // axis.size
    part = agents.module.State.__annotations__[field]
    state = agents.module.State(**{field: part(*reversed(values))})
    name = agents.names[field]
    numbers = {name: program.state_count}
    scene = Scene(agents, agents.params(), t, now, state, 1, numbers, trial.seed)
    action = getattr(trial.behaviour(scene), field)
    taken = flat_of(action, program.action_axes(), program.state_count)
    return torch.nn.functional.one_hot(taken, program.action_count).double()
