"""Exact stationary games: the law that a policy keeps, and discounted values at that law."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.flow import Flow
from mfdsl.runtime.layout import inner, outer, outer_laws
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.program import Params, Program
from mfdsl.runtime.views import native
from mfdsl.runtime.views.discounted import best_values, dense_table, policy_values
from mfdsl.runtime.views.finite import by_population, expanded, state_values, uniform_policy
from mfdsl.runtime.views.kernels import Kernel
from mfdsl.runtime.views.tables import Problem, Tables, build_tables, flow_rewards, stage_kernel

SQUARINGS = 32
MOST_PUSHES = 10_000
CHECK_EVERY = 16
COMPILED_PUSHES = 512
FEW_STATES = 16
LEAVING = 1e-5
MOST_TIMES = 24
CHAINS = 1 << 20  # numbers of the chains that are solved at once
LAW_TOLERANCE = 1e-13


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

    def uniform(self) -> TabularPolicy:
        """Equal probability on the legal actions."""
        return uniform_policy(self.tables, 1)

    def policy(self, probs: Float[Tensor, "batch 1 states actions"]) -> TabularPolicy:
        """The policy with these probabilities and the names of the program."""
        return TabularPolicy(probs, self.program.state_axes(), self.program.action_axes())

    def laws(self, policy: TabularPolicy) -> Float[Tensor, "batch 1 states"]:
        """The law that the policy keeps, reached from the initial law."""
        probs = expanded(inner(policy.probs), self.tables.games)[0]
        law, _ = stationary_law(self.tables, probs)
        return outer_laws(law[None])

    def flow(self, policy: TabularPolicy) -> Flow:
        """The law together with what one agent meets there."""
        tables = self.tables
        probs = expanded(inner(policy.probs), tables.games)
        law, residual = stationary_law(tables, probs[0])
        joint = law * probs
        if tables.rewards is None:
            rewards = flow_rewards(tables, joint)
        else:
            rewards = tables.rewards.expand_as(joint).contiguous()
        kernel = tables.kernel or _law_kernel(tables, joint[0])
        problem = Problem(rewards, (kernel,), tables.legal, None)
        return Flow(outer_laws(law[None]), policy, problem, residual)

    def q_values(
        self, flow: Flow, policy: TabularPolicy | None = None
    ) -> Float[Tensor, "batch 1 states actions"]:
        """Discounted Q of the policy at the law, or of the best response; -inf where illegal."""
        problem = flow.problem or self.flow(flow.policy).problem
        assert problem is not None
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
        values = state_values(q, None if policy is None else policy.probs)
        return by_population(flow.laws[:, 0] * values[:, 0], self.program)

    def exploitability(self, policy: TabularPolicy) -> Float[Tensor, " batch"]:
        """Gain of a best response over the policy at the law that the policy keeps."""
        flow = self.flow(policy)
        own = self.value(flow, self.q_values(flow, policy), policy)
        return self.value(flow, self.q_values(flow)) - own


def stationary_law(
    tables: Tables, probs: Float[Tensor, "actions states batch"]
) -> tuple[Float[Tensor, "states batch"], float]:
    """The limit of mu <- (mu + push(mu)) / 2 from the initial law, to 1e-13 in l1.

    Half steps make periodic chains converge without moving their fixed points. When the chain does
    not read the law, the same limit is found by mean laws at random times, or, where the chain is
    very slow, by squaring; of large chains by whole steps where these settle.
    Chains that read the law may keep several laws, so nothing is extrapolated there: after
    10,000 pushes the law is returned as it is. The second value is the l1 change of a last push.
    """
    law = tables.initial.expand(-1, probs.shape[-1]).contiguous()
    tolerance = max(LAW_TOLERANCE, 16 * torch.finfo(law.dtype).eps)
    if tables.kernel is not None:
        start, law = law, _at_random_times(tables.kernel, probs, law)
        if (loops := native.compiled_loops(tables.kernel, law.shape[-1])) is not None:
            settled, residual = native.settle(loops, probs, law, COMPILED_PUSHES, tolerance)
            if residual <= tolerance:
                return settled / settled.sum(0), residual
        law = _leap(tables.kernel, probs, start)
    ahead = torch.empty_like(law)
    tail = () if law.shape[1] == 1 else (law.shape[1],)
    residual = math.inf
    for count in range(MOST_PUSHES):
        joint = law * probs
        kernel = tables.kernel or _law_kernel(tables, joint)
        kernel.push(joint.view(-1, *tail), ahead.view(-1, *tail))
        change = ahead - law
        law = law + change / 2
        if count % CHECK_EVERY == 0 or count == MOST_PUSHES - 1:
            residual = change.abs().sum(0).max().item()
            if not residual > tolerance:
                break
    return law / law.sum(0), residual


def _at_random_times(kernel: Kernel, probs: Tensor, law: Tensor) -> Tensor:
    """The law at the end of geometric times of mean 1e5 after one another, until it stays.

    mu <- rate mu (I - (1 - rate) P)^-1 keeps the part of mu that P keeps, hence its limit, and
    takes from the part that P loses at a rate g all but rate / (rate + g). One factorisation
    serves all times. Large chains are returned as they are, slow ones as far as they came.
    """
    if law.shape[1] == 1 and len(law) <= FEW_STATES:
        return law
    return _in_parts(_solved, kernel, probs, law)


def _solved(chain: Tensor, law: Tensor) -> Tensor:
    factors = torch.linalg.lu_factor(_leaving(chain).mT)
    here = law[..., None]
    for _ in range(MOST_TIMES):
        ahead = torch.linalg.lu_solve(*factors, LEAVING * here).clamp(min=0)
        ahead = ahead / ahead.sum(1, keepdim=True)
        change = (ahead - here).abs().sum(1).max()
        here = ahead
        if change <= LAW_TOLERANCE / 10:
            break
    return here[..., 0]


def _leap(kernel: Kernel, probs: Tensor, law: Tensor) -> Tensor:
    """The law after up to 2^SQUARINGS such times, by squaring; of large chains as it is."""
    return _in_parts(_squared, kernel, probs, law)


def _squared(chain: Tensor, law: Tensor) -> Tensor:
    chain = (LEAVING * torch.linalg.inv(_leaving(chain))).clamp(min=0)
    here = law
    for _ in range(SQUARINGS):
        chain = chain / chain.sum(-1, keepdim=True)
        ahead = (law[:, None] @ chain)[:, 0]
        if (ahead - here).abs().sum(-1).max() <= LAW_TOLERANCE / 10:
            return ahead
        here, chain = ahead, chain @ chain
    return here


def _leaving(chain: Tensor) -> Tensor:
    """I - (1 - rate) P for chains [B, S, S]."""
    identity = torch.eye(chain.shape[-1], dtype=chain.dtype, device=chain.device)
    return identity - (1 - LEAVING) * chain


def _in_parts(
    work: Callable[[Tensor, Tensor], Tensor], kernel: Kernel, probs: Tensor, law: Tensor
) -> Tensor:
    """New laws [S, B] from chains [B, S, S] in double precision, some games at a time.

    Of large chains, and of those that differ over the games, the laws as they are.
    """
    states, games = law.shape
    table = dense_table(kernel, probs[..., :1])
    if table is None:
        return law
    found = torch.empty_like(law)
    together = max(1, CHAINS // states**2)
    for first in range(0, games, together):
        part = slice(first, first + together)
        chain = torch.einsum("asb,ast->bst", probs[..., part], table).double()
        found[:, part] = work(chain, law[:, part].t().double()).t().to(law.dtype)
    return found / found.sum(0)


def _law_kernel(tables: Tables, joint: Float[Tensor, "actions states batch"]) -> Kernel:
    return stage_kernel(tables, tables.times(1)[0], tables.public_joint(joint[None])[0])
