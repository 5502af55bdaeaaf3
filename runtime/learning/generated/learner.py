"""gd_mfrl: the law of a population by a generator, in the fixed-point loop of a mean-field game.

Each iteration freezes the generator, answers its law (`responses.py`), lets agents walk by the
new policy (`frozen.py`: against that law, or among themselves where they go by it), puts their
paths in the place of a part of those that are kept, and fits the generator to these. Keeping a part
of the old paths averages the population over iterations without bias: with a part of 1/(k + 1) that
is fictitious play (Cardaliaguet and Hadikhanloo 2017), with a fixed part geometric damping. After
Guo et al. 2019 (arXiv:1901.09585) and Perrin et al. 2021 (arXiv:2105.07933), who learn the law by a
normalizing flow; a generator and a discriminator as in Cao, Guo and Lauriere 2021
(arXiv:2002.04112). An auditor judges the law. With `vary` all this is done for a family of games at
once (`family.py`): one generator, one policy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from mfdsl.runtime.behaviours import Behaviour
from mfdsl.runtime.exploitability import Exploitability
from mfdsl.runtime.learning.base import Lesson, LessonError
from mfdsl.runtime.learning.generated.auditor import Verdict, audited
from mfdsl.runtime.learning.generated.family import family_of, seeing
from mfdsl.runtime.learning.generated.fitting import AnyGenerator, Fitting, part
from mfdsl.runtime.learning.generated.frozen import Arena, arena_of, flow_of, mingled, walked
from mfdsl.runtime.learning.generated.generators import Implicit
from mfdsl.runtime.learning.generated.judging import own_gap
from mfdsl.runtime.learning.generated.making import generator_of, responder_of
from mfdsl.runtime.learning.generated.network_responses import Networks
from mfdsl.runtime.learning.generated.space import space_of
from mfdsl.runtime.learning.generated.split import Split, nothing_split, transport_bound
from mfdsl.runtime.learning.generated.transfer import state_of
from mfdsl.runtime.learning.table import GeneratedConfig

STRIDE = 4  # episodes that one iteration may use
JUDGED = 4096  # agents whose points the auditor compares, shared out among the games of a family
FEWEST = 512  # of them in each game
FEWEST_PATHS = 16  # kept of each game
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
        self.space = space_of(lesson.program)
        self.family = family_of(lesson, config.vary, config.contexts)
        self.config, self.lesson = config, seeing(lesson, self.family)
        self.arena: Arena = arena_of(self.lesson, self.space, config.steps)
        self.fitting: Fitting = generator_of(config, self.arena, len(self.family.ranges))
        self.responder = responder_of(config, self.lesson, self.arena, self.family)
        made = self.fitting.drawn
        self.fitting.to(lesson.params.unit)
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
        points = self.crowd(self.config.crowd, episode, self.met)
        found = dict(self.responder.improve(self.generator, points, iteration))
        agents = self.walks(points, self._fresh(iteration), episode + 1, balanced=True)
        self._replace([one.paths for one in agents], iteration)
        draws, told = self._draws(iteration), self.family.told(self.family.values)
        found["fitted"] = self.fitting.fit(self._paths, self._left(iteration), draws, told)
        found["return"] = float(agents[0].paid.mean())
        last = iteration + 1 == self.lesson.iterations
        if last or (iteration + 1) % self.config.evaluate_every == 0:
            found |= self.audit(iteration).to_record()
            split = self.split(iteration)
            found |= {"split_error": split.error, "split_bound": split.bound}
            if not self.family.single:
                found |= self.elsewhere(iteration)
        return found

    @property
    def met(self) -> Tensor:
        """The games [B, k] whose crowds a response meets at once."""
        values = self.family.values
        alone = self.family.single and isinstance(self.responder, Networks)
        return values.expand(self.config.games, -1) if alone else values

    @torch.no_grad()
    def crowd(self, agents: int, episode: int, values: Tensor | None = None) -> Tensor:
        """Points [T + 1, B, N, d] that the generator draws for games of the family [B, k] (the
        spec's own), with the starts of an episode.
        """
        values = self.family.values[:1] if values is None else values
        arena, count = self.family.at(self.arena, values), len(values)
        state = arena.simulator(agents, count).reset(episode)
        start = self.space.points(state).to(self.lesson.params.unit)
        share = torch.arange(arena.steps + 1).to(start) / arena.steps
        draws = self._draws(episode + HELD_OUT)
        noise = torch.randn(len(share), *start.shape, generator=draws).to(start)
        moments = self.family.moments(values.to(start), share)
        begun = start[:, None].expand(-1, len(share), -1, -1).flatten(0, 1)
        made, normal = self.generator, noise.transpose(0, 1).flatten(0, 1)
        if isinstance(made, Implicit):  # the means of crowds are what responses are most about
            points = made.draw(begun, moments, normal, level=True)
        else:
            points = made.draw(begun, moments, normal)
        found = points.reshape(count, len(share), *start.shape[1:])
        return self.space.inside(found).transpose(0, 1)

    def walks(
        self,
        points: Tensor,
        agents: int,
        episode: int,
        values: Tensor | None = None,
        *,
        balanced: bool = False,
    ) -> list[Walked]:
        """Let agents play the policy in each game of the family [C, k].

        Where they go by the others, these are agents as well: the law of before would be another
        delay, which at late times is a long one. Else, and where everybody meets everybody, it is
        the crowd of the game among `points` [T + 1, C, M, d]. `balanced` agents among themselves
        meet opposite noise in pairs, so that their means are those of more.
        """
        values = self.family.values if values is None else values
        arenas = [self.family.at(self.arena, row[None]) for row in values]
        if self.arena.mutual and not self.arena.pairs:
            act = self.behaviour()
            return [
                Walked(*mingled(arena, act, agents, episode, balanced=balanced)) for arena in arenas
            ]
        return [
            self.walk(points[:, k : k + 1], agents, episode, arena)
            for k, arena in enumerate(arenas)
        ]

    def walk(self, points: Tensor, agents: int, episode: int, arena: Arena | None = None) -> Walked:
        """Let agents play the policy against a crowd at `points` [T + 1, 1, M, d]."""
        where = self.arena if arena is None else arena
        return Walked(*walked(where, self.responder.act, points, agents, episode))

    def audit(self, iteration: int, values: Tensor | None = None) -> Verdict:
        """The auditor's verdict on the laws of games of the family [C, k] (all that are trained
        on), from agents that the generator never saw.
        """
        values = self.family.values if values is None else values
        episode = HELD_OUT + STRIDE * iteration
        count = max(FEWEST, JUDGED // len(values))
        points = self.crowd(max(count, self.config.crowd), episode, values)
        walks = self.walks(points[:, :, : self.config.crowd], 2 * count, episode + 1, values)
        agents = torch.cat([one.paths[1:] for one in walks])
        made = points[1:, :, :count].transpose(0, 1).flatten(0, 1)
        share = torch.arange(1, self.arena.steps + 1).to(made) / self.arena.steps
        draws, times = self._draws(episode), self.family.moments(values.to(made), share)
        return audited(made, agents[:, :count], agents[:, count:], draws, times)

    def elsewhere(self, iteration: int) -> dict[str, float]:
        """Games that nobody trained on: the verdict on their laws; and where one agent's problem is
        linear-quadratic what one gains by leaving the policy there, and in those trained on.
        """
        held = self.audit(iteration, self.family.held).to_record()
        found = {f"held_{name}": held[name] for name in ("sw1", "sw1_floor", "c2st", "coverage")}
        for name, values in (("family_gap", self.family.values), ("held_gap", self.family.held)):
            gaps = [self.gap_at(row) for row in values]
            known = [gap for gap in gaps if gap is not None]
            if known:
                found[name] = sum(known) / len(known)
        return found

    def gap_at(self, row: Tensor) -> float | None:
        """What one agent gains by leaving the policy in the game of the family with the values
        `row` [k], against its own flow; None where its problem is not linear-quadratic.
        """
        arena = self.family.at(self.arena, row[None])
        gap = own_gap(arena, self.responder.act, self.behaviour())
        return None if gap is None else gap.value

    def flow_in(self, row: Tensor, agents: int, episode: int) -> Tensor:
        """Points [T + 1, N, d] of agents who all play the policy in such a game."""
        arena = self.family.at(self.arena, row[None])
        return flow_of(arena, self.responder.act, self.behaviour(), agents, episode)

    def split(self, iteration: int) -> Split:
        """How far the law of the generator moves what an agent gains, and how far it may."""
        if self.arena.mutual or self.space.finite:
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
        return self.flow_in(self.family.values[0], agents, episode)

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
        """First paths and a first fit: the policy against the untrained generator, whose law nobody
        should answer; or those of the run that the course begins with.
        """
        if self.config.begin:
            warmed(self, state_of(self.config.begin, self.config.vary))
            return
        points = self.crowd(self.config.crowd, 0, self.family.values)
        walks = self.walks(points, self._each, 1, balanced=True)
        self.paths = torch.cat([one.paths for one in walks], 1)
        told = self.family.told(self.family.values)
        self.fitting.fit(self.paths, 1.0, self._draws(-HELD_OUT), told)

    @property
    def kept(self) -> int:
        """How many paths are kept in all."""
        return self._each * len(self.family.values)

    @property
    def _each(self) -> int:
        """How many paths are kept of each game."""
        return max(FEWEST_PATHS, self.config.paths // len(self.family.values))

    def _fresh(self, iteration: int) -> int:
        """How many paths of each game are replaced."""
        if iteration == 0:
            return self._each
        part = self.config.fresh or 1 / (iteration + 1)
        return max(1, round(part * self._each))

    def _replace(self, fresh: Sequence[Tensor], iteration: int) -> None:
        order = torch.randperm(self._each, generator=self._draws(-iteration - 1))
        paths = self._paths.clone()
        for game, new in enumerate(fresh):
            columns = game * self._each + order[: new.shape[1]]
            paths[:, columns.to(paths.device)] = new
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
        LessonError: the other course had other networks, or kept another number of paths.
    """
    before = learner.state()
    try:
        learner.restore(state)
    except (RuntimeError, KeyError, ValueError) as error:
        what = str(error).splitlines()[-1].strip()
        raise LessonError(f"the course to begin with has other networks: {what}") from None
    kept = learner.paths
    wanted = (learner.arena.steps + 1, learner.kept, learner.space.width)
    if kept is None or tuple(kept.shape) != wanted:
        found = "none" if kept is None else f"{kept.shape[1]:,} of {len(kept) - 1} steps"
        learner.restore(before)
        raise LessonError(
            f"the course to begin with kept {found} as paths, and this one keeps"
            f" {wanted[1]:,} of {wanted[0] - 1} steps",
            "the same `paths`, `vary`, `contexts` and `steps`",
        )
