"""One policy for all agents of a population, of own state and law: mean-field PPO as it is used.

Li et al. 2021, arXiv:2105.08268, in the form that its experiments suggest: permutation-invariant
actor and critic, every agent draws from the same policy given its own state and the law. Gradients
are PPO's, with credit by weight derivatives (`credit.py`), or pathwise through the simulator.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from mfdsl.compiler.ir.marginal import law_moves
from mfdsl.runtime.behaviours import Behaviour, Scene
from mfdsl.runtime.learning.actor import Shape
from mfdsl.runtime.learning.base import (
    Lesson,
    LessonError,
    rate_at,
    restore_optimizer,
    saved_optimizer,
)
from mfdsl.runtime.learning.credit import Credit
from mfdsl.runtime.learning.crew import Crew, Look, Trained
from mfdsl.runtime.learning.experience import Crediting, collected
from mfdsl.runtime.learning.pathwise import unrolled
from mfdsl.runtime.learning.ppo import TEAM, Critics, Proximal, batches, update
from mfdsl.runtime.learning.table import PolicyConfig


class SharedPolicy:
    """The learner behind `mf_ppo`.

    Raises:
        LessonError: nothing differentiable is left for gradients along the path, or marginal
            credit is asked for in a game with optimal transport.
    """

    def __init__(self, config: PolicyConfig, lesson: Lesson) -> None:
        self.config, self.lesson = config, lesson
        self.engine = lesson.engine(config, config.discount or None)
        hidden = (config.hidden,) * config.layers
        shape = Shape(hidden, "tanh", config.encoder, config.embedding, config.bins)
        look = Look(config.nearest, tuple(config.hide.split()), config.squash, config.log_std)
        unit = self.engine.simulator.params.unit
        self.crew = Crew(lesson.program, shape, look).to(unit)
        self._calibrate()
        self.gradient = _gradient(config, lesson, self.crew)
        self.crediting = _crediting(config, lesson, self._value)
        self.critics: Critics | None = None
        if self.gradient == "score":
            single = self.crediting.credit != "team"
            self.critics = Critics(self.crew, shape, single=single).to(unit)
        modules = [self.crew] if self.critics is None else [self.crew, self.critics]
        self.parameters = [p for m in modules for p in m.parameters()]
        self.optimizer = torch.optim.Adam(self.parameters, config.learning_rate, eps=1e-5)

    @property
    def policy(self) -> nn.Module:
        """The networks that play."""
        return self.crew

    def behaviour(self, *, mode: bool = True) -> Behaviour:
        """How everybody plays now."""
        return Trained(self.crew, mode)

    def step(self, iteration: int) -> Mapping[str, float]:
        """Play an episode in every game and follow its gradient."""
        rate = rate_at(self.config, iteration, self.lesson.iterations)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        episode = iteration + 1
        return self._along_path(episode) if self.critics is None else self._by_score(episode)

    def _along_path(self, episode: int) -> Mapping[str, float]:
        course = unrolled(self.engine, self.crew, episode, noisy=False)
        loss = -course.surplus.mean() - self.config.entropy * course.entropy
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.parameters, 10 * self.config.gradient_norm)
        if torch.isfinite(norm):
            self.optimizer.step()
        return {"return": course.returns.mean().item(), "gradient": norm.item()}

    def _by_score(self, episode: int) -> Mapping[str, float]:
        config, critics = self.config, self.critics
        assert critics is not None
        options = Proximal(
            config.clip,
            config.decay,
            config.epochs,
            config.minibatches,
            config.entropy,
            config.members,
            config.gradient_norm,
            config.kl,
            config.bootstrap,
        )
        experience = collected(self.engine, self.crew, self.crediting, episode)
        found = batches(experience, critics, self.engine.discount, options)
        generator = torch.Generator().manual_seed(self.lesson.seed * 1_000_003 + episode)
        done = update(self.crew, critics, self.optimizer, found, options, generator)
        return {
            "return": experience.returns.mean().item(),
            "kl": done.kl,
            "clipped": done.clipped,
            "value_loss": done.value_loss,
            "entropy": done.entropy,
        }

    def extend(self, iterations: int) -> None:
        """Let the course be as long as this, by which rates fall."""
        self.lesson = replace(self.lesson, iterations=iterations)

    def state(self) -> dict[str, Tensor]:
        """Networks, optimizer, scales of the critics."""
        found = {f"policy.{k}": v for k, v in self.crew.state_dict().items()}
        if self.critics is not None:
            found |= {f"critics.{k}": v for k, v in self.critics.state_dict().items()}
            found |= {f"scales.{k}": s.state() for k, s in self.critics.scales.items()}
        return found | saved_optimizer(self.optimizer)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continue from saved tensors."""
        self.crew.load_state_dict(_part(state, "policy."))
        if self.critics is not None:
            self.critics.load_state_dict(_part(state, "critics."))
            for name, scale in self.critics.scales.items():
                scale.restore(state[f"scales.{name}"])
        restore_optimizer(self.optimizer, state)

    def _value(self, scene: Scene) -> Tensor:
        """The team's value of a scene, 0 without a critic of the team."""
        assert self.critics is not None
        views = self.crew.views(scene.params, scene.time, scene.state, scene.batch)
        return self.critics.values(TEAM, views[str(self.critics.watcher)])

    def _calibrate(self) -> None:
        simulator = self.engine.simulator
        start = simulator.reset(0)
        self.crew.calibrate(simulator.params, simulator.time(0), start, simulator.batch)


def _gradient(config: PolicyConfig, lesson: Lesson, crew: Crew) -> Literal["path", "score"]:
    finite = any(a.type.finite for sight in crew.sights for a in sight.actions)
    if config.gradient == "path" and all(
        a.type.finite for sight in crew.sights for a in sight.actions
    ):
        raise LessonError(
            f"all actions of {lesson.program.name} are finite, so no gradient runs through them",
            "`--opt gradient=score`",
        )
    if config.gradient == "auto":
        return "score" if finite or _cut(lesson) else "path"
    return config.gradient


def _cut(lesson: Lesson) -> bool:
    """Whether something besides optimal transport cuts gradients (that one holds its plan)."""
    return any("w2" not in cut for cut in lesson.program.module.CUTS)


def _crediting(config: PolicyConfig, lesson: Lesson, value: Callable[[Scene], Tensor]) -> Crediting:
    credit: Credit = "team"
    if config.credit == "auto":
        credit = "marginal" if lesson.weighted is not None else "team"
    else:
        credit = config.credit
    if credit == "marginal" and lesson.weighted is None:
        raise LessonError(
            f"members of {lesson.program.name} have no weights, because it has `w2`",
            "`--opt credit=team`, or `--opt gradient=path`",
        )
    moved = lesson.program.model is not None and law_moves(lesson.program.model)
    return Crediting(credit, lesson.weighted, value if moved else None)


def _part(state: Mapping[str, Tensor], start: str) -> dict[str, Tensor]:
    return {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}
