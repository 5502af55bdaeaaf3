"""Networks that answer a frozen law: gradients along the path, or PPO with everybody's own rewards.

Both go on from the policy of the iteration before, so that few steps are a damped best response.
A network reads what the spec shows, in a family the law as well (`family.py`): laws are read off
the crowd alone. Along the path it has an affine part (`straight.py`).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mfdsl.runtime.behaviours import Behaviour
from mfdsl.runtime.exploitability import Exploitability
from mfdsl.runtime.learning.actor import Shape
from mfdsl.runtime.learning.base import Lesson, LessonError, restore_optimizer, saved_optimizer
from mfdsl.runtime.learning.chances import crew_chances
from mfdsl.runtime.learning.crew import Crew, Look
from mfdsl.runtime.learning.experience import Choice, Course, Experience, joined
from mfdsl.runtime.learning.eyes import Eyes, View
from mfdsl.runtime.learning.gaps import exact_gap, learned_gap, tables_for
from mfdsl.runtime.learning.generated.family import Family
from mfdsl.runtime.learning.generated.fitting import AnyGenerator, part
from mfdsl.runtime.learning.generated.frozen import Arena, Meeting
from mfdsl.runtime.learning.generated.judging import gain_against, own_gap
from mfdsl.runtime.learning.generated.straight import StraightTrunk, straightened
from mfdsl.runtime.learning.heads import Drawn
from mfdsl.runtime.learning.ppo import Critics, Proximal, batches, update
from mfdsl.runtime.learning.sight import sights_of, values_seen
from mfdsl.runtime.learning.table import GeneratedConfig
from mfdsl.runtime.streams import draw

EPSILON = 1e-5  # of Adam, as in implementations of PPO
BETAS = {"path": (0.9, 0.97), "score": (0.9, 0.999)}
"""Of Adam: along the path gradients of the first policy are steep and have to be forgotten, or what
gradients are small for, as slopes in means that hardly differ, does not move any more.
"""
LONGEST = 5.0  # norm of a gradient along the path
MEMBERS = 256  # agents of each scene in the loss of PPO


class Networks:
    """A crew of one population that answers laws.

    Raises:
        LessonError: no gradient runs along the path.
    """

    def __init__(
        self,
        config: GeneratedConfig,
        lesson: Lesson,
        arena: Arena,
        way: Literal["path", "score"],
        family: Family,
    ) -> None:
        (sight,) = sights_of(lesson.program)
        if way == "path" and any(a.type.finite for a in sight.actions):
            raise LessonError(
                f"actions of {lesson.program.name} are finite, so no gradient runs through them",
                "`--opt response=score`",
            )
        self.config, self.lesson, self.arena, self.way = config, lesson, arena, way
        self.room = family.at(arena, family.values)
        shape = Shape((config.hidden,) * config.layers, "tanh", config.encoder)
        look = Look(config.nearest, tuple(config.hide.split()))
        self.field = sight.field
        crew = Crew(lesson.program, shape, look)
        self.crew = (straightened(crew) if way == "path" else crew).to(lesson.params.unit)
        simulator = self.room.simulator(config.crowd, len(family.values))
        self.crew.calibrate(simulator.scene(0, simulator.reset(0)))
        self.critics: Critics | None = None
        if way == "score":
            self.critics = Critics(self.crew.widths, shape, single=True).to(lesson.params.unit)
        modules = [self.crew] if self.critics is None else [self.crew, self.critics]
        self.parameters = [p for m in modules for p in m.parameters()]
        rate, betas = config.learning_rate, BETAS[way]
        self.optimizer = torch.optim.Adam(self.parameters, rate, betas=betas, eps=EPSILON)

    @property
    def policy(self) -> nn.Module:
        """The crew."""
        return self.crew

    def improve(self, made: AnyGenerator, points: Tensor, iteration: int) -> Mapping[str, float]:
        """Some steps of Adam, or some episodes of PPO, against the law."""
        done = min(1.0, iteration / max(1, self.lesson.iterations - 1))
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * (1 - (1 - self.config.final_rate) * done)
        if self.way == "path":
            self._whiten(points, iteration)
            found = self._averaged(points, iteration)
        else:
            found = [self._by_score(points, iteration, k) for k in range(self.config.answers)]
        return {name: sum(f[name] for f in found) / len(found) for name in found[0]}

    def act(self, meeting: Meeting) -> Any:
        """Draws of all agents; real actions are their means."""
        return self._choose(meeting, noisy=False)[1]

    def behaviour(self, *, mode: bool = True) -> Behaviour:
        """How everybody plays."""
        return self.crew.behaviour(mode=mode)

    def gap(self) -> Exploitability | None:
        """By tables where there are some, exactly where one agent's problem is linear-quadratic,
        else a learned lower bound, where it is asked for.
        """
        if self.config.gap == "none":
            return None
        quadratic = own_gap(self.arena, self.act, self.behaviour())
        if quadratic is not None:
            return quadratic
        tables = tables_for(self.lesson)
        if tables is not None:
            return exact_gap(self.lesson, crew_chances(self.crew, tables))
        if self.config.gap == "tables":
            return None
        agents = self.config.evaluate_agents or self.config.agents or None
        return learned_gap(self.lesson, self.behaviour(), agents=agents, seed=self.lesson.seed)

    def gain(self, points: Tensor) -> float | None:
        """Known where one agent's problem is linear-quadratic."""
        return gain_against(self.arena, self.act, points)

    def extend(self, iterations: int) -> None:
        """Let the course be as long as this."""
        self.lesson = replace(self.lesson, iterations=iterations)

    def state(self) -> dict[str, Tensor]:
        """Networks, optimizer, scales of the critics."""
        found = {f"crew.{k}": v for k, v in self.crew.state_dict().items()}
        if self.critics is not None:
            found |= {f"critics.{k}": v for k, v in self.critics.state_dict().items()}
            found |= {f"scales.{k}": s.state() for k, s in self.critics.scales.items()}
        return found | saved_optimizer(self.optimizer)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continue from saved tensors."""
        self.crew.load_state_dict(part(state, "crew."))
        if self.critics is not None:
            self.critics.load_state_dict(part(state, "critics."))
            for name, scale in self.critics.scales.items():
                scale.restore(state[f"scales.{name}"])
        restore_optimizer(self.optimizer, state)

    def _view(self, meeting: Meeting, first: int) -> View:
        """What agents see from the `first` on; laws and means are those of the crowd."""
        scene, arena = meeting.scene, self.arena
        (sight,) = self.crew.sights
        seen = values_seen(arena.weighted, scene.params, scene.time, meeting.counted)
        eyes = self.crew.eyes[sight.field]
        assert isinstance(eyes, Eyes)
        view: View = eyes(seen[sight.player], scene.state, scene.batch)
        laws = tuple(
            law[:, : meeting.crowd] if law.shape[1] == scene.agents[sight.player] else law
            for law in view.laws
        )
        own = None if view.own is None else view.own[:, first:]
        return View(own, view.common, laws, view.weights)

    def _choose(self, meeting: Meeting, *, noisy: bool) -> tuple[Choice, Any]:
        """What those draw who have to act, learning agents or all, and the module's `Action`."""
        scene, first = meeting.scene, 0 if self.arena.acting else meeting.crowd
        view, mask = self._view(meeting, first), self.crew.masks(scene).get(self.field)
        mask = None if mask is None else mask[:, first:]
        law = self.crew.laws[self.field](view, mask)
        (sight,) = self.crew.sights
        head, unit = self.crew.head(sight), scene.params.unit
        lead = (scene.batch, scene.agents[sight.player] - first)

        def numbers(name: str, shape: tuple[int, ...]) -> Tensor:
            key = (scene.seed, scene.t, f"answer.{name}")
            return draw((name,), shape, key, dtype=unit.dtype, device=unit.device)

        normal = numbers("normal", (*lead, head.count)) if head.count else None
        made = law.sample(normal, numbers("uniform", lead) if head.choices else None)
        if not noisy and law.mean is not None:
            made = Drawn(law.mean, made.index)
        chances = law.log_prob(made) if noisy else unit.new_zeros(lead)
        group = getattr(self.crew.action({sight.field: made}, unit), sight.field)
        if first:
            still = [v.new_zeros(len(v), first, *v.shape[2:]) for v in group]
            group = type(group)(*(torch.cat(p, 1) for p in zip(still, group, strict=True)))
        action = self.arena.program.module.Action(**{sight.field: group})
        return Choice(view, made, mask, chances), action

    @torch.no_grad()
    def _whiten(self, points: Tensor, iteration: int) -> None:
        """Let the affine part read what is seen against the law with mean 0, times apart."""
        trunk = self.crew.actors[self.field].trunk
        assert isinstance(trunk, StraightTrunk)

        def act(meeting: Meeting) -> Any:
            trunk.whiten(self._view(meeting, meeting.crowd))
            return self.act(meeting)

        for _ in self.room.turns(points, self.config.learners, self._episode(iteration, 0), act):
            pass

    def _averaged(self, points: Tensor, iteration: int) -> list[dict[str, float]]:
        """Steps along the path; what is left of them are the mean weights of the later half, in
        which the noise of single steps averages out (Polyak and Juditsky 1992).
        """
        count, found = self.config.answers, []
        mean = [p.detach().clone() for p in self.parameters]
        for k in range(count):
            found.append(self._along_path(points, iteration, k))
            done = k + 1 - count // 2
            if done > 0:
                now = [p.detach() for p in self.parameters]
                torch._foreach_lerp_(mean, now, 1 / done)
        with torch.no_grad():
            for own, new in zip(self.parameters, mean, strict=True):
                own.copy_(new)
        return found

    def _along_path(self, points: Tensor, iteration: int, k: int) -> dict[str, float]:
        """One step of Adam up the mean return of learning agents, through the simulator."""
        total, weight, arena = torch.zeros(()), 1.0, self.room

        def act(meeting: Meeting) -> Any:
            return arena.held(self._choose(meeting, noisy=False)[1], meeting.crowd)

        episode = self._episode(iteration, k)
        for turn in arena.turns(points, self.config.learners, episode, act, paired=True):
            if turn.paid is not None:
                total = total + weight * turn.paid.mean()
            weight *= arena.discount
        self.optimizer.zero_grad(set_to_none=True)
        (-total).backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.parameters, LONGEST)
        if torch.isfinite(norm):
            self.optimizer.step()
        return {"answer": float(total.detach()), "gradient": float(norm)}

    def _by_score(self, points: Tensor, iteration: int, k: int) -> dict[str, float]:
        """An episode of every game at random, and an update of PPO."""
        assert self.critics is not None
        episode = self._episode(iteration, k)
        experience = self._collected(points, episode)
        options = Proximal(entropy=self.config.entropy, members=MEMBERS, kl=self.config.kl)
        found = batches(experience, self.critics, self.arena.discount, options)
        draws = torch.Generator().manual_seed(self.lesson.seed * 1_000_003 + episode)
        done = update(self.crew.laws, self.critics, self.optimizer, found, options, draws)
        answer = float(experience.returns.mean())
        return {"answer": answer, "kl": done.kl, "entropy": done.entropy}

    @torch.no_grad()
    def _collected(self, points: Tensor, episode: int) -> Experience:
        """What the learning agents saw, drew and were paid."""
        kept: list[Choice] = []
        paid: list[Tensor] = []
        arena = self.room

        def act(meeting: Meeting) -> Any:
            choice, action = self._choose(meeting, noisy=True)
            kept.append(_learning(choice, 0 if not arena.acting else meeting.crowd))
            return action

        for turn in arena.turns(points, self.config.learners, episode, act):
            if turn.action is not None:
                assert turn.paid is not None
                paid.append(turn.paid)
            elif turn.paid is not None:  # what the end pays belongs to the last step
                paid[-1] = paid[-1] + self.arena.discount * turn.paid
        whole: Choice = joined(kept, torch.stack)
        rewards = torch.stack(paid)
        last = kept[-1].view  # valued 0 after the end
        course = Course(whole.view, whole.drawn, whole.mask, whole.log_prob, rewards, last)
        team = rewards.mean(-1)
        weights = self.arena.discount ** torch.arange(len(team), device=team.device)
        return Experience({self.field: course}, team, (weights[:, None] * team).sum(0))

    def _episode(self, iteration: int, k: int) -> int:
        return (iteration + 1) * (1 << 12) + k


def _learning(choice: Choice, crowd: int) -> Choice:
    """The choice of the learning agents alone."""
    view, drawn = choice.view, choice.drawn
    own = None if view.own is None else view.own[:, crowd:]
    reals = None if drawn.reals is None else drawn.reals[:, crowd:]
    index = None if drawn.index is None else drawn.index[:, crowd:]
    mask = None if choice.mask is None else choice.mask[:, crowd:]
    seen = View(own, view.common, view.laws, view.weights)
    return Choice(seen, Drawn(reals, index), mask, choice.log_prob[:, crowd:])
