"""Proximal policy optimisation of a usual size on other simulators: what they reach in training.

`reference_steps.py` answers questions with `"hidden"` in them, {"game": "m3fc_2g", "agents": 300,
"batch": 8, "seconds": 5, "hidden": 256}, by whole iterations of this learner, in environment steps
per second: `STEPS` steps of each game of a batch, then `EPOCHS` passes of `PARTS`
minibatches with a clipped surrogate, a value loss and Adam (Schulman et al. 2017,
arXiv:1707.06347), on two networks with two hidden layers; `bench/learning.py` trains ours with the
same numbers.

The wrapper of M3FC has one game, which makes the steps of a batch one after another and starts anew
when it is over; networks see its histograms and draw one action of the upper level. In VMAS all
games of a batch move at once, and one policy serves all agents by what each observes, as in IPPO;
`MEMBERS` agents of each scene enter an update. Only imported where a reference runs.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

STEPS, EPOCHS, PARTS, MEMBERS = 25, 4, 4, 16
CLIP, DISCOUNT, DECAY, RATE, NORM = 0.2, 0.99, 0.95, 1e-3, 0.5

Observed = Tensor
"""What networks see: [B, k] of an upper policy, [B, N, k] of agents."""


@dataclass(frozen=True)
class World:
    """B games side by side, and how many steps of them an iteration has.

    `reset` gives observations; `step` takes `reals` entries of actions [..., k] and one of
    `choices` [...], and gives observations and rewards [B].
    """

    length: int
    batch: int
    reals: int
    choices: int
    reset: Callable[[], Observed]
    step: Callable[[Tensor, Tensor], tuple[Observed, Tensor]]


class Learner:
    """A Gaussian and perhaps a categorical policy, a value network, and their update."""

    def __init__(self, world: World, hidden: int) -> None:
        self.world, self.seen = world, world.reset()
        inputs, outputs = self.seen.shape[-1], world.reals + world.choices
        self.policy, self.value = _network(inputs, hidden, outputs), _network(inputs, hidden, 1)
        self.log_std = nn.Parameter(torch.full((world.reals,), -0.5))
        self.parameters = [*self.policy.parameters(), *self.value.parameters(), self.log_std]
        self.optimizer = torch.optim.Adam(self.parameters, RATE, eps=1e-5)

    def iteration(self) -> None:
        """Episodes in all games, then the passes over them."""
        seen, reals, choices, chances, rewards = self.episodes()
        with torch.no_grad():
            values = self.value(seen)[..., 0]
        gain = torch.zeros_like(values)
        ahead, rest = torch.zeros_like(values[0]), torch.zeros_like(values[0])
        for t in reversed(range(len(values))):
            due = rewards[t] if values.ndim == 2 else rewards[t][:, None]
            rest = due + DISCOUNT * ahead - values[t] + DISCOUNT * DECAY * rest
            gain[t], ahead = rest, values[t]
        returns = gain + values
        gain = (gain - gain.mean()) / (gain.std() + 1e-8)
        goal = (returns - returns.mean()) / (returns.std() + 1e-8)
        data = [v.flatten(0, 1) for v in (seen, reals, choices, chances, gain, goal)]
        for _ in range(EPOCHS):
            for part in torch.randperm(len(data[0])).chunk(PARTS):
                chosen = [value[part] for value in data]
                if seen.ndim > 3 and seen.shape[2] > MEMBERS:
                    members = torch.randperm(seen.shape[2])[:MEMBERS]
                    chosen = [value[:, members] for value in chosen]
                self._follow(*chosen)

    @torch.no_grad()
    def episodes(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """What was seen, drawn, how likely it was, and rewards, [T, B, ...]."""
        kept: list[tuple[Tensor, ...]] = []
        self.seen = self.world.reset()
        for _ in range(self.world.length):
            reals, choices, chance = self.drawn(self.seen)
            after, rewards = self.world.step(reals, choices)
            kept.append((self.seen, reals, choices, chance, rewards))
            self.seen = after
        seen, reals, choices, chances, paid = (torch.stack(v) for v in zip(*kept, strict=True))
        return seen, reals, choices, chances, paid

    def drawn(self, seen: Observed) -> tuple[Tensor, Tensor, Tensor]:
        """Random actions and their log-chances."""
        numbers = self.policy(seen)
        mean, logits = numbers[..., : self.world.reals], numbers[..., self.world.reals :]
        reals = mean + self.log_std.exp() * torch.randn_like(mean)
        choices = torch.zeros(mean.shape[:-1], dtype=torch.long)
        if self.world.choices:
            choices = torch.distributions.Categorical(logits=logits).sample()
        return reals, choices, self.log_chance(numbers, reals, choices)

    def log_chance(self, numbers: Tensor, reals: Tensor, choices: Tensor) -> Tensor:
        """Log-chances of actions up to a constant."""
        mean, logits = numbers[..., : self.world.reals], numbers[..., self.world.reals :]
        apart = (reals - mean) * (-self.log_std).exp()
        found = (-0.5 * apart**2 - self.log_std).sum(-1)
        if self.world.choices:
            shares = torch.log_softmax(logits, -1)
            found = found + shares.gather(-1, choices[..., None])[..., 0]
        return found

    def _follow(
        self, seen: Tensor, reals: Tensor, choices: Tensor, old: Tensor, gain: Tensor, goal: Tensor
    ) -> None:
        ratio = (self.log_chance(self.policy(seen), reals, choices) - old).exp()
        inside = ratio.clamp(1 - CLIP, 1 + CLIP)
        loss = -torch.min(ratio * gain, inside * gain).mean()
        loss = loss + nn.functional.huber_loss(self.value(seen)[..., 0], goal, delta=10.0)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.parameters, NORM)
        self.optimizer.step()


def _network(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden),
        nn.Tanh(),
        nn.Linear(hidden, hidden),
        nn.Tanh(),
        nn.Linear(hidden, outputs),
    )


def rate(world: World, hidden: int, seconds: float) -> float:
    """Environment steps per second of computing time of whole iterations; the first is warm-up."""
    learner = Learner(world, hidden)
    learner.iteration()
    count, began = 0, time.process_time()
    while time.process_time() - began < seconds:
        learner.iteration()
        count += world.length * world.batch
    return count / (time.process_time() - began)


def upper(env: Any, games: int) -> World:
    """The steps of a batch of games by one environment of the M3FC wrapper."""
    leaves = _leaves(env.action_space)
    boxes = [int(np.prod(leaf.shape)) for leaf in leaves if hasattr(leaf, "low")]
    sizes = [int(leaf.n) for leaf in leaves if hasattr(leaf, "n")]
    assert len(sizes) < 2 and len(leaves) == len(boxes) + len(sizes)

    def seen(value: Any) -> Tensor:
        flat = np.concatenate(_flat(env.observation_space, value))
        return torch.from_numpy(flat.astype(np.float32))[None]

    def step(reals: Tensor, choices: Tensor) -> tuple[Tensor, Tensor]:
        numbers = reals[0].clamp(-1, 1).double().numpy()
        parts: list[Any] = np.split(numbers, np.cumsum(boxes)[:-1])
        parts += [int(choices[0])] if sizes else []
        after, reward, done, _ = env.step(tuple(parts) if len(parts) > 1 else parts[0])
        found = seen(env.reset() if done else after)
        return found, torch.tensor([float(reward)])

    last = [seen(env.reset())]

    def going_on(reals: Tensor, choices: Tensor) -> tuple[Tensor, Tensor]:
        last[0], reward = step(reals, choices)
        return last[0], reward

    return World(STEPS * games, 1, sum(boxes), sum(sizes), lambda: last[0], going_on)


def crowd(env: Any, games: int) -> World:
    """A batch of games of VMAS, the observations of all agents in a row."""

    def step(reals: Tensor, choices: Tensor) -> tuple[Tensor, Tensor]:
        seen, rewards, _, _ = env.step(list(reals.clamp(-1, 1).unbind(1)))
        return torch.stack(seen, 1), rewards[0]

    return World(STEPS, games, 2, 0, lambda: torch.stack(env.reset(), 1), step)


def _leaves(space: Any) -> Sequence[Any]:
    """The parts of a space of tuples."""
    if not hasattr(space, "spaces"):
        return [space]
    return [leaf for inner in space.spaces for leaf in _leaves(inner)]


def _flat(space: Any, value: Any) -> list[Any]:
    """The numbers of an observation, finite ones told apart one by one."""
    if hasattr(space, "spaces"):
        parts = zip(space.spaces, value, strict=True)
        return [flat for inner, part in parts for flat in _flat(inner, part)]
    return [np.eye(space.n)[int(value)] if hasattr(space, "n") else np.ravel(value)]
