"""Episodes that were played for learning: what everybody saw, drew and was credited with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar, cast

import torch
from torch import Tensor

from mfdsl.runtime.agents import AgentProgram
from mfdsl.runtime.behaviours import Scene
from mfdsl.runtime.learning.credit import Ahead, Credit, marginal_rewards, own_rewards
from mfdsl.runtime.learning.engine import Engine, Turn, counted, team_reward
from mfdsl.runtime.learning.eyes import View, Widths
from mfdsl.runtime.learning.heads import ActionLaw, Drawn

X = TypeVar("X", bound=Tensor | View | Drawn | None)


ActionLaws = Callable[[View, Tensor | None], ActionLaw]
"""The laws of the actions of one player, given what it sees and what is legal."""


@dataclass(frozen=True, eq=False)
class Choice:
    """What one player saw, drew, might have drawn, and how likely the draw was."""

    view: View
    drawn: Drawn
    mask: Tensor | None
    log_prob: Tensor


class Acting(Protocol):
    """Whoever plays while learning: courses by name."""

    @property
    def names(self) -> Sequence[str]:
        """Field names of players, or others for what is credited with the team's rewards."""

    def views(self, scene: Scene) -> Mapping[str, View]:
        """What each sees."""

    def choose(self, scene: Scene, number: int) -> tuple[Mapping[str, Choice], Any]:
        """What each draws with the numbers of a step, and the module's `Action`."""

    @property
    def widths(self) -> Mapping[str, Widths]:
        """How much each sees."""

    @property
    def laws(self) -> Mapping[str, ActionLaws]:
        """How each draws, as networks to be trained."""


@dataclass(frozen=True, eq=False)
class Course:
    """One player's side of an episode of B games, T steps long.

    Everything is stacked along the time, [T, B, ...]; `rewards` are those credited, [T, B, N] or
    [T, B], with what the end of the game pays in the last of them; `last` is the view after it.
    """

    view: View
    drawn: Drawn
    mask: Tensor | None
    log_prob: Tensor
    rewards: Tensor
    last: View


@dataclass(frozen=True, eq=False)
class Experience:
    """The sides of all players by field name, the team's rewards [T, B] and its returns
    [B], discounted by the game.
    """

    courses: Mapping[str, Course]
    team: Tensor
    returns: Tensor


class Credits(Protocol):
    """Who gets which rewards."""

    def rewards(self, engine: Engine, turn: Turn, paid: Any) -> dict[str, Tensor]:
        """The rewards of one step by field name."""


@dataclass(frozen=True, eq=False)
class Crediting:
    """How rewards reach agents; `weighted` is the program for marginal credit, and `value` the
    team's value [B] of a scene, which tells what moving others is worth.
    """

    credit: Credit
    weighted: AgentProgram | None = None
    value: Callable[[Scene], Tensor] | None = None

    def rewards(self, engine: Engine, turn: Turn, paid: Any) -> dict[str, Tensor]:
        """The rewards of one step by field name: [B, N] of populations, [B] of all others."""
        scene, batch = turn.scene, engine.batch
        program = scene.program
        team = team_reward(paid, batch)
        found = {field: team for field in program.players}
        match self.credit:
            case "team":
                for field in program.populations:
                    count = scene.agents[program.names[field]]
                    found[field] = team[:, None].expand(batch, count)
            case "own":
                found |= own_rewards(paid, program, batch, scene.agents)
            case "marginal":
                assert self.weighted is not None
                found |= marginal_rewards(
                    self.weighted,
                    scene.params,
                    scene.time,
                    scene.state,
                    turn.action,
                    turn.noise,
                    self._ahead(engine, scene),
                )
        return found

    def _ahead(self, engine: Engine, scene: Scene) -> Ahead | None:
        """The discounted value of what follows a scene, None where nothing does."""
        value, last = self.value, scene.t + 1 == engine.simulator.program.horizon
        if value is None or last:
            return None

        def ahead(state: Any) -> Tensor:
            now = engine.simulator.time(scene.t + 1)
            return engine.discount * value(replace(scene, t=scene.t + 1, time=now, state=state))

        return ahead


@torch.no_grad()
def collected(engine: Engine, players: Acting, crediting: Credits, episode: int) -> Experience:
    """Play one episode of every game at random."""
    kept: dict[str, list[Choice]] = {name: [] for name in players.names}
    credited: dict[str, list[Tensor]] = {name: [] for name in players.names}
    team: list[Tensor] = []

    def act(scene: Scene, number: int) -> Any:
        choices, action = players.choose(scene, number)
        for name, choice in choices.items():
            kept[name].append(choice)
        return action

    for turn in engine.turns(episode, act):
        paid, scene = engine.paid(turn), turn.scene
        if paid is None:
            continue
        team.append(team_reward(paid, engine.batch))
        shares = crediting.rewards(engine, turn, paid)
        for name, values in credited.items():
            share = shares.get(name, team[-1])
            if turn.action is None:  # what the end pays belongs to the last step
                values[-1] = values[-1] + engine.discount * share
            else:
                values.append(share)
    last = players.views(scene)
    courses = {
        name: _course(choices, torch.stack(credited[name]), last[name])
        for name, choices in kept.items()
    }
    returns = counted(engine, team)
    if len(team) > engine.steps:
        team[-2:] = [team[-2] + engine.discount * team[-1]]
    return Experience(courses, torch.stack(team), returns)


def _course(choices: list[Choice], rewards: Tensor, last: View) -> Course:
    whole: Choice = joined(choices, torch.stack)
    return Course(whole.view, whole.drawn, whole.mask, whole.log_prob, rewards, last)


def joined(values: Any, how: Callable[[list[Tensor]], Tensor]) -> Any:
    """Many views or draws of one shape as one, entry by entry."""
    first = values[0]
    if first is None:
        return None
    if isinstance(first, Tensor):
        return how(list(values))
    if isinstance(first, tuple):
        return tuple(joined([v[k] for v in values], how) for k in range(len(first)))
    fields = {k: joined([getattr(v, k) for v in values], how) for k in vars(first)}
    return type(first)(**fields)


def mapped(value: X, rule: Callable[[Tensor], Tensor]) -> X:
    """A rule on every tensor of a view or a draw."""
    if value is None:
        return value
    if isinstance(value, Tensor):
        return cast(X, rule(value))
    if isinstance(value, tuple):
        return cast(X, tuple(mapped(v, rule) for v in value))
    return cast(X, type(value)(**{k: mapped(v, rule) for k, v in vars(value).items()}))


def scenes_of(course: Course) -> Course:
    """The course with times and games on one axis, [T * B, ...]; `last` stays."""

    def flat(value: Tensor) -> Tensor:
        return value.flatten(0, 1)

    return Course(
        mapped(course.view, flat),
        mapped(course.drawn, flat),
        None if course.mask is None else flat(course.mask),
        flat(course.log_prob),
        flat(course.rewards),
        course.last,
    )
