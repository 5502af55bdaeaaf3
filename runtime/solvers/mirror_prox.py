"""Mirror-prox in trajectory entropy: the averaged flow of a monotone game has a proved rate."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.evaluate import Evaluation, View
from mfdsl.runtime.flow import Flow
from mfdsl.runtime.layout import inner, outer
from mfdsl.runtime.solvers.base import State
from mfdsl.runtime.solvers.needs import need_flows_that_average
from mfdsl.runtime.solvers.options import MirrorProxConfig
from mfdsl.runtime.solvers.soft import probs_of, scaled, soft_response
from mfdsl.runtime.views.finite import FiniteView

FIRST_RATE = 1.0
SHRINKAGE = 0.5
MOST_RATE = 1e6
MOST_TRIALS = 60
ROUNDING = 32


@dataclass(frozen=True, eq=False)
class Averaged(State):
    """`probs` makes the average flow `mass`; `log_probs` is the policy that the steps move.

    `total` is the sum of the steps of each game, `rate` the next one to try.
    """

    log_probs: Float[Tensor, "batch stages states actions"]
    mass: Float[Tensor, "batch stages states actions"]
    total: Float[Tensor, " batch"]
    rate: Float[Tensor, " batch"]


@dataclass(frozen=True)
class MirrorProx:
    """Half steps look ahead, whole steps use what they saw, the flows of half steps are averaged.

    prox(pi, L, rate) maximises rate * <R(L), L'> - KL of the laws of trajectories, by soft dynamic
    programming with prior pi. half = prox(pi, Lambda(pi)), pi <- prox(pi, Lambda(half)); the policy
    is the average of the flows Lambda(half), weighted by the rates, conditioned on the state.

    Needs moves that do not read the law (else refused) and, for the rate, a monotone reward. After
    T steps of at least 1 / M, M the sum over the stages of the l1 moduli of the discounted rewards,
    G = M H log|A| / T bounds <R(L'), L' - average> over all flows L'. The exploitability is at most
    G when the reward is skew-affine, and 4 sqrt(G M) (G + 4 M while G > 4 M) when it is monotone.
    `rates.mirror_prox_bound` is this function of T. Monotone between flows is enough, since only
    flows are compared. Several populations share the steps, and M, H log|A| and the exploitability
    are sums over them (`rates` says why).

    A step is taken when rate * <R(Lambda(half)) - R(Lambda(pi)), next - half> is at most
    KL(half, pi) + KL(next, half), which holds for every rate up to 1 / M and which is all that the
    proof uses; the rate grows after each step, halves until the test holds, and never falls below
    `learning_rate`.

    Nemirovski 2004, doi 10.1137/S1052623403425629; Korpelevich 1976. The Bregman divergence is the
    relative entropy of trajectories, strongly convex in the l1 norm of each stage (Pinsker).
    """

    config: MirrorProxConfig

    def init(self, view: View) -> Averaged:
        """Start from the uniform policy.

        Raises:
            SolverError: the moves read the law, or the horizon is stationary.
        """
        need_flows_that_average(view, "mirror_prox")
        probs = view.uniform().probs
        total = probs.new_zeros(len(probs))
        rate = torch.full_like(total, self.config.learning_rate or FIRST_RATE)
        return Averaged(0, probs, probs.log(), torch.zeros_like(probs), total, rate)

    def step(self, evaluation: Evaluation, state: Averaged) -> Averaged:
        """One step of every game, each at its own rate."""
        view = need_flows_that_average(evaluation.view, "mirror_prox")
        here = view.flow(view.policy(state.log_probs.exp()))
        prior = inner(state.log_probs)
        rate = state.rate
        for _ in range(MOST_TRIALS):
            ahead, next_log_probs, fits = self._trial(view, here, prior, rate)
            if self.config.learning_rate > 0:
                fits |= rate <= self.config.learning_rate
            if fits.all():
                break
            rate = torch.where(fits, rate, rate * SHRINKAGE).clamp(min=self.config.learning_rate)
        total = state.total + rate
        share = (rate / total)[:, None, None, None]
        mass = torch.lerp(state.mass, ahead.joint, share.expand_as(state.mass))
        sums = mass.sum(-1, keepdim=True)
        probs = (mass / sums).where(sums > 0, view.uniform().probs)
        next_rate = (rate * self.config.growth).clamp(max=MOST_RATE).maximum(rate)
        return Averaged(state.iteration + 1, probs, outer(next_log_probs), mass, total, next_rate)

    def _trial(
        self, view: FiniteView, here: Flow, prior: Tensor, rate: Tensor
    ) -> tuple[Flow, Tensor, Tensor]:
        """The flow of the half step, the policy of the whole step, and where the rate fits."""
        half = _prox(view, here, prior, rate)
        ahead = view.flow(view.policy(probs_of(half)))
        after = _prox(view, ahead, prior, rate)
        if self.config.growth == 1 and self.config.learning_rate > 0:
            return ahead, after, torch.ones_like(rate, dtype=torch.bool)
        landed = view.flow(view.policy(probs_of(after)))
        gain = rate * _pairing(view, here, ahead, landed)
        room = _divergence(ahead, half, prior) + _divergence(landed, after, half)
        return ahead, after, gain <= room + _rounding(here, rate)


def _rounding(flow: Flow, rate: Tensor) -> Tensor:
    """What rounding may add to either side of the test: it moves the bound by as little."""
    assert flow.problem is not None
    rewards = flow.problem.rewards
    largest = rewards.abs().amax((0, 1, 2))
    return ROUNDING * torch.finfo(rate.dtype).eps * len(rewards) * (1 + rate * largest)


def stage_weights(view: FiniteView, like: Tensor) -> Tensor:
    """discount^t for t = 0..T."""
    stages = torch.arange(view.stages + 1, dtype=like.dtype, device=like.device)
    return torch.pow(torch.as_tensor(view.discount, dtype=like.dtype, device=like.device), stages)


def _prox(view: FiniteView, flow: Flow, prior: Tensor, rate: Tensor) -> Tensor:
    """Logarithm of the policy of the prox step against the rewards along the flow."""
    assert flow.problem is not None
    weights = stage_weights(view, rate)[:, None] * rate
    return soft_response(scaled(flow.problem, weights[:-1], weights[-1]), 1.0, prior)


def _pairing(view: FiniteView, here: Flow, ahead: Flow, landed: Flow) -> Tensor:
    """<R(ahead) - R(here), landed - ahead> [B], discounted, final rewards included."""
    assert here.problem is not None and ahead.problem is not None
    weights = stage_weights(view, landed.laws)
    change = outer(ahead.problem.rewards - here.problem.rewards)
    moved = landed.joint - ahead.joint
    found = torch.einsum("t,btsa,btsa->b", weights[:-1], change, moved)
    if ahead.problem.final is not None and here.problem.final is not None:
        final = (ahead.problem.final - here.problem.final).t()
        found = found + weights[-1] * (final * (landed.laws[:, -1] - ahead.laws[:, -1])).sum(-1)
    return found


def _divergence(flow: Flow, log_probs: Tensor, prior: Tensor) -> Tensor:
    """Relative entropy [B] of the trajectories of the flow's policy from those of the prior."""
    joint = flow.joint
    each = (joint * outer(log_probs - prior)).where(joint > 0, 0)
    return each.sum((1, 2, 3))
