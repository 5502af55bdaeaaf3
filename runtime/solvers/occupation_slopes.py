"""Exact derivatives of what agents meet in the law of states and actions, stage by stage.

What is met at a stage reads the law of that stage only. So one direction serves all stages at once,
and all directions are one call of the module, in as many copies of the law. Most games read the law
of the states alone: there a direction for each state is enough.
"""

from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mfdsl.runtime.layout import inner
from mfdsl.runtime.solvers.occupation_residual import (
    Meeting,
    expected_after,
    meeting,
    moves_at,
    pushed,
    rewards_at,
    tail_at,
)
from mfdsl.runtime.views.finite import FiniteView, reads_law
from mfdsl.runtime.views.stationary import StationaryView
from mfdsl.runtime.views.walk import Walk, written

View = FiniteView | StationaryView
MOST_COPIED = 1 << 23  # numbers of the copies of one table
SAME = 1e-9
SEED = 20220617


@dataclass(frozen=True, eq=False)
class Slopes:
    """What one game meets at a point, and its derivatives; n = S A pairs, states slowest.

    `q` [T, n] and `comes` [T, S] as in `Meeting`; `moves` the chances P; `q_slope` and `come_slope`
    the derivatives of q, and of P' d at fixed d, in the m numbers that are read of the law: those
    of the n pairs, or with `by_state` the S sums over actions.
    """

    q: Float[Tensor, "stages pairs"]
    comes: Float[Tensor, "stages states"]
    moves: Float[Tensor, "stages pairs states"] = field(repr=False)
    q_slope: Float[Tensor, "stages pairs read"] = field(repr=False)
    come_slope: Float[Tensor, "stages states read"] = field(repr=False)
    by_state: bool


def slopes(
    view: View,
    mass: Float[Tensor, "stages states actions"],
    values: Float[Tensor, "stages states"],
    scale: Float[Tensor, " one"],
    legal: Bool[Tensor, "stages states actions"],
    *,
    by_state: bool,
) -> Slopes:
    """The derivatives at a point of one game.

    They are in the laws of states where `by_state` says that no more is read.
    """
    read = _one_action(legal) if by_state else _each(legal)
    q, comes, moves, q_slope, come_slope = along(view, mass, values, scale, read)
    return Slopes(q, comes, moves, q_slope, come_slope, by_state)


def reads_states_only(view: View) -> bool:
    """Whether a random change of a law acts like the change of its sums over the actions."""
    policy = view.uniform()
    mass = view.flow(policy).joint[0]
    legal = (policy.probs[0] > 0).expand_as(mass)
    generator = torch.Generator().manual_seed(SEED)
    drawn = torch.rand(mass.shape[1:], generator=generator, dtype=torch.float64).to(mass) * legal
    summed = (_one_action(legal) * drawn.sum(-1)[:, :, None, None]).sum(1)
    both, unit = torch.stack([drawn, summed], 1), torch.ones_like(mass[0, 0, :1])
    *_, q, come = along(view, mass, torch.zeros_like(mass[..., 0]), unit, both)
    return all(_alike(table[..., 0], table[..., 1]) for table in (q, come))


def along(
    view: View,
    mass: Float[Tensor, "stages states actions"],
    values: Float[Tensor, "stages states"],
    scale: Float[Tensor, " one"],
    turns: Float[Tensor, "stages read states actions"],
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The tables of `Slopes`, with derivatives along changes of the law."""
    if (walk := walk_of(view)) is None:
        return along_by_copies(view, mass, values, scale, turns)
    from mfdsl.runtime.solvers.native_occupation import met  # needs numba

    found = met(
        walk,
        mass.transpose(1, 2).contiguous().numpy(),
        values.contiguous().numpy(),
        scale.item(),
        view.discount,
        isinstance(view, StationaryView),
        turns.contiguous().numpy(),
    )
    q, comes, moves, q_slope, come_slope = map(torch.from_numpy, found)
    return q, comes, moves, q_slope, come_slope


def along_by_copies(
    view: View,
    mass: Float[Tensor, "stages states actions"],
    values: Float[Tensor, "stages states"],
    scale: Float[Tensor, " one"],
    turns: Float[Tensor, "stages read states actions"],
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The same by tensors, for games that are large or cannot be compiled."""
    here = meeting(view, inner(mass[None]), values[..., None], scale)
    moves = _dense(here, mass.shape[1])
    size = (view.program.noise_count if reads_law(view.tables) else 1) * mass.numel()
    chunk = max(1, MOST_COPIED // size)
    parts = [
        _along(view, mass, values, scale, moves, part) for part in torch.split(turns, chunk, 1)
    ]
    q_slope, come_slope = (torch.cat(tables, -1) for tables in zip(*parts, strict=True))
    q = here.q[..., 0].transpose(1, 2).flatten(1)
    return q, here.comes[..., 0], moves, q_slope, come_slope


def walk_of(view: View) -> Walk | None:
    """The game for compiled loops, None where it is large or has operations without a row."""
    if view not in _walks:
        endless = isinstance(view, FiniteView) and view.truncation is not None
        doubles = view.tables.unit.dtype == torch.float64
        _walks[view] = written(view.tables, endless=endless) if doubles else None
    return _walks[view]


_walks: WeakKeyDictionary[View, Walk | None] = WeakKeyDictionary()


def _alike(one: Tensor, other: Tensor) -> bool:
    near = SAME * (1 + one.abs().amax(-1, keepdim=True))
    return bool(((one - other).abs() <= near).all())


def _one_action(legal: Bool[Tensor, "stages states actions"]) -> Tensor:
    """Directions [T, S, S, A]: mass at each state, in its first legal action."""
    _, states, actions = legal.shape
    first = legal.to(torch.int8).argmax(-1)
    chosen = torch.nn.functional.one_hot(first, actions).to(torch.float64)
    eye = torch.eye(states, dtype=torch.float64, device=legal.device)
    return eye[None, :, :, None] * chosen[:, None]


def _each(legal: Bool[Tensor, "stages states actions"]) -> Tensor:
    """Directions [T, n, S, A]: mass at each pair."""
    stages, states, actions = legal.shape
    read = torch.eye(states * actions, dtype=torch.float64, device=legal.device)
    return read.view(1, -1, states, actions).expand(stages, -1, -1, -1)


def _along(
    view: View, mass: Tensor, values: Tensor, scale: Tensor, moves: Tensor, read: Tensor
) -> tuple[Float[Tensor, "stages pairs copies"], Float[Tensor, "stages states copies"]]:
    """Derivatives of q, and of what comes at fixed mass, along directions [T, copies, S, A]."""
    copies = read.shape[1]
    law = inner(mass[None]).expand(-1, -1, -1, copies).contiguous()
    turned = read.permute(0, 3, 2, 1).contiguous()
    with torch.enable_grad():
        at = law.detach().requires_grad_()
        if reads_law(view.tables):
            tables: tuple[Tensor, ...] = _with_moves(view, at, law, values, scale)
        else:
            tables = (_with_rewards(view, at, scale, moves),)
        found = [_forwards(table, at, turned) for table in tables]
    come = found[1] if len(found) > 1 else law.new_zeros(len(law), law.shape[2], copies)
    return found[0].transpose(1, 2).flatten(1, 2), come


def _forwards(table: Tensor, at: Tensor, turned: Tensor) -> Tensor:
    """The derivative of a table along a change, as that of its gradient in the weights it takes.

    Torch's own derivatives forwards begin with seconds of compiling.
    """
    if not table.requires_grad:
        return torch.zeros_like(table)
    weights = torch.zeros_like(table).requires_grad_()
    (back,) = torch.autograd.grad(table, at, weights, create_graph=True, allow_unused=True)
    if back is None or not back.requires_grad:
        return torch.zeros_like(table)
    (ahead,) = torch.autograd.grad(back, weights, turned, retain_graph=True)
    return ahead.detach()


def _with_moves(
    view: View, at: Tensor, law: Tensor, values: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor]:
    """q, and what comes from the law as it is, where moves read the law."""
    places, chances = moves_at(view.tables, at)
    come = pushed(places, chances, law)
    rewards = rewards_at(view.tables, at) / scale
    ahead = values[..., None].expand(-1, -1, law.shape[-1])
    if not isinstance(view, StationaryView):
        arrived = pushed(places[:, -1:], chances[:, -1:], at[-1:])[0]
        tail = tail_at(view, arrived, at, rewards, scale)
        ahead = torch.cat([ahead[1:], tail[None]])
    return rewards + view.discount * expected_after(places, chances, ahead), come


def _with_rewards(view: View, at: Tensor, scale: Tensor, moves: Tensor) -> Tensor:
    """Values q up to what does not read the law, where moves do not."""
    rewards = rewards_at(view.tables, at) / scale
    if isinstance(view, StationaryView):
        return rewards
    _, actions, states, _ = at.shape
    last = moves[-1].view(states, actions, states)
    arrived = torch.einsum("asc,sax->xc", at[-1], last)
    tail = tail_at(view, arrived, at, rewards, scale)
    after = view.discount * torch.einsum("sax,xc->asc", last, tail)
    return torch.cat([rewards[:-1], rewards[-1:] + after[None]])


def _dense(met: Meeting, states: int) -> Float[Tensor, "stages pairs states"]:
    """The chances of moves as matrices."""
    places, chances = (table[..., 0].permute(1, 3, 2, 0) for table in (met.places, met.chances))
    stages, _, actions, _ = chances.shape
    found = chances.new_zeros(stages, states, actions, states)
    return found.scatter_add_(3, places, chances.contiguous()).view(stages, -1, states)
