"""Responses and values with entropy, which several solvers share."""

from dataclasses import replace
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.evaluate import View
from mfdsl.runtime.flow import Flow
from mfdsl.runtime.layout import inner, outer
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.views.tables import Problem


def soft_response(
    problem: Problem,
    discount: float,
    prior: Float[Tensor, "stages actions states batch"] | None = None,
) -> Float[Tensor, "stages actions states batch"]:
    """Logarithm of the policy that maximises rewards plus entropy, in one backward pass.

    With V_T the final reward, z_t = prior_t + r_t + discount * P_t V_{t+1} and
    V_t = log sum_a exp z_t, the policy is exp(z_t - V_t). Without a prior it maximises the rewards
    plus the discounted entropies; with the logarithm of a policy as prior and discount 1 it
    maximises the rewards minus the divergence of the law of trajectories from that policy's.
    Rewards are in units of the temperature. Illegal actions get minus infinity.
    """
    scores = problem.rewards if prior is None else problem.rewards + prior
    if problem.legal is not None:
        scores = scores.masked_fill(~problem.legal, -torch.inf)
    stages, actions, states, games = scores.shape
    tail = () if games == 1 else (games,)
    z = torch.empty_like(scores)
    base = scores.view(stages, actions * states, *tail).unbind()
    flat = z.view(stages, actions * states, *tail).unbind()
    cube = z.view(stages, actions, states, *tail).unbind()
    value = None if problem.final is None else problem.final.view(states, *tail)
    for t in reversed(range(stages)):
        if value is None:
            flat[t].copy_(base[t])
        else:
            problem.kernels[t].expect(value, base[t], discount, flat[t])
        value = torch.logsumexp(cube[t], 0)
    return torch.log_softmax(z, 1)  # takes the largest off first: large rewards leave no digits


def scaled(problem: Problem, weights: Float[Tensor, "stages batch"], last: Tensor) -> Problem:
    """The problem with the rewards of each stage, and those at the end, times these weights."""
    rewards = problem.rewards * weights[:, None, None, :]
    final = None if problem.final is None else problem.final * last
    return replace(problem, rewards=rewards, final=final)


def entropy_q_values(
    view: View, flow: Flow, policy: TabularPolicy, temperature: float
) -> Float[Tensor, "batch stages states actions"]:
    """Q of the policy against the flow when entropy is paid, that of the own step left out.

    q_t = r_t + discount * P_t V_{t+1}, V_t = sum_a pi_t (q_t - temperature * log pi_t);
    minus infinity at illegal actions.
    """
    problem = flow.problem or view.flow(flow.policy).problem
    assert problem is not None
    bonus = temperature * entropy(policy.probs)
    paid = replace(problem, rewards=problem.rewards + inner(bonus))
    return view.q_values(replace(flow, problem=paid), policy) - bonus


def entropy(
    probs: Float[Tensor, "batch stages states actions"],
) -> Float[Tensor, "batch stages states 1"]:
    """Entropy of the actions in nats."""
    return cast(Tensor, torch.special.entr(probs)).sum(-1, keepdim=True)


def probs_of(
    log_probs: Float[Tensor, "stages actions states batch"],
) -> Float[Tensor, "batch stages states actions"]:
    """Probabilities in public order from their logarithms in that of the arithmetic."""
    return outer(log_probs.exp())
