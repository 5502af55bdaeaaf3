"""Proximal policy optimisation of teams and games with many agents.

Clipped surrogate (Schulman et al. 2017, arXiv:1707.06347) on sets: minibatches are of scenes, never
of agents, so that laws stay whole; the loss is over a sample of the agents in each. Critics are of
the team ([B]), each player's own or one that sees all agents, or of its members ([B, N]), with
returns brought to mean 0 and deviation 1; rewards reach agents as `credit.py` says.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from mfdsl.runtime.learning.actor import Critic, Maker, Shape, Trunk
from mfdsl.runtime.learning.advantage import Scale, advantages
from mfdsl.runtime.learning.experience import ActionLaws, Course, Experience, mapped, scenes_of
from mfdsl.runtime.learning.eyes import View, Widths
from mfdsl.runtime.learning.joint_critic import JointCritic

HUBER = 10.0
MOST_ROWS = 4096  # rows that a network without gradients takes at once
TEAM = "team"


@dataclass(frozen=True)
class Proximal:
    """Options of the update; `members` agents of each scene enter the loss."""

    clip: float = 0.2
    decay: float = 0.95
    epochs: int = 4
    minibatches: int = 4
    entropy: float = 0.01
    members: int = 16
    gradient: float = 0.5
    kl: float = 0.05
    bootstrap: bool = False


class Critics(nn.Module):
    """A critic for each acting player, of the team or of single members, and their scales.

    Beside critics of members stands, if `watched`, one of the team, with the view of the player
    `watcher`. A `joint` critic of the team is the only one. `makers` make the networks of critics
    of members, where these are not plain.
    """

    def __init__(
        self,
        widths: Mapping[str, Widths],
        shape: Shape,
        *,
        single: bool,
        watched: bool = False,
        joint: JointCritic | None = None,
        makers: Mapping[str, Maker] | None = None,
    ) -> None:
        super().__init__()
        self.single = single
        self.watcher = max(widths, key=lambda n: _shared(widths[n])) if watched else None
        self.parts = nn.ModuleDict()
        if joint is not None:
            self.scales = {TEAM: Scale()}
            self.parts[TEAM] = joint
            return
        self.scales = {name: Scale() for name in widths}
        for name, (own, common, laws) in widths.items():
            maker = (makers or {}).get(name, Trunk)
            self.parts[name] = Critic((own if single else 0, common, laws), shape, maker)
        if self.watcher is not None:
            self.parts[TEAM] = Critic((0, *widths[self.watcher][1:]), shape)
            self.scales[TEAM] = Scale()

    @property
    def joint(self) -> JointCritic | None:
        """The critic that sees all agents, where there is one."""
        team = self.parts[TEAM] if TEAM in self.parts else None
        return team if isinstance(team, JointCritic) else None

    def raw(self, name: str, view: View) -> Tensor:
        """Values around 0: [..., B, N], or [..., B] of a team and of majors."""
        found: Tensor = self.parts[name](view)
        return found

    def values(self, name: str, view: View) -> Tensor:
        """Values in the unit of the rewards."""
        scale = self.scales[name]
        return self.raw(name, view) * scale.spread + scale.centre

    def along(self, name: str, view: View) -> Tensor:
        """Values of a view of all times [T, B, ...], of some times after others.

        Layers of all of them at once would leave the cache, and be memory that the system hands out
        and takes back page by page.
        """
        entries = [v for v in (view.own, *view.laws) if v is not None]
        rows = max((v[0, ..., 0].numel() for v in entries), default=len(view.common[0]))
        size = max(1, MOST_ROWS // rows)

        def part(first: int) -> View:
            return mapped(view, lambda value: value[first : first + size])

        times = range(0, len(view.common), size)
        return torch.cat([self.values(name, part(t)) for t in times])

    def note(self, name: str, returns: Tensor) -> None:
        """Let the scale of a critic take note of returns, its values staying as they are.

        The last layer is moved against the scale (van Hasselt et al. 2016, arXiv:1602.07714), so
        that the scale may follow returns that change by orders of magnitude.
        """
        scale, critic = self.scales[name], self.parts[name]
        assert isinstance(critic, Critic | JointCritic)
        centre, spread = scale.centre, scale.spread
        scale.add(returns)
        last = critic.last
        last.weight.mul_(spread / scale.spread)
        last.bias.mul_(spread).add_(centre - scale.centre).div_(scale.spread)


def _shared(widths: Widths) -> int:
    """How much of a view all see alike."""
    _, common, laws = widths
    return common + sum(law.width for law in laws)


@dataclass(frozen=True, eq=False)
class Goal:
    """The returns that one critic fits, and what it sees; None: what the player sees."""

    critic: str
    returns: Tensor
    view: View | None = None


@dataclass(frozen=True, eq=False)
class Batch:
    """Scenes of one player with their advantages, and what critics fit in them."""

    course: Course
    advantages: Tensor
    goals: tuple[Goal, ...]


@dataclass(frozen=True)
class Step:
    """What one update did: mean KL divergence, share of clipped ratios, losses, entropy."""

    kl: float
    clipped: float
    policy_loss: float
    value_loss: float
    entropy: float
    details: dict[str, float] = field(default_factory=dict)


@torch.no_grad()
def batches(
    experience: Experience, critics: Critics, discount: float, options: Proximal
) -> dict[str, Batch]:
    """Advantages and returns of every player, by field name."""
    if critics.joint is not None:
        return _together(experience, critics, critics.joint, discount, options)
    found = {}
    for name, course in experience.courses.items():
        rewards = course.rewards
        if rewards.ndim > 2 and not critics.single:  # a team's critic, credit for all alike
            rewards = rewards.mean(-1)
        views = course.view, course.last
        gain, returns = _judged(critics, name, views, rewards, discount, options)
        goals = [Goal(name, returns)]
        if name == critics.watcher:
            _, team = _judged(critics, TEAM, views, experience.team, discount, options)
            goals.append(Goal(TEAM, team))
        found[name] = Batch(scenes_of(course), _standardised(gain), tuple(goals))
    return found


def _together(
    experience: Experience,
    critics: Critics,
    joint: JointCritic,
    discount: float,
    options: Proximal,
) -> dict[str, Batch]:
    """All players with the advantages of one critic, which is fitted beside the first of them."""
    courses = experience.courses
    view = joint.whole({name: course.view for name, course in courses.items()})
    last = joint.whole({name: course.last for name, course in courses.items()})
    gain, returns = _judged(critics, TEAM, (view, last), experience.team, discount, options)
    goals: tuple[Goal, ...] = (
        Goal(TEAM, returns, mapped(view, lambda value: value.flatten(0, 1))),
    )
    found = {}
    for name, course in courses.items():
        found[name] = Batch(scenes_of(course), _standardised(gain), goals)
        goals = ()
    return found


def _standardised(gain: Tensor) -> Tensor:
    """Advantages with times and games on one axis, brought to mean 0 and deviation 1."""
    flat = gain.flatten(0, 1)
    return (flat - flat.mean()) / flat.std().clamp(min=1e-8)


def _judged(
    critics: Critics,
    name: str,
    views: tuple[View, View],
    rewards: Tensor,
    discount: float,
    options: Proximal,
) -> tuple[Tensor, Tensor]:
    """Advantages [T, B, ...] and returns [T * B, ...] by the critic of that name, whose scale
    takes note of them; `views` are those of all times and of the end.
    """
    view, end = views
    values = critics.along(name, view)
    last = critics.values(name, end) if options.bootstrap else values[0] * 0
    gain = advantages(rewards, values, last, discount, options.decay)
    returns = gain + values
    critics.note(name, returns)
    return gain, returns.flatten(0, 1)


def update(
    actors: Mapping[str, ActionLaws],
    critics: Critics,
    optimizer: torch.optim.Optimizer,
    batches: dict[str, Batch],
    options: Proximal,
    generator: torch.Generator,
    clip: Callable[[float], None] | None = None,
) -> Step:
    """Several passes over the scenes; they end early once policies moved beyond `kl`.

    `clip` shortens gradients to a length, by default all of them as one vector.
    """
    parameters = [p for g in optimizer.param_groups for p in g["params"]]
    nothing = torch.zeros(5, dtype=torch.float64, device=parameters[0].device)
    totals, count = nothing, 0
    for _ in range(options.epochs):
        parts = nothing
        for chosen in _minibatches(batches, options, generator):
            loss, parts = torch.zeros(()), nothing
            for name, batch in chosen.items():
                one, measured = _losses(actors[name], critics, batch, options)
                loss, parts = loss + one, parts + measured / len(chosen)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            if clip is None:
                nn.utils.clip_grad_norm_(parameters, options.gradient)
            else:
                clip(options.gradient)
            optimizer.step()
            totals, count = totals + parts, count + 1
        if float(parts[0]) > options.kl:  # once a pass: a GPU is waited for here
            break
    return Step(*(totals / max(1, count)).tolist())


def _losses(
    actor: ActionLaws, critics: Critics, batch: Batch, options: Proximal
) -> tuple[Tensor, Tensor]:
    course, gain = batch.course, batch.advantages
    law = actor(course.view, course.mask)
    change = law.log_prob(course.drawn) - course.log_prob
    if change.ndim > gain.ndim:
        gain = gain[..., None]
    ratio = change.exp()
    inside = ratio.clamp(1 - options.clip, 1 + options.clip)
    policy = -torch.min(ratio * gain, inside * gain).mean()
    entropy = law.entropy().mean()
    value = gain.new_zeros(())
    for goal in batch.goals:
        view = course.view if goal.view is None else goal.view
        value = value + _fit(critics, goal.critic, view, goal.returns)
    loss = policy + value - options.entropy * entropy
    with torch.no_grad():
        kl = (ratio - 1 - change).mean()
        clipped = ((ratio - 1).abs() > options.clip).to(ratio.dtype).mean()
        parts = torch.stack([kl, clipped, policy, value, entropy]).double()
    return loss, parts


def _fit(critics: Critics, name: str, view: View, returns: Tensor) -> Tensor:
    """How far a critic is from returns, in the unit of their deviation."""
    scale = critics.scales[name]
    goal = (returns - scale.centre) / scale.spread
    return nn.functional.huber_loss(critics.raw(name, view), goal, delta=HUBER)


def _minibatches(
    batches: dict[str, Batch], options: Proximal, generator: torch.Generator
) -> Iterator[dict[str, Batch]]:
    """Random parts of the scenes, with a sample of the agents of each population."""
    count = len(next(iter(batches.values())).advantages)
    for part in torch.randperm(count, generator=generator).chunk(options.minibatches):
        yield {
            name: _sampled(batch, part, options.members, generator)
            for name, batch in batches.items()
        }


def _sampled(batch: Batch, part: Tensor, members: int, generator: torch.Generator) -> Batch:
    course, device = batch.course, batch.advantages.device
    agents, part = None, part.to(device)
    if course.view.own is not None and course.view.own.shape[1] > members:
        agents = torch.randperm(course.view.own.shape[1], generator=generator)[:members]
        agents = agents.to(device)

    def scenes(value: Tensor) -> Tensor:
        return value.index_select(0, part)  # half the time of `value[part]`

    def mine(value: Tensor) -> Tensor:
        if agents is None:
            return scenes(value)
        return value[part[:, None], agents]

    view = mapped(course.view, scenes)
    if course.view.own is not None:
        view = replace(view, own=mine(course.view.own), alike=mapped(course.view.alike, mine))
    each = course.log_prob.ndim > 1
    own = mine if each else scenes

    def sampled(values: Tensor) -> Tensor:
        return mine(values) if values.ndim > 1 else scenes(values)

    goals = tuple(
        Goal(goal.critic, sampled(goal.returns), mapped(goal.view, scenes)) for goal in batch.goals
    )
    return Batch(
        Course(
            view,
            mapped(course.drawn, own),
            None if course.mask is None else own(course.mask),
            own(course.log_prob),
            course.rewards[:0],
            course.last,
        ),
        sampled(batch.advantages),
        goals,
    )
