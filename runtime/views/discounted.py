"""Discounted values without end: direct solves for small games, bounded sweeps for large ones."""

from collections.abc import Callable
from functools import partial
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.views import lanes, native
from mfdsl.runtime.views.dense import Moves, chains_of, dense_table
from mfdsl.runtime.views.kernels import Kernel
from mfdsl.runtime.views.tables import Problem

CHAINS = 1 << 22  # numbers of the chains of a batch that are solved directly
MOST_SWEEPS = 100_000
MOST_IMPROVEMENTS = 200
VALUE_TOLERANCE = 1e-12
COMPILED_SWEEPS = 600
FEW_SWEEPS = 16  # of one game, whose greedy policy is then often the best
FEW_STATES = 16  # up to which sweeps take no longer than a solve

Table = Float[Tensor, "actions states batch"]
Solve = Callable[[Table], Float[Tensor, "states batch"]]


def policy_values(problem: Problem, probs: Table, discount: float) -> Table:
    """Q of the policy: V = r_pi + discount P_pi V; -inf at illegal actions."""
    kernel, paid = problem.kernels[0], problem.rewards[0]
    if (solve := _solver(kernel, paid, discount)) is not None:
        return _masked(_q(kernel, paid, solve(probs), discount), problem)
    rewards, start = _masked(paid, problem), torch.zeros_like(paid[0])
    q = _swept(kernel, rewards, probs, start, discount, COMPILED_SWEEPS)
    if q is None:
        q = _sweeps(kernel, paid, probs, discount)
    return _masked(q, problem)


def best_values(problem: Problem, discount: float) -> Table:
    """Q of the best response: V = max (r + discount P V); -inf at illegal actions.

    Many games with few states are solved side by side. Otherwise a few compiled sweeps suffice for
    most games, or small ones are solved by Howard's policy improvement with direct solves, large
    ones by sweeps.
    """
    kernel, paid = problem.kernels[0], problem.rewards[0]
    rewards, values = _masked(paid, problem), torch.zeros_like(paid[0])
    if (banded := native.banded(kernel)) is not None:
        plan = lanes.plan_of(banded, paid.shape[-1])
        limits = (MOST_IMPROVEMENTS, tolerance_of(paid.dtype))
        q = plan and lanes.best_values(plan, banded, rewards, discount, *limits)
        if q is not None:
            return q
    solve = _solver(kernel, paid, discount)
    _, states, games = paid.shape
    cheap = solve is not None and games == 1 and states > FEW_STATES
    most = FEW_SWEEPS if cheap else COMPILED_SWEEPS
    if (q := _swept(kernel, rewards, None, values, discount, most)) is not None:
        return q
    if solve is None:
        return _masked(_sweeps(kernel, rewards, None, discount), problem)
    return _improved(kernel, solve, rewards, values, discount)


def tolerance_of(dtype: torch.dtype) -> float:
    """How close bounds of values are brought, relative to the values: more is rounding."""
    return max(VALUE_TOLERANCE, 64 * torch.finfo(dtype).eps)


def _solver(kernel: Kernel, paid: Table, discount: float) -> Solve | None:
    """Values of policies directly where the game is small."""
    actions, states, games = paid.shape
    if (banded := native.banded(kernel)) is not None:
        if (plan := lanes.plan_of(banded, games)) is not None:
            return lambda probs: lanes.policy_values(
                plan, banded, probs, (probs * paid).sum(0), discount
            )
        return lambda probs: native.discounted_values(
            banded, probs, (probs * paid).sum(0), discount
        )
    if games * states**2 > CHAINS or (table := dense_table(kernel, actions, states)) is None:
        return None
    return partial(_solved, table, paid, discount)


def _solved(table: Moves, paid: Table, discount: float, probs: Table) -> Tensor:
    """V [S, B] of the policy by a linear solve for each game."""
    chain = chains_of(table, probs)
    system = torch.eye(chain.shape[-1], dtype=chain.dtype, device=chain.device) - discount * chain
    return cast(Tensor, torch.linalg.solve(system, (probs * paid).sum(0).t())).t().contiguous()


def _improved(
    kernel: Kernel, solve: Solve, rewards: Table, values: Tensor, discount: float
) -> Table:
    """Howard's improvement from the policy that is greedy for `values` [S, B]."""
    q, tolerance = _q(kernel, rewards, values, discount), tolerance_of(rewards.dtype)
    for _ in range(MOST_IMPROVEMENTS):
        best = q.argmax(0, keepdim=True)
        values = solve(torch.zeros_like(q).scatter_(0, best, 1.0))
        q = _q(kernel, rewards, values, discount)
        gain = (q.amax(0) - values).abs().max()
        if not gain > tolerance * (1 + values.abs().max()):
            break
    return q


def _swept(
    kernel: Kernel,
    rewards: Table,
    probs: Table | None,
    values: Float[Tensor, "states batch"],
    discount: float,
    most: int,
) -> Table | None:
    """Q by compiled sweeps from `values`, None where there are none or they do not suffice."""
    if (loops := native.compiled_loops(kernel, rewards.shape[-1])) is None:
        return None
    tolerance = tolerance_of(rewards.dtype)
    return native.endless(loops, rewards, probs, values, discount, most, tolerance)


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
