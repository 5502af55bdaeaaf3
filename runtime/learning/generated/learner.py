"""gd_mfrl: the law of a population by a generator, in the fixed-point loop of a mean-field game.

Each iteration freezes the generator, answers its law (`responses.py`), lets agents walk by the
new policy against it (`frozen.py`), puts their paths in the place of a part of those that are kept,
and fits the generator to these. Keeping a part of the old paths averages the population over
iterations without bias: with a part of 1/(k + 1) that is fictitious play (Cardaliaguet and
Hadikhanloo 2017), with a fixed part geometric damping. After Guo et al. 2019 (arXiv:1901.09585) and
Perrin et al. 2021 (arXiv:2105.07933), who learn the law by a normalizing flow; a generator and a
discriminator as in Cao, Guo and Lauriere 2021 (arXiv:2002.04112). An auditor judges the law.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from mfdsl.runtime.behaviours import Behaviour
from mfdsl.runtime.exploitability import Exploitability
from mfdsl.runtime.learning.base import Lesson, LessonError
from mfdsl.runtime.learning.generated.auditor import Verdict, audited
from mfdsl.runtime.learning.generated.fitting import AnyGenerator, Fitting, part
from mfdsl.runtime.learning.generated.frozen import Arena, arena_of, flow_of, walked
from mfdsl.runtime.learning.generated.making import generator_of, responder_of
from mfdsl.runtime.learning.generated.network_responses import Networks
from mfdsl.runtime.learning.generated.space import space_of
from mfdsl.runtime.learning.generated.split import Split, nothing_split, transport_bound
from mfdsl.runtime.learning.table import GeneratedConfig

STRIDE = 4  # episodes that one iteration may use
JUDGED = 4096  # agents whose points the auditor compares
HELD_OUT = 1 << 30  # episodes of the auditor have numbers from here on


@dataclass(frozen=True, eq=False)
class Walked:
    """Paths [T + 1, N, d] of agents against a law, and what they were paid on the way [N]."""

    paths: Tensor
    paid: Tensor


class GeneratedField:
    """The learner behind `gd_mfrl`.

    Raises:
        LessonError: the game has more than one population, or states that no generator draws, or
            the response that is asked for is not defined on it.
    """

    def __init__(self, config: GeneratedConfig, lesson: Lesson) -> None:
        self.config, self.lesson = config, lesson
        self.space = space_of(lesson.program)
        self.arena: Arena = arena_of(lesson, self.space, config.steps)
        self.fitting: Fitting = generator_of(config, self.arena)
        self.responder = responder_of(config, lesson, self.arena)
        made, unit = self.fitting.drawn, lesson.params.unit
        for module in (made, self.fitting.generator, self.fitting.critic):
            if module is not None:
                module.to(unit)
        self._policy = nn.ModuleDict({"generator": made, "actor": self.responder.policy})
        self.paths: Tensor | None = None

    @property
    def policy(self) -> nn.Module:
        """Who plays, and the generator of the law."""
        return self._policy

    @property
    def generator(self) -> AnyGenerator:
        """The generator that stands for the law."""
        return self.fitting.drawn

    def behaviour(self, *, mode: bool = True) -> Behaviour:
        """How everybody plays."""
        return self.responder.behaviour(mode=mode)

    def step(self, iteration: int) -> Mapping[str, float]:
        """Answer the law, walk, fit, and now and then ask the auditor."""
        if self.paths is None:
            self._begin()
        episode = STRIDE * (iteration + 1)
        points = self.crowd(self.config.crowd, episode, self.responder_games)
        found = dict(self.responder.improve(self.generator, points, iteration))
        agents = self.walk(points[:, :1], self._fresh(iteration), episode + 1)
        self._replace(agents.paths, iteration)
        draws = self._draws(iteration)
        found["fitted"] = self.fitting.fit(self._paths, self._left(iteration), draws)
        found["return"] = float(agents.paid.mean())
        last = iteration + 1 == self.lesson.iterations
        if last or (iteration + 1) % self.config.evaluate_every == 0:
            found |= self.audit(iteration).to_record()
            split = self.split(iteration)
            found |= {"split_error": split.error, "split_bound": split.bound}
        return found

    @property
    def responder_games(self) -> int:
        """How many crowds a response meets at once."""
        return self.config.games if isinstance(self.responder, Networks) else 1

    @torch.no_grad()
    def crowd(self, agents: int, episode: int, games: int = 1) -> Tensor:
        """Points [T + 1, B, N, d] that the generator draws, with the starts of an episode."""
        state = self.arena.simulator(agents, games).reset(episode)
        start = self.space.points(state).to(self.lesson.params.unit)
        share = torch.arange(self.arena.steps + 1).to(start) / self.arena.steps
        noise = torch.randn(len(share), *start.shape, generator=self._draws(episode + HELD_OUT)).to(
            start
        )
        points = self.generator.draw(start.flatten(0, 1), share, noise.flatten(1, 2))
        return self.space.inside(points.reshape(noise.shape))

    def walk(self, points: Tensor, agents: int, episode: int) -> Walked:
        """Let agents play the policy against a crowd at `points` [T + 1, 1, M, d]."""
        return Walked(*walked(self.arena, self.responder.act, points, agents, episode))

    def audit(self, iteration: int) -> Verdict:
        """The auditor's verdict on the law, from agents that the generator never saw."""
        episode = HELD_OUT + STRIDE * iteration
        count = JUDGED
        points = self.crowd(max(count, self.config.crowd), episode)
        agents = self.walk(points[:, :, : self.config.crowd], 2 * count, episode + 1).paths[1:]
        made = points[1:, 0, :count]
        return audited(made, agents[:, :count], agents[:, count:], self._draws(episode))

    def split(self, iteration: int) -> Split:
        """How far the law of the generator moves what an agent gains, and how far it may."""
        if self.arena.moved or self.space.finite:
            return nothing_split()
        episode = HELD_OUT + STRIDE * iteration + 2
        made = self.crowd(self.config.crowd, episode)
        act = self.responder.act
        true = self.flow(self.config.crowd, episode)
        bound = transport_bound(self.arena, act, made[:, 0], true, episode)
        gains = [self.responder.gain(points) for points in (made[:, 0], true)]
        if gains[0] is not None and gains[1] is not None:
            return Split(abs(gains[0] - gains[1]), 2 * bound, True)
        values = [self.walk(p, JUDGED, episode + 1).paid.mean() for p in (made, true[:, None])]
        return Split(abs(float(values[0] - values[1])), bound, False)

    def flow(self, agents: int, episode: int) -> Tensor:
        """Points [T + 1, N, d] of agents who all play the policy, among themselves."""
        act = self.responder.act
        return flow_of(self.arena, act, self.behaviour(), agents, episode)

    def gap(self) -> Exploitability | None:
        """What one agent gains by leaving the policy, against the flow of the policy itself."""
        return self.responder.gap()

    def extend(self, iterations: int) -> None:
        """Let the course be as long as this, by which rates fall."""
        self.lesson = replace(self.lesson, iterations=iterations)
        self.responder.extend(iterations)

    def state(self) -> dict[str, Tensor]:
        """Policy, generator, moments and the paths that are kept."""
        found = self.fitting.state()
        found |= {f"responder.{k}": v for k, v in self.responder.state().items()}
        if self.paths is not None:
            found["paths"] = self.paths
        return found

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continue from saved tensors."""
        self.fitting.restore(state)
        self.responder.restore(part(state, "responder."))
        self.paths = state["paths"].clone() if "paths" in state else None

    @property
    def _paths(self) -> Tensor:
        assert self.paths is not None
        return self.paths

    def _begin(self) -> None:
        """First paths, by which points are scaled: the policy against the untrained generator."""
        points = self.crowd(self.config.crowd, 0)
        self.paths = self.walk(points, self.config.paths, 1).paths
        for made in (self.fitting.generator, self.fitting.average):
            if made is not None:
                made.calibrate(self.paths)

    def _fresh(self, iteration: int) -> int:
        """How many paths are replaced."""
        if iteration == 0:
            return self.config.paths
        part = self.config.fresh or 1 / (iteration + 1)
        return max(1, round(part * self.config.paths))

    def _replace(self, fresh: Tensor, iteration: int) -> None:
        order = torch.randperm(self.config.paths, generator=self._draws(-iteration - 1))
        paths = self._paths.clone()
        paths[:, order[: fresh.shape[1]].to(paths.device)] = fresh
        self.paths = paths

    def _left(self, iteration: int) -> float:
        """The part of the rate of the generator that is left."""
        done = min(1.0, iteration / max(1, self.lesson.iterations - 1))
        return 1 - (1 - self.config.final_rate) * done

    def _draws(self, number: int) -> torch.Generator:
        return torch.Generator().manual_seed(hash((self.lesson.seed, number)) % (1 << 63))


def warmed(learner: GeneratedField, state: Mapping[str, Tensor]) -> None:
    """Let a learner begin with generator, policy and paths of another course: transfer.

    Raises:
        LessonError: the other course had other networks.
    """
    try:
        learner.restore(state)
    except (RuntimeError, KeyError, ValueError) as error:
        what = str(error).splitlines()[-1].strip()
        raise LessonError(f"the course to begin with has other networks: {what}") from None
