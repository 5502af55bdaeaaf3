"""Newton steps for what an equilibrium of occupation measures has to fulfil, stage by stage.

A step changes the law by s [T, S], the logarithms of the masses and the values by v [T, S]. Given
those two, actions at a state answer by the weights w = d / z: they move mass from one another in
proportion to how much more than the weighted mean they gain. What is left is

    v_t = ... + (gamma p + ...) v_{t+1} + (... - 1 / sum_a w) s_t
    s_{t+1} = ... + Q v_{t+1} + (p' + ...) s_t

with p the weighted mean of the moves at each state, and is solved as a linear-quadratic game is:
v = X s + x backwards, s forwards. Everything is centred on the action of the largest weight before
it is weighted: near the end weights are 10^13 and more there, and would multiply rounding.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse import csr_array
from torch import Tensor

from mfdsl.runtime.solvers.occupation_slopes import Slopes

MOST_AT_ONCE = 256
SPARSE = 64  # states from which on moves are taken as sparse


@dataclass(frozen=True, eq=False)
class Faults:
    """By how much the equations miss, for R right-hand sides at once.

    `gain` is q - V + z [T, n, R]; `flow` the law minus what came in [T, S, R].
    """

    gain: Float[Tensor, "stages pairs sides"]
    flow: Float[Tensor, "stages states sides"]


@dataclass(frozen=True, eq=False)
class System:
    """The two equations: s_{t+1} = q_v v_{t+1} + q_s s_t + q_0, v_t = k_v v_{t+1} + k_s s_t + k_0.

    The masses change by y = y_v v_{t+1} + y_s s_t + y_0, [T, n, ...].
    """

    y: tuple[Tensor, ...]
    q: tuple[Tensor, ...]
    k: tuple[Tensor, ...]


def changes(
    slopes: Slopes,
    mass: Float[Tensor, "stages states actions"],
    costs: Float[Tensor, "stages states actions"],
    faults: Faults,
    discount: float,
    refill: Float[Tensor, "states states"] | None,
) -> tuple[Float[Tensor, "stages pairs sides"], Float[Tensor, "stages states sides"]]:
    """The changes of the masses and of the values that Newton's method makes.

    `costs` are the gaps z, positive; pairs without mass stay so. On a stationary horizon, where the
    law is one that follows itself, `refill` is where mass that is missing anywhere is put in.
    """
    system = _system(slopes, mass, costs, faults, discount)
    if refill is None:
        law, later = (at_once if fits_at_once(mass) else by_stages)(system, faults.flow)
        k_v, k_s, k_0 = system.k
        values = k_v @ later + k_s @ law + k_0
    else:
        law, values = _endless(system, faults.flow[0], refill)
        later = values
    y_v, y_s, y_0 = system.y
    return y_v @ later + y_s @ law + y_0, values


def _system(slopes: Slopes, mass: Tensor, costs: Tensor, faults: Faults, discount: float) -> System:
    stages, states, actions = mass.shape
    sides = faults.gain.shape[-1]
    known = mass > 0
    weights = torch.where(known, mass / costs.where(known, 1.0), 0.0)
    total = weights.sum(-1)
    lived = total > 0
    shares = weights / total.where(lived, 1.0)[..., None]
    shape = (stages, states, actions, -1)

    def answer(table: Tensor) -> tuple[Tensor, Tensor]:
        mean, apart = centred(table.view(shape), shares)
        return mean, apart.mul_(weights[..., None]).flatten(1, 2)

    mean_move, move = answer(slopes.moves)
    mean_own, own = answer(slopes.q_slope)
    mean_gain, gain = answer(faults.gain)
    mean_move, move = mean_move * discount, move.mul_(discount)
    arrived = arriving(slopes.moves)
    held = torch.where(lived, 1 / total.where(lived, 1.0), 0.0)
    if slopes.by_state:
        own.view(shape).diagonal(dim1=1, dim2=3).add_(shares.transpose(1, 2))
        return System(
            y=(move, own, gain),
            q=(arrived(move), arrived(own) + slopes.come_slope, arrived(gain)),
            k=(mean_move, mean_own - torch.diag_embed(held), mean_gain),
        )
    kept = torch.zeros_like(move)
    kept.view(shape).diagonal(dim1=1, dim2=3).add_(shares.transpose(1, 2))
    eye = torch.eye(own.shape[-1], dtype=mass.dtype, device=mass.device)
    y = solved(eye - own, torch.cat([move, kept, gain], -1))
    sizes = [states, states, sides]
    k_v, k_s, k_0 = torch.split(mean_own @ y, sizes, -1)
    return System(
        y=torch.split(y, sizes, -1),
        q=torch.split(arrived(y) + slopes.come_slope @ y, sizes, -1),
        k=(mean_move + k_v, k_s - torch.diag_embed(held), mean_gain + k_0),
    )


def arriving(moves: Float[Tensor, "stages pairs states"]) -> Callable[[Tensor], Tensor]:
    """P' times masses [T, n, ...]; where there are many states, moves lead to few of them each."""
    if moves.shape[-1] < SPARSE:
        return lambda masses: moves.transpose(1, 2) @ masses
    ways = [csr_array(move.t().cpu().numpy()) for move in moves]

    def arrived(masses: Tensor) -> Tensor:
        found = [way @ mass.cpu().numpy() for way, mass in zip(ways, masses, strict=True)]
        return torch.from_numpy(np.stack(found)).to(masses)

    return arrived


def centred(
    table: Float[Tensor, "stages states actions entries"],
    shares: Float[Tensor, "stages states actions"],
) -> tuple[Float[Tensor, "stages states entries"], Float[Tensor, "stages states actions entries"]]:
    """Means over the actions, and the differences from them, each to its own relative rounding."""
    first = shares.argmax(-1)[..., None, None].expand(-1, -1, 1, table.shape[-1])
    most = table.gather(2, first)
    apart = table - most
    shift = torch.einsum("tsa,tsae->tse", shares, apart)
    return most[:, :, 0] + shift, apart.sub_(shift[:, :, None])


def fits_at_once(mass: Tensor) -> bool:
    """Whether all stages together are few numbers."""
    return 2 * mass.shape[0] * mass.shape[1] <= MOST_AT_ONCE


def at_once(system: System, flow: Tensor) -> tuple[Tensor, Tensor]:
    """The s of all stages and the v after each, 0 after the last, as one system of 2 T S."""
    (q_v, q_s, q_0), (k_v, k_s, k_0) = system.q, system.k
    stages, states, sides = q_0.shape
    table = torch.eye(2 * stages * states, dtype=q_v.dtype, device=q_v.device)
    places = table.view(2, stages, states, 2, stages, states)
    here, after = torch.arange(stages - 1), torch.arange(1, stages)
    places[0, after, :, 0, here] -= q_s[:-1]
    places[0, after, :, 1, after] -= q_v[:-1]
    places[1, here, :, 1, after] -= k_v[:-1]
    every = torch.arange(stages)
    places[1, every, :, 0, every] -= k_s
    right = torch.cat([torch.zeros_like(q_0[:1]), q_0[:-1]]) - flow
    found = solved(table, torch.stack([right, k_0]).view(-1, sides))
    law, values = found.view(2, stages, states, sides)
    return law, torch.cat([values[1:], torch.zeros_like(values[:1])])


def by_stages(system: System, flow: Tensor) -> tuple[Tensor, Tensor]:
    """The s of all stages and the v after each, 0 after the last: v = X s + x backwards."""
    (q_v, q_s, q_0), (k_v, k_s, k_0) = system.q, system.k
    stages, states, _ = q_v.shape
    eye = torch.eye(states, dtype=q_v.dtype, device=q_v.device)
    slope, shift = torch.zeros_like(eye), torch.zeros_like(q_0[0])
    rows: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    for t in range(stages - 1, -1, -1):
        short = flow[t + 1] if t + 1 < stages else 0
        if t + 1 < stages:
            right = torch.cat([q_s[t], q_0[t] + q_v[t] @ shift - short], -1)
            found = solved(eye - q_v[t] @ slope, right)
        else:
            found = torch.cat([q_s[t], q_0[t]], -1)
        ahead, ahead_0 = found[:, :states], found[:, states:]
        rows.append((ahead, ahead_0, slope, shift))
        slope, shift = (
            k_v[t] @ (slope @ ahead) + k_s[t],
            k_v[t] @ (slope @ ahead_0 + shift) + k_0[t],
        )
    law, laws, later = -flow[0], [], []
    for ahead, ahead_0, slope, shift in reversed(rows):
        laws.append(law)
        law = ahead @ law + ahead_0
        later.append(slope @ law + shift)
    return torch.stack(laws), torch.stack(later)


def solved(table: Tensor, right: Tensor) -> Tensor:
    """The solution of linear equations, not finite where they are singular."""
    found: Tensor
    found, failed = torch.linalg.solve_ex(table, right)
    return found.masked_fill(failed[..., None, None] != 0, torch.nan)


def _endless(system: System, flow: Tensor, refill: Tensor) -> tuple[Tensor, Tensor]:
    """The s and v of the one stage, which comes after itself."""
    (q_v, q_s, q_0), (k_v, k_s, k_0) = system.q, system.k
    states = q_v.shape[-1]
    eye = torch.eye(states, dtype=q_v.dtype, device=q_v.device)
    upper = torch.cat([eye - q_s[0] + refill, -q_v[0]], -1)
    lower = torch.cat([-k_s[0], eye - k_v[0]], -1)
    right = torch.cat([q_0[0] - flow, k_0[0]])
    found = solved(torch.cat([upper, lower]), right)
    return found[None, :states], found[None, states:]
