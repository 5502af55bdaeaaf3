"""Prior descent: regularised responses to a prior policy, which moves on every few iterations."""

from dataclasses import dataclass, replace
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.evaluate import Evaluation, View
from mfdsl.runtime.layout import inner, outer
from mfdsl.runtime.solvers.base import State
from mfdsl.runtime.solvers.options import PriorDescentConfig
from mfdsl.runtime.solvers.soft import scaled, soft_response
from mfdsl.runtime.views.stationary import StationaryView

MOST_IMPROVEMENTS = 1000
SETTLED = 1e-12
FIRST_TEMPERATURE = 1.0
WARMING, COOLING = 2.0, 0.9
SLOW, FAST = 0.3, 0.1


@dataclass(frozen=True, eq=False)
class Prior(State):
    """Logarithms of the policy and of its prior, minus infinity at illegal actions.

    `temperature` is that of each game; `first` and `last` are the changes of its policy by the
    first and by the last response to the present prior.
    """

    log_probs: Float[Tensor, "batch stages states actions"]
    log_prior: Float[Tensor, "batch stages states actions"]
    temperature: Float[Tensor, " batch"]
    first: Float[Tensor, " batch"]
    last: Float[Tensor, " batch"]


@dataclass(frozen=True)
class PriorDescent:
    """pi_{k+1} = the response to Lambda(pi_k) with prior q; every `inner` iterations q <- pi_k.

    `response = best` is the Boltzmann policy q exp(Q / temperature), normalised, Q the values of
    the best response; with `inner = 0`, q uniform for ever, it is GMF-V, whose fixed point is off
    by the temperature. `response = soft` maximises the return less temperature times the relative
    entropy to the prior, by soft dynamic programming. Both maps contract at high temperatures,
    and a prior that moves removes the bias: Cui and Koeppl 2021, arXiv 2102.01585.

    With `response = soft` and an inner iteration that settles, the outer one is the proximal point
    method in trajectory entropy, which converges for every temperature where the game is monotone
    and moves do not read the law; `inner = 1` is mirror descent in that geometry. Elsewhere
    nothing is promised.

    `temperature = 0` is adaptive, a heuristic: it starts at 1, and when the prior moves it doubles
    where the last response changed the policy by more than 0.3 of what the first one did, and falls
    by a tenth where by less than 0.1 of it.
    """

    config: PriorDescentConfig

    def init(self, view: View) -> Prior:
        """Start from the uniform policy as its own prior."""
        probs = view.uniform().probs
        temperature = probs.new_full((len(probs),), self.config.temperature or FIRST_TEMPERATURE)
        still = torch.zeros_like(temperature)
        return Prior(0, probs, probs.log(), probs.log(), temperature, still, still)

    def step(self, evaluation: Evaluation, state: Prior) -> Prior:
        """Move the prior when it is time, and respond."""
        every, temperature = self.config.inner, state.temperature
        moves = every > 0 and state.iteration % every == 0
        log_prior = state.log_probs if moves else state.log_prior
        if moves and self.config.temperature == 0:
            temperature = _adapted(state)
        price = temperature[:, None, None, None]
        if self.config.response == "best":
            log_probs = torch.log_softmax(log_prior + evaluation.best_q / price, -1)
        elif isinstance(evaluation.view, StationaryView):
            log_probs = _without_end(evaluation, log_prior, price)
        else:
            log_probs = _over_stages(evaluation.view, evaluation, log_prior, temperature)
        probs = log_probs.exp()
        last = _largest(evaluation.view, (probs - state.probs).abs().amax((1, 2, 3)))
        first = last if moves else state.first
        return Prior(state.iteration + 1, probs, log_probs, log_prior, temperature, first, last)


def _adapted(state: Prior) -> Float[Tensor, " batch"]:
    """Warmer where responses to the last prior did not settle, colder where they did."""
    slow, fast = state.last > SLOW * state.first, state.last < FAST * state.first
    factor = torch.ones_like(state.temperature)
    return state.temperature * factor.masked_fill(slow, WARMING).masked_fill(fast, COOLING)


def _largest(view: View, own: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
    """The largest change at any state, those of other processes among them."""
    of_all = getattr(view, "largest", None)
    return own if of_all is None else cast(Tensor, of_all(own))


def _over_stages(
    view: View, evaluation: Evaluation, log_prior: Tensor, temperature: Tensor
) -> Float[Tensor, "batch stages states actions"]:
    problem = evaluation.flow.problem
    assert problem is not None
    inverse = (1 / temperature).expand_as(problem.rewards[:, 0, 0])
    warm = scaled(problem, inverse, inverse[-1])
    return outer(soft_response(warm, view.program.discount, inner(log_prior)))


def _without_end(
    evaluation: Evaluation, log_prior: Tensor, temperature: Tensor
) -> Float[Tensor, "batch 1 states actions"]:
    """Policy iteration with the relative entropy paid, until the policy settles."""
    view, flow, policy = evaluation.view, evaluation.flow, evaluation.policy
    problem = flow.problem
    assert problem is not None
    for _ in range(MOST_IMPROVEMENTS):
        probs = policy.probs
        surprise = (probs.log() - log_prior).where(probs > 0, 0)
        price = temperature * (probs * surprise).sum(-1, keepdim=True)
        paid = replace(problem, rewards=problem.rewards - inner(price.expand_as(probs)))
        q = view.q_values(replace(flow, problem=paid), policy) + price
        log_probs = torch.log_softmax(log_prior + q / temperature, -1)
        policy = view.policy(log_probs.exp())
        if not (policy.probs - probs).abs().max() > SETTLED:
            break
    return log_probs
