"""Agents that see what the others did on average a step ago, in games with one finite action.

The mean field of Yang et al. 2018 (arXiv:1802.05438): the mean over the others of their one-hot
actions. Before the first step nothing was done, and the mean is even.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mfdsl.runtime.agents import AgentProgram
from mfdsl.runtime.behaviours import Scene
from mfdsl.runtime.learning.eyes import Eyes, View
from mfdsl.runtime.learning.kinds import kinds_of
from mfdsl.runtime.learning.networks import Mlp, softmax
from mfdsl.runtime.learning.placed import Chances, Placed
from mfdsl.runtime.learning.sight import model_of, sights_of, values_seen
from mfdsl.runtime.streams import draw
from mfdsl.runtime.tabled import picked_from


class Watcher(nn.Module):
    """What agents of the only population that acts see, own and common, and how they act.

    Raises:
        ValueError: others act, the action is not one finite scalar, or nothing is seen.
    """

    def __init__(self, program: AgentProgram, hide: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.program = program
        sights = sights_of(program, hidden=hide)
        if len(sights) != 1 or sights[0].single or len(sights[0].actions) != 1:
            raise ValueError(f"{program.name} needs one population that acts, by one action")
        self.sight = sights[0]
        self.kind = self.sight.actions[0].type
        if not self.kind.finite or self.kind.dims:
            raise ValueError(f"the action of {program.name} is not finite")
        if model_of(program).player(self.sight.player).legal is not None:
            raise ValueError(f"actions of `{self.sight.player}` are masked")
        self.choices = self.kind.size
        self.eyes = Eyes(self.sight, model_of(program), laws=False)
        self.width = self.eyes.own_width + self.eyes.common_width

    def observed(self, scene: Scene) -> Tensor:
        """What each agent sees [B, N, width]."""
        return self.watched(scene)[0]

    def watched(self, scene: Scene) -> tuple[Tensor, Tensor | None]:
        """What each agent sees [B, N, width], and numbers [B, N] that are equal where agents of a
        game see the same, None where nothing is known of that.
        """
        seen = values_seen(self.program, scene.params, scene.time, scene.state)
        view: View = self.eyes(seen[self.sight.player], scene.state, scene.batch)
        assert view.own is not None
        common = view.common[:, None].expand(-1, view.own.shape[1], -1)
        return torch.cat([view.own, common.to(view.own)], -1), view.alike

    def action(self, index: Tensor) -> Any:
        """The module's `Action` from places of actions [B, N]."""
        value = index + self.kind.first
        if self.kind.kind == "bool":
            value = value.bool()
        module, field = self.program.module, self.sight.field
        return module.Action(**{field: module.Action.__annotations__[field](value)})

    def calibrate(self, scene: Scene) -> None:
        """Centre and scale what has no bounds by what is seen in a scene."""
        seen = values_seen(self.program, scene.params, scene.time, scene.state)
        self.eyes.calibrate(seen[self.sight.player], scene.state, scene.batch)


class MeanFieldNetwork(nn.Module):
    """Values Q(s, ., mean) of all own actions, and with `acts` the logits of a policy of s alone.

    Without, the policy is softmax(Q / temperature); the temperature is kept with the weights.
    """

    temperature: Tensor

    def __init__(self, watcher: Watcher, hidden: int, layers: int, acts: bool) -> None:
        super().__init__()
        self.watcher = watcher
        sizes, choices = [hidden] * layers, watcher.choices
        self.values = Mlp(watcher.width + choices, sizes, choices, "relu", 0.1)
        self.logits = Mlp(watcher.width, sizes, choices, "tanh", 0.01) if acts else None
        self.register_buffer("temperature", torch.ones(()))

    def q(self, seen: Tensor, mean: Tensor) -> Tensor:
        """Values of all actions [..., A]; `mean` [..., A] has the shares of what the others do."""
        found: Tensor = self.values(torch.cat([seen, mean], -1))
        return found

    def chances(self, seen: Tensor, mean: Tensor) -> Tensor:
        """Chances of all actions [..., A] after the others did `mean`."""
        return self.played(seen, self.q(seen, mean) if self.logits is None else None)

    def drawn(self, seen: Tensor, mean: Tensor, alike: Tensor | None, u: Tensor) -> Tensor:
        """Actions [B, N] drawn with uniform numbers [B, N]; agents who are `alike` are one row of a
        policy that does not read the mean.
        """
        kinds = None if alike is None or self.logits is None else kinds_of(alike)
        if kinds is None:
            chances = self.chances(seen, mean).flatten(0, -2).cumsum(-1)
            rows = torch.arange(len(chances), device=u.device)
        else:
            chances = self.played(seen.flatten(0, 1).index_select(0, kinds.rows), None).cumsum(-1)
            rows = kinds.of
        return picked_from(chances, rows.view_as(u), u)

    def played(self, seen: Tensor, values: Tensor | None) -> Tensor:
        """Chances of all actions [..., A] from their values, or from what is seen alone where there
        is a policy of it.
        """
        if self.logits is not None:
            return softmax(self.logits(seen))
        assert values is not None
        return softmax(values / self.temperature)


def others_mean(index: Tensor, choices: int, like: Tensor) -> Tensor:
    """What the others did [B, N, A]: the mean of one-hot actions without one's own; even where
    there are no others.
    """
    one = like.new_zeros(*index.shape, choices).scatter_(-1, index[..., None], 1)
    number = index.shape[-1]
    if number == 1:
        return torch.full_like(one, 1 / choices)
    return (one.sum(-2, keepdim=True) - one) / (number - 1)


class MeanFieldPolicy:
    """A behaviour: everybody draws an action given what the others did a step ago.

    It remembers these actions, so the steps of a game are asked for in order.
    """

    def __init__(self, network: MeanFieldNetwork) -> None:
        self.network = network
        self._mean: Tensor | None = None

    @torch.no_grad()
    def __call__(self, scene: Scene) -> Any:
        """The actions in a scene."""
        return self.network.watcher.action(self.chosen(scene, scene.t)[1])

    @torch.no_grad()
    def chosen(self, scene: Scene, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """What is seen [B, N, width], places of the actions [B, N] drawn with the numbers of a
        step, and what the others do now [B, N, A].
        """
        watcher = self.network.watcher
        seen, alike = watcher.watched(scene)
        lead, choices = seen.shape[:-1], watcher.choices
        mean = self._mean
        if scene.t == 0:
            mean = seen.new_full((*lead, choices), 1 / choices)
        if mean is None or mean.shape[:-1] != lead:
            raise ValueError(
                f"the policy goes by what these agents did before step {scene.t}: play from the"
                " start of a game"
            )
        key = (scene.seed, number, f"policy.{watcher.sight.player}.uniform")
        unit = scene.params.unit
        u = draw(("uniform",), tuple(lead), key, dtype=unit.dtype, device=unit.device)
        index = self.network.drawn(seen, mean, alike, u)
        self._mean = others_mean(index, choices, seen)
        return seen, index, self._mean


def limit_chances(network: MeanFieldNetwork) -> Chances:
    """The policy at the places of tables, with the mean of all agents in the limit."""
    kept: list[Tensor] = []

    def chances(scene: Placed) -> Mapping[str, Tensor]:
        watcher = network.watcher
        seen = watcher.observed(scene)
        if scene.t == 0:
            kept[:] = [seen.new_full((watcher.choices,), 1 / watcher.choices)]
        found = network.chances(seen, kept[0].expand(*seen.shape[:-1], -1))
        mass = scene.masses[watcher.sight.field].to(found)
        kept[:] = [(mass[..., None] * found).sum((0, 1)) / mass.sum()]
        return {watcher.sight.field: found.double()}

    return chances
