"""Exact gains from leaving any policy where one agent's problem is linear-quadratic, given the law.

What an action loses is quadratic in how far it is from the best one (`quadratic.py`), so that the
gain of a best response is the sum over times of its mean over agents who follow the policy (the
performance difference lemma of Kakade and Langford 2002).
"""

import torch
from torch import Tensor

from mfdsl.runtime.behaviours import Behaviour
from mfdsl.runtime.exploitability import Exploitability
from mfdsl.runtime.learning.base import LessonError
from mfdsl.runtime.learning.generated.frozen import Act, Arena, doubled, flow_of, walked
from mfdsl.runtime.learning.generated.quadratic import Prober, Response, respond

JUDGEMENT = 1 << 31  # the episode of an exact judgement
JUDGES = 8192  # agents whose flow a policy is judged by


def prober_of(arena: Arena) -> Prober | None:
    """What reads the steps of a game, None where they are not linear-quadratic for one agent."""
    try:
        found = Prober(doubled(arena))
        crowd = arena.params.unit.new_zeros(2, arena.space.width, dtype=torch.float64)
        found.stage(0, arena.space.inside(crowd))
    except LessonError:
        return None
    return found


def own_gap(
    arena: Arena, act: Act, behaviour: Behaviour, prober: Prober | None = None
) -> Exploitability | None:
    """What one agent gains by leaving a policy, against the flow of many who follow it; None where
    the game is not linear-quadratic.
    """
    prober = prober_of(arena) if prober is None else prober
    if prober is None:
        return None
    flow = flow_of(arena, act, behaviour, JUDGES, JUDGEMENT)
    try:
        gain = lost(prober, respond(prober, flow), act, flow, flow)
    except LessonError:
        return None
    return Exploitability(gain, "estimate", {arena.space.name: gain}, (gain,))


def gain_against(
    arena: Arena, act: Act, points: Tensor, prober: Prober | None = None
) -> float | None:
    """What one agent gains by leaving a policy against a crowd at `points` [T + 1, M, d]; None
    where the game is not linear-quadratic.
    """
    prober = prober_of(arena) if prober is None else prober
    if prober is None:
        return None
    paths, _ = walked(arena, act, points[:, None], JUDGES, JUDGEMENT)
    try:
        return lost(prober, respond(prober, points), act, points, paths)
    except LessonError:
        return None


@torch.no_grad()
def lost(prober: Prober, best: Response, act: Act, crowd: Tensor, walked: Tensor) -> float:
    """What agents at points [T + 1, N, d] lose by a policy and not the best response, against a
    crowd at [T + 1, M, d].
    """
    total, weight = 0.0, 1.0
    for t in range(prober.arena.steps):
        x = walked[t].double()
        action = prober.chosen(t, crowd[t], x, act)
        total += weight * float(best.lost(t, x, action).mean())
        weight *= prober.arena.discount
    return total
