"""The policy of drawn paths played by agents: they see what the law of the agents shows them."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mfdsl.runtime.behaviours import Scene, observation
from mfdsl.runtime.solvers.networks.along import PathGame, legal_at
from mfdsl.runtime.solvers.networks.path_gradient import PathPolicy
from mfdsl.runtime.streams import draw
from mfdsl.runtime.tabled import Places, drawn


@dataclass(frozen=True, eq=False)
class PathPlayers:
    """A behaviour: everybody draws an action of the network at the own place."""

    policy: PathPolicy
    game: PathGame
    places: Places

    def __call__(self, scene: Scene) -> Any:
        """The actions of all agents."""
        ((name, standing),) = self.places.standing(scene).items()
        with torch.no_grad():
            rows = self.chances(scene, standing)
        unit = scene.params.unit
        key = (scene.seed, scene.t, f"policy.{name}")
        u = draw(("uniform",), tuple(standing.shape), key, dtype=unit.dtype, device=unit.device)
        return self.places.moves(scene, {name: drawn(rows.to(unit), u)})

    def chances(
        self, scene: Scene, standing: Int[Tensor, "games agents"]
    ) -> Float[Tensor, "games agents actions"]:
        """Probabilities of the actions of agents who stand at places of the tables."""
        program, t = self.game.program, scene.t
        games, states = len(standing), program.state_count
        seen = self._seen(scene)
        if standing.numel() >= games * states:
            table = self.policy.scores(t, seen).view(games, states, -1)
            scores = table.gather(1, standing[..., None].expand(-1, -1, table.shape[-1]))
        else:
            rows = torch.arange(games)[:, None] * states + standing
            scores = self.policy.scores(t, seen, rows.flatten()).view(*standing.shape, -1)
        if program.module.MASKED:
            legal = legal_at(self.game, program.params(), t).expand(games, -1, -1)
            mask = legal.gather(1, standing[..., None].expand(-1, -1, legal.shape[-1]))
            scores = scores.masked_fill(~mask, -torch.inf)
        return torch.softmax(scores, -1)

    def _seen(self, scene: Scene) -> Float[Tensor, "games seen"]:
        """What the members of each game all see."""
        shown = observation(scene)[self.game.program.population]
        columns = [shown[name].reshape(len(shown[name]), -1)[:, 0] for name in self.game.seen]
        if not columns:
            return torch.zeros(scene.batch, 0)
        return torch.stack([column.float().expand(scene.batch) for column in columns], -1)
