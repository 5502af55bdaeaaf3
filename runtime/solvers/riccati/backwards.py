"""The recursion from the end to t = 0, and the fixed point that takes its place without an end."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np

from mfdsl.runtime.solvers.base import SolverError
from mfdsl.runtime.solvers.riccati.equilibrium import (
    equilibrium_step,
    final_values,
    values_of,
)
from mfdsl.runtime.solvers.riccati.forms import Array
from mfdsl.runtime.solvers.riccati.game import Crowd, Game, Single
from mfdsl.runtime.solvers.riccati.plan import Policy, Rows, policy_of, rows_at
from mfdsl.runtime.solvers.riccati.team import final_team_values, team_step

SETTLED = 1e-13  # of the largest entry, by which values still change
PATIENT = 60.0  # steps towards values without an end, times 1 / (1 - discount): e^-60 is left
FEWEST = 1000
NEGLIGIBLE = 1e-14  # what discounting leaves of the first step's rewards at the end
MOST_STAGES = 500  # that are followed one by one: what comes later is in the values of the end

V = TypeVar("V")


@dataclass(frozen=True, eq=False)
class Solved:
    """The policy, and the game with a horizon in which it is measured: without an end, after so
    many steps that discounting leaves 1e-14, or 500, everybody goes on with the same policy for
    ever, and is paid for that at the end.
    """

    game: Game
    policy: Policy


def solved(game: Game) -> Solved:
    """The equilibrium of a game, or the optimum of a team.

    Raises:
        SolverError: somebody has no best action, the reactions have no unique fixed point, or the
            values have no limit.
    """
    if game.stages is not None:
        return Solved(game, policy_of(_rows(game, game.stages)))
    rows = _settled_rows(game)
    stages = max(1, math.ceil(math.log(NEGLIGIBLE) / math.log(game.discount)))
    stages = min(stages, MOST_STAGES)
    policy = policy_of([rows] * stages)
    return Solved(ended_with(game, policy), policy)


def ended_with(game: Game, policy: Policy) -> Game:
    """The game, or one with an end after the stages of the policy where everybody is paid what the
    last rows cost for ever.

    Raises:
        SolverError: that has no limit.
    """
    if game.stages is not None:
        return game
    last = rows_at(policy, policy.stages - 1)
    values = _settled(
        lambda v: values_of(game, 0, last, v), final_values(_without_end(game)), game.discount
    )
    crowds = [replace(c, final=v) for c, v in zip(game.crowds, values.members, strict=True)]
    singles = [replace(s, final=v) for s, v in zip(game.singles, values.singles, strict=True)]
    return replace(game, crowds=tuple(crowds), singles=tuple(singles), stages=policy.stages)


def _rows(game: Game, stages: int) -> list[Rows]:
    found: list[Rows] = []
    after: Any = final_team_values(game) if game.team else final_values(game)
    step = team_step if game.team else equilibrium_step
    for t in reversed(range(stages)):
        rows, after = step(game, t, after)
        found.append(rows)
    return found[::-1]


def _settled_rows(game: Game) -> Rows:
    if game.team:
        start = final_team_values(_without_end(game))
        last = _settled(lambda v: team_step(game, 0, v)[1], start, game.discount)
        return team_step(game, 0, last)[0]
    first = final_values(_without_end(game))
    after = _settled(lambda v: equilibrium_step(game, 0, v)[1], first, game.discount)
    return equilibrium_step(game, 0, after)[0]


def _without_end(game: Game) -> Game:
    """The game without anything that is paid at an end that never comes."""

    def unpaid(player: Any) -> Any:
        return replace(player, final=np.zeros_like(player.final))

    crowds: tuple[Crowd, ...] = tuple(unpaid(c) for c in game.crowds)
    singles: tuple[Single, ...] = tuple(unpaid(s) for s in game.singles)
    return replace(game, crowds=crowds, singles=singles)


def _settled(step: Callable[[V], V], start: V, discount: float) -> V:
    """The values that a step leaves as they are.

    What is paid whatever the state is added up for ever at once, since it moves no policy.
    """
    values = start
    for _ in range(FEWEST + math.ceil(PATIENT / (1 - discount))):
        after = _for_ever(step(values), values, discount)
        change, size = _apart(after, values)
        if not math.isfinite(size):
            break
        if change <= SETTLED * max(size, 1e-300):
            return after
        values = after
    raise SolverError(
        "the values have no limit as the horizon grows: the discount is too close to 1 for how"
        " fast states grow, or the reactions have no stable fixed point"
    )


def _for_ever(after: V, before: V, discount: float) -> V:
    """The values with the constant k / (1 - discount) in the place of k + discount constant."""

    def whole(new: Array, old: Array) -> Array:
        found = new.copy()
        found[-1, -1] = (new[-1, -1] - discount * old[-1, -1]) / (1 - discount)
        return found

    def each(new: Any, old: Any) -> Any:
        if isinstance(new, tuple):
            return tuple(whole(a, b) for a, b in zip(new, old, strict=True))
        return whole(new, old)

    names = [f.name for f in fields(after) if f.name != "apart"]  # type: ignore[arg-type]
    summed = {name: each(getattr(after, name), getattr(before, name)) for name in names}
    return replace(after, **summed)  # type: ignore[type-var]


def _apart(one: Any, other: Any) -> tuple[float, float]:
    """The largest change of an entry, and the largest entry, but for what is paid in any state."""
    change = size = 0.0
    for entry in fields(one):
        a, b = getattr(one, entry.name), getattr(other, entry.name)
        for new, old in zip(a, b, strict=True) if isinstance(a, tuple) else [(a, b)]:
            counted = np.ones(new.shape)
            if entry.name != "apart":
                counted[-1, -1] = 0.0
            change = max(change, float((np.abs(new - old) * counted).max(initial=0.0)))
            size = max(size, float((np.abs(new) * counted).max(initial=0.0)))
    return change, size
