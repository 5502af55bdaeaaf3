"""A best response that is learned against the policy of all others, and what it gains.

Deviators (`deviators.py`) share one network of what the game lets them see. Where their actions are
real and nothing cuts gradients they climb their own return through the simulator, else by PPO
(Schulman et al. 2017, arXiv:1707.06347) with own credit. What was learned is judged in games that
learning never saw, beside players with the same draws who stay with the policy.
"""

import copy
import math
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.ir.types import Type
from mfdsl.runtime.behaviours import Scene
from mfdsl.runtime.exploitability import Response
from mfdsl.runtime.learning.actor import Actor, Shape
from mfdsl.runtime.learning.crew import standard
from mfdsl.runtime.learning.deviators import Arena, seen_by
from mfdsl.runtime.learning.engine import EVALUATION, Engine, Turn
from mfdsl.runtime.learning.experience import ActionLaws, Choice, collected
from mfdsl.runtime.learning.eyes import Eyes, View, Widths
from mfdsl.runtime.learning.heads import ActionLaw, Drawn, Head
from mfdsl.runtime.learning.ppo import Critics, Proximal, batches, update
from mfdsl.runtime.learning.sight import Feature, Sight, model_of

EPSILON = 1e-5  # of Adam, as in implementations of PPO
LEFT = 0.01  # part of the discount after which games without end are cut
QUARTERS = 4
LONGEST = 5.0  # gradient along the path
FRESH = 1 << 20  # episodes that judge have numbers from here after those that choose


@dataclass(frozen=True)
class Budget:
    """How much goes into a response: iterations of one episode in each game, each with a number of
    `deviators` (of weight 0, else there is one in each game), networks, and `test_games` to judge,
    four times as many where one player of each deviates.

    `steps` is the length of games without end; 0: until 1 % of the discount is left.
    """

    iterations: int = 60
    deviators: int = 32
    restarts: int = 1
    test_games: int = 128
    hidden: int = 64
    layers: int = 2
    learning_rate: float = 5e-3
    steps: int = 0


class Answer(nn.Module):
    """The network of a deviator: from what it sees to laws of actions.

    Time is told one by one while it is short, for the response to a flow changes with it.
    """

    def __init__(self, model: Model, sight: Sight, budget: Budget) -> None:
        super().__init__()
        self.sight = _with_clock(sight, model)
        self.eyes = Eyes(self.sight, model, laws=_reads_laws(model, sight))
        self.actor = Actor(self.eyes.widths, Head(sight.actions), _shape(budget))

    def view(self, arena: Arena, scene: Scene) -> View:
        """What deviators see; laws are those of the others."""
        found: View = self.eyes(arena.seen(scene), arena.crowd(scene).state, scene.batch)
        return found

    def law(self, view: View, mask: Tensor | None) -> ActionLaw:
        """The laws of their actions."""
        found: ActionLaw = self.actor(view, mask)
        return found


@dataclass(frozen=True, eq=False)
class Deviating:
    """Deviators who learn in their games; a player of experience."""

    arena: Arena
    answer: Answer

    @property
    def names(self) -> list[str]:
        """The field name of the one player that learns."""
        return [self.arena.sight.field]

    @property
    def widths(self) -> dict[str, Widths]:
        """How much it sees."""
        return {self.arena.sight.field: self.answer.eyes.widths}

    @property
    def laws(self) -> dict[str, ActionLaws]:
        """How it draws."""
        return {self.arena.sight.field: self.answer.actor}

    def views(self, scene: Scene) -> dict[str, View]:
        """What it sees."""
        return {self.arena.sight.field: self.answer.view(self.arena, scene)}

    def choose(self, scene: Scene, number: int) -> tuple[dict[str, Choice], Any]:
        """What it draws with the numbers of a step, and everybody's actions."""
        view, mask = self.answer.view(self.arena, scene), self.arena.mask(scene)
        law = self.answer.law(view, mask)
        drawn = self.drawn(law, scene, number)
        choice = Choice(view, drawn, mask, law.log_prob(drawn))
        return {self.arena.sight.field: choice}, self.action(drawn, scene, number)

    def drawn(self, law: ActionLaw, scene: Scene, number: int) -> Drawn:
        """Draws from the laws of all deviators."""
        sight = self.arena.sight
        mine = replace(scene, agents={**scene.agents, sight.player: self.arena.count})
        return law.sample(*standard(sight, self.answer.actor.head, mine, number))

    def action(self, drawn: Drawn, scene: Scene, number: int) -> Any:
        """Everybody's actions."""
        mine = self.answer.actor.head.values(drawn, scene.params.unit)
        return self.arena.acted(self.arena.followed(scene, number), mine)

    def rewards(self, engine: Engine, turn: Turn, paid: Any) -> dict[str, Tensor]:
        """Own credit: what deviators are paid themselves."""
        return {self.arena.sight.field: self.arena.paid(paid)}


@dataclass(frozen=True, eq=False)
class Answering:
    """A behaviour of the player that has learned an answer, in games where all are agents alike.

    Its actions have the field of that player only.
    """

    answer: Answer
    mode: bool

    @torch.no_grad()
    def __call__(self, scene: Scene) -> Any:
        """What all members of the player would do."""
        sight, head = self.answer.sight, self.answer.actor.head
        view: View = self.answer.eyes(seen_by(sight, scene), scene.state, scene.batch)
        legal = scene.program.module.legal(scene.params, scene.time, scene.state)
        masks = [legal[key] for key in (sight.field, sight.player) if key in legal]
        mask = masks[0].expand(scene.batch, *masks[0].shape[1:]) if masks else None
        law = self.answer.law(view, mask)
        drawn = law.mode()
        if not self.mode and law.logits is not None:
            named = replace(scene, seed=scene.seed * 1_000_003 + 1)  # not as all others draw
            drawn = Drawn(law.mean, law.sample(*standard(sight, head, named)).index)
        kind = scene.program.module.Action.__annotations__[sight.field]
        return SimpleNamespace(**{sight.field: kind(*head.values(drawn, scene.params.unit))})


@dataclass(frozen=True, eq=False)
class Found:
    """The best answer of a course, how it is played best, and its gains on the way."""

    answer: Answer
    mode: bool
    gain: float
    quarters: tuple[float, ...]


def steps_of(arena_program: Any, budget: Budget) -> int:
    """How long games are."""
    if arena_program.horizon is not None:
        return int(arena_program.horizon)
    if budget.steps:
        return budget.steps
    discount = arena_program.discount
    return max(1, math.ceil(math.log(LEFT) / math.log(discount))) if discount > 0 else 1


def gradient_of(arena: Arena) -> Literal["path", "score"]:
    """How a response is learned: through the simulator where that is differentiable."""
    finite = any(action.type.finite for action in arena.sight.actions)
    return "score" if finite or arena.simulator.program.module.CUTS else "path"


def learned_response(arena: Arena, judge: Arena, budget: Budget, seed: int) -> Found:
    """Learn answers in one arena, and give the best of all quarters and restarts in another."""
    courses = [_course(arena, judge, budget, seed, k) for k in range(budget.restarts)]
    return max(courses, key=lambda course: course.gain)


def judged(judge: Arena, half: Arena | None, found: Found, budget: Budget) -> Response:
    """What an answer gains in fresh games, 0 if it gained nothing where it was chosen.

    `half` has half as many agents, None where the gain is meant among just so many.
    """
    count = math.ceil(budget.test_games / judge.engine.batch) * _lone(judge)
    gain = error = 0.0
    fewer = fewer_error = None
    if found.gain > 0:
        gain, error = _summed(judge, found, count)
        if half is not None:
            fewer, fewer_error = _summed(half, found, count)
    return Response(
        judge.sight.player,
        gain,
        error,
        count * judge.engine.batch,
        _agents(judge),
        judge.engine.steps,
        gradient_of(judge),
        found.quarters,
        fewer,
        fewer_error,
    )


def _summed(judge: Arena, found: Found, count: int) -> tuple[float, float]:
    """Mean and standard error over the games of fresh episodes."""
    first = EVALUATION + FRESH
    values = torch.cat([gains_of(judge, found, first + k) for k in range(count)]).double()
    return values.mean().item(), values.std().item() / math.sqrt(len(values))


def _lone(judge: Arena) -> int:
    """How many times as many games it takes: one player tells less than many."""
    return 4 if judge.shadows is None else 1


def _agents(arena: Arena) -> int:
    """How many agents the population has that deviators belong to, 1 for a major."""
    if arena.sight.single:
        return 1
    shadows = arena.shadows
    return arena.simulator.agents[arena.sight.player] if shadows is None else shadows.others


@torch.no_grad()
def gains_of(arena: Arena, found: Found, episode: int) -> Tensor:
    """Mean gains of the deviators of each game over those who stay, [B]."""
    leaves, stays = _returns(arena, found.answer, episode, mode=found.mode)
    if arena.shadows is None:
        _, stays = _returns(arena, None, episode)
    gain = leaves - stays
    return gain.mean(1) if gain.ndim > 1 else gain


def _course(arena: Arena, judge: Arena, budget: Budget, seed: int, restart: int) -> Found:
    """One course of learning from fresh networks; what it found best after one of its quarters."""
    unit = arena.simulator.params.unit
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed * 1_000_003 + restart)
        answer = Answer(model_of(arena.program), arena.sight, budget)
        critics = Critics({arena.sight.field: answer.eyes.widths}, _shape(budget), single=True)
    answer, critics = answer.to(unit), critics.to(unit)
    deviating = Deviating(arena, answer)
    _calibrate(deviating)
    path = gradient_of(arena) == "path"
    parameters = [*answer.parameters(), *(() if path else critics.parameters())]
    optimizer = torch.optim.Adam(parameters, budget.learning_rate, eps=EPSILON)
    best, quarters = Found(answer, True, -math.inf, ()), []
    marks = {max(1, round(budget.iterations * (k + 1) / QUARTERS)) for k in range(QUARTERS)}
    for iteration in range(budget.iterations):
        for group in optimizer.param_groups:
            group["lr"] = budget.learning_rate * (1 - 0.95 * iteration / budget.iterations)
        episode = restart * budget.iterations + iteration + 1
        if path:
            _along_path(deviating, optimizer, episode)
        else:
            _by_score(deviating, critics, optimizer, seed, episode)
        if iteration + 1 in marks:
            now = _chosen(answer, judge, restart)
            quarters.append(now.gain)
            best = now if now.gain > best.gain else best
    return replace(best, quarters=tuple(quarters))


def _chosen(learning: Answer, judge: Arena, restart: int) -> Found:
    """The answer as it is now, drawn or as is likeliest, whichever gains more."""
    answer = copy.deepcopy(learning)
    modes = (True,) if not answer.actor.head.choices else (True, False)
    episodes = [EVALUATION + restart * 4 + k for k in range(_lone(judge))]
    options = []
    for mode in modes:
        option = Found(answer, mode, 0.0, ())
        gains = torch.cat([gains_of(judge, option, episode) for episode in episodes])
        options.append(replace(option, gain=gains.mean().item()))
    return max(options, key=lambda option: option.gain)


def _along_path(deviating: Deviating, optimizer: torch.optim.Optimizer, episode: int) -> None:
    """A step along the derivative of the deviators' mean return."""
    arena, answer = deviating.arena, deviating.answer

    def act(scene: Scene, number: int) -> Any:
        law = answer.law(answer.view(arena, scene), None)
        return deviating.action(law.mode(), scene, number)

    total, weight = arena.simulator.params.unit.new_zeros(()), 1.0
    for turn in arena.engine.turns(episode, act):
        paid = arena.engine.paid(turn)
        if paid is not None:
            total = total + weight * arena.paid(paid).mean()
        weight *= arena.engine.discount
    optimizer.zero_grad(set_to_none=True)
    (-total).backward()
    norm = nn.utils.clip_grad_norm_(answer.parameters(), LONGEST)
    if torch.isfinite(norm):
        optimizer.step()


def _by_score(
    deviating: Deviating,
    critics: Critics,
    optimizer: torch.optim.Optimizer,
    seed: int,
    episode: int,
) -> None:
    """An episode in every game, and an update of PPO from it."""
    engine = deviating.arena.engine
    options = Proximal(
        entropy=0.0,
        members=deviating.arena.count,
        bootstrap=engine.simulator.program.horizon is None,
    )
    experience = collected(engine, deviating, deviating, episode)
    found = batches(experience, critics, engine.discount, options)
    generator = torch.Generator().manual_seed(seed * 1_000_003 + episode)
    update(deviating.laws, critics, optimizer, found, options, generator)


def _returns(
    arena: Arena, answer: Answer | None, episode: int, *, mode: bool = True
) -> tuple[Tensor, Tensor]:
    """Returns of deviators and of those whom shadows copy, [B, count], of a major [B].

    Without an answer deviators stay with the policy.
    """

    def act(scene: Scene, number: int) -> Any:
        if answer is None:
            return arena.followed(scene, number)
        deviating = Deviating(arena, answer)
        law = answer.law(answer.view(arena, scene), arena.mask(scene))
        drawn = law.mode() if mode else deviating.drawn(law, scene, number)
        if not mode and law.mean is not None:
            drawn = Drawn(law.mean, drawn.index)
        return deviating.action(drawn, scene, number)

    leaves = stays = arena.simulator.params.unit.new_zeros(())
    weight = 1.0
    for turn in arena.engine.turns(episode, act):
        paid = arena.engine.paid(turn)
        if paid is not None:
            leaves = leaves + weight * arena.paid(paid)
            stays = stays + weight * arena.usually_paid(paid)
        weight *= arena.engine.discount
    return leaves, stays


@torch.no_grad()
def _calibrate(deviating: Deviating) -> None:
    """Centre and scale what has no bounds by what is seen in the middle of a game."""
    arena, middle = deviating.arena, deviating.arena.engine.steps // 2

    def act(scene: Scene, number: int) -> Any:
        return deviating.choose(scene, number)[1]

    for turn in arena.engine.turns(EVALUATION - 1, act):
        if turn.scene.t == middle:
            scene = turn.scene
            break
    deviating.answer.eyes.calibrate(arena.seen(scene), arena.crowd(scene).state, scene.batch)


def _shape(budget: Budget) -> Shape:
    return Shape((budget.hidden,) * budget.layers)


def _with_clock(sight: Sight, model: Model) -> Sight:
    """The sight with time as a number of steps, whose features tell short times one by one."""
    steps = model.horizon.steps
    if steps is None:
        return sight
    clock = Type(kind="int", lo=0, hi=steps)
    common = tuple(Feature(f.name, clock, f.own) if f.name == "t" else f for f in sight.common)
    return replace(sight, common=common)


def _reads_laws(model: Model, sight: Sight) -> bool:
    """Whether a deviator may need the law: it does not where nothing moves it at random."""
    others = [p for p in model.players if p.kind != "population"]
    random = any(p.noises or p.draws or p.actions for p in others)
    return bool(sight.points) or (bool(sight.crowds) and random)
