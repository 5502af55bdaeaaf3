"""Fits a generator to points that agents reached: a few steps of Adam on all times at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mfdsl.runtime.learning.base import restore_optimizer, saved_optimizer
from mfdsl.runtime.learning.generated.autoregressive import Autoregressive
from mfdsl.runtime.learning.generated.discriminators import Critic, energy, mmd, sliced
from mfdsl.runtime.learning.generated.generators import Flow, FlowMatching, Implicit

Kind = Literal["energy", "sliced", "mmd", "wgan_gp", "likelihood", "velocity"]
AnyGenerator = Implicit | Flow | FlowMatching | Autoregressive

KEPT = 0.99  # of the average of weights that wgan_gp plays with
CRITIC_STEPS = 4
SLOW = (1e-4, 4e-4)  # Adam of wgan_gp: generator and critic
LARGEST = 10.0  # norm of a gradient


@dataclass(eq=False)
class Fitting:
    """A generator, what it is fitted by, and the optimizers of both.

    With `wgan_gp` the critic makes more and larger steps than the generator, and `average` is the
    generator with averaged weights, which is drawn from.
    """

    generator: AnyGenerator
    kind: Kind
    steps: int
    batch: int
    rate: float
    critic: Critic | None = None
    average: AnyGenerator | None = None
    optimizer: torch.optim.Optimizer = field(init=False)
    critic_optimizer: torch.optim.Optimizer | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        first = SLOW[0] if self.kind == "wgan_gp" else self.rate
        betas = (0.0, 0.9) if self.kind == "wgan_gp" else (0.9, 0.999)
        self.optimizer = torch.optim.Adam(self.generator.parameters(), first, betas=betas)
        if self.critic is not None:
            self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), SLOW[1], betas=betas)

    @property
    def drawn(self) -> AnyGenerator:
        """The generator that is drawn from."""
        return self.generator if self.average is None else self.average

    def fit(self, paths: Tensor, left: float, draws: torch.Generator) -> float:
        """Fit to the paths [T + 1, R, d]; `left` is the part of the rate that is left. Returns the
        mean loss.
        """
        share = torch.arange(1, len(paths)).to(paths.device) / (len(paths) - 1)
        scale = 1.0 if self.kind == "wgan_gp" else left * self.rate
        for group in self.optimizer.param_groups:
            group["lr"] = SLOW[0] if self.kind == "wgan_gp" else scale
        total = 0.0
        for _ in range(self.steps):
            if self.critic is not None:
                self._critic_steps(paths, share, draws)
            loss = self._loss(paths, share, draws)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            norm = nn.utils.clip_grad_norm_(self.generator.parameters(), LARGEST)
            if torch.isfinite(norm):
                self.optimizer.step()
            total += float(loss.detach())
            self._follow()
        return total / self.steps

    def _batch(self, paths: Tensor, draws: torch.Generator) -> Tensor:
        """Points [T + 1, b, d] of some paths: another sample of them at each time, but the first
        row, their starts, is that of the last.
        """
        chosen = torch.randint(paths.shape[1], (self.batch,), generator=draws)
        return paths[:, chosen.to(paths.device)]

    def _made(self, start: Tensor, share: Tensor, draws: torch.Generator) -> Tensor:
        noise = torch.randn(len(share), *start.shape, generator=draws).to(start)
        return self.generator.draw(start, share, noise)

    def _loss(self, paths: Tensor, share: Tensor, draws: torch.Generator) -> Tensor:
        points, made = self._batch(paths, draws), self.generator
        if isinstance(made, Autoregressive):
            probable = made.log_probs(points[1:], share)
            return probable.mean().neg()
        if self.kind == "likelihood":
            assert isinstance(made, Flow)
            return -made.log_density(points[1:], share).mean()
        if isinstance(made, FlowMatching):
            noise = torch.randn(points[1:].shape, generator=draws).to(points)
            way = torch.rand(*noise.shape[:-1], 1, generator=draws).to(points)
            return made.regression(points[1:], share, noise, way)
        other = self._batch(paths, draws)  # starts of other paths than those compared with
        drawn = made.scaled(self._made(other[0], share, draws))
        real = made.scaled(points[1:])
        match self.kind:
            case "sliced":
                return sliced(drawn, real, draws)
            case "mmd":
                return mmd(drawn, real, draws)
            case "wgan_gp":
                assert self.critic is not None
                score: Tensor = self.critic(drawn, share).mean()
                return -score
        return energy(drawn, real)

    def _critic_steps(self, paths: Tensor, share: Tensor, draws: torch.Generator) -> None:
        made = self.generator
        assert self.critic is not None and self.critic_optimizer is not None
        assert not isinstance(made, Autoregressive)
        for _ in range(CRITIC_STEPS):
            with torch.no_grad():
                drawn = made.scaled(self._made(self._batch(paths, draws)[0], share, draws))
            real = made.scaled(self._batch(paths, draws)[1:])
            mix = torch.rand(*real.shape[:-1], 1, generator=draws).to(real)
            loss = self.critic.loss(drawn, real, share, mix)
            self.critic_optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self.critic_optimizer.step()

    @torch.no_grad()
    def _follow(self) -> None:
        if self.average is None:
            return
        pairs = zip(self.average.parameters(), self.generator.parameters(), strict=True)
        for kept, now in pairs:
            kept.lerp_(now, 1 - KEPT)

    def state(self) -> dict[str, Tensor]:
        """Networks and moments."""
        found = {f"generator.{k}": v for k, v in self.generator.state_dict().items()}
        found |= _moments("fitted", self.optimizer)
        if self.critic is not None and self.critic_optimizer is not None:
            found |= {f"critic.{k}": v for k, v in self.critic.state_dict().items()}
            found |= _moments("criticised", self.critic_optimizer)
        if self.average is not None:
            found |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        return found

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continue from saved tensors."""
        self.generator.load_state_dict(part(state, "generator."))
        _put_back("fitted", self.optimizer, state)
        if self.critic is not None and self.critic_optimizer is not None:
            self.critic.load_state_dict(part(state, "critic."))
            _put_back("criticised", self.critic_optimizer, state)
        if self.average is not None:
            self.average.load_state_dict(part(state, "average."))


def part(state: Mapping[str, Tensor], start: str) -> dict[str, Any]:
    """The entries under a name, without it."""
    return {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}


def _moments(name: str, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {f"{name}.{k}": v for k, v in saved_optimizer(optimizer).items()}


def _put_back(name: str, optimizer: torch.optim.Optimizer, state: Mapping[str, Tensor]) -> None:
    restore_optimizer(optimizer, part(state, f"{name}."))
