"""Transitions of a finite game as linear maps: push a law forward, take expectations backward.

Laws and values are [S] or [S, B], joint laws and action values [A * S] or [A * S, B]. A kernel
that is the same for all stages and games is one dense matrix when tiny, otherwise a landing and
a spread where rows are shared, or one sparse matrix, stored with its transpose so that both
directions gather; where weights read time or the law they are applied entry by entry.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mfdsl.runtime.views.native import Choice, choice_of
from mfdsl.runtime.views.rows import SharedRows, shared_rows

DENSE_ENTRIES = 30_000


class Kernel(Protocol):
    """One stage of transitions."""

    @property
    def shared(self) -> bool:
        """Whether all games of the batch have the same transitions."""

    def push(self, joint: Tensor, out: Tensor) -> None:
        """Write the law after a move from the joint law of state and action."""

    def expect(self, values: Tensor, base: Tensor, discount: float, out: Tensor) -> None:
        """Write base + discount * expected value after the move."""


class SizedKernel(Kernel, Protocol):
    """One that may be kept for later."""

    @property
    def size(self) -> int:
        """How many numbers it holds, each way of storing them counted once."""


@dataclass(frozen=True, eq=False)
class MatrixKernel:
    """P [A * S, S] shared by all games of the batch, and its transpose; sparse or dense.

    `choice` has the same table for compiled loops.
    """

    forward: Tensor = field(repr=False)
    backward: Tensor = field(repr=False)
    choice: Choice | None = field(default=None, repr=False)
    shared: bool = True

    @property
    def size(self) -> int:
        """Entries of the dense matrix, or those that are not 0."""
        strided = self.forward.layout == torch.strided
        return self.forward.numel() if strided else self.forward.values().numel()

    @cached_property
    def by_state(self) -> Tensor:
        """The same as a dense table [1, S, A, S]."""
        dense = self.forward if self.forward.layout == torch.strided else self.forward.to_dense()
        return _by_state(dense)

    def push(self, joint: Tensor, out: Tensor) -> None:
        """Write P' joint."""
        if joint.ndim == 1:
            torch.mv(self.backward, joint, out=out)
        else:
            torch.mm(self.backward, joint, out=out)

    def expect(self, values: Tensor, base: Tensor, discount: float, out: Tensor) -> None:
        """Write base + discount * P values."""
        if values.ndim == 1:
            torch.addmv(base, self.forward, values, alpha=discount, out=out)
        else:
            torch.addmm(base, self.forward, values, alpha=discount, out=out)


@dataclass(frozen=True, eq=False)
class RowsKernel:
    """The same map as a landing and a spread, shared by all games; matrices are made when used."""

    rows: SharedRows = field(repr=False)
    choice: Choice | None = field(default=None, repr=False)
    shared: bool = True

    @property
    def size(self) -> int:
        """Landings and entries of rows."""
        return self.rows.landing.numel() + self.rows.places.numel()

    @cached_property
    def _spread(self) -> tuple[Tensor, Tensor]:
        """The spread [rows, S] and its transpose."""
        states = self.rows.landing.shape[1]
        table = _coalesced(self.rows.places, self.rows.chances, states)
        return _compressed(table), _compressed(table.t().coalesce())

    @cached_property
    def _landed(self) -> Tensor:
        """Sparse [rows, A * S] with a one where an entry lands."""
        rows = self.rows
        return incidence(rows.landing.reshape(-1), rows.places.shape[1], rows.chances.dtype)

    @cached_property
    def by_state(self) -> Tensor:
        """The same as a dense table [1, S, A, S]."""
        return _by_state(self._spread[0].to_dense().index_select(0, self.rows.landing.reshape(-1)))

    def push(self, joint: Tensor, out: Tensor) -> None:
        """Write the law of those who landed and went on."""
        if joint.ndim == 1:
            torch.mv(self._spread[1], torch.mv(self._landed, joint), out=out)
        else:
            torch.mm(self._spread[1], torch.mm(self._landed, joint), out=out)

    def expect(self, values: Tensor, base: Tensor, discount: float, out: Tensor) -> None:
        """Write base + discount * the mean value ahead of the landing."""
        flat = self.rows.landing.reshape(-1)
        torch.add(base, (self._spread[0] @ values).index_select(0, flat), alpha=discount, out=out)


@dataclass(frozen=True, eq=False)
class WeightedKernel:
    """Successors [K * A * S] shared by the batch with weights [K, A or 1, S or 1, B or 1].

    `incidence` [S, K * A * S] holds a one where an entry arrives; summing arrivals is then a
    sparse product that writes each state once.
    """

    successors: Tensor = field(repr=False)
    incidence: Tensor = field(repr=False)
    weights: Tensor = field(repr=False)
    shape: tuple[int, int, int]

    @property
    def shared(self) -> bool:
        """Whether the weights are those of one game."""
        return self.weights.shape[-1] == 1

    @property
    def size(self) -> int:
        """Entries of the weights; successors are those of all stages."""
        return self.weights.numel()

    def push(self, joint: Tensor, out: Tensor) -> None:
        """Write the sum of weight * joint over the arrivals at each state."""
        batch = joint.view(1, *self.shape[1:], -1)
        mass = joint.new_empty(*self.shape, batch.shape[-1])
        torch.mul(self.weights, batch, out=mass)
        if joint.ndim == 1:
            torch.mv(self.incidence, mass.view(-1), out=out)
        else:
            torch.mm(self.incidence, mass.view(len(self.successors), -1), out=out)

    def expect(self, values: Tensor, base: Tensor, discount: float, out: Tensor) -> None:
        """Write base + discount * sum over k of weight * value of the successor."""
        ahead = values.view(self.shape[2], -1).index_select(0, self.successors)
        expected = (self.weights * ahead.view(*self.shape, -1)).sum(0)
        torch.add(base, expected.view_as(base), alpha=discount, out=out)


@dataclass(frozen=True, eq=False)
class ScatteredKernel:
    """Successors [K, A, S, B] that differ over the batch, with weights as in WeightedKernel.

    `flat` holds successor * B + game, the place in a flattened [S, B] table.
    """

    flat: Tensor = field(repr=False)
    weights: Tensor = field(repr=False)
    shared: bool = False

    @property
    def size(self) -> int:
        """Entries of the successors."""
        return self.flat.numel()

    def push(self, joint: Tensor, out: Tensor) -> None:
        """Write the sum of weight * joint over the arrivals at each state."""
        mass = joint.new_empty(self.flat.shape)
        torch.mul(self.weights, joint.view(1, *self.flat.shape[1:]), out=mass)
        out.zero_()
        out.view(-1).scatter_add_(0, self.flat.view(-1), mass.view(-1))

    def expect(self, values: Tensor, base: Tensor, discount: float, out: Tensor) -> None:
        """Write base + discount * sum over k of weight * value of the successor."""
        ahead = values.reshape(-1).index_select(0, self.flat.view(-1)).view(self.flat.shape)
        if len(ahead) == 1:  # no draw to sum over: one pass in the place of three
            shape = ahead.shape[1:]
            paid, found = base.reshape(shape), out.view(shape)
            torch.addcmul(paid, self.weights[0], ahead[0], value=discount, out=found)
            return
        torch.add(base, (self.weights * ahead).sum(0).view_as(base), alpha=discount, out=out)


def matrix_kernel(
    successors: Int[Tensor, "noises actions states"],
    weights: Float[Tensor, "noises actions states"],
    *,
    games: int = 1,
    dense: bool | None = None,
) -> MatrixKernel | RowsKernel:
    """The kernel that sums entries with the same successor, by the form that is fastest.

    A table is dense when small, for each of the `games` that share it; a landing and a spread where
    these are fewer terms; else sparse. `dense` says true or false of one matrix in any case.
    """
    _, actions, states = successors.shape
    rows = shared_rows(successors, weights)
    choice = choice_of(rows)
    small = actions * states * states * games <= DENSE_ENTRIES
    if dense is None and not small and rows.worth:
        return RowsKernel(rows, choice)
    full = weights.expand(successors.shape)
    table = _coalesced(successors.flatten(1), full.flatten(1), states)
    if small if dense is None else dense:
        matrix = table.to_dense()
        return MatrixKernel(matrix, matrix.t().contiguous(), choice)
    return MatrixKernel(_compressed(table), _compressed(table.t().coalesce()), choice)


def _coalesced(
    successors: Int[Tensor, "noises rows"], weights: Float[Tensor, "noises rows"], states: int
) -> Tensor:
    """Sparse [rows, S], entries with the same place summed, those of weight 0 left out."""
    count = successors.shape[1]
    rows = torch.arange(count, device=successors.device).expand(len(successors), -1)
    positive = weights.reshape(-1) != 0
    places = torch.stack([rows.reshape(-1), successors.reshape(-1)])[:, positive]
    return torch.sparse_coo_tensor(
        places,
        weights.reshape(-1)[positive],
        (count, states),
        check_invariants=False,
        is_coalesced=False,
    ).coalesce()


def fold(kernels: Sequence[Kernel]) -> tuple[MatrixKernel, ...] | None:
    """One dense matrix for each stage, all built at once; None when games differ in weights."""
    weighted = [kernel for kernel in kernels if isinstance(kernel, WeightedKernel)]
    if len(weighted) < len(kernels) or not all(kernel.shared for kernel in weighted):
        return None
    noises, actions, states = weighted[0].shape
    weights = torch.stack([kernel.weights[..., 0] for kernel in weighted])
    weights = weights.expand(-1, noises, actions, states).permute(0, 2, 3, 1)
    places = weighted[0].successors.view(noises, actions, states).permute(1, 2, 0)
    table = weights.new_zeros(len(weighted), actions, states, states)
    table.scatter_add_(-1, places.expand(weights.shape), weights)
    matrices = table.view(len(weighted), actions * states, states).unbind()
    return tuple(MatrixKernel(matrix, matrix.t()) for matrix in matrices)


def incidence(
    successors: Int[Tensor, " entries"], states: int, dtype: torch.dtype
) -> Float[Tensor, "states entries"]:
    """Sparse matrix with a one at (successor of the entry, entry)."""
    order = successors.argsort(stable=True)
    counts = torch.bincount(successors, minlength=states)
    starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    ones = torch.ones(len(successors), dtype=dtype, device=successors.device)
    with _beta_notice_silenced():
        return torch.sparse_csr_tensor(
            starts, order, ones, (states, len(successors)), check_invariants=False
        )


def _by_state(table: Float[Tensor, "entries next"]) -> Float[Tensor, "1 states actions next"]:
    states = table.shape[1]
    return table.view(1, -1, states, states).transpose(1, 2).contiguous()


def _compressed(table: Tensor) -> Tensor:
    with _beta_notice_silenced():
        return table.to_sparse_csr()


def _beta_notice_silenced() -> warnings.catch_warnings:
    """The notice that compressed sparse tensors are in beta says nothing a user can act on."""
    return warnings.catch_warnings(action="ignore", category=UserWarning)
