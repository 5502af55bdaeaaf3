"""Returns of agents that are counted: means exactly, their spread given the counts.

Agents of one state are exchangeable given all counts, so that the mean of their squared returns
given the counts follows forwards from state to state. It is what squared returns of single agents
are on average, and gives the standard error of a single game.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mfdsl.runtime.counted.cells import CountedProgram
from mfdsl.runtime.counted.splits import Counts, Floats, summed
from mfdsl.runtime.simulator import Return, Rollout, returned, returned_together

if TYPE_CHECKING:
    from mfdsl.runtime.counted.simulate import Step


class Returns:
    """Sums of rewards: [B] for each player, and first and second moments by state of one game."""

    def __init__(
        self, program: CountedProgram, agents: Mapping[str, int], batch: int, *, terms: bool
    ) -> None:
        self.program, self.agents, self.batch, self.terms = program, agents, batch, terms
        self.total: dict[str, Any] = {}
        self.named: dict[str, dict[str, float]] = {}
        self.moments: dict[str, tuple[Floats, Floats]] = {}

    def add(
        self, rewards: Any, named: Any, moved: Mapping[str, "Step"], weight: float
    ) -> dict[str, Floats]:
        """Add the rewards of a step; gives the mean reward of each player, [B], by name."""
        paid = {}
        for field in rewards._fields:
            name = self.program.agents.names[field]
            value = getattr(rewards, field)
            if field in moved:
                each = by_cell(value, moved[field], self._reads_noise(field))
                paid[name] = self._mean(field, each, moved[field])
                if self.batch == 1:
                    self._moved(field, weight * each[0], moved[field])
            else:
                paid[name] = value.double().cpu().numpy().reshape(-1)
            self.total[name] = self.total.get(name, 0.0) + weight * paid[name]
        if named is not None:
            self._add_terms(named, moved, weight)
        return paid

    def finish(self, rewards: Any, counts: Mapping[str, Counts], weight: float) -> None:
        """Add final rewards [B or 1, S] of populations, [B or 1] of others."""
        for field in rewards._fields:
            name = self.program.agents.names[field]
            value = getattr(rewards, field).double().cpu().numpy()
            if field not in counts:
                self.total[name] = self.total.get(name, 0.0) + weight * value.reshape(-1)
                continue
            mean = _weighted(value, counts[field]) / self.agents[name]
            self.total[name] = self.total.get(name, 0.0) + weight * mean
            if self.batch == 1:
                first, second = self._moments(field, counts[field].shape[1])
                r, n = weight * value[0], counts[field][0]
                self.moments[field] = (
                    first + _present(n, r * n),
                    second + 2 * r * first + _present(n, r * r * n),
                )

    def rollout(
        self, steps: int, seconds: float, state: Any, record: Mapping[str, Tensor]
    ) -> Rollout:
        """Everything as the simulator of agents reports it."""
        returns = {name: self._return(name, value) for name, value in self.total.items()}
        team = returned_together(returns) if self.program.agents.objective == "team" else None
        return Rollout(
            self.agents,
            self.batch,
            steps,
            returns,
            self.named,
            team,
            state,
            seconds,
            record,
            by="counts",
        )

    def _return(self, name: str, value: Any) -> Return:
        values = torch.from_numpy(np.broadcast_to(value, (self.batch,)).copy())
        fields = [f for f, p in self.program.fields.items() if p.name == name]
        number = self.agents.get(name, 1)
        if self.batch > 1 or not fields or number == 1:
            return returned(values)
        first, second = self.moments[fields[0]]
        mean = values[0].item()
        spread = max(0.0, float(second.sum()) / number - (float(first.sum()) / number) ** 2)
        return Return(values, mean, math.sqrt(spread / (number - 1)))

    def _moved(self, field: str, reward: Floats, step: "Step") -> None:
        """Carry the moments on; `reward` [S, A, K or 1] with its weight."""
        states = step.before.shape[1]
        first, second = self._moments(field, states)
        acting = step.acting[0]
        share = acting / np.maximum(step.before[0], 1)[:, None]
        here, squares = first[:, None] * share, second[:, None] * share
        if reward.shape[-1] == 1:
            r = reward[..., 0]
            paid = _present(acting, r * acting)
            squares = squares + _present(acting, 2 * r * here + r * paid)
            landed = [self._gathered(step, x) for x in (here + paid, squares)]
            spread = step.moved[0] / np.maximum(step.landed[0], 1)[:, None]
            moved = [x[:, None] * spread for x in landed]
        else:
            share = (step.moved[0] / np.maximum(step.landed[0], 1)[:, None]).reshape(reward.shape)
            n = step.moved[0].reshape(reward.shape)
            here, squares = here[..., None] * share, squares[..., None] * share
            paid = _present(n, reward * n)
            moved = [here + paid, squares + _present(n, 2 * reward * here + reward * paid)]
        target = step.ways.target.reshape(1, -1)
        carried = [summed(target, x.reshape(1, -1), states)[0] for x in moved]
        self.moments[field] = (carried[0], carried[1])

    def _gathered(self, step: "Step", values: Floats) -> Floats:
        flat = values.reshape(1, -1)
        found: Floats = step.ways.gathered(flat)[0]
        return found

    def _moments(self, field: str, states: int) -> tuple[Floats, Floats]:
        return self.moments.get(field, (np.zeros(states), np.zeros(states)))

    def _mean(self, field: str, each: Floats, step: "Step") -> Floats:
        counts = step.acting[..., None]
        if each.shape[-1] > 1:
            counts = step.moved.reshape(*step.acting.shape, -1)
        name = self.program.fields[field].name
        found: Floats = _weighted(each, counts) / self.agents[name]
        return found

    def _reads_noise(self, field: str) -> bool:
        return self.program.fields[field].name in self.program.reward_noises

    def _add_terms(self, named: Any, moved: Mapping[str, "Step"], weight: float) -> None:
        for key, terms in named.items():
            field = next(f for f, n in self.program.agents.names.items() if key in (f, n))
            name = self.program.agents.names[field]
            group = self.named.setdefault(name, {})
            for term, value in terms.items():
                if field in moved:
                    each = by_cell(value, moved[field], self._reads_noise(field))
                    mean = float(self._mean(field, each, moved[field]).mean())
                else:
                    mean = value.mean().item()
                group[term] = group.get(term, 0.0) + weight * mean


def by_cell(value: Tensor, step: "Step", noisy: bool) -> Floats:
    """Rewards [B or 1, M] as [B or 1, S, A, K], K = 1 where they do not read the noises."""
    _, states, actions = step.acting.shape
    outcomes = step.moved.shape[-1] if noisy else 1
    flat = value.double().cpu().numpy()
    flat = np.broadcast_to(flat, (len(flat), states * actions * outcomes))
    return flat.reshape(len(flat), states, actions, outcomes)


def _weighted(values: Floats, counts: Counts) -> Floats:
    """Sums over all cells of values [B or 1, ...] times counts [B, ...], [B]; 0 where nobody is."""
    product = _present(counts, values * counts)
    found: Floats = product.reshape(len(counts), -1).sum(-1)
    return found


def _present(counts: Counts, values: Floats) -> Floats:
    """Values where somebody is, and 0 where nobody is, whatever the formula gives there."""
    return values if np.isfinite(values).all() else np.where(counts > 0, values, 0.0)
