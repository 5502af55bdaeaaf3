"""A game as its planner sees it: values of everybody together, and what one move adds to them.

The social value of a policy is J = sum over t of discount^t <m_t, r(m_t)> plus final rewards, with
m_t the joint law of states and actions; of several populations the sum of their means. One more
agent at (s, a) adds the marginal reward d<m, r(m)>/dm (s, a), its own reward and the change of
everybody's, and shifts the moves of the others where these read the law. With both in the place of
the rewards, the values of a policy are the adjoint of its flow, so that

    dJ/dpi_t(a | s) = discount^t mu_t(s) Q_t(s, a),

and the exploitability of that game with marginal rewards is what the best change of the policy
gains to first order. Where moves do not read the law it is the duality gap of Frank-Wolfe on flows:
for a concave J nothing is better by more (Jaggi 2013, Proceedings of ICML; marginal pricing: Pigou
1920).
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.flow import Flow
from mfdsl.runtime.layout import inner
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.program import Params, Program
from mfdsl.runtime.solvers.base import SolverError
from mfdsl.runtime.views.finite import FiniteView, by_population, reads_law, state_values
from mfdsl.runtime.views.tables import Problem, Tables, final_rewards, flow_rewards
from mfdsl.runtime.views.truncation import Truncation


@dataclass(frozen=True, eq=False)
class SocialFlow(Flow):
    """A flow whose `problem` has marginal rewards; `earned` is what each population earns there.

    `marginal` is the value of the own policy in that problem, for one agent of each population.
    """

    earned: Float[Tensor, "batch populations"] | None = None
    marginal: Float[Tensor, "batch populations"] | None = None


@dataclass(frozen=True, eq=False)
class SocialView:
    """A `View` whose values are those of everybody; `best_value` bounds them to first order."""

    game: FiniteView

    @classmethod
    def build(cls, program: Program, params: Params | None = None) -> "SocialView":
        """Tables as the planner sees them.

        Raises:
            SolverError: the horizon is stationary.
        """
        if program.kind == "stationary":
            raise SolverError(
                f"the social value is a sum over stages, and {program.name} has a stationary "
                "horizon: give the spec `horizon infinite` and a discount, or a number of steps"
            )
        return cls(FiniteView.build(program, params))

    @property
    def program(self) -> Program:
        """The program of the view."""
        return self.game.program

    @property
    def truncation(self) -> Truncation | None:
        """Where an infinite horizon is cut."""
        return self.game.truncation

    def uniform(self) -> TabularPolicy:
        """Equal probability on the legal actions."""
        return self.game.uniform()

    def policy(self, probs: Float[Tensor, "batch stages states actions"]) -> TabularPolicy:
        """The policy with these probabilities."""
        return self.game.policy(probs)

    def laws(self, policy: TabularPolicy) -> Float[Tensor, "batch laws states"]:
        """The laws of the population when all follow the policy."""
        return self.game.laws(policy)

    def flow(self, policy: TabularPolicy) -> SocialFlow:
        """The laws with the marginal rewards along them."""
        plain = self.game.flow(policy)
        earned = earnings(self.game, plain)
        joint = inner(plain.joint)
        problem, values = _marginal(self.game, plain, joint)
        marginal = by_population(plain.laws[:, 0] * values.t(), self.program)
        return SocialFlow(plain.laws, policy, problem, earned=earned, marginal=marginal)

    def q_values(
        self, flow: Flow, policy: TabularPolicy | None = None
    ) -> Float[Tensor, "batch stages states actions"]:
        """What a move adds to the social value when one goes on with the policy, or with the best
        there is against marginal rewards; minus infinity at illegal actions.
        """
        return self.game.q_values(self._whole(flow), policy)

    def value(
        self,
        flow: Flow,
        q: Float[Tensor, "batch stages states actions"],
        policy: TabularPolicy | None = None,
    ) -> Float[Tensor, " batch"]:
        """The social value, or without a policy its bound to first order."""
        return self.values(flow, q, policy).sum(-1)

    def values(
        self,
        flow: Flow,
        q: Float[Tensor, "batch stages states actions"],
        policy: TabularPolicy | None = None,
    ) -> Float[Tensor, "batch populations"]:
        """The same, what each population earns of it."""
        whole = self._whole(flow)
        assert whole.earned is not None and whole.marginal is not None
        first = state_values(q[:, :1], None if policy is None else policy.probs[:, :1])
        found = by_population(flow.laws[:, 0] * first[:, 0], self.program)
        return whole.earned + (found - whole.marginal)

    def _whole(self, flow: Flow) -> SocialFlow:
        """The flow with its problem, made again where only laws were kept."""
        if isinstance(flow, SocialFlow) and flow.problem is not None:
            return flow
        return self.flow(flow.policy)


def earnings(view: FiniteView, flow: Flow) -> Float[Tensor, "batch populations"]:
    """What an agent of each population earns along a flow; a team earns the sum."""
    assert flow.problem is not None
    weights = _weights(view, flow.laws)
    paid = torch.einsum("t,tasb,tasb->sb", weights, flow.problem.rewards, inner(flow.joint))
    if view.truncation is None and flow.problem.final is not None:
        last = flow.laws[:, -1].t() * flow.problem.final
        paid = paid + view.discount**view.stages * last
    return by_population(paid.t(), view.program)


def _weights(view: FiniteView, like: Tensor) -> Float[Tensor, " stages"]:
    """discount^t; the last of a cut horizon stands for all that follows."""
    base = torch.as_tensor(view.discount, dtype=like.dtype, device=like.device)
    weights = torch.pow(base, torch.arange(view.stages, dtype=like.dtype, device=like.device))
    if view.truncation is not None:
        weights[-1] /= 1 - view.discount
    return weights


def _marginal(
    view: FiniteView, flow: Flow, joint: Float[Tensor, "stages actions states batch"]
) -> tuple[Problem, Float[Tensor, "states batch"]]:
    """The problem with marginal rewards, and the values of the own policy at t = 0 in it."""
    tables, problem = view.tables, flow.problem
    assert problem is not None
    rewards = _slope_of_rewards(tables, joint)
    if view.truncation is not None:
        rewards[-1] /= 1 - view.discount
        final = None
    else:
        final = _slope_at_the_end(tables, flow.laws[:, -1].t().contiguous())
    moves = reads_law(tables)
    probs = inner(flow.policy.probs)
    value = final
    for t in reversed(range(len(rewards))):
        if value is not None:
            plain = _expected(problem, t, value)
            if moves:
                slope = _slope_of_moves(tables, t, joint[t], value)
                rewards[t] += view.discount * (slope - plain)
            plain = rewards[t] + view.discount * plain
        else:
            plain = rewards[t]
        value = (probs[t] * plain).where(probs[t] > 0, 0).sum(0)
    assert value is not None
    if problem.legal is not None:
        rewards = rewards.masked_fill(~problem.legal, 0)
    return replace(problem, rewards=rewards, final=final), value


def _expected(problem: Problem, t: int, value: Tensor) -> Float[Tensor, "actions states batch"]:
    shape = problem.rewards[t].shape
    tail = () if shape[-1] == 1 else (shape[-1],)
    flat = value.new_empty(shape[0] * shape[1], *tail)
    problem.kernels[t].expect(value.reshape(-1, *tail), torch.zeros_like(flat), 1.0, flat)
    return flat.view(shape)


def _slope_of_rewards(
    tables: Tables, joint: Float[Tensor, "stages actions states batch"]
) -> Float[Tensor, "stages actions states batch"]:
    """d<m, r(m)>/dm at the joint law of each stage."""
    if tables.rewards is not None:
        return tables.rewards.expand_as(joint).clone()
    with torch.enable_grad():
        law = joint.detach().requires_grad_()
        total = (law * flow_rewards(tables, law)).sum()
        (slope,) = torch.autograd.grad(total, law)
    return slope.contiguous()


def _slope_at_the_end(
    tables: Tables, law: Float[Tensor, "states batch"]
) -> Float[Tensor, "states batch"] | None:
    """d<mu, g(mu)>/dmu of the final rewards g, None without any."""
    if not tables.program.module.HAS_FINAL:
        return None
    with torch.enable_grad():
        last = law.detach().requires_grad_()
        rewards = final_rewards(tables, last)
        assert rewards is not None
        (slope,) = torch.autograd.grad((last * rewards).sum(), last)
    return slope.contiguous()


def _slope_of_moves(
    tables: Tables,
    t: int,
    joint: Float[Tensor, "actions states batch"],
    value: Float[Tensor, "states batch"],
) -> Float[Tensor, "actions states batch"]:
    """d<push(m), value>/dm: what one more agent at (s, a) adds to the value of the next law."""
    with torch.enable_grad():
        law = joint.detach().requires_grad_()
        public = tables.public_joint(law[None])[0]
        ahead = tables.program.module.push(tables.params, tables.times(t + 1)[t], public)
        total = (ahead.reshape(len(public), -1) * value.t()).sum()
        (slope,) = torch.autograd.grad(total, law)
    return slope
