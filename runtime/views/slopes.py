"""Where a law that moves read goes next, and the exact derivative of that in the law.

The derivative of push(mu) is the chain at mu, and what the chances change with mu. Modules read the
law through their fields, the numbers of which are few in games of means: the second part is then
the derivative of what arrives in each of these, in as many copies of the table, times theirs in the
law. Where they are more than the states, row i is one gradient: copy i of the law weighs with the
mass that arrives at state i only, so all rows are one backward pass. That is the reference; games
that fit on a tape (`taped_moves.py`) carry the derivatives along it in a compiled loop.

Places that moves lead to may read the law as well. They jump, and between jumps stay, so that their
derivative is 0.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from mfdsl.runtime.views.folding import Folding
from mfdsl.runtime.views.tables import Tables, doubled
from mfdsl.runtime.views.taped_moves import MOST_ENTRIES, Moves, moves_of

FEW_POLICIES = 8  # from where lanes pay, which are as many or a multiple
MOST_LANES = 32

Vector = Float[Tensor, " states"]
Shares = Float[Tensor, "states actions"]


@dataclass(frozen=True, eq=False)
class Point:
    """A law [S], `change` = push(law) - law [S], and its derivative `slope` [S, S], rows first."""

    law: Float[Tensor, " states"]
    change: Float[Tensor, " states"] = field(repr=False)
    slope: Float[Tensor, "states next"] = field(repr=False)


@dataclass(frozen=True, eq=False)
class Reader:
    """One game whose moves read the law.

    Without `moves` the tensor code is used. These are in double precision, as are the tables
    `doubled`.
    """

    tables: Tables
    moves: Moves | None = field(repr=False)
    doubled: Tables = field(repr=False)
    _ahead: Folding = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ahead", Folding(self._slope_and_change))

    def at(self, law: Vector, shares: Shares) -> Point:
        """What happens at a law under a policy."""
        if self.moves is None:
            table = self._ahead(law, shares)
            return Point(law, table[:, -1], table[:, :-1])
        from mfdsl.runtime.views.native_slopes import slope_and_change  # needs numba

        slope, change = slope_and_change(self.moves, law.numpy(), shares.numpy())
        return Point(law, torch.from_numpy(change), torch.from_numpy(slope))

    def shares(
        self, probs: Float[Tensor, "batch states actions"]
    ) -> Float[Tensor, "batch states actions"]:
        """Policies in double precision; those in single precision are made to add up to 1."""
        shares = probs.double().contiguous()
        return shares if probs.dtype == shares.dtype else shares / shares.sum(-1, keepdim=True)

    def laws(
        self, moves: Moves, shares: Float[Tensor, "batch states actions"], tolerance: float
    ) -> tuple[Float[Tensor, "batch states"], Float[Tensor, " batch"]]:
        """The laws that policies keep by implicit steps in compiled loops over its `moves`.

        Also the l1 change of a push at each, -1 where steps do not end.
        """
        found = laws, residuals = np.empty(shares.shape[:2]), np.empty(len(shares))
        given = moves, self._initial, shares.numpy(), tolerance
        if width := self.width(moves, len(shares)):
            from mfdsl.runtime.views.native_lane_laws import laws_kept_lanes  # needs numba

            laws_kept_lanes(*given, width, *found)
        else:
            from mfdsl.runtime.views.native_reading import laws_kept  # needs numba

            laws_kept(*given, *found)
        return torch.from_numpy(laws), torch.from_numpy(residuals)

    @cached_property
    def _initial(self) -> NDArray[np.float64]:
        return self.doubled.initial[:, 0].contiguous().numpy()

    def half_steps(
        self,
        moves: Moves,
        law: Float[Tensor, "states batch"],
        count: int,
        shares: Float[Tensor, "batch states actions"],
    ) -> Float[Tensor, "laws states batch"]:
        """The laws and so many after them, each halfway to where its `moves` push it."""
        from mfdsl.runtime.views.native_slopes import half_steps  # needs numba

        laws = law.new_empty(law.shape[1], count + 1, law.shape[0])
        laws[:, 0] = law.t()
        half_steps(moves, laws.numpy(), shares.numpy())
        return laws.permute(1, 2, 0)

    @property
    def jumps(self) -> bool:
        """Whether the places that moves lead to read the law."""
        return self.tables.successors is None

    def width(self, moves: Moves, policies: int) -> int:
        """How many policies go side by side, 0 where each goes alone."""
        return 0 if len(moves.read) else lanes_of(policies)

    def _slope_and_change(self, law: Vector, shares: Shares) -> Float[Tensor, "states entries"]:
        """The slope with the change as a last column."""
        mass, states = law[:, None] * shares, len(law)
        ahead, chances = self._moves(mass)
        here = torch.arange(states, device=law.device)[:, None, None]
        going = (shares[..., None] * chances).expand(ahead.shape).reshape(-1)
        empty, places = law.new_zeros(states * states), (ahead * states + here).reshape(-1)
        chain = empty.scatter_add(0, places, going).view(states, states)
        identity = torch.eye(states, dtype=law.dtype, device=law.device)
        turned = self._by_numbers if self.numbers < states else self._by_states
        slope = turned(mass, shares, ahead) + chain - identity
        return torch.cat([slope, (chain @ law - law)[:, None]], 1)

    @cached_property
    def numbers(self) -> int:
        """How many numbers fields have."""
        like = self.tables.initial[:, :1]
        actions = self.tables.program.action_count
        leaves = tree_flatten(self._field((like / actions).expand(-1, actions)[None]))[0]
        return sum(x[0].numel() for x in leaves if x.is_floating_point())

    def _field(self, masses: Float[Tensor, "copies states actions"]) -> Any:
        tables = self.tables
        shape = (*tables.program.states.values(), *tables.program.actions.values())
        joint = masses.reshape(len(masses), *shape)
        return tables.program.module.field(tables.params, tables.times(1)[0], joint)

    def _weights(self, field: Any) -> Float[Tensor, "copies states actions noises"]:
        tables = self.tables
        found: Tensor = tables.program.module.weights(tables.params, tables.times(1)[0], field)
        return found

    def _moves(
        self, mass: Shares
    ) -> tuple[Int[Tensor, "states actions noises"], Float[Tensor, "#states #actions noises"]]:
        """The places that moves lead to at a joint law, and the chances."""
        tables, field = self.tables, self._field(mass[None])
        chances = self._weights(field)[0]
        if tables.successors is not None:
            return tables.successors[0].permute(2, 1, 0).contiguous(), chances
        places = tables.program.module.successors(tables.params, tables.times(1)[0], field)
        return places[0].expand(*mass.shape, -1).contiguous(), chances

    def _by_numbers(
        self, mass: Shares, shares: Shares, ahead: Int[Tensor, "states actions noises"]
    ) -> Float[Tensor, "states states"]:
        """What the chances change, number by number of the field."""
        states, count = len(mass), self.numbers
        with torch.enable_grad():
            copies = mass.detach().expand(count, -1, -1).contiguous().requires_grad_()
            leaves, spec = tree_flatten(self._field(copies))
            known = [n for n, x in enumerate(leaves) if x.is_floating_point()]
            turns = _turns([leaves[n] for n in known], count)
            own = sum((leaves[n] * turn).sum() for n, turn in zip(known, turns, strict=True))
            (below,) = torch.autograd.grad(own, copies)
            cut = [x.detach().expand(count, *x.shape[1:]) for x in leaves]
            inputs = [cut[n].contiguous().requires_grad_() for n in known]
            for n, x in zip(known, inputs, strict=True):
                cut[n] = x
            along = _along(self._weights(tree_unflatten(cut, spec)), inputs, turns)
        arriving = (along * mass[..., None]).expand(count, *ahead.shape).reshape(count, -1)
        empty, places = mass.new_zeros(count, states), ahead.reshape(1, -1).expand(count, -1)
        arrived = empty.scatter_add(1, places, arriving)
        return arrived.t() @ (below * shares).sum(2)

    def _by_states(
        self, mass: Shares, shares: Shares, ahead: Int[Tensor, "states actions noises"]
    ) -> Float[Tensor, "states states"]:
        """The same, row by row."""
        states = len(mass)
        arrivals = mass.new_zeros(states, *ahead.shape).scatter_(0, ahead[None], 1.0)
        with torch.enable_grad():
            copies = mass.detach().expand(states, -1, -1).contiguous().requires_grad_()
            chances = self._weights(self._field(copies))
            chances = chances.expand(states, *chances.shape[1:])
            if not chances.requires_grad:
                return mass.new_zeros(states, states)
            weights = (arrivals * mass[..., None]).sum_to_size(chances.shape)
            (gradient,) = torch.autograd.grad((chances * weights).sum(), copies)
        return (gradient * shares).sum(2)


def _turns(leaves: list[Tensor], count: int) -> list[Tensor]:
    """For each of so many numbers, a change of 1 of it in its copy, in the shapes of the leaves."""
    sizes = [x[0].numel() for x in leaves]
    each = torch.eye(count, dtype=leaves[0].dtype, device=leaves[0].device)
    parts = torch.split(each, sizes, 1)
    return [part.view(count, *x.shape[1:]) for part, x in zip(parts, leaves, strict=True)]


def _along(table: Tensor, inputs: list[Tensor], turns: list[Tensor]) -> Tensor:
    """The derivative of a table along changes of its inputs, as that of its gradient in weights."""
    weights = torch.zeros_like(table).requires_grad_()
    if not table.requires_grad:
        return weights.detach()
    given = {"create_graph": True, "allow_unused": True}
    back = torch.autograd.grad(table, inputs, weights, **given)
    pairs = zip(back, turns, strict=True)
    total = sum((x * turn).sum() for x, turn in pairs if x is not None and x.requires_grad)
    if not isinstance(total, Tensor):
        return torch.zeros_like(table)
    (ahead,) = torch.autograd.grad(total, weights)
    return ahead.detach()


def lanes_of(policies: int) -> int:
    """How many policies of a game go side by side in compiled loops, 0 where each goes alone."""
    return min(MOST_LANES, policies // FEW_POLICIES * FEW_POLICIES)


def reader_of(tables: Tables) -> Reader | None:
    """The game as its moves read the law; None where they do not, in a batch, or too large."""
    module, states = tables.program.module, len(tables.initial)
    if tables.games > 1 or "law" not in module.WEIGHTS_READ | module.SUCCESSORS_READ:
        return None
    reader = Reader(tables, None, tables)
    size = states * tables.program.action_count * tables.program.noise_count
    if min(states, reader.numbers) * size > MOST_ENTRIES:
        return None
    exact = doubled(tables)
    return replace(reader, moves=moves_of(exact), doubled=exact)
