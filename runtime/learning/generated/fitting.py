"""Fits a generator to points that agents reached: a few steps of Adam on all times at once."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from math import nan
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mfdsl.runtime.learning.base import restore_optimizer, saved_optimizer
from mfdsl.runtime.learning.generated.autoregressive import Autoregressive
from mfdsl.runtime.learning.generated.counts import Followers
from mfdsl.runtime.learning.generated.discriminators import Critic, energy, mmd, sliced
from mfdsl.runtime.learning.generated.generators import Flow, FlowMatching, Implicit, Scaled
from mfdsl.runtime.learning.generated.mixtures import Mixture

Kind = Literal["energy", "sliced", "mmd", "wgan_gp", "likelihood", "velocity"]
AnyGenerator = Implicit | Flow | FlowMatching | Mixture | Autoregressive

SETTLING = 2048  # paths by which the moments of draws are brought to those of the paths
AVERAGED = 4  # one part in so many of the steps of a fit is averaged over
CALM = 5.0  # how much larger steps are on all paths at once, which have no noise
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
        picked = of_one[:, games[:, None].to(of_one.device), chosen.to(of_one.device)]
        return self._of(games, picked)

    def starts(self, count: int) -> Tensor:
        """Where some paths of each game began, `count` in all, [C, n, d]."""
        games = len(self.told)
        return self.paths[0].reshape(games, -1, self.paths.shape[-1])[:, : -(-count // games)]

    def every(self) -> Batch:
        """All paths of all games."""
        of_one = self.paths.reshape(len(self.paths), len(self.told), -1, self.paths.shape[-1])
        return self._of(torch.arange(len(self.told)), of_one)

    def _of(self, games: Tensor, paths: Tensor) -> Batch:
        """Paths [T + 1, c, n, d] of some games."""
        times = len(paths)
        found = paths.transpose(0, 1)  # [c, T + 1, n, d]
        start = found[:, :1].expand(-1, times - 1, -1, -1).flatten(0, 1)
        part = torch.arange(1, times).to(self.told) / (times - 1)
        told = self.told[games.to(self.told.device)][:, None].expand(-1, times - 1, -1)
        share = torch.cat([part.expand(len(games), -1)[..., None], told], -1).flatten(0, 1)
        return Batch(start, found[:, 1:].flatten(0, 1), share, games)


@dataclass(frozen=True, eq=False)
class Whole:
    """All paths as counts, for a generator with probabilities."""

    generator: Autoregressive
    rows: list[Followers]
    share: Tensor

    def loss(self) -> Tensor:
        """Minus the mean likelihood of their points."""
        return -self.generator.likelihood(self.rows, self.share)


@dataclass(eq=False)
class Fitting:
    """A generator, what it is fitted by, and the optimizers of both.

    `average` is drawn from: the generator with the mean of its weights over the last steps of a fit
    (Polyak and Juditsky 1992), in which the noise of single steps averages out. With `wgan_gp` the
    critic makes more and larger steps than the generator.
    """

    generator: AnyGenerator
    kind: Kind
    steps: int
    batch: int
    rate: float
    critic: Critic | None = None
    average: AnyGenerator = field(init=False)
    optimizer: torch.optim.Optimizer = field(init=False)
    critic_optimizer: torch.optim.Optimizer | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.average = deepcopy(self.generator)
        if isinstance(self.average, Scaled) and isinstance(self.generator, Scaled):
            self.average.moments = self.generator.moments
        first = SLOW[0] if self.kind == "wgan_gp" else self.rate
        betas = (0.0, 0.9) if self.kind == "wgan_gp" else (0.9, 0.999)
        self.optimizer = torch.optim.Adam(self.generator.parameters(), first, betas=betas)
        if self.critic is not None:
            self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), SLOW[1], betas=betas)

    @property
    def drawn(self) -> AnyGenerator:
        """The generator that is drawn from."""
        return self.average

    def to(self, unit: Tensor) -> None:
        """Work with the digits of `unit`, and where it is."""
        for module in (self.generator, self.average, self.critic):
            if module is not None:
                module.to(unit)

    def fit(
        self, paths: Tensor, left: float, draws: torch.Generator, told: Tensor | None = None
    ) -> float:
        """Fit to the paths [T + 1, R, d]; `left` is the part of the rate that is left. Of a family
        they are those of one game after another, of which `told` [C, k] is told. Returns the mean
        loss; nan, and nothing is fitted, where agents have left all bounds.
        """
        if not bool(torch.isfinite(paths).all()):
            return nan
        known = Known(paths, paths.new_zeros(1, 0) if told is None else told.to(paths))
        self.generator.calibrate(known.paths, known.told)
        whole = self._whole(known)
        rate = left * self.rate * (1.0 if whole is None else CALM)
        for group in self.optimizer.param_groups:
            group["lr"] = SLOW[0] if self.kind == "wgan_gp" else rate
        # the couplings of a flow are one after another, and means of their weights are other maps
        last = 1 if isinstance(self.generator, Flow) else max(1, self.steps // AVERAGED)
        first = self.steps - last
        total = 0.0
        for step in range(self.steps):
            if self.critic is not None:
                self._critic_steps(known, draws)
            loss = self._loss(known, draws) if whole is None else whole.loss()
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            norm = nn.utils.clip_grad_norm_(self.generator.parameters(), LARGEST)
            if torch.isfinite(norm):
                self.optimizer.step()
            total += float(loss.detach())
            self._follow(step - first)
        if isinstance(self.average, Implicit):
            self.average.settled(known.starts(SETTLING), known.told, draws)
        return total / self.steps

    def _whole(self, known: Known) -> Whole | None:
        """All paths at once, where that is no more work than the points of a step."""
        made = self.generator
        if not isinstance(made, Autoregressive):
            return None
        every = known.every()
        rows = made.followers(every.points, self.batch * len(every.share))
        return None if rows is None else Whole(made, rows, every.share)

    def _made(self, batch: Batch, draws: torch.Generator) -> Tensor:
        noise = torch.randn(batch.points.shape, generator=draws).to(batch.points)
        return self.generator.draw(batch.start, batch.share, noise)

    def _loss(self, known: Known, draws: torch.Generator) -> Tensor:
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
        drawn = made.moments.standard(self._made(other, draws), share)
        real = made.moments.standard(points, share)
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

    def _critic_steps(self, known: Known, draws: torch.Generator) -> None:
        made = self.generator
        assert self.critic is not None and self.critic_optimizer is not None
        assert not isinstance(made, Autoregressive)
        for _ in range(CRITIC_STEPS):
            first = known.batch(self.batch, draws)
            with torch.no_grad():
                drawn = made.moments.standard(self._made(first, draws), first.share)
            batch = known.batch(self.batch, draws, first.games)
            real = made.moments.standard(batch.points, batch.share)
            mix = torch.rand(*real.shape[:-1], 1, generator=draws).to(real)
            loss = self.critic.loss(drawn, real, batch.share, mix)
            self.critic_optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self.critic_optimizer.step()

    @torch.no_grad()
    def _follow(self, done: int) -> None:
        """The mean of the weights after the steps 0 to `done`; before them nothing is kept."""
        if done < 0:
            return
        mean: list[Tensor] = list(self.average.parameters())
        now: list[Tensor] = list(self.generator.parameters())
        torch._foreach_lerp_(mean, now, 1 / (1 + done))

    def state(self) -> dict[str, Tensor]:
        """Networks and moments."""
        found = {f"generator.{k}": v for k, v in self.generator.state_dict().items()}
        found |= _moments("fitted", self.optimizer)
        if self.critic is not None and self.critic_optimizer is not None:
            found |= {f"critic.{k}": v for k, v in self.critic.state_dict().items()}
            found |= _moments("criticised", self.critic_optimizer)
        return found | {f"average.{k}": v for k, v in self.average.state_dict().items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continue from saved tensors."""
        self.generator.load_state_dict(part(state, "generator."))
        _put_back("fitted", self.optimizer, state)
        if self.critic is not None and self.critic_optimizer is not None:
            self.critic.load_state_dict(part(state, "critic."))
            _put_back("criticised", self.critic_optimizer, state)
        self.average.load_state_dict(part(state, "average."))


def part(state: Mapping[str, Tensor], start: str) -> dict[str, Any]:
    """The entries under a name, without it."""
    return {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}


def _moments(name: str, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {f"{name}.{k}": v for k, v in saved_optimizer(optimizer).items()}


def _put_back(name: str, optimizer: torch.optim.Optimizer, state: Mapping[str, Tensor]) -> None:
    restore_optimizer(optimizer, part(state, f"{name}."))
