"""Passes over a large game stage by stage, with no tables [T, S, A] but the policy and its values.

A game of 10^6 states and 100 stages has 4 GB a table in float64. Laws are kept, they have no axis
of actions; joint laws, rewards and transitions are made for a few stages at a time, on the way
forward and again on the way back, and the policy and the best response go back together, so that
rewards are worked out once for both.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.layout import inner
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.views import native
from mfdsl.runtime.views.finite import (
    FiniteView,
    by_population,
    expanded,
    state_values_inside,
    sweep,
    tail_value,
)
from mfdsl.runtime.views.kernels import Kernel
from mfdsl.runtime.views.tables import CHUNK_ENTRIES, Problem, Tables, flow_rewards, stage_kernel

STREAMED_ENTRIES = 1 << 25


class Passes(Protocol):
    """One policy of a large game, scored beside the best response to it."""

    @property
    def scored(self) -> tuple[Tensor, Tensor, Tensor]:
        """Q [T, A, S, B], -inf at illegal actions, and both values [S, B] at the first stage."""

    def at_start(self, which: int) -> Float[Tensor, "batch populations"]:
        """Mean return of `scored[which]` over the initial law."""


@runtime_checkable
class Passing(Protocol):
    """A view that has passes of its own for large games."""

    def passes(self, policy: TabularPolicy) -> Passes | None:
        """The passes of a policy, None for smaller games."""


@dataclass(frozen=True, eq=False)
class Streamed:
    """One policy of a large game, scored without tables of rewards."""

    view: FiniteView
    probs: Float[Tensor, "stages actions states batch"]

    @cached_property
    def laws(self) -> Float[Tensor, "laws states batch"]:
        """The laws at t = 0..T."""
        tables, probs = self.view.tables, self.probs
        stages, _, states, games = probs.shape
        laws = probs.new_empty(stages + 1, states, games)
        laws[0] = tables.initial
        if (loops := native.compiled_loops(tables.kernel, games)) is not None:
            native.push_forward(loops, probs, laws)
            return laws
        tail = () if games == 1 else (games,)
        for t in range(stages):
            joint = laws[t] * probs[t]
            _kernel_at(tables, t, joint).push(joint.view(-1, *tail), laws[t + 1].view(-1, *tail))
        return laws

    @cached_property
    def scored(self) -> tuple[Tensor, Tensor, Tensor]:
        """Q of the policy, -inf at illegal actions, and the values of `returns`, in one pass."""
        q = torch.empty_like(self.probs)
        return q, *self._back(q)

    @cached_property
    def best_q(self) -> Float[Tensor, "stages actions states batch"]:
        """Q of the best response, -inf at illegal actions, in one more pass."""
        q = torch.empty_like(self.probs)
        self._back(None, q)
        return q

    def at_start(self, which: int) -> Float[Tensor, "batch populations"]:
        """Mean return of `scored[which]` over the initial law."""
        return by_population((self.laws[0] * self.scored[which]).t(), self.view.program)

    def returns(self) -> tuple[Tensor, Tensor]:
        """Values [S, B] at the first stage, of the policy and of the best response; Q is not kept.

        It takes no more memory than the laws and a few stages.
        """
        return self._back(None)

    def _back(self, q: Tensor | None, best_q: Tensor | None = None) -> tuple[Tensor, Tensor]:
        stages, actions, states, games = self.probs.shape
        block = max(1, CHUNK_ENTRIES // (actions * states * games))
        last = self.laws[stages - 1] * self.probs[stages - 1 :]
        final = tail_value(self.view, self.laws[-1], last)
        own = self.laws.new_zeros(states, games) if final is None else final.clone()
        best = own.clone()
        for first in reversed(range(0, stages, block)):
            stretch = slice(first, min(first + block, stages))
            kept = tuple(None if table is None else table[stretch] for table in (q, best_q))
            self._back_over(stretch, own, best, kept)
        return own, best

    def _back_over(
        self,
        stretch: slice,
        own: Tensor,
        best: Tensor,
        kept: tuple[Tensor | None, ...],
    ) -> None:
        """Take both values from after these stages to the first of them."""
        tables, probs = self.view.tables, self.probs[stretch]
        joint = self.laws[stretch][:, None] * probs
        rewards = _rewards_at(tables, joint, stretch)
        legal = tables.legal
        if legal is not None and len(legal) > 1:
            legal = legal[stretch]
        discount = self.view.discount
        if (loops := native.compiled_loops(tables.kernel, own.shape[-1])) is not None:
            paid = rewards if legal is None else rewards.masked_fill(~legal, -torch.inf)
            native.sweep(loops, paid, probs, own, discount, kept[0])
            native.sweep(loops, paid, None, best, discount, kept[1])
            return
        kernels = [_kernel_at(tables, stretch.start + k, row) for k, row in enumerate(joint)]
        for share, value, table in ((probs, own, kept[0]), (None, best, kept[1])):
            found = sweep(Problem(rewards, kernels, legal, value), share, discount)
            value.copy_(state_values_inside(found[0], None if share is None else share[0]))
            if table is not None:
                table.copy_(found)


def streamed(view: object, policy: TabularPolicy) -> Passes | None:
    """The passes of a policy whose tables are too many to keep, None for smaller games."""
    if not isinstance(view, FiniteView):
        return view.passes(policy) if isinstance(view, Passing) else None
    probs = policy.probs
    if probs[0].numel() * max(len(probs), view.tables.games) < STREAMED_ENTRIES:
        return None
    return Streamed(view, expanded(inner(probs), view.tables.games))


def _kernel_at(tables: Tables, t: int, joint: Tensor) -> Kernel:
    if tables.kernel is not None:
        return tables.kernel
    return stage_kernel(
        tables, torch.tensor(t, device=joint.device), tables.public_joint(joint[None])[0]
    )


def _rewards_at(tables: Tables, joint: Tensor, stretch: slice) -> Tensor:
    """Rewards of these stages, 0 at illegal actions."""
    if tables.rewards is None:
        return flow_rewards(tables, joint, stretch.start)
    part = tables.rewards if len(tables.rewards) == 1 else tables.rewards[stretch]
    return part.expand_as(joint).contiguous()
