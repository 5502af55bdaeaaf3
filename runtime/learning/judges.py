"""What learned responses gain: in games that learning never saw, and which of several to take.

Everybody else follows the policy; beside each deviator stands a player with the same draws who
stays, or the same game is played again.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from mfdsl.runtime.behaviours import Scene
from mfdsl.runtime.exploitability import Response
from mfdsl.runtime.learning.answers import Answer, Budget, Deviating, Found
from mfdsl.runtime.learning.deviators import Arena
from mfdsl.runtime.learning.engine import EVALUATION
from mfdsl.runtime.learning.heads import Drawn

FRESH = 1 << 20  # episodes that judge have numbers from here after those that choose
TOLD = 2.0  # standard errors from which on games tell two answers apart


def gradient_of(arena: Arena) -> Literal["path", "score"]:
    """How a response is learned: through the simulator where that is differentiable."""
    finite = any(action.type.finite for action in arena.sight.actions)
    return "score" if finite or arena.simulator.program.module.CUTS else "path"


def judged(judge: Arena, half: Arena | None, found: Found, budget: Budget) -> Response:
    """What an answer gains in fresh games, 0 if it gained nothing where it was chosen.

    `half` has half as many agents, None where the gain is meant among just so many.
    """
    count = math.ceil(budget.test_games / judge.engine.batch) * _lone(judge)
    gain = error = 0.0
    fewer = fewer_error = None
    if max(found.gain, found.learned) > 0:
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


@torch.no_grad()
def chosen(
    learning: Answer, arena: Arena, judge: Arena, restart: int, modes: Sequence[bool]
) -> Found:
    """The answer as it is now, drawn or as is likeliest, whichever is preferred."""
    answer = copy.deepcopy(learning)
    first = EVALUATION + restart * 4
    options = []
    for mode in modes:
        option = Found(answer, mode)
        numbers = range(first, first + _lone(judge))
        gains = torch.cat([gains_of(judge, option, number) for number in numbers])
        gain, error = gains.mean().item(), gains.double().std().item() / math.sqrt(len(gains))
        learned = gain
        if arena.shadows is not judge.shadows:
            learned = torch.cat([gains_of(arena, option, k) for k in numbers]).mean().item()
        options.append(replace(option, gain=gain, error=error, learned=learned))
    return preferred(options)


def preferred(options: Sequence[Found]) -> Found:
    """The option that gains most; among those that the judge cannot tell from it, the one that
    gains most in the games where it learned, which have many deviators and far less noise.
    """
    first = max(options, key=lambda option: option.gain)
    close = [
        option
        for option in options
        if option is first
        or first.gain - option.gain <= TOLD * math.hypot(first.error, option.error)
    ]
    return max(close, key=lambda option: option.learned)


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
