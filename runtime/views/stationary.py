"""Exact stationary games: the law that a policy keeps, and discounted values at that law."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.flow import Flow
from mfdsl.runtime.layout import inner, outer, outer_laws
from mfdsl.runtime.policy import Axis, TabularPolicy
from mfdsl.runtime.program import Params, Program
from mfdsl.runtime.views.discounted import best_values, policy_values
from mfdsl.runtime.views.endless import Endless, endless
from mfdsl.runtime.views.finite import by_population, expanded, state_values, uniform_policy
from mfdsl.runtime.views.reading import Reading, reading
from mfdsl.runtime.views.settling import law_kernel, stationary_law
from mfdsl.runtime.views.slopes import Reader, reader_of
from mfdsl.runtime.views.tables import Problem, Tables, build_tables, flow_rewards


@dataclass(frozen=True, eq=False)
class StationaryView:
    """A game on a stationary horizon; policies have one stage, flows one law."""

    tables: Tables
    discount: float

    @classmethod
    def build(cls, program: Program, params: Params | None = None) -> "StationaryView":
        """Tables for a stationary horizon.

        Raises:
            ValueError: the horizon is not stationary.
        """
        if program.kind != "stationary":
            raise ValueError(f"{program.name} has a {program.kind} horizon: use FiniteView")
        params = program.params() if params is None else params
        return cls(build_tables(program, params, 1), program.discount)

    @property
    def program(self) -> Program:
        """The program of the view."""
        return self.tables.program

    @cached_property
    def _reader(self) -> Reader | None:
        return reader_of(self.tables)

    def uniform(self) -> TabularPolicy:
        """Equal probability on the legal actions."""
        return uniform_policy(self.tables, 1)

    def policy(self, probs: Float[Tensor, "batch 1 states actions"]) -> TabularPolicy:
        """The policy with these probabilities and the names of the program."""
        return TabularPolicy(probs, *self._axes)

    @cached_property
    def _axes(self) -> tuple[tuple[Axis, ...], tuple[Axis, ...]]:
        return self.program.state_axes(), self.program.action_axes()

    def laws(self, policy: TabularPolicy) -> Float[Tensor, "batch 1 states"]:
        """The law that the policy keeps, reached from the initial law."""
        probs = expanded(inner(policy.probs), self.tables.games)[0]
        law, _ = stationary_law(self.tables, probs, self._reader)
        return outer_laws(law[None])

    def flow(self, policy: TabularPolicy) -> Flow:
        """The law together with what one agent meets there."""
        if not torch.is_grad_enabled():
            one = self._small if len(policy.probs) == 1 else None
            compiled = one or self._reading
            if compiled is not None and (found := compiled.flow(policy)) is not None:
                return found
        tables = self.tables
        probs = expanded(inner(policy.probs), tables.games)
        law, residual = stationary_law(tables, probs[0], self._reader)
        joint = law * probs
        if tables.rewards is None:
            rewards = flow_rewards(tables, joint)
        else:
            rewards = tables.rewards.expand_as(joint).contiguous()
        kernel = tables.kernel or law_kernel(tables, joint[0])
        problem = Problem(rewards, (kernel,), tables.legal, None)
        return Flow(outer_laws(law[None]), policy, problem, residual)

    @cached_property
    def _small(self) -> Endless | None:
        return endless(self.tables, self.discount)

    @cached_property
    def _reading(self) -> Reading | None:
        return reading(self.tables, self.discount, self._reader)

    def q_values(
        self, flow: Flow, policy: TabularPolicy | None = None
    ) -> Float[Tensor, "batch 1 states actions"]:
        """Discounted Q of the policy at the law, or of the best response; -inf where illegal."""
        problem = flow.problem or self.flow(flow.policy).problem
        assert problem is not None
        if (known := flow.known) is not None and (policy is None or policy is flow.policy):
            return known.best_q if policy is None else known.q
        if policy is None:
            return outer(best_values(problem, self.discount)[None])
        probs = expanded(inner(policy.probs), problem.rewards.shape[-1])[0]
        return outer(policy_values(problem, probs, self.discount)[None])

    def value(
        self,
        flow: Flow,
        q: Float[Tensor, "batch 1 states actions"],
        policy: TabularPolicy | None = None,
    ) -> Float[Tensor, " batch"]:
        """Discounted return from the law of the flow; several populations are summed."""
        return self.values(flow, q, policy).sum(-1)

    def values(
        self,
        flow: Flow,
        q: Float[Tensor, "batch 1 states actions"],
        policy: TabularPolicy | None = None,
    ) -> Float[Tensor, "batch populations"]:
        """The same for one agent of each population, which lie along the first axis of states."""
        if (known := flow.known) is not None:
            if policy is None and q is known.best_q:
                return known.most
            if policy is flow.policy and q is known.q:
                return known.own
        values = state_values(q, None if policy is None else policy.probs)
        return by_population(flow.laws[:, 0] * values[:, 0], self.program)

    def exploitability(self, policy: TabularPolicy) -> Float[Tensor, " batch"]:
        """Gain of a best response over the policy at the law that the policy keeps."""
        flow = self.flow(policy)
        return self.value(flow, self.q_values(flow)) - self._kept(flow, policy)

    def _kept(self, flow: Flow, policy: TabularPolicy) -> Float[Tensor, " batch"]:
        """What the policy is worth at a law that it keeps: the same mean reward at every step."""
        problem = flow.problem
        moving = flow.residual > 64 * torch.finfo(policy.probs.dtype).eps
        if problem is None or moving or flow.known is not None:
            return self.value(flow, self.q_values(flow, policy), policy)
        joint = flow.laws[:, 0, :, None] * policy.probs[:, 0]
        rewards = problem.rewards[0].permute(2, 1, 0)
        # Populations have equal parts of the law; the mean of an agent of each is asked for.
        return (joint * rewards).sum((1, 2)) * len(self.program.populations) / (1 - self.discount)
