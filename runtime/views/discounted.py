"""Discounted values without end: linear solves for small games, bounded sweeps for large ones."""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.views import native
from mfdsl.runtime.views.kernels import Kernel
from mfdsl.runtime.views.tables import Problem

DENSE_STATES = 256
DENSE_TABLE = 1 << 21
MOST_SWEEPS = 100_000
MOST_IMPROVEMENTS = 200
VALUE_TOLERANCE = 1e-12
COMPILED_SWEEPS = 600
FEW_STATES = 16  # up to which a solve in double precision takes longer than sweeps


def policy_values(
    problem: Problem, probs: Float[Tensor, "actions states batch"], discount: float
) -> Float[Tensor, "actions states batch"]:
    """Q of the policy: V = r_pi + discount P_pi V; -inf at illegal actions."""
    rewards, kernel = problem.rewards[0], problem.kernels[0]
    table = dense_table(kernel, probs)
    direct = table is not None and len(probs[0]) > FEW_STATES and probs.dtype == torch.float64
    if not direct and (q := _compiled_values(problem, probs, discount)) is not None:
        return q
    if table is not None:
        values = _solve(table, rewards, probs, discount)
        return _masked(_q(kernel, rewards, values, discount), problem)
    return _masked(_sweeps(kernel, rewards, probs, discount), problem)


def best_values(problem: Problem, discount: float) -> Float[Tensor, "actions states batch"]:
    """Q of the best response: V = max (r + discount P V); -inf at illegal actions.

    A few compiled sweeps suffice for most games. Otherwise small games are solved by Howard's
    policy improvement with exact solves, large ones by sweeps.
    """
    kernel = problem.kernels[0]
    rewards = _masked(problem.rewards[0], problem)
    if (q := _compiled_values(problem, None, discount)) is not None:
        return q
    table = dense_table(kernel, rewards)
    if table is None:
        return _masked(_sweeps(kernel, rewards, None, discount), problem)
    return _improved(kernel, table, rewards, problem.rewards[0], discount)


def _compiled_values(
    problem: Problem, probs: Float[Tensor, "actions states batch"] | None, discount: float
) -> Float[Tensor, "actions states batch"] | None:
    """Q by compiled sweeps, None where there are none or they take long."""
    rewards = _masked(problem.rewards[0], problem)
    loops = native.compiled_loops(problem.kernels[0], rewards.shape[-1])
    if loops is None:
        return None
    tolerance = tolerance_of(rewards.dtype)
    return native.endless(loops, rewards, probs, discount, COMPILED_SWEEPS, tolerance)


def tolerance_of(dtype: torch.dtype) -> float:
    """How close bounds of values are brought, relative to the values: more is rounding."""
    return max(VALUE_TOLERANCE, 64 * torch.finfo(dtype).eps)


def dense_table(
    kernel: Kernel, probs: Float[Tensor, "actions states batch"]
) -> Float[Tensor, "actions states next"] | None:
    """The transitions as a dense table when they are small and the same for the whole batch."""
    actions, states, games = probs.shape
    if states > DENSE_STATES or actions * states * states * games > DENSE_TABLE:
        return None
    if not kernel.shared:
        return None
    identity = torch.eye(states, dtype=probs.dtype, device=probs.device)
    zero = probs.new_zeros(actions * states, states)
    out = torch.empty_like(zero)
    kernel.expect(identity, zero, 1.0, out)
    return out.view(actions, states, states)


def _improved(
    kernel: Kernel, table: Tensor, rewards: Tensor, paid: Tensor, discount: float
) -> Tensor:
    q = rewards
    for _ in range(MOST_IMPROVEMENTS):
        best = q == q.amax(0)
        probs = (best & (best.cumsum(0) == 1)).to(q.dtype)
        values = _solve(table, paid, probs, discount)
        q = _q(kernel, rewards, values, discount)
        gain = (q.amax(0) - values).abs().max()
        if not gain > VALUE_TOLERANCE * (1 + values.abs().max()):
            break
    return q


def _solve(table: Tensor, rewards: Tensor, probs: Tensor, discount: float) -> Tensor:
    """V [S, B] of the policy by a linear solve for each game."""
    chain = torch.einsum("asb,ast->bst", probs, table)
    system = torch.eye(chain.shape[-1], dtype=chain.dtype, device=chain.device) - discount * chain
    return cast(Tensor, torch.linalg.solve(system, (probs * rewards).sum(0).t())).t().contiguous()


def _q(kernel: Kernel, rewards: Tensor, values: Tensor, discount: float) -> Tensor:
    tail = () if values.shape[1] == 1 else (values.shape[1],)
    out = torch.empty_like(rewards)
    base, flat = rewards.reshape(-1, *tail), out.view(-1, *tail)
    kernel.expect(values.reshape(-1, *tail), base, discount, flat)
    return out


def _sweeps(kernel: Kernel, rewards: Tensor, probs: Tensor | None, discount: float) -> Tensor:
    """Q by repeated sweeps, centred by the bounds of MacQueen 1966.

    V lies between V_k + discount / (1 - discount) * the least and the greatest change of the
    last sweep, so the sweeps stop when these are close, long before the changes are small.
    """
    factor, tolerance = discount / (1 - discount), tolerance_of(rewards.dtype)
    values = rewards.new_zeros(rewards.shape[1:])
    for _ in range(MOST_SWEEPS):
        q = _q(kernel, rewards, values, discount)
        ahead = q.amax(0) if probs is None else (probs * q).sum(0)
        change = ahead - values
        low, high = change.amin(0), change.amax(0)
        values = ahead
        if not ((high - low).max() * factor > tolerance * (1 + values.abs().max())):
            break
    return _q(kernel, rewards, values + factor * (low + high) / 2, discount)


def _masked(table: Tensor, problem: Problem) -> Tensor:
    if problem.legal is None:
        return table
    return table.masked_fill(~problem.legal[0], -torch.inf)
