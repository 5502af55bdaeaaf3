"""Rollouts for learning: B games side by side, with or without gradients through the simulator.

Every episode has draws of its own, from the streams of the simulator under the number of the
episode, so that a seed fixes a whole training run.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from mfdsl.runtime.behaviours import Scene
from mfdsl.runtime.simulator import Simulator

EVALUATION = 1 << 40  # episodes that measure have numbers from here on


@dataclass(frozen=True, eq=False)
class Turn:
    """One step: the scene, what everybody did, the draws of the game, and the rewards."""

    scene: Scene
    action: Any | None = None
    noise: Any | None = None
    rewards: Any | None = None


@dataclass(frozen=True, eq=False)
class Engine:
    """Games to learn from; `steps` is their length, `discount` weights rewards."""

    simulator: Simulator
    steps: int
    discount: float

    @property
    def batch(self) -> int:
        """How many games run side by side."""
        return self.simulator.batch

    def turns(self, episode: int, act: Callable[[Scene, int], Any]) -> Iterator[Turn]:
        """Play an episode with the actions `act(scene, number)`; the last turn has only a scene.

        `number` counts the steps of all episodes.
        """
        simulator = self.simulator
        step = simulator.program.module.step
        scene = simulator.scene(0, simulator.reset(episode))
        for t in range(self.steps):
            number = episode * (self.steps + 1) + t
            action, noise = act(scene, number), simulator.noise(number)
            state, rewards = step(simulator.params, scene.time, scene.state, action, noise)
            yield Turn(scene, action, noise, rewards)
            state, time = simulator.whole(state), simulator.time(t + 1)
            scene = replace(scene, t=t + 1, time=time, state=state)
        yield Turn(scene)

    def paid(self, turn: Turn) -> Any | None:
        """The rewards of a turn; those of the end of a finite game at its last, else None."""
        program, scene = self.simulator.program, turn.scene
        if turn.rewards is not None:
            return turn.rewards
        if not program.module.HAS_FINAL or scene.t != program.horizon:
            return None
        return program.module.final_rewards(scene.params, scene.time, scene.state)


def team_reward(rewards: Any, batch: int) -> Tensor:
    """The reward of all players together [B]: of a population the mean over its agents.

    Raises:
        ValueError: nobody has rewards.
    """
    total = None
    for value in rewards:
        mean = value.mean(tuple(range(1, value.ndim))) if value.ndim > 1 else value
        total = mean if total is None else total + mean
    if total is None:
        raise ValueError("nobody has rewards")
    found: Tensor = total.expand(batch)
    return found


def counted(engine: Engine, paid: Sequence[Tensor]) -> Tensor:
    """The return [B] of what the steps of an episode pay, each [B], as the game counts it: with
    its own discount, whatever that of training is.
    """
    rate = engine.simulator.program.discount
    return torch.stack([reward * rate**t for t, reward in enumerate(paid)]).sum(0)


@torch.no_grad()
def measured(engine: Engine, act: Callable[[Scene, int], Any], episodes: int = 1) -> Tensor:
    """Team returns of episodes that training never sees, [episodes * B]."""
    found = []
    for episode in range(EVALUATION, EVALUATION + episodes):
        paid = [engine.paid(turn) for turn in engine.turns(episode, act)]
        found.append(counted(engine, [team_reward(p, engine.batch) for p in paid if p is not None]))
    return torch.cat(found)
