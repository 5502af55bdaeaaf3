"""Learners that follow the gradient of the team's return in the parameters of its policies.

`mf_ppo`: one policy of own state and law for all agents (Li et al. 2021, arXiv:2105.08268, in the
form that its experiments suggest). `m3f_ppo`: a planner that hands out decision rules (Cui et al.
2024, arXiv:2303.10665). `ippo` and `mappo`: the same policy with team credit and the critics of
these baselines. Gradients are PPO's, for agents with credit by weight derivatives (`credit.py`),
or pathwise through the simulator.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from mfdsl.compiler.ir.walk import law_moves
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
from mfdsl.runtime.learning.crew import Crew, Look
from mfdsl.runtime.learning.engine import Engine
from mfdsl.runtime.learning.experience import Crediting, collected
from mfdsl.runtime.learning.joint_critic import JointCritic
from mfdsl.runtime.learning.pathwise import unrolled
from mfdsl.runtime.learning.planner import Plan, Planner
from mfdsl.runtime.learning.ppo import TEAM, Critics, Proximal, batches, update
from mfdsl.runtime.learning.sight import sights_of
from mfdsl.runtime.learning.table import Identity, PlannerConfig, PolicyConfig

EPSILON = 1e-5  # of Adam, as in implementations of PPO


class PolicyGradient:
    """A learner: players, who gets which credit, and PPO or gradients along the path."""

    def __init__(
        self,
        config: PolicyConfig,
        lesson: Lesson,
        engine: Engine,
        players: Crew | Planner,
        shape: Shape,
    ) -> None:
        self.config, self.lesson, self.engine = config, lesson, engine
        self.players = players.to(engine.simulator.params.unit)
        players.calibrate(engine.simulator.scene(0, engine.simulator.reset(0)))
        self.gradient = _gradient(config, lesson)
        self.crediting = _crediting(config, lesson, players, self._value)
        self.critics: Critics | None = None
        if self.gradient == "score":
            if not config.laws:
                raise LessonError(
                    "critics read laws", "leave `laws=false` out, or `--opt gradient=path`"
                )
            self.critics = _critics(config, self.crediting, engine, players, shape)
            self.critics.to(engine.simulator.params.unit)
        elif config.credit != "auto":
            raise LessonError(
                "gradients along the path use no credit", "leave `credit` out, or `gradient=score`"
            )
        elif config.critic != "auto":
            raise LessonError(
                "gradients along the path use no critic", "leave `critic` out, or `gradient=score`"
            )
        self.members = config.members
        self.clip: Callable[[float], None] | None = None
        modules = [self.players] if self.critics is None else [self.players, self.critics]
        self.parameters = [p for m in modules for p in m.parameters()]
        rate = config.learning_rate
        self.optimizer = torch.optim.Adam(self.parameters, rate, eps=EPSILON, fused=True)

    @property
    def policy(self) -> nn.Module:
        """The networks that play."""
        return self.players

    def behaviour(self, *, mode: bool = True) -> Behaviour:
        """How everybody plays now."""
        return self.players.behaviour(mode=mode)

    def step(self, iteration: int) -> Mapping[str, float]:
        """Play an episode in every game and follow its gradient."""
        rate = rate_at(self.config, iteration, self.lesson.iterations)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        episode = iteration + 1
        return self._along_path(episode) if self.critics is None else self._by_score(episode)

    def _along_path(self, episode: int) -> Mapping[str, float]:
        course = unrolled(self.engine, self.players, episode, noisy=False)
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
            self.members,
            config.gradient_norm,
            config.kl,
            config.bootstrap,
        )
        experience = collected(self.engine, self.players, self.crediting, episode)
        found = batches(experience, critics, self.engine.discount, options)
        generator = torch.Generator().manual_seed(self.lesson.seed * 1_000_003 + episode)
        actors = self.players.laws
        done = update(actors, critics, self.optimizer, found, options, generator, self.clip)
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
        found = {f"policy.{k}": v for k, v in self.players.state_dict().items()}
        if self.critics is not None:
            found |= {f"critics.{k}": v for k, v in self.critics.state_dict().items()}
            found |= {f"scales.{k}": s.state() for k, s in self.critics.scales.items()}
        return found | saved_optimizer(self.optimizer)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continue from saved tensors."""
        self.players.load_state_dict(_part(state, "policy."))
        if self.critics is not None:
            self.critics.load_state_dict(_part(state, "critics."))
            for name, scale in self.critics.scales.items():
                scale.restore(state[f"scales.{name}"])
        restore_optimizer(self.optimizer, state)

    def _value(self, scene: Scene) -> Tensor:
        """The team's value of a scene."""
        assert self.critics is not None
        view = self.players.views(scene)[str(self.critics.watcher)]
        return self.critics.values(TEAM, view)


def shared_policy(config: PolicyConfig, lesson: Lesson) -> PolicyGradient:
    """The learner behind `mf_ppo`, `ippo` and `mappo`: all agents of a population share a policy.

    Raises:
        LessonError: no gradient runs along the path, or credit needs weights that are not there.
    """
    shape = shape_of(config)
    engine = lesson.engine(config, config.discount or None)
    return PolicyGradient(
        config, lesson, engine, Crew(lesson.program, shape, look_of(config)), shape
    )


def look_of(config: PolicyConfig, identity: Identity = "symmetric") -> Look:
    """How the policies of these options look at the game."""
    return Look(
        config.nearest,
        tuple(config.hide.split()),
        config.squash,
        config.log_std,
        config.fields,
        config.laws,
        tuple(config.show.split()),
        identity,
    )


def lifted_policy(config: PlannerConfig, lesson: Lesson) -> PolicyGradient:
    """The learner behind `m3f_ppo`: a planner sees laws and hands out rules.

    Raises:
        LessonError: no gradient runs along the path, a rule has no cells, or laws are left out.
    """
    if not config.laws:
        raise LessonError("a planner sees laws", "leave `laws=false` out")
    if config.nearest or config.fields:
        raise LessonError("a planner sees no single agents", "leave `nearest` and `fields` out")
    shape = shape_of(config)
    cells = _cells(config.cells)
    plan = Plan(
        config.bins,
        cells,
        config.rule,
        config.softmax,
        config.entries,
        config.log_std,
        tuple(config.hide.split()),
        tuple(config.show.split()),
    )
    engine = lesson.engine(config, config.discount or None)
    planner = Planner(lesson.program, shape, plan)
    return PolicyGradient(config, lesson, engine, planner, shape)


def shape_of(config: PolicyConfig) -> Shape:
    """The sizes of the networks of these options."""
    hidden = (config.hidden,) * config.layers
    return Shape(hidden, "tanh", config.encoder, config.embedding, config.bins)


def _cells(text: str) -> dict[str, int]:
    """Cells of single variables from `q=2 x=9`.

    Raises:
        LessonError: the text is something else.
    """
    found = {}
    for part in text.split():
        name, _, number = part.partition("=")
        if not name or not number.isdigit() or int(number) < 1:
            raise LessonError(f"`{part}` is no number of cells", '`--opt cells="q=2"`')
        found[name] = int(number)
    return found


def _gradient(config: PolicyConfig, lesson: Lesson) -> Literal["path", "score"]:
    actions = [a.type for sight in sights_of(lesson.program) for a in sight.actions]
    if config.gradient == "path" and all(kind.finite for kind in actions):
        raise LessonError(
            f"all actions of {lesson.program.name} are finite, so no gradient runs through them",
            "`--opt gradient=score`",
        )
    if config.gradient == "auto":
        return "score" if any(kind.finite for kind in actions) or _cut(lesson) else "path"
    return config.gradient


def _cut(lesson: Lesson) -> bool:
    """Whether something besides optimal transport cuts gradients (that one holds its plan)."""
    return any("w2" not in cut for cut in lesson.program.module.CUTS)


def _crediting(
    config: PolicyConfig,
    lesson: Lesson,
    players: Crew | Planner,
    value: Callable[[Scene], Tensor],
) -> Crediting:
    if isinstance(players, Planner):
        if config.credit not in ("auto", "team"):
            raise LessonError(
                "a planner gives all members their rule, so it has the credit of the team",
                "leave `credit` out",
            )
        return Crediting("team")
    credit: Credit = "marginal" if lesson.weighted is not None else "team"
    if config.credit != "auto":
        credit = config.credit
    if credit == "marginal" and lesson.weighted is None:
        raise LessonError(
            f"members of {lesson.program.name} have no weights, because it has `w2`",
            "`--opt credit=team`, or `--opt gradient=path`",
        )
    moved = lesson.program.model is not None and law_moves(lesson.program.model)
    return Crediting(credit, lesson.weighted, value if moved and credit == "marginal" else None)


def _critics(
    config: PolicyConfig,
    crediting: Crediting,
    engine: Engine,
    players: Crew | Planner,
    shape: Shape,
) -> Critics:
    """The critics that are asked for.

    Raises:
        LessonError: members are credited one by one and the critic is of the team, or a planner is
            to have critics of members.
    """
    alike = crediting.credit == "team"
    kind = config.critic
    if kind == "auto":
        kind = "team" if alike else "member"
    if isinstance(players, Planner) and kind != "team":
        raise LessonError("a planner is no member and sees no agent", "leave `critic` out")
    if kind != "member" and not alike:
        raise LessonError(
            f"agents have credit `{crediting.credit}` of their own, and critic `{kind}` values the"
            " team",
            "`--opt critic=member`, or `--opt credit=team`",
        )
    joint = None
    if kind == "joint":
        assert isinstance(players, Crew)
        counts = engine.simulator.agents
        agents = {s.field: 1 if s.single else counts[s.player] for s in players.sights}
        joint = JointCritic(players.sights, players.widths, agents, shape)
    watched = crediting.credit == "marginal"
    makers = players.makers if isinstance(players, Crew) else None
    single = kind == "member"
    return Critics(
        players.widths, shape, single=single, watched=watched, joint=joint, makers=makers
    )


def _part(state: Mapping[str, Tensor], start: str) -> dict[str, Tensor]:
    return {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}
