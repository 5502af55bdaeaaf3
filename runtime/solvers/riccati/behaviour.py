"""Agents of a simulation who play affine policies of their states and of the means beside them."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mfdsl.runtime.behaviours import Scene
from mfdsl.runtime.solvers.riccati.game import Game
from mfdsl.runtime.solvers.riccati.plan import Policy, rows_at
from mfdsl.runtime.solvers.riccati.sight import common_vector
from mfdsl.runtime.solvers.riccati.simulated import flat, nested


@dataclass(frozen=True, eq=False)
class Affine:
    """A behaviour: a = own x + common s of members, u = controls s of majors."""

    game: Game
    policy: Policy

    def __call__(self, scene: Scene) -> Any:
        """The actions in a scene; means are those of the agents that are there."""
        state, unit = flat(scene.program, scene.state), scene.params.unit
        common = common_vector(self.game, state, scene.batch)
        rows = rows_at(self.policy, scene.t)

        def moved(values: Any) -> Tensor:
            return torch.as_tensor(values, dtype=unit.dtype, device=unit.device)

        actions = {}
        for single in self.game.singles:
            if single.actions:
                actions[single.name] = common @ moved(rows.controls[single.acts]).T
        for k, crowd in enumerate(self.game.crowds):
            if crowd.actions:
                beside = common @ moved(rows.common[k]).T
                count = scene.agents[crowd.name]
                own = state[crowd.name] if crowd.states else common.new_zeros(1, count, 0)
                actions[crowd.name] = own @ moved(rows.own[k]).T + beside[:, None]
        return nested(scene.program, "Action", actions)
