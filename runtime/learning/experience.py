"""Episodes that were played for learning: what everybody saw, drew and was credited with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from mfdsl.runtime.agents import AgentProgram
from mfdsl.runtime.behaviours import Scene
from mfdsl.runtime.learning.credit import Ahead, Credit, marginal_rewards, own_rewards
from mfdsl.runtime.learning.crew import Crew, standard
from mfdsl.runtime.learning.engine import Engine, team_reward
from mfdsl.runtime.learning.eyes import View
from mfdsl.runtime.learning.heads import Drawn

X = TypeVar("X", bound=Tensor | View | Drawn | None)


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
    """The sides of all players by field name, the team's rewards [T, B] and its undiscounted
    returns [B].
    """

    courses: Mapping[str, Course]
    team: Tensor
    returns: Tensor


@dataclass(frozen=True, eq=False)
class Crediting:
    """How rewards reach agents; `weighted` is the program for marginal credit, and `value` the
    team's value [B] of a scene, which tells what moving others is worth.
    """

    credit: Credit
    weighted: AgentProgram | None = None
    value: Callable[[Scene], Tensor] | None = None

    def rewards(
        self, engine: Engine, scene: Scene, action: Any | None, noise: Any | None, paid: Any
    ) -> dict[str, Tensor]:
        """The rewards of one step by field name: [B, N] of populations, [B] of all others."""
        batch, program = engine.batch, scene.program
        team = team_reward(paid, batch)
        found = {field: team for field in program.players}
        match self.credit:
            case "team":
                for field in program.populations:
                    count = scene.agents[program.names[field]]
                    found[field] = team[:, None].expand(batch, count)
            case "own":
                found |= own_rewards(paid, program, batch)
            case "marginal":
                assert self.weighted is not None
                found |= marginal_rewards(
                    self.weighted,
                    scene.params,
                    scene.time,
                    scene.state,
                    action,
                    noise,
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
def collected(engine: Engine, crew: Crew, crediting: Crediting, episode: int) -> Experience:
    """Play one episode of every game with the crew's random actions."""
    kept: dict[str, list[tuple[View, Drawn, Tensor | None, Tensor]]] = {}
    credited: dict[str, list[Tensor]] = {s.field: [] for s in crew.sights}
    draws: list[int] = []

    def act(scene: Scene, number: int) -> Any:
        draws.append(number)
        views = crew.views(scene.params, scene.time, scene.state, scene.batch)
        masks = crew.masks(scene.params, scene.time, scene.state, scene.batch)
        drawn = {}
        for sight, law in zip(crew.sights, crew.laws(views, masks).values(), strict=True):
            made = law.sample(*standard(sight, crew.head(sight), scene, number))
            drawn[sight.field] = made
            entry = (views[sight.field], made, masks.get(sight.field), law.log_prob(made))
            kept.setdefault(sight.field, []).append(entry)
        return crew.action(drawn, scene.params.unit)

    earned: list[Tensor] = []
    for scene, action, rewards in engine.scenes(episode, act):
        paid = engine.final(scene) if rewards is None else rewards
        if paid is not None:
            earned.append(team_reward(paid, engine.batch))
            noise = None if rewards is None else engine.simulator.noise(draws[-1])
            shares = crediting.rewards(engine, scene, action, noise, paid)
            for field, values in credited.items():
                if rewards is None:
                    values[-1] = values[-1] + engine.discount * shares[field]
                else:
                    values.append(shares[field])
    last = crew.views(scene.params, scene.time, scene.state, scene.batch)
    courses = {
        field: _course(entries, torch.stack(credited[field]), last[field])
        for field, entries in kept.items()
    }
    returns = torch.stack(earned).sum(0)
    if len(earned) > engine.steps:  # what the end pays belongs to the last step
        earned[-2:] = [earned[-2] + engine.discount * earned[-1]]
    return Experience(courses, torch.stack(earned), returns)


def _course(
    entries: list[tuple[View, Drawn, Tensor | None, Tensor]], rewards: Tensor, last: View
) -> Course:
    views, drawn, masks, chances = zip(*entries, strict=True)
    masked = None if masks[0] is None else torch.stack(cast(list[Tensor], masks))
    return Course(
        joined(views, torch.stack),
        joined(drawn, torch.stack),
        masked,
        torch.stack(chances),
        rewards,
        last,
    )


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
