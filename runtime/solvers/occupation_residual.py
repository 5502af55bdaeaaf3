"""How far a law of states and actions, values and gaps are from an equilibrium, differentiably."""

from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mfdsl.runtime.views.finite import FiniteView
from mfdsl.runtime.views.stationary import StationaryView
from mfdsl.runtime.views.tables import Tables, final_rewards, flow_rewards


@dataclass(frozen=True, eq=False)
class Residual:
    """Squares by game: of the flow equations, of the Bellman equations, and what gaps cost."""

    flow: Float[Tensor, " batch"]
    values: Float[Tensor, " batch"]
    gaps: Float[Tensor, " batch"]


@dataclass(frozen=True, eq=False)
class Meeting:
    """What agents meet at a law: `q` = r + discount P V after, in units, and where they `come` to.

    Moves lead to `places` with `chances`, both [K, T, A, S, B].
    """

    q: Float[Tensor, "stages actions states batch"]
    comes: Float[Tensor, "stages states batch"]
    places: Int[Tensor, "noises stages actions states batch"]
    chances: Float[Tensor, "noises stages actions states batch"]


def meeting(
    view: FiniteView | StationaryView,
    mass: Float[Tensor, "stages actions states batch"],
    values: Float[Tensor, "stages states batch"],
    scale: Float[Tensor, " batch"],
) -> Meeting:
    """What agents meet at the law `mass` of states and actions, with `values` V from stage 0 on.

    Rewards are divided by `scale`. After the last stage V is the final reward; on a stationary
    horizon the one stage follows itself. All stages are one call of the module.
    """
    places, chances = moves_at(view.tables, mass)
    comes = pushed(places, chances, mass)
    rewards = rewards_at(view.tables, mass) / scale
    ahead = values
    if not isinstance(view, StationaryView):
        ahead = torch.cat([values[1:], tail_at(view, comes[-1], mass, rewards, scale)[None]])
    q = rewards + view.discount * expected_after(places, chances, ahead)
    return Meeting(q, comes, places, chances)


def residual(
    view: FiniteView | StationaryView,
    mass: Float[Tensor, "stages actions states batch"],
    values: Float[Tensor, "stages states batch"],
    gaps: Float[Tensor, "stages actions states batch"],
    scale: Float[Tensor, " batch"],
) -> Residual:
    """The residuals of `mass` d, `values` V and `gaps` z; rewards are divided by `scale`.

    flow: sum_a d_{t+1} - P_t' d_t and sum_a d_0 - initial law; values: r_t + discount P_t V_{t+1} -
    V_t + z_t at the legal actions, with P and r at d; gaps: sum_t discount^t <z_t, d_t>. After the
    last stage V is the final reward. On a stationary horizon the one stage follows itself.

    All stages are one call of the module. The three are zero, with d and z at least 0, exactly at
    the equilibria (Guo, Hu and Zhang 2022, arXiv 2206.09608).
    """
    tables = view.tables
    met = meeting(view, mass, values, scale)
    laws = mass.sum(1)
    if isinstance(view, StationaryView):
        short = laws - met.comes
    else:
        short = laws - torch.cat([tables.initial[None], met.comes[:-1]])
    wrong = met.q - values[:, None] + gaps
    if tables.legal is not None:
        wrong = wrong.masked_fill(~tables.legal, 0)
    stages = torch.arange(len(mass), dtype=mass.dtype, device=mass.device)
    weights = torch.pow(torch.as_tensor(view.discount, dtype=mass.dtype), stages)[
        :, None, None, None
    ]
    return Residual(
        short.square().sum((0, 1)),
        wrong.square().sum((0, 1, 2)),
        (weights * gaps * mass).sum((0, 1, 2)),
    )


def rewards_at(tables: Tables, mass: Tensor) -> Float[Tensor, "stages actions states batch"]:
    """The rewards of all stages, differentiable in the mass."""
    if tables.rewards is None:
        return flow_rewards(tables, mass)
    return tables.rewards.expand_as(mass)


def tail_at(
    view: FiniteView, law: Tensor, mass: Tensor, rewards: Tensor, scale: Tensor
) -> Float[Tensor, "states batch"]:
    """What is paid after the last stage, as in the view: nothing, or the last mean for ever.

    It is in units of `scale`, as `rewards` are.
    """
    if view.truncation is None:
        final = final_rewards(view.tables, law)
        return torch.zeros_like(law) if final is None else final / scale
    mean = (mass[-1] * rewards[-1]).sum((0, 1)) / (1 - view.discount)
    return mean.expand_as(law)


def moves_at(
    tables: Tables, mass: Tensor
) -> tuple[Int[Tensor, "noises stages actions states batch"], Tensor]:
    """Where moves lead and with what probability, [K, T, A, S, B], differentiable in the mass."""
    stages, actions, states, games = mass.shape
    module = tables.program.module
    times = torch.arange(stages, device=mass.device).repeat_interleave(games)
    params = tables.params
    if stages > 1:
        changes = {
            name: torch.cat([getattr(params, name)] * stages)
            for name in tables.program.batched(params)
        }
        params = params._replace(**changes)
    field = module.field(params, times, tables.public_joint(mass).flatten(0, 1))

    def laid_out(table: Any) -> Tensor:
        full = cast(Tensor, table).expand(stages * games, states, actions, table.shape[-1])
        return full.view(stages, games, states, actions, -1).permute(4, 0, 3, 2, 1)

    return (
        laid_out(module.successors(params, times, field)),
        laid_out(module.weights(params, times, field)),
    )


def pushed(places: Tensor, chances: Tensor, mass: Tensor) -> Float[Tensor, "stages states batch"]:
    """The law after a move from each stage."""
    stages, _, states, games = mass.shape
    moved = chances * mass
    found = mass.new_zeros(stages * states * games)
    return found.index_add(0, _flat(places, states).reshape(-1), moved.reshape(-1)).view(
        stages, states, games
    )


def expected_after(places: Tensor, chances: Tensor, values: Tensor) -> Tensor:
    """The mean of the values after a move, [T, A, S, B]."""
    ahead = values.reshape(-1)[_flat(places, values.shape[1])]
    return (chances * ahead).sum(0)


def _flat(places: Tensor, states: int) -> Tensor:
    """Places in a flattened [T, S, B] table."""
    stages, games = places.shape[1], places.shape[-1]
    first = torch.arange(stages, device=places.device)[:, None, None, None] * states
    return (first + places) * games + torch.arange(games, device=places.device)
