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
from mfdsl.runtime.learning.generated.mixtures import Mixture

Kind = Literal["energy", "sliced", "mmd", "wgan_gp", "likelihood", "velocity"]
AnyGenerator = Implicit | Flow | FlowMatching | Mixture | Autoregressive

KEPT = 0.99  # of the average of weights that wgan_gp plays with
CRITIC_STEPS = 4
TOGETHER = 4  # games of a family in one step
SLOW = (1e-4, 4e-4)  # Adam of wgan_gp: generator and critic
LARGEST = 10.0  # norm of a gradient


@dataclass(frozen=True, eq=False)
class Batch:
    """Points [T, n, d] of some paths at times after the start, where these began [T, n, d], the
    times with what is told [T, 1 + k], and which games they are of.
    """

    start: Tensor
    points: Tensor
    share: Tensor
    games: Tensor


@dataclass(frozen=True, eq=False)
class Known:
    """Paths [T + 1, R, d], those of one game after another, of which `told` [C, k] is told."""

    paths: Tensor
    told: Tensor

    def batch(self, count: int, draws: torch.Generator, games: Tensor | None = None) -> Batch:
        """Some paths of some games, by default of other ones each time."""
        times, runs, axes = self.paths.shape
        of_one = self.paths.reshape(times, len(self.told), -1, axes)
        if games is None:
            games = torch.zeros(1, dtype=torch.int64)
            if len(self.told) > 1:
                games = torch.randperm(len(self.told), generator=draws)[:TOGETHER]
        chosen = torch.randint(runs // len(self.told), (count,), generator=draws)
        found = of_one[:, games.to(self.paths.device)][:, :, chosen.to(self.paths.device)]
        found = found.transpose(0, 1)  # [c, T + 1, n, d]
        start = found[:, :1].expand(-1, times - 1, -1, -1).flatten(0, 1)
        part = torch.arange(1, times).to(self.told) / (times - 1)
        told = self.told[games.to(self.told.device)][:, None].expand(-1, times - 1, -1)
        share = torch.cat([part.expand(len(games), -1)[..., None], told], -1).flatten(0, 1)
        return Batch(start, found[:, 1:].flatten(0, 1), share, games)


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

    def fit(
        self, paths: Tensor, left: float, draws: torch.Generator, told: Tensor | None = None
    ) -> float:
        """Fit to the paths [T + 1, R, d]; `left` is the part of the rate that is left. Of a family
        they are those of one game after another, of which `told` [C, k] is told. Returns the mean
        loss.
        """
        known = Known(paths, paths.new_zeros(1, 0) if told is None else told.to(paths))
        scale = 1.0 if self.kind == "wgan_gp" else left * self.rate
        for group in self.optimizer.param_groups:
            group["lr"] = SLOW[0] if self.kind == "wgan_gp" else scale
        total = 0.0
        for _ in range(self.steps):
            if self.critic is not None:
                self._critic_steps(known, draws)
            loss = self._loss(known, draws)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            norm = nn.utils.clip_grad_norm_(self.generator.parameters(), LARGEST)
            if torch.isfinite(norm):
                self.optimizer.step()
            total += float(loss.detach())
            self._follow()
        return total / self.steps

    def _made(self, batch: "Batch", draws: torch.Generator) -> Tensor:
        noise = torch.randn(batch.points.shape, generator=draws).to(batch.points)
        return self.generator.draw(batch.start, batch.share, noise)

    def _loss(self, known: "Known", draws: torch.Generator) -> Tensor:
        batch, made = known.batch(self.batch, draws), self.generator
        points, share = batch.points, batch.share
        if isinstance(made, Autoregressive):
            probable = made.log_probs(points, share)
            return probable.mean().neg()
        if isinstance(made, Flow | Mixture) and self.kind == "likelihood":
            return -made.log_density(points, share).mean()
        if isinstance(made, FlowMatching):
            noise = torch.randn(points.shape, generator=draws).to(points)
            way = torch.rand(*noise.shape[:-1], 1, generator=draws).to(points)
            return made.regression(points, share, noise, way)
        # starts of other paths than those compared with
        other = known.batch(self.batch, draws, batch.games)
        drawn = made.scaled(self._made(other, draws))
        real = made.scaled(points)
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

    def _critic_steps(self, known: "Known", draws: torch.Generator) -> None:
        made = self.generator
        assert self.critic is not None and self.critic_optimizer is not None
        assert not isinstance(made, Autoregressive)
        for _ in range(CRITIC_STEPS):
            first = known.batch(self.batch, draws)
            with torch.no_grad():
                drawn = made.scaled(self._made(first, draws))
            batch = known.batch(self.batch, draws, first.games)
            real = made.scaled(batch.points)
            mix = torch.rand(*real.shape[:-1], 1, generator=draws).to(real)
            loss = self.critic.loss(drawn, real, batch.share, mix)
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
