"""Euclidean projection onto the flows of a finite game with given moves."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mfdsl.runtime.views.kernels import Kernel

# One table for each game and stage; one game or one stage stands for all.
Moves = Float[Tensor, "batch_or_1 stages_or_1 states actions next"]

MOST_STEPS = 200
MOST_HALVINGS = 40
SUFFICIENT = 1e-4
LEAST_SHIFT, LARGEST_SHIFT = 1e-10, 1e-2
TOLERANCE = 1e-12


def dense_moves(kernel: Kernel, like: Tensor) -> Float[Tensor, "batch_or_1 states actions next"]:
    """The probabilities of a kernel as one dense table; `like` is a stage [A, S, B] of its game."""
    actions, states, games = like.shape
    if kernel.shared:
        identity = torch.eye(states, dtype=like.dtype, device=like.device)
        zero = like.new_zeros(actions * states, states)
        table = torch.empty_like(zero)
        kernel.expect(identity, zero, 1.0, table)
        return table.view(actions, states, states).permute(1, 0, 2)[None].contiguous()
    zero = like.new_zeros(actions * states, games)
    columns = []
    for state in range(states):
        arrived = like.new_zeros(states, games)
        arrived[state] = 1
        column = torch.empty_like(zero)
        kernel.expect(arrived, zero, 1.0, column)
        columns.append(column.view(actions, states, games))
    return torch.stack(columns, -1).permute(2, 1, 0, 3).contiguous()


def reached(
    moves: Moves,
    initial: Float[Tensor, "batch states"],
    legal: Bool[Tensor, "batch stages states actions"],
) -> Bool[Tensor, "batch stages states actions"]:
    """Where some policy comes: the legal actions of states that have a chance at their stage."""
    stages = legal.shape[1]
    table = moves.expand(len(legal), stages, -1, -1, -1)
    law, found = initial, []
    for t in range(stages):
        open_here = (law > 0)[..., None] & legal[:, t]
        found.append(open_here)
        law = torch.einsum("bsat,bsa->bt", table[:, t], open_here.to(law.dtype))
    return torch.stack(found, 1)


def project(
    point: Float[Tensor, "batch stages states actions"],
    moves: Moves,
    initial: Float[Tensor, "batch states"],
    support: Bool[Tensor, "batch stages states actions"],
    dual: Float[Tensor, "batch stages states"],
) -> tuple[Float[Tensor, "batch stages states actions"], Float[Tensor, "batch stages states"]]:
    """The flow d nearest to the point, and the multipliers y of its laws; `dual` is a first guess.

    d >= 0 on the support and 0 elsewhere, sum_a d_0 = initial, sum_a d_{t+1} = moves_t' d_t. With A
    the left sides and b the right ones, d = max(0, point + A'y), where y maximises the concave
    b'y - |max(0, point + A'y)|^2 / 2: semismooth Newton steps on it (Qi and Sun 1993, doi
    10.1007/BF01581275), whose matrices A D A' are block tridiagonal in time, solved by block
    elimination in O(T (A + 1) S^3). Near the solution a step or two end at rounding errors. The
    arithmetic is in double precision, as the matrices are singular but for a small shift.
    """
    dtype = point.dtype
    point, moves, initial, dual = (part.double() for part in (point, moves, initial, dual))
    table = moves.expand(len(point), point.shape[1], -1, -1, -1)
    mass = _primal(point, table, support, dual)
    value = _value(mass, initial, dual)
    for _ in range(MOST_STEPS):
        short = _shortfall(mass, table, initial)
        size = short.abs().amax((1, 2))
        if not (size > TOLERANCE).any():
            break
        shift = size.clamp(min=LEAST_SHIFT, max=LARGEST_SHIFT)
        ascent = _newton((mass > 0).to(mass.dtype), table, short, shift)
        slope = (short * ascent).sum((1, 2))
        # games that are there stay: their steps would only be rounding
        step = (size > TOLERANCE).to(size.dtype)
        for _ in range(MOST_HALVINGS):
            ahead = dual + step[:, None, None] * ascent
            mass = _primal(point, table, support, ahead)
            found = _value(mass, initial, ahead)
            slack = 8 * torch.finfo(point.dtype).eps * (1 + value.abs())
            fits = found >= value + SUFFICIENT * step * slope - slack
            if fits.all():
                break
            step = torch.where(fits, step, step / 2)
        dual, value = ahead, found
    return mass.to(dtype), dual.to(dtype)


def _primal(point: Tensor, table: Tensor, support: Tensor, dual: Tensor) -> Tensor:
    """max(0, point + A'y), y 0 after the last stage."""
    ahead = torch.einsum("bhsat,bht->bhsa", table[:, :-1], dual[:, 1:])
    lifted = dual[..., None] - torch.nn.functional.pad(ahead, (0, 0, 0, 0, 0, 1))
    return (point + lifted).clamp(min=0).where(support, 0)


def _value(mass: Tensor, initial: Tensor, dual: Tensor) -> Float[Tensor, " batch"]:
    """The dual function, up to a constant."""
    return (initial * dual[:, 0]).sum(-1) - mass.square().sum((1, 2, 3)) / 2


def _shortfall(
    mass: Tensor, table: Tensor, initial: Tensor
) -> Float[Tensor, "batch stages states"]:
    """What comes to each state less what is there, b - A d."""
    moved = torch.einsum("bhsat,bhsa->bht", table[:, :-1], mass[:, :-1])
    return torch.cat([initial[:, None], moved], 1) - mass.sum(-1)


def _newton(
    active: Float[Tensor, "batch stages states actions"],
    table: Float[Tensor, "batch stages states actions next"],
    short: Float[Tensor, "batch stages states"],
    shift: Float[Tensor, " batch"],
) -> Float[Tensor, "batch stages states"]:
    """The solution x of (A D A' + shift) x = short, D the active entries.

    Block (t, t) is diag(sum_a D_t) + P_{t-1}' D_{t-1} P_{t-1}, block (t, t + 1) minus the sum over
    the actions of D_t P_t.
    """
    stages = active.shape[1]
    weighted = active[:, :-1, ..., None] * table[:, :-1]
    across = -weighted.sum(3)
    arriving = torch.einsum("bhsau,bhsav->bhuv", weighted, table[:, :-1])
    blocks = torch.diag_embed(active.sum(-1) + shift[:, None, None])
    blocks[:, 1:] += arriving
    block, right = blocks[:, 0], short[:, 0, :, None]
    factors, beyond, rights = [], [], []
    for t in range(stages):
        factors.append(torch.linalg.cholesky(block))
        rights.append(right)
        if t < stages - 1:
            beyond.append(torch.cholesky_solve(across[:, t], factors[t]))
            block = blocks[:, t + 1] - across[:, t].mT @ beyond[t]
            right = short[:, t + 1, :, None] - beyond[t].mT @ right
    found = [torch.cholesky_solve(rights[-1], factors[-1])]
    for t in reversed(range(stages - 1)):
        own = torch.cholesky_solve(rights[t], factors[t])
        found.append(own - beyond[t] @ found[-1])
    return torch.stack(found[::-1], 1)[..., 0]
