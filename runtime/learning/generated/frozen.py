"""Games against a frozen law: learning agents of weight 0 beside a crowd that is drawn from it.

In the weighted game (`credit.py`) means are taken over the crowd alone, so that learning agents
meet the law and do not move it, whatever the spec says about means, kernels or dynamics. The crowd
is put on its points anew at every step: it does not walk by itself.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.ir.walk import MEANS, law_moves, reachable
from mfdsl.runtime.agents import AgentProgram
from mfdsl.runtime.behaviours import Behaviour, Scene, still
from mfdsl.runtime.learning.base import Lesson, LessonError
from mfdsl.runtime.learning.credit import with_weights, without_weights
from mfdsl.runtime.learning.generated.pairs import Uncorrelated, opposed
from mfdsl.runtime.learning.generated.space import Space
from mfdsl.runtime.simulator import Simulator

TOGETHER = 256  # agents of a game where everybody meets everybody
FEW = 32  # of the crowd, where it only enters what they are paid
CROWD = 1024  # of a game where everybody meets everybody and the law moves them
OWN = ("state", "trait")
Points = Tensor
"""The crowd at all times, [T + 1, B, M, d]."""


@dataclass(frozen=True, eq=False)
class Meeting:
    """One step: the plain scene of crowd and learning agents (the first `crowd` are the crowd), and
    the same state in the weighted game.
    """

    scene: Scene
    counted: Any
    crowd: int


Act = Callable[[Meeting], Any]
"""The module's `Action` of all agents, crowd and learning ones."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a step brought: the meeting, the actions of all, and what the learning agents were paid
    [B, K]; the last has no action, and is paid where the game pays at its end. `members` are the
    points of the crowd [B, M, d], in which `paid` has gradients where these were asked for.
    """

    meeting: Meeting
    action: Any | None
    paid: Tensor | None
    members: Tensor


@dataclass(frozen=True, eq=False)
class Arena:
    """Games of a lesson with learning agents, in one population with points in `space`."""

    program: AgentProgram
    weighted: AgentProgram
    params: Any
    space: Space
    steps: int
    discount: float
    seed: int

    @property
    def acting(self) -> bool:
        """Whether anything depends on what the others do, so that the crowd has to act."""
        model = self.program.model
        assert model is not None
        return any(node.op == "peer_action" for node in model.nodes)

    @property
    def watched(self) -> bool:
        """Whether agents observe the law, or means over it."""
        model = self.program.model
        assert model is not None
        seen = [named.node for p in model.players if p.actions for named in p.observe]
        means = any(model.nodes[k].op in MEANS for k in reachable(model.nodes, seen))
        return means or any(p.observes_law for p in model.players)

    @property
    def pairs(self) -> bool:
        """Whether a mean is another one for everybody, which costs a term for each pair."""
        model = self.program.model
        assert model is not None
        nodes = model.nodes
        return any(
            nodes[k].op in OWN
            for node in nodes
            if node.op in MEANS
            for k in reachable(nodes, list(node.args))
        )

    @property
    def moved(self) -> bool:
        """Whether the law enters the dynamics."""
        model = self.program.model
        assert isinstance(model, Model)
        return law_moves(model)

    @property
    def mutual(self) -> bool:
        """Whether where agents go depends on who else is there."""
        return self.moved or self.watched

    def simulator(self, agents: int, games: int = 1) -> Simulator:
        """Plain games, with the draws of the lesson."""
        return Simulator(self.program, self.params, agents=agents, batch=games, seed=self.seed)

    def turns(
        self,
        points: Points,
        learning: int,
        episode: int,
        act: Act,
        *,
        moving: bool = False,
        paired: bool = False,
    ) -> Iterator[Outcome]:
        """Play an episode of `learning` agents against a crowd at `points`; with `moving` what they
        are paid has gradients in the points of the same time, with `paired` half of them begin
        where the others do and meet the opposite noise (`pairs.py`).
        """
        games, crowd = points.shape[1], points.shape[2]
        simulator = self.simulator(crowd + learning, games)
        state = simulator.reset(episode)
        half = learning // 2 if paired else 0
        if half:
            group = getattr(state, self.space.field)
            state = self.placed(state, [v[:, -2 * half : -half] for v in group])
        scene = simulator.scene(0, state)
        scene = replace(scene, seed=self.seed * 1_000_003 + episode)
        laws, field = self.program.module.NOISES, self.space.field
        apart = Uncorrelated(laws, field, half)
        for t in range(self.steps):
            members = points[t].detach().requires_grad_() if moving else points[t]
            meeting = self.meeting(scene, members)
            action = act(meeting)
            noise = simulator.noise(episode * (self.steps + 1) + t)
            if half:
                noise = opposed(apart.of(noise), laws, field, half)
            after, rewards = self.weighted.module.step(
                self.params, scene.time, meeting.counted, action, noise
            )
            paid = getattr(rewards, self.space.field).expand(games, -1)[:, crowd:]
            yield Outcome(meeting, action, paid, members)
            state = simulator.whole(without_weights(after, meeting.scene.state))
            state = _detached(state) if moving else state
            scene = replace(scene, t=t + 1, time=simulator.time(t + 1), state=state)
        members = points[self.steps]
        members = members.detach().requires_grad_() if moving else members
        meeting = self.meeting(scene, members)
        yield Outcome(meeting, None, self.final(meeting), members)

    def meeting(self, scene: Scene, points: Tensor) -> Meeting:
        """A scene whose first agents are put on `points` [B, M, d]."""
        crowd = points.shape[-2]
        state = self.placed(scene.state, self.space.values(self.space.inside(points)), first=True)
        weights = self.params.unit.new_zeros(scene.batch, _count(state, self.space.field))
        weights[:, :crowd] = weights.shape[1] / crowd
        counted = with_weights(self.weighted, state, {self.space.field: weights})
        return Meeting(replace(scene, state=state), counted, crowd)

    def held(self, action: Any, crowd: int) -> Any:
        """Actions with gradients in those of learning agents only."""
        group = getattr(action, self.space.field)
        values = [torch.cat([v[:, :crowd].detach(), v[:, crowd:]], 1) for v in group]
        return type(action)(**{self.space.field: type(group)(*values)})

    def idle(self, meeting: Meeting) -> Any:
        """Nobody does anything."""
        return still(meeting.scene)

    def final(self, meeting: Meeting) -> Tensor | None:
        """What the end of the game pays the learning agents [B, K], None where it pays nothing."""
        if not self.program.module.HAS_FINAL or meeting.scene.t != self.program.horizon:
            return None
        paid = self.weighted.module.final_rewards(self.params, meeting.scene.time, meeting.counted)
        found: Tensor = getattr(paid, self.space.field)
        return found.expand(meeting.scene.batch, -1)[:, meeting.crowd :]

    def placed(self, state: Any, values: list[Tensor], *, first: bool = False) -> Any:
        """A plain state whose first, or last, agents have these values."""
        group = getattr(state, self.space.field)
        placed = []
        for old, new in zip(group, values, strict=True):
            new = new.to(old.dtype).expand(len(old), *new.shape[1:])
            count = new.shape[1]
            parts = [new, old[:, count:]] if first else [old[:, :-count], new]
            placed.append(torch.cat(parts, 1))
        return type(state)(**{self.space.field: type(group)(*placed)})


def arena_of(lesson: Lesson, space: Space, steps: int) -> Arena:
    """The arena of a lesson.

    Raises:
        LessonError: members cannot have weights, or the game has no end.
    """
    program = lesson.program
    if lesson.weighted is None:
        raise LessonError(
            f"members of {program.name} have no weights, because it has `w2`",
            "use tables, where they fit",
        )
    if not steps and program.horizon is None:
        raise LessonError(f"{program.name} has no end", "`--opt steps=100` says how long to play")
    if program.horizon is not None and steps > program.horizon:
        raise LessonError(
            f"{program.name} ends after {program.horizon} steps, and `steps` is {steps}",
            "leave `steps` out to play to the end",
        )
    length = steps or program.horizon or 0
    rate, params = program.discount, lesson.params
    return Arena(program, lesson.weighted, params, space, length, rate, lesson.seed)


@torch.no_grad()
def walked(
    arena: Arena, act: Act, points: Points, agents: int, episode: int
) -> tuple[Tensor, Tensor]:
    """Paths [T + 1, N, d] of agents against a crowd at `points` [T + 1, 1, M, d], and what they are
    paid [N].

    Where everybody meets everybody they walk in games side by side, against a part of the crowd.
    """
    met = TOGETHER if arena.mutual else FEW
    each = min(agents, 2 * met) if arena.pairs else agents  # as many again have fewest pairs
    games = -(-agents // each)
    if arena.pairs:
        points = points[:, :, :met].expand(-1, games, -1, -1)
    paths, paid, weight = [], arena.params.unit.new_zeros(games, each), 1.0
    crowd = points.shape[2]
    for turn in arena.turns(points, each, episode, act):
        paths.append(arena.space.points(turn.meeting.scene.state)[:, crowd:].flatten(0, 1))
        if turn.paid is not None:
            paid = paid + weight * turn.paid
        weight *= arena.discount
    found = torch.stack(paths)[:, :agents].to(arena.params.unit)
    return found, paid.flatten()[:agents]


@torch.no_grad()
def flow_of(arena: Arena, act: Act, behaviour: Behaviour, agents: int, episode: int) -> Tensor:
    """Points [T + 1, N, d] of agents who all play one policy, among themselves.

    Where neither dynamics nor policy read the law (`act` says what the policy does, whoever else is
    there) each of them walks alone; else they are one game.
    """
    if not arena.mutual:
        start = arena.space.points(arena.simulator(FEW).reset(episode))
        nobody = start.expand(arena.steps + 1, *start.shape)
        return walked(arena, act, nobody, agents, episode)[0]
    return mingled(arena, behaviour, min(agents, CROWD) if arena.pairs else agents, episode)[0]


@torch.no_grad()
def mingled(
    arena: Arena, behaviour: Behaviour, agents: int, episode: int, *, balanced: bool = False
) -> tuple[Tensor, Tensor]:
    """Paths [T + 1, N, d] of agents in one game of their own, and what they are paid [N]; where
    they are `balanced` half of them meet the opposite noise of the others.
    """
    program, field = arena.program, arena.space.field
    simulator, points = arena.simulator(agents), []
    paid, weight = arena.params.unit.new_zeros(agents), 1.0
    state = simulator.reset(episode)
    for t in range(arena.steps):
        points.append(arena.space.points(state)[0])
        scene = replace(simulator.scene(t, state), seed=arena.seed * 1_000_003 + episode)
        noise = simulator.noise(episode * (arena.steps + 1) + t)
        if balanced:
            noise = opposed(noise, program.module.NOISES, field, agents // 2)
        after, rewards = program.module.step(
            arena.params, scene.time, state, behaviour(scene), noise
        )
        paid = paid + weight * getattr(rewards, field).expand(1, agents)[0]
        weight *= arena.discount
        state = simulator.whole(after)
    points.append(arena.space.points(state)[0])
    if program.module.HAS_FINAL and arena.steps == program.horizon:
        last = program.module.final_rewards(arena.params, simulator.time(arena.steps), state)
        paid = paid + weight * getattr(last, field).expand(1, agents)[0]
    return torch.stack(points).to(arena.params.unit), paid


def doubled(arena: Arena) -> Arena:
    """The same games with twice the digits."""
    params = type(arena.params)(*(v.double() if v.is_floating_point() else v for v in arena.params))
    return replace(arena, params=params)


def _count(state: Any, field: str) -> int:
    return int(getattr(state, field)[0].shape[1])


def _detached(state: Any) -> Any:
    """A state without gradients."""
    return type(state)(*(type(group)(*(v.detach() for v in group)) for group in state))
