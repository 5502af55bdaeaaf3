"""A best response by values that are fitted, backwards in time, to all that deviators ever met.

While everybody else follows one policy, all episodes are of one problem. PPO leaves each of them
after an update, and where little is to be gained its choices settle before they can be told from
noise. Here episodes are kept, a network has the value of each action, and the values of a stage are
fitted to what was paid there and the best value of the next (fitted Q iteration, Ernst, Geurts and
Wehenkel 2005, JMLR 6; stage by stage as in Murphy 2005, JMLR 6). Values of each time are fitted in
units of their own deviation, so that late ones count as much as early ones.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mfdsl.runtime.behaviours import Scene
from mfdsl.runtime.learning.answers import Answer, Budget, Deviating
from mfdsl.runtime.learning.deviators import Arena
from mfdsl.runtime.learning.experience import joined, mapped
from mfdsl.runtime.learning.eyes import View
from mfdsl.runtime.learning.heads import ActionLaw, Drawn, Head

LONGEST_GAME = 64  # stages that are fitted one after another
ROWS = 2048  # deviators of a step of Adam
STAGE = 60  # steps for each stage, on the way back
SWEEPS, SWEEP = 4, 150  # fits of all stages together afterwards, and their steps
CHUNK = 512  # scenes whose values are read off at once


@dataclass(frozen=True, eq=False)
class Memory:
    """Steps of K deviators in S scenes of each time: what they saw, what was legal, the number of
    the choice they made [T, S, K] and what they were paid for it [T, S, K]; of majors without K.
    """

    view: View
    mask: Tensor | None
    index: Tensor
    rewards: Tensor


def fits(arena: Arena) -> bool:
    """Whether values of a few choices at few times say all."""
    finite = all(action.type.finite for action in arena.sight.actions)
    ends = arena.simulator.program.horizon is not None
    return finite and ends and arena.engine.steps <= LONGEST_GAME


def index_of(head: Head, done: Sequence[Tensor]) -> Tensor:
    """The number of the choice [...] that finite actions are together."""
    finite = [(a, value) for a, value in zip(head.actions, done, strict=True) if a.type.finite]
    index = torch.zeros_like(finite[0][1], dtype=torch.int64)
    for action, value in finite:
        index = index * action.type.size + value.long() - action.type.first
    return index


@torch.no_grad()
def remembered(deviating: Deviating, episodes: int, first: int) -> Memory:
    """Play episodes from number `first` on; at every step one half of the deviators, drawn anew, do
    as the policy does, and the others whatever is legal.
    """
    arena, answer = deviating.arena, deviating.answer
    head, field = answer.actor.head, arena.sight.field
    kept: list[Any] = []

    for episode in range(first, first + episodes):
        seen: list[tuple[View, Tensor | None, Tensor]] = []
        paid: list[Tensor] = []

        def act(scene: Scene, number: int, seen: list[Any] = seen) -> Any:
            view, mask = answer.view(arena, scene), arena.mask(scene)
            usual = arena.followed(scene, number)
            part = getattr(usual, field)
            own = [value if arena.sight.single else value[:, : arena.count] for value in part]
            index = tried(deviating, scene, number, mask, index_of(head, own))
            seen.append((view, mask, index))
            mine = head.values(Drawn(None, index), scene.params.unit)
            return arena.acted(usual, mine)

        for turn in arena.engine.turns(episode, act):
            rewards = arena.engine.paid(turn)
            if rewards is None:
                continue
            if turn.action is None:  # what the end pays belongs to the last step
                paid[-1] = paid[-1] + arena.engine.discount * arena.paid(rewards)
            else:
                paid.append(arena.paid(rewards))
        kept.append((*joined(seen, torch.stack), torch.stack(paid)))
    return Memory(*joined(kept, lambda parts: torch.cat(parts, 1)))


def tried(
    deviating: Deviating,
    scene: Scene,
    number: int,
    mask: Tensor | None,
    own: Tensor,
    often: float = 0.5,
) -> Tensor:
    """The choices `own` of a part, usually one half, and draws from all that is legal for the
    others.

    `own` are those of the agents whose copies deviators are. Where both no longer stand in one
    place they may be illegal, and are drawn anew.
    """
    head = deviating.answer.actor.head
    logits = torch.zeros(*own.shape, head.choices, device=own.device)
    if mask is not None:
        logits = logits.masked_fill(~mask, -torch.inf)
    law = ActionLaw(None, None, logits)
    drawn = deviating.drawn(law, scene, 2 * number).index
    odds = torch.tensor([often, 1 - often], device=own.device).log().expand(*own.shape, 2)
    coin = deviating.drawn(ActionLaw(None, None, odds), scene, 2 * number + 1)
    assert drawn is not None and coin.index is not None
    stays = coin.index == 0
    if mask is not None:
        stays = stays & mask.gather(-1, own[..., None])[..., 0]
    return torch.where(stays, own, drawn)


def refitted(
    answer: Answer, memory: Memory, discount: float, budget: Budget, draws: torch.Generator
) -> Iterator[Answer]:
    """Fit the answer, whose logits become values in units of each time, stage by stage from the
    last, and then all stages together; given out after each of the latter.
    """
    values = Values(answer, memory, discount)
    optimizer = torch.optim.Adam(answer.parameters(), budget.learning_rate)
    steps = len(memory.index)
    for t in reversed(range(steps)):
        values.aim(t)
        for k in range(STAGE):
            times = range(t, t + 1) if k % 2 else range(t, steps)
            _step(values, optimizer, times, draws)
    for sweep in range(SWEEPS):
        for t in reversed(range(steps)):
            values.aim(t)
        for k in range(SWEEP):
            left = 1 - (sweep * SWEEP + k) / (SWEEPS * SWEEP)
            for group in optimizer.param_groups:
                group["lr"] = budget.learning_rate * (0.05 + 0.95 * left)
            _step(values, optimizer, range(steps), draws)
        yield answer


class Values:
    """What the network is fitted to: `goals` [T, S, K], values of the choices that were made, and
    their centre and deviation [T] at each time.
    """

    def __init__(self, answer: Answer, memory: Memory, discount: float) -> None:
        self.answer, self.memory, self.discount = answer, memory, discount
        self.goals = torch.zeros_like(memory.rewards)
        self.centre = memory.rewards.new_zeros(len(self.goals))
        self.spread = torch.ones_like(self.centre)

    @torch.no_grad()
    def aim(self, t: int) -> None:
        """Set the goals of a time by the values of the next."""
        goal = self.memory.rewards[t]
        if t + 1 < len(self.goals):
            goal = goal + self.discount * self.best(t + 1)
        self.goals[t] = goal
        self.centre[t], self.spread[t] = goal.mean(), goal.std().clamp(min=1e-8)

    def best(self, t: int) -> Tensor:
        """The value of the best choice at each place of a time [S, K]."""
        found = []
        for first in range(0, self.goals.shape[1], CHUNK):
            law = self._law(torch.tensor([t]), torch.arange(first, first + CHUNK))
            found.append(law.logits.amax(-1))  # type: ignore[union-attr]
        return self.centre[t] + self.spread[t] * torch.cat(found)

    def loss(self, times: Tensor, scenes: Tensor) -> Tensor:
        """The mean squared error of values at the times [n] in the scenes [n]."""
        law = self._law(times, scenes)
        assert law.logits is not None
        value = law.logits.gather(-1, self.memory.index[times, scenes][..., None])[..., 0]
        shape = (-1,) + (1,) * (value.ndim - 1)
        goal = self.goals[times, scenes] - self.centre[times].reshape(shape)
        return (value - goal / self.spread[times].reshape(shape)).square().mean()

    def _law(self, times: Tensor, scenes: Tensor) -> ActionLaw:
        scenes = scenes[scenes < self.goals.shape[1]]
        memory = self.memory
        view = mapped(memory.view, lambda value: value[times, scenes])
        mask = None if memory.mask is None else memory.mask[times, scenes]
        return self.answer.law(view, mask)


def _step(
    values: Values, optimizer: torch.optim.Optimizer, times: range, draws: torch.Generator
) -> None:
    """One step of Adam on scenes of some times."""
    shape = values.goals.shape
    count = max(1, ROWS // shape[2]) if len(shape) > 2 else ROWS
    when = torch.randint(times.start, times.stop, (count,), generator=draws)
    where = torch.randint(shape[1], (count,), generator=draws)
    loss = values.loss(when, where)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
