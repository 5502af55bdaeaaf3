"""A best response that is learned against the policy of all others, and what it gains.

Deviators (`deviators.py`) share one network of what the game lets them see. Where their actions are
real and nothing cuts gradients they climb their own return through the simulator, else by PPO
(Schulman et al. 2017, arXiv:1707.06347) with own credit. What was learned is judged in games that
learning never saw, beside players with the same draws who stay with the policy.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from mfdsl.runtime.behaviours import Scene
from mfdsl.runtime.learning.answers import Answer, Budget, Deviating, Found, shape_of
from mfdsl.runtime.learning.deviators import Arena
from mfdsl.runtime.learning.engine import EVALUATION
from mfdsl.runtime.learning.experience import collected, joined, mapped
from mfdsl.runtime.learning.eyes import View
from mfdsl.runtime.learning.judges import chosen, gradient_of, preferred
from mfdsl.runtime.learning.ppo import Critics, Proximal, batches, update
from mfdsl.runtime.learning.replayed import fits, index_of, refitted, remembered
from mfdsl.runtime.learning.sight import model_of
from mfdsl.runtime.learning.tallied import few, following, tallied
from mfdsl.runtime.rng import seeded

EPSILON = 1e-5  # of Adam, as in implementations of PPO
LEFT = 0.01  # part of the discount after which games without end are cut
QUARTERS = 4
FITS = 8  # steps of imitation after each of its episodes
CURIOUS = 0.15  # part of the time in which something else is tried at first
LONGEST = 5.0  # gradient along the path


def steps_of(arena_program: Any, budget: Budget) -> int:
    """How long games are."""
    if arena_program.horizon is not None:
        return int(arena_program.horizon)
    if budget.steps:
        return budget.steps
    discount = arena_program.discount
    return max(1, math.ceil(math.log(LEFT) / math.log(discount))) if discount > 0 else 1


def learned_response(arena: Arena, judge: Arena, budget: Budget, seed: int) -> Found:
    """Learn answers in one arena, and give the best of all quarters and restarts in another.

    Every second one starts from the policy that is answered, all others from networks at random;
    one may be fitted to values (`Budget.replays`).
    """
    courses = [
        course_of(_learning(arena, budget, seed, k), arena, judge, k)
        for k in range(budget.restarts)
    ]
    if budget.replays and fits(arena):
        courses.append(_valued(arena, judge, budget, seed))
    return preferred(courses)


def course_of(
    answers: Iterator[Answer],
    arena: Arena,
    judge: Arena,
    restart: int,
    modes: Sequence[bool] = (),
    *,
    last: bool = False,
) -> Found:
    """The best of the answers that a course of learning comes to after each of its quarters, or
    the `last` of them.
    """
    options = []
    for answer in answers:
        ways = modes or ((True, False) if answer.actor.head.choices else (True,))
        options.append(chosen(answer, arena, judge, restart, ways))
    quarters = tuple(option.gain for option in options)
    return replace(options[-1] if last else preferred(options), quarters=quarters)


def _learning(arena: Arena, budget: Budget, seed: int, restart: int) -> Iterator[Answer]:
    """One course from fresh networks, along the path or by PPO."""
    unit = arena.simulator.params.unit
    deviating, critics = _begun(arena, budget, seed * 1_000_003 + restart)
    if restart % 2:
        imitate(deviating, budget, restart)
    path = gradient_of(arena) == "path"
    answer = deviating.answer
    critics = critics.to(unit)
    parameters = [*answer.parameters(), *(() if path else critics.parameters())]
    optimizer = torch.optim.Adam(parameters, budget.learning_rate, eps=EPSILON)
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
            yield answer


def _valued(arena: Arena, judge: Arena, budget: Budget, seed: int) -> Found:
    """One course of values from episodes of their own: counted where views are few, else fitted.

    Counts only grow, so that of answers to them the last one knows most; games that choose among
    the quarters would choose by their noise.
    """
    restart, modes, own_seed = budget.restarts, (True,), seed * 1_000_003 + budget.restarts
    first = restart * budget.iterations + 1
    deviating, _ = _begun(following(arena), budget, own_seed)
    if few(deviating.arena, deviating.answer, budget):
        answers = tallied(deviating, budget, first)
        return course_of(answers, arena, judge, restart, modes, last=True)
    deviating, _ = _begun(arena, budget, own_seed)
    memory = remembered(deviating, budget.replays, first)
    draws = torch.Generator().manual_seed(seed)
    answers = refitted(deviating.answer, memory, arena.engine.discount, budget, draws)
    return course_of(answers, arena, judge, restart, modes)


def _begun(arena: Arena, budget: Budget, seed: int) -> tuple[Deviating, Critics]:
    """Fresh networks."""
    with seeded(seed):
        answer = Answer(model_of(arena.program), arena.sight, budget)
        critics = Critics({arena.sight.field: answer.eyes.widths}, shape_of(budget), single=True)
    deviating = Deviating(arena, answer.to(arena.simulator.params.unit))
    _calibrate(deviating)
    return deviating, critics


def imitate(deviating: Deviating, budget: Budget, restart: int) -> None:
    """Let deviators do as the policy does, along its own games: there they gain nothing.

    From there learning goes up also where the way from anywhere else is far, as near equilibria.
    Finite actions are fitted by their likelihood, with a part of all others for something to learn
    from, real ones by their squared distance.
    """
    arena, answer = deviating.arena, deviating.answer
    optimizer = torch.optim.Adam(answer.parameters(), budget.learning_rate, eps=EPSILON)
    for k in range(budget.imitation):
        seen: list[tuple[View, Tensor | None, tuple[Tensor, ...]]] = []

        def act(scene: Scene, number: int, seen: list[Any] = seen) -> Any:
            usual = arena.followed(scene, number)
            part = getattr(usual, arena.sight.field)
            mine = [value if arena.sight.single else value[:, : arena.count] for value in part]
            seen.append((answer.view(arena, scene), arena.mask(scene), tuple(mine)))
            return arena.acted(usual, mine)

        with torch.no_grad():
            for _ in arena.engine.turns(EVALUATION - 2 - restart * budget.imitation - k, act):
                pass
        view, mask, done = joined(seen, torch.stack)
        for _ in range(FITS):
            loss = _unlike(answer, mapped(view, _flat), None if mask is None else _flat(mask), done)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()


def _unlike(answer: Answer, view: View, mask: Tensor | None, done: tuple[Tensor, ...]) -> Tensor:
    """How far laws of actions are from what was done."""
    head, law = answer.actor.head, answer.law(view, mask)
    done = tuple(_flat(value) for value in done)
    loss = done[0].new_zeros((), dtype=torch.get_default_dtype())
    if law.logits is not None:
        index = index_of(head, done)
        chances = torch.log_softmax(law.logits, -1)
        legal = chances.isfinite()
        spread = chances.where(legal, 0.0).sum(-1) / legal.sum(-1)
        taken = chances.gather(-1, index[..., None])[..., 0]
        loss = loss - ((1 - CURIOUS) * taken + CURIOUS * spread).mean()
    if law.mean is not None:
        values = head.values(law.mode(), done[0] if done[0].is_floating_point() else law.mean)
        for action, value, wanted in zip(head.actions, values, done, strict=True):
            if not action.type.finite:
                loss = loss + (value - wanted).square().mean()
    return loss


def _flat(value: Tensor) -> Tensor:
    """Times and games on one axis."""
    return value.flatten(0, 1)


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
