"""One small network for all agents, of own and common values and neighbours: no law is seen."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mfdsl.compiler.ir.types import Type
from mfdsl.runtime.agents import AgentProgram
from mfdsl.runtime.behaviours import Scene
from mfdsl.runtime.learning.eyes import Eyes, View
from mfdsl.runtime.learning.networks import Mlp
from mfdsl.runtime.learning.sight import model_of, sights_of, values_seen
from mfdsl.runtime.streams import draw

LEAST = 1e-9  # uniform numbers below are taken for this, so that logarithms are finite


class LocalActor(nn.Module):
    """Logits of one action that is a choice: a finite one, or shares in [0, 1] that add up to 1.

    Raises:
        ValueError: the game has other players that act, or other actions, nobody sees a value that
            is to be hidden, or nothing is seen.
    """

    def __init__(
        self,
        program: AgentProgram,
        hidden: int,
        layers: int,
        nearest: int,
        hide: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.program = program
        model, sights = model_of(program), sights_of(program, hidden=hide)
        if len(sights) != 1 or sights[0].single or len(sights[0].actions) != 1:
            raise ValueError(f"{program.name} needs one population that acts, by one action")
        self.sight = sights[0]
        if model.player(self.sight.player).legal is not None:
            raise ValueError(f"actions of `{self.sight.player}` are masked")
        self.kind = self.sight.actions[0].type
        self.choices = _choices(self.kind, program.name)
        self.eyes = Eyes(self.sight, model, nearest, laws=False)
        self.width = self.eyes.own_width + self.eyes.common_width
        self.net = Mlp(self.width, [hidden] * layers, self.choices, "relu", 0.1)

    def observed(self, scene: Scene) -> Tensor:
        """What each agent sees [B, N, width]."""
        seen = values_seen(self.program, scene.params, scene.time, scene.state)
        view: View = self.eyes(seen[self.sight.player], scene.state, scene.batch)
        assert view.own is not None
        common = view.common[:, None].expand(-1, view.own.shape[1], -1)
        return torch.cat([view.own, common.to(view.own)], -1)

    def chances(self, scene: Scene) -> Tensor:
        """Shares of the choices before noise, [B, N, k]."""
        return torch.softmax(self.net(self.observed(scene)), -1)

    def chosen(self, logits: Tensor) -> Tensor:
        """Shares of the choices [..., k]; gradients of a finite choice are those of its chances.

        A finite choice counts as wholly the likeliest one (straight through, Jang et al. 2017).
        """
        shares = torch.softmax(logits, -1)
        if not self.kind.finite:
            return shares
        one = nn.functional.one_hot(logits.argmax(-1), self.choices).to(shares.dtype)
        return one + shares - shares.detach()

    def action(self, scene: Scene, shares: Tensor) -> Any:
        """The module's `Action` from shares [B, N, k]."""
        module = self.program.module
        value = shares.to(scene.params.unit.dtype)
        if self.kind.finite:
            index = shares.argmax(-1) + self.kind.first
            value = index.bool() if self.kind.kind == "bool" else index
        field = self.sight.field
        return module.Action(**{field: module.Action.__annotations__[field](value)})

    def calibrate(self, params: Any, time: Tensor, state: Any, batch: int) -> None:
        """Centre and scale what has no bounds by what is seen in a state."""
        self.eyes.calibrate(
            values_seen(self.program, params, time, state)[self.sight.player], state, batch
        )


@dataclass(frozen=True, eq=False)
class LocalPolicy:
    """A behaviour: everybody follows the actor, with Gumbel noise on the logits where `noisy`."""

    actor: LocalActor
    noisy: bool

    @torch.no_grad()
    def __call__(self, scene: Scene) -> Any:
        """The actions in a scene."""
        return self.actor.action(scene, self.choice(scene, self.actor.observed(scene), scene.t))

    def choice(self, scene: Scene, observations: Tensor, number: int) -> Tensor:
        """Shares of the choices [B, N, k], with the noise of the step with this number."""
        logits: Tensor = self.actor.net(observations)
        if self.noisy:
            key = (scene.seed, number, f"policy.{self.actor.sight.player}.gumbel")
            place = {"dtype": logits.dtype, "device": logits.device}
            uniform = draw(("uniform",), tuple(logits.shape), key, **place)  # type: ignore[arg-type]
            logits = logits - torch.log(-torch.log(uniform.clamp(LEAST, 1 - 1e-7)))
        return self.actor.chosen(logits)


def _choices(kind: Type, name: str) -> int:
    """How many logits an action has."""
    if kind.finite and not kind.dims:
        return kind.size
    shares = kind.kind == "real" and (kind.lo, kind.hi) == (0, 1) and kind.ball is None
    if shares and len(kind.dims) == 1 and kind.box is None:
        return kind.dims[0]
    raise ValueError(f"the action of {name} is neither finite nor a vector of shares in [0, 1]")
