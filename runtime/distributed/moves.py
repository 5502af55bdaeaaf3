"""Transitions of a part of the states: its own moves, with an exchange hidden in each stage."""

import warnings
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mfdsl.runtime.distributed.halo import Halo
from mfdsl.runtime.views import native
from mfdsl.runtime.views.kernels import incidence
from mfdsl.runtime.views.native import Choice, Loops, choice_of
from mfdsl.runtime.views.rows import SharedRows, shared_rows


@dataclass(frozen=True, eq=False)
class FixedMoves:
    """Moves that are the same at all stages; a kernel (`views/kernels.py`) of the own states.

    As in one process they are a landing and a spread where these are fewer terms, else one sparse
    matrix; both lead to the own states and the halo.
    """

    halo: Halo
    rows: SharedRows = field(repr=False)
    choice: Choice | None = field(repr=False)
    shared: bool = True

    @property
    def loops(self) -> Loops | None:
        """The moves for compiled loops, None where tensors are used."""
        return None if self.choice is None else self.choice.loops(1)

    @cached_property
    def _spread(self) -> tuple[Tensor, Tensor]:
        """Where rows lead [rows, reach], and the transpose."""
        noises, count = self.rows.places.shape
        at = torch.arange(count, device=self.rows.places.device).expand(noises, -1)
        places = torch.stack([at.reshape(-1), self.rows.places.reshape(-1)])
        chances, size = self.rows.chances.reshape(-1), (count, self.halo.reach)
        table = torch.sparse_coo_tensor(places, chances, size, check_invariants=False).coalesce()
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # compressed is beta
            return table.to_sparse_csr(), table.t().coalesce().to_sparse_csr()

    @cached_property
    def _landed(self) -> Tensor:
        """Sparse [rows, entries] with a one where an entry lands."""
        rows = self.rows
        return incidence(rows.landing.reshape(-1), rows.places.shape[1], rows.chances.dtype)

    def push(self, joint: Tensor, out: Tensor) -> None:
        """Write the law of the own states after a move."""
        landed = torch.mv(self._landed, joint.reshape(-1))
        masses = torch.mv(self._spread[1], landed)
        out.copy_(self.halo.returned(masses[:, None]).view_as(out))

    def expect(self, values: Tensor, base: Tensor, discount: float, out: Tensor) -> None:
        """Write base + discount * expected value after the move."""
        ahead = self._spread[0] @ self.halo.extended(values.view(-1, 1)).view(-1)
        mean = ahead.index_select(0, self.rows.landing.reshape(-1))
        torch.add(base, mean.view_as(base), alpha=discount, out=out)

    def pushed(
        self, law: Float[Tensor, "own 1"], share: Float[Tensor, "actions own 1"]
    ) -> Float[Tensor, "own 1"]:
        """The law after a move under these probabilities of actions."""
        if (loops := self.loops) is None:
            out = torch.empty_like(law)
            self.push(law * share, out)
            return out
        laws = law.new_empty(2, self.halo.reach, 1)
        laws[0, : len(law)] = law
        native.push_forward(loops, share[None], laws)
        return self.halo.returned(laws[1])


@dataclass(frozen=True, eq=False)
class StageMoves:
    """Moves of one stage, whose chances [K, A or 1, own or 1] read the time or the law.

    `places` [K, A, own] lie among the own states and the halo.
    """

    halo: Halo
    places: Int[Tensor, "noises actions own"] = field(repr=False)
    chances: Float[Tensor, "noises actions own"] = field(repr=False)
    shared: bool = True

    def push(self, joint: Tensor, out: Tensor) -> None:
        """Write the law of the own states after a move."""
        mass = self.chances * joint.view(1, *self.places.shape[1:])
        masses = joint.new_zeros(self.halo.reach).index_add_(
            0, self.places.reshape(-1), mass.reshape(-1)
        )
        out.copy_(self.halo.returned(masses[:, None]).view_as(out))

    def expect(self, values: Tensor, base: Tensor, discount: float, out: Tensor) -> None:
        """Write base + discount * expected value after the move."""
        ahead = self.halo.extended(values.view(-1, 1)).view(-1)[self.places]
        torch.add(base, (self.chances * ahead).sum(0).view_as(base), alpha=discount, out=out)

    def pushed(
        self, law: Float[Tensor, "own 1"], share: Float[Tensor, "actions own 1"]
    ) -> Float[Tensor, "own 1"]:
        """The law after a move under these probabilities of actions."""
        out = torch.empty_like(law)
        self.push(law * share, out)
        return out


def fixed_moves(
    halo: Halo,
    places: Int[Tensor, "noises actions own"],
    chances: Float[Tensor, "noises actions own"],
) -> FixedMoves:
    """Moves to places among the own states and the halo, by the form with fewer terms."""
    rows = shared_rows(places, chances)
    choice = choice_of(rows)
    if rows.worth or choice is not None:
        return FixedMoves(halo, rows, choice)
    noises, actions, own = places.shape
    entries = torch.arange(actions * own, device=places.device).view(actions, own)
    full = chances.expand(places.shape).reshape(noises, -1)
    return FixedMoves(halo, SharedRows(entries, places.reshape(noises, -1), full), None)
