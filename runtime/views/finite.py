"""Exact flows, values and exploitability of finite games with stages in time.

A finite horizon has T stages and undiscounted (or discounted) rewards. An infinite horizon is
cut after H stages, where all that follows is worth at most `Truncation.bound`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.flow import Flow
from mfdsl.runtime.layout import inner, outer, outer_laws
from mfdsl.runtime.policy import Axis, TabularPolicy, uniform_probs
from mfdsl.runtime.program import Params, Program
from mfdsl.runtime.views import native
from mfdsl.runtime.views.alike import alike
from mfdsl.runtime.views.kernels import Kernel
from mfdsl.runtime.views.small import Small, small
from mfdsl.runtime.views.stage_kernels import KeptKernels, StageKernels, stretches
from mfdsl.runtime.views.tables import (
    Problem,
    Tables,
    build_tables,
    final_rewards,
    flow_rewards,
)
from mfdsl.runtime.views.truncation import Truncation, truncate


@dataclass(frozen=True, eq=False)
class FiniteView:
    """A game with `stages` decision stages; batch B over parameters, policies or both.

    `kept` has the transitions by stage of a game where they read time but not the law.
    """

    tables: Tables
    stages: int
    discount: float
    truncation: Truncation | None = None
    kept: KeptKernels = field(default_factory=KeptKernels, repr=False)

    @classmethod
    def build(cls, program: Program, params: Params | None = None) -> "FiniteView":
        """Tables for a finite horizon, or for an infinite one cut where the rest is negligible.

        Raises:
            ValueError: the horizon is stationary.
        """
        params = program.params() if params is None else params
        if program.kind == "stationary":
            raise ValueError(f"{program.name} has a stationary horizon: use StationaryView")
        if program.kind == "finite":
            stages = program.horizon or 0
            return cls(build_tables(program, params, stages), stages, program.discount)
        cut = truncate(program, params)
        return cls(build_tables(program, params, cut.stages), cut.stages, program.discount, cut)

    @property
    def program(self) -> Program:
        """The program of the view."""
        return self.tables.program

    def uniform(self) -> TabularPolicy:
        """Equal probability on the legal actions, one game of the batch each."""
        return uniform_policy(self.tables, self.stages)

    def policy(self, probs: Float[Tensor, "batch stages states actions"]) -> TabularPolicy:
        """The policy with these probabilities and the names of the program."""
        return TabularPolicy(probs, *self._axes)

    @cached_property
    def _axes(self) -> tuple[tuple[Axis, ...], tuple[Axis, ...]]:
        return self.program.state_axes(), self.program.action_axes()

    def laws(self, policy: TabularPolicy) -> Float[Tensor, "batch laws states"]:
        """The laws of the population at t = 0..T when all follow the policy."""
        if (found := self._found(policy)) is not None:
            return found.laws
        return outer_laws(self._push_forward(policy)[0])

    def flow(self, policy: TabularPolicy) -> Flow:
        """The laws together with what one agent meets there."""
        if (found := self._found(policy)) is not None:
            return found
        laws, joint, kernels = self._push_forward(policy)
        problem = Problem(
            rewards=_rewards(self.tables, joint),
            kernels=kernels.folded(),
            legal=self.tables.legal,
            final=tail_value(self, laws[-1], joint[-1:]),
        )
        return Flow(outer_laws(laws), policy, problem)

    def q_values(
        self, flow: Flow, policy: TabularPolicy | None = None
    ) -> Float[Tensor, "batch stages states actions"]:
        """Q of the policy against the flow, or of the best response; -inf at illegal actions.

        Q_t = r_t + discount * P_t V_{t+1}, with V the policy's mean or the maximum of Q.
        """
        problem = flow.problem or self.flow(flow.policy).problem
        assert problem is not None
        if (known := flow.known) is not None and (policy is None or policy is flow.policy):
            return known.best_q if policy is None else known.q
        probs = None if policy is None else inner(policy.probs)
        return outer(sweep(problem, probs, self.discount))

    def value(
        self,
        flow: Flow,
        q: Float[Tensor, "batch stages states actions"],
        policy: TabularPolicy | None = None,
    ) -> Float[Tensor, " batch"]:
        """Expected return from the initial law, given the Q values of the policy (or the best).

        Several populations are summed.
        """
        return self.values(flow, q, policy).sum(-1)

    def values(
        self,
        flow: Flow,
        q: Float[Tensor, "batch stages states actions"],
        policy: TabularPolicy | None = None,
    ) -> Float[Tensor, "batch populations"]:
        """The same for one agent of each population, which lie along the first axis of states."""
        if (known := flow.known) is not None:
            if policy is None and q is known.best_q:
                return known.most
            if policy is flow.policy and q is known.q:
                return known.own
        first = state_values(q[:, :1], None if policy is None else policy.probs[:, :1])
        return by_population(flow.laws[:, 0] * first[:, 0], self.program)

    def exploitability(self, policy: TabularPolicy) -> Float[Tensor, " batch"]:
        """Gain of a best response over the policy against the policy's own flow."""
        flow = self.flow(policy)
        own = self.value(flow, self.q_values(flow, policy), policy)
        return self.value(flow, self.q_values(flow)) - own

    @cached_property
    def compiled(self) -> Small | None:
        """The game for compiled loops where it is small."""
        return small(self.tables, self.discount, endless=self.truncation is not None)

    @cached_property
    def compiled_games(self) -> tuple[Small, ...] | None:
        """The games of a batch for compiled loops where they are small; one if all are the same."""
        if self.tables.games == 1:
            return None if self.compiled is None else (self.compiled,)
        return alike(self.tables, self.discount, endless=self.truncation is not None)

    def _found(self, policy: TabularPolicy) -> Flow | None:
        """The flow of one policy of a small game with all values, by a compiled call."""
        probs = policy.probs
        if len(probs) > 1 or probs.shape[1] != self.stages or torch.is_grad_enabled():
            return None
        return None if self.compiled is None else self.compiled.flow(policy, self.kernels)

    def kernels(self, joint: Float[Tensor, "stages actions states batch"]) -> Sequence[Kernel]:
        """The transitions along joint laws."""
        return StageKernels(self.tables, joint, self._kept).folded()

    @property
    def _kept(self) -> KeptKernels:
        """Where the transitions along one flow are kept: for good where they read no law."""
        return KeptKernels() if reads_law(self.tables) else self.kept

    def _push_forward(self, policy: TabularPolicy) -> tuple[Tensor, Tensor, StageKernels]:
        """Laws [T + 1, S, B], joint laws [T, A, S, B] and the transitions along them."""
        tables = self.tables
        probs = expanded(inner(policy.probs), tables.games)
        stages, actions, states, games = probs.shape
        tail = () if games == 1 else (games,)
        laws = probs.new_empty(stages + 1, states, games)
        laws[0] = tables.initial
        joint = torch.empty_like(probs)
        kernels = StageKernels(tables, joint, self._kept)
        if not reads_law(tables) and (runs := stretches(kernels, games)) is not None:
            for first, end, loops in runs:
                native.push_forward(loops, probs[first:end], laws[first : end + 1])
            torch.mul(laws[:-1, None], probs, out=joint)
            return laws, joint, kernels
        law = laws.view(stages + 1, states, *tail).unbind()
        share = probs.view(stages, actions, states, *tail).unbind()
        mass = joint.view(stages, actions, states, *tail).unbind()
        flat = joint.view(stages, actions * states, *tail).unbind()
        for t in range(stages):
            torch.mul(law[t], share[t], out=mass[t])
            kernels[t].push(flat[t], law[t + 1])
        return laws, joint, kernels


def tail_value(
    view: FiniteView,
    last: Float[Tensor, "states batch"],
    joint: Float[Tensor, "1 actions states batch"],
) -> Float[Tensor, "states batch"] | None:
    """Value after the last stage: the final reward, or the last mean reward kept for ever.

    `last` is the law after the last stage, `joint` that of states and actions at it.
    """
    if view.truncation is None:
        return final_rewards(view.tables, last)
    rewards = flow_rewards(view.tables, joint, view.stages - 1)[0]
    mean = (joint[-1] * rewards).sum((0, 1)) / (1 - view.discount)
    return mean.expand_as(last).contiguous()


def by_population(
    parts: Float[Tensor, "batch states"], program: Program
) -> Float[Tensor, "batch populations"]:
    """Sums over the states of each population, as means of one of its agents."""
    count = len(program.populations)
    return parts.reshape(len(parts), count, -1).sum(-1) * count


def reads_law(tables: Tables) -> bool:
    """Whether transitions depend on the law."""
    module = tables.program.module
    return "law" in module.SUCCESSORS_READ | module.WEIGHTS_READ


def uniform_policy(tables: Tables, stages: int) -> TabularPolicy:
    """Equal probability on the legal actions."""
    program = tables.program
    shape = (stages, program.action_count, program.state_count, tables.games)
    if tables.legal is None:
        probs = (tables.unit / program.action_count).expand(shape).contiguous()
    else:
        legal = tables.legal.expand(shape).contiguous()
        probs = inner(uniform_probs(outer(legal), tables.unit.dtype))
    return TabularPolicy(outer(probs), program.state_axes(), program.action_axes())


def expanded(probs: Tensor, games: int) -> Tensor:
    """The table with a batch of one repeated for each game."""
    if games > 1 and probs.shape[-1] == 1:
        return probs.expand(*probs.shape[:-1], games).contiguous()
    return probs


def sweep(
    problem: Problem, probs: Float[Tensor, "stages actions states batch"] | None, discount: float
) -> Float[Tensor, "stages actions states batch"]:
    """Backward pass over the stages: Q of the policy, or of the best response without one."""
    rewards = problem.rewards
    if probs is None and problem.legal is not None:
        rewards = rewards.masked_fill(~problem.legal, -torch.inf)
    stages, actions, states, games = rewards.shape
    q = torch.empty_like(rewards)
    if (runs := stretches(problem.kernels, games)) is not None:
        value = rewards.new_zeros(states, games)
        if problem.final is not None:
            value.copy_(problem.final)
        played = None if probs is None else expanded(probs, games)
        for first, end, loops in reversed(runs):
            here = None if played is None else played[first:end]
            native.sweep(loops, rewards[first:end], here, value, discount, q[first:end])
        return _without_illegal(q, problem) if probs is not None else q
    tail = () if games == 1 else (games,)
    value = rewards.new_empty(states, *tail)
    weighted = rewards.new_empty(actions, states, *tail)
    base = rewards.view(stages, actions * states, *tail).unbind()
    flat = q.view(stages, actions * states, *tail).unbind()
    cube = q.view(stages, actions, states, *tail).unbind()
    share = None
    if probs is not None:
        share = expanded(probs, games).view(stages, actions, states, *tail).unbind()
    for t in reversed(range(stages)):
        if t < stages - 1:
            problem.kernels[t].expect(value, base[t], discount, flat[t])
        elif problem.final is not None:
            problem.kernels[t].expect(problem.final.view_as(value), base[t], discount, flat[t])
        else:
            flat[t].copy_(base[t])
        if share is None:
            torch.amax(cube[t], 0, out=value)
        else:
            torch.mul(share[t], cube[t], out=weighted)
            torch.sum(weighted, 0, out=value)
    return _without_illegal(q, problem) if probs is not None else q


def _without_illegal(q: Tensor, problem: Problem) -> Tensor:
    return q if problem.legal is None else q.masked_fill_(~problem.legal, -torch.inf)


def state_values(
    q: Float[Tensor, "batch stages states actions"],
    probs: Float[Tensor, "batch stages states actions"] | None = None,
) -> Float[Tensor, "batch stages states"]:
    """V from Q: the mean under the policy, or the maximum without one."""
    if probs is None:
        return q.amax(-1)
    return (probs * q).where(probs > 0, 0).sum(-1)


def state_values_inside(
    q: Float[Tensor, "actions states batch"],
    probs: Float[Tensor, "actions states batch"] | None = None,
) -> Float[Tensor, "states batch"]:
    """The same for one stage in the order of the arithmetic."""
    if probs is None:
        return q.amax(0)
    return (probs * q).where(probs > 0, 0).sum(0)


def _rewards(tables: Tables, joint: Tensor) -> Tensor:
    if tables.rewards is None:
        return flow_rewards(tables, joint)
    return tables.rewards.expand_as(joint).contiguous()
