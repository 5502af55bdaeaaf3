"""Rollouts for learning: B games side by side, with or without gradients through the simulator.

Every episode has draws of its own, from the streams of the simulator under the number of the
episode, so that a seed fixes a whole training run.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from mfdsl.runtime.behaviours import Scene
from mfdsl.runtime.simulator import Simulator

EVALUATION = 1 << 40  # episodes that measure have numbers from here on


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

    def scenes(
        self, episode: int, act: Callable[[Scene, int], Any]
    ) -> Iterator[tuple[Scene, Any, Any]]:
        """Play an episode: each scene with the actions that `act(scene, draw)` took and the
        rewards. `draw` numbers the step among all episodes; the last scene comes with None, None.
        """
        simulator = self.simulator
        state = simulator.reset(episode)
        step = simulator.program.module.step
        scene = simulator.scene(0, state)
        for t in range(self.steps):
            number = episode * (self.steps + 1) + t
            action = act(scene, number)
            noise = simulator.noise(number)
            state, rewards = step(simulator.params, scene.time, state, action, noise)
            state = simulator.whole(state)
            yield scene, action, rewards
            scene = replace(scene, t=t + 1, time=simulator.time(t + 1), state=state)
        yield scene, None, None

    def final(self, scene: Scene) -> Any | None:
        """Final rewards at the end of a finite game, else None."""
        program = self.simulator.program
        if not program.module.HAS_FINAL or scene.t != program.horizon:
            return None
        paid: Any = program.module.final_rewards(scene.params, scene.time, scene.state)
        return paid


def team_reward(rewards: Any, batch: int) -> Tensor:
    """The reward of all players together [B]: of a population the mean over its agents."""
    total = None
    for value in rewards:
        mean = value.mean(tuple(range(1, value.ndim))) if value.ndim > 1 else value
        total = mean if total is None else total + mean
    if total is None:
        raise ValueError("nobody has rewards")
    found: Tensor = total.expand(batch)
    return found


@torch.no_grad()
def measured(engine: Engine, act: Callable[[Scene, int], Any], episodes: int = 1) -> Tensor:
    """Undiscounted team returns of episodes that training never sees, [episodes * B]."""
    found = []
    for episode in range(EVALUATION, EVALUATION + episodes):
        total = torch.zeros(engine.batch, dtype=engine.simulator.params.unit.dtype)
        total = total.to(engine.simulator.params.unit.device)
        for scene, _, rewards in engine.scenes(episode, act):
            paid = engine.final(scene) if rewards is None else rewards
            if paid is not None:
                total = total + team_reward(paid, engine.batch)
        found.append(total)
    return torch.cat(found)
