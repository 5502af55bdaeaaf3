"""One game whose states are shared by the processes of a group, as a view like any other.

Solvers that treat states one by one run unchanged: their tables are those of the own states, the
exchanges are inside of the transitions, and returns are summed over all processes in one order, so
that every process makes the same decisions.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.distributed.group import Group
from mfdsl.runtime.distributed.moves import FixedMoves
from mfdsl.runtime.distributed.tables import PartTables, StageKernels, build_part
from mfdsl.runtime.flow import Flow
from mfdsl.runtime.layout import inner, outer, outer_laws
from mfdsl.runtime.policy import TabularPolicy, uniform_probs
from mfdsl.runtime.program import Params, Program
from mfdsl.runtime.views import native
from mfdsl.runtime.views.finite import state_values, state_values_inside, sweep
from mfdsl.runtime.views.streamed import STREAMED_ENTRIES
from mfdsl.runtime.views.tables import CHUNK_ENTRIES, Problem
from mfdsl.runtime.views.truncation import truncate


@dataclass(frozen=True, eq=False)
class PartView:
    """The own states of a game with `stages` decision stages; `cut` says that more would follow."""

    tables: PartTables
    stages: int
    discount: float
    cut: bool

    @classmethod
    def build(cls, group: Group, program: Program, params: Params) -> "PartView":
        """The view of this process.

        Raises:
            PartError: the states of the game cannot be shared.
        """
        cut = program.kind == "infinite"
        stages = truncate(program, params).stages if cut else program.horizon or 0
        tables = build_part(group, program, params, stages)
        return cls(tables, stages, program.discount, cut)

    @property
    def program(self) -> Program:
        """The program of the own states."""
        return self.tables.program

    def uniform(self) -> TabularPolicy:
        """Equal probability on the legal actions."""
        tables, actions = self.tables, self.program.action_count
        shape = (self.stages, actions, tables.own, 1)
        if tables.legal is None:
            probs = (tables.params.unit / actions).expand(shape).contiguous()
            return self.policy(outer(probs))
        legal = outer(tables.legal.expand(shape))
        return self.policy(outer(inner(uniform_probs(legal, tables.params.unit.dtype))))

    def policy(self, probs: Float[Tensor, "1 stages own actions"]) -> TabularPolicy:
        """The policy with these probabilities at the own states."""
        return TabularPolicy(probs, self.program.state_axes(), self.program.action_axes())

    def laws(self, policy: TabularPolicy) -> Float[Tensor, "1 laws own"]:
        """The law of the population on the own states at t = 0..T."""
        return outer_laws(self.pushed(inner(policy.probs)))

    def pushed(self, probs: Float[Tensor, "stages actions own 1"]) -> Float[Tensor, "laws own 1"]:
        """The same in the order of the arithmetic."""
        laws = probs.new_empty(self.stages + 1, self.tables.own, 1)
        laws[0] = self.tables.initial
        for t, share in enumerate(probs):
            laws[t + 1] = self.tables.moves_at(t, laws[t], share).pushed(laws[t], share)
        return laws

    def flow(self, policy: TabularPolicy) -> Flow:
        """The laws together with what one agent meets there."""
        probs = inner(policy.probs)
        laws = self.pushed(probs)
        problem = Problem(
            rewards=self.tables.rewards(laws[:-1], probs),
            kernels=StageKernels(self.tables, laws, probs),
            legal=self.tables.legal,
            final=self.tail(laws, probs),
        )
        return Flow(outer_laws(laws), policy, problem)

    def largest(self, own: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """The largest of the numbers of all processes, for rules that each has to apply alike."""
        return torch.stack(self.tables.group.from_all(own)).amax(0)

    def tail(self, laws: Tensor, probs: Tensor) -> Float[Tensor, "own 1"] | None:
        """Value after the last stage: the final reward, or the last mean reward kept for ever."""
        if not self.cut:
            return self.tables.final(laws[-1])
        last, share = laws[self.stages - 1 :][:1], probs[self.stages - 1 :]
        paid = self.tables.rewards(last, share, self.stages - 1)
        mean = self.tables.group.total((last[:, None] * share * paid).sum()) / (1 - self.discount)
        return mean.expand_as(laws[-1]).contiguous()

    def q_values(
        self, flow: Flow, policy: TabularPolicy | None = None
    ) -> Float[Tensor, "1 stages own actions"]:
        """Q of the policy against the flow, or of the best response; -inf at illegal actions."""
        problem = flow.problem or self.flow(flow.policy).problem
        assert problem is not None
        q = torch.empty_like(problem.rewards)
        end = problem.rewards.new_zeros(self.tables.own, 1)
        value = end if problem.final is None else problem.final
        self.back(problem, None if policy is None else inner(policy.probs), value, q)
        return outer(q)

    def back(
        self, problem: Problem, probs: Tensor | None, value: Tensor, q: Tensor | None
    ) -> Float[Tensor, "own 1"]:
        """The value at the first stage of a problem that goes on with `value`; fills `q`."""
        moves = self.tables.moves
        if isinstance(moves, FixedMoves) and (loops := moves.loops) is not None:
            paid = problem.rewards
            if problem.legal is not None:
                paid = paid.masked_fill(~problem.legal, -torch.inf)
            for t in reversed(range(len(paid))):
                ahead, stage = moves.halo.extended(value), slice(t, t + 1)
                share = None if probs is None else probs[stage]
                kept = None if q is None else q[stage]
                native.sweep(loops, paid[stage], share, ahead, self.discount, kept)
                value = ahead[: self.tables.own]
            return value
        last = Problem(problem.rewards, problem.kernels, problem.legal, value)
        found = sweep(last, probs, self.discount)
        if q is not None:
            q.copy_(found)
        return state_values_inside(found[0], None if probs is None else probs[0])

    def value(
        self, flow: Flow, q: Tensor, policy: TabularPolicy | None = None
    ) -> Float[Tensor, " 1"]:
        """Expected return from the initial law; several populations are summed."""
        return self.values(flow, q, policy).sum(-1)

    def values(
        self, flow: Flow, q: Tensor, policy: TabularPolicy | None = None
    ) -> Float[Tensor, "1 populations"]:
        """The same for one agent of each population, summed over all processes."""
        first = state_values(q[:, :1], None if policy is None else policy.probs[:, :1])
        return self.at_start(first[:, 0])

    def at_start(self, value: Float[Tensor, "1 own"]) -> Float[Tensor, "1 populations"]:
        """Mean over the initial law of all, for one agent of each population."""
        tables, count = self.tables, len(self.program.populations)
        block = tables.whole.state_count // count
        whose = torch.div(tables.places[tables.group.rank], block, rounding_mode="floor")
        parts = (tables.initial.t() * value)[0]
        mine = parts.new_zeros(count).index_add_(0, whose, parts)
        return (tables.group.total(mine) * count)[None]

    def passes(self, policy: TabularPolicy) -> "PartPasses | None":
        """The passes of a policy whose tables are too many to keep, None for smaller games."""
        if policy.probs.numel() < STREAMED_ENTRIES:
            return None
        return PartPasses.of(self, inner(policy.probs))


@dataclass(frozen=True, eq=False)
class PartPasses:
    """One policy of a large game, scored without tables of rewards (`views/streamed.py`).

    `scored` is Q of the policy, and the values [own, 1] of the policy and of the best response.
    """

    view: PartView
    scored: tuple[Tensor, Tensor, Tensor]

    @classmethod
    def of(cls, view: PartView, probs: Float[Tensor, "stages actions own 1"]) -> "PartPasses":
        """Forward once, and back with both values at once."""
        laws = view.pushed(probs)
        tables, q = view.tables, torch.empty_like(probs)
        tail = view.tail(laws, probs)
        own = best = laws.new_zeros(tables.own, 1) if tail is None else tail
        kernels = StageKernels(tables, laws, probs)
        block = max(1, CHUNK_ENTRIES // probs[0].numel())
        for first in reversed(range(0, view.stages, block)):
            part = slice(first, min(first + block, view.stages))
            legal = tables.legal
            if legal is not None and len(legal) > 1:
                legal = legal[part]
            rewards = tables.rewards(laws[:-1][part], probs[part], first)
            met = kernels if tables.moves is not None else kernels[part]
            problem = Problem(rewards, met, legal, None)
            own = view.back(problem, probs[part], own, q[part])
            best = view.back(problem, None, best, None)
        return cls(view, (q, own, best))

    def at_start(self, which: int) -> Float[Tensor, "1 populations"]:
        """Mean return of `scored[which]` over the initial law."""
        return self.view.at_start(self.scored[which].t())
