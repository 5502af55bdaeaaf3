"""Values of the model as numbers for a network: one entry around [-1, 1] for each fact."""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.ir.types import Type

LONGEST = 64  # values of a range that are told apart one by one


class Entry(nn.Module):
    """One value [...] of a type as features [..., width].

    Names are told apart one by one, ranges are scaled (and told apart while they are short), cells
    are rows and columns, angles points on the circle. Bounded reals fill [-1, 1]; unbounded ones
    are centred and scaled by what `calibrate` saw.
    """

    table: Tensor
    shift: Tensor
    scale: Tensor

    def __init__(self, kind: Type, model: Model) -> None:
        super().__init__()
        self.dims = len(kind.dims)
        self.first = kind.first if kind.finite else 0
        self.finite, self.periodic = kind.finite, kind.periodic and not kind.finite
        self.bounded = kind.lo is not None and kind.hi is not None
        count = math.prod(kind.dims)
        if kind.finite:
            self.register_buffer("table", _table(kind, model))
            self.width = count * self.table.shape[1]
        else:
            shift, scale = _affine(kind, count)
            self.register_buffer("shift", shift)
            self.register_buffer("scale", scale)
            self.width = count * (2 if self.periodic else 1)

    def forward(self, value: Tensor) -> Tensor:
        """Features [..., width] of values [..., *dims]."""
        lead = value.shape[: value.ndim - self.dims]
        if self.finite:
            return self.table[value.long() - self.first].reshape(*lead, self.width)
        flat = (value.reshape(*lead, -1).to(self.scale.dtype) - self.shift) * self.scale
        if self.periodic:
            return torch.cat([torch.cos(math.pi * flat), torch.sin(math.pi * flat)], -1)
        return flat

    def calibrate(self, values: Tensor) -> None:
        """Centre and scale an unbounded value by samples of it."""
        if self.finite or self.bounded:
            return
        flat = values.reshape(-1, len(self.shift)).to(self.shift.dtype)
        self.shift.copy_(flat.mean(0))
        spread = flat.std(0, correction=0)
        self.scale.copy_(torch.where(spread > 1e-6, 1 / spread.clamp(min=1e-6), 1.0))


class Entries(nn.Module):
    """Several values side by side, [..., width]."""

    def __init__(self, kinds: Iterable[Type], model: Model) -> None:
        super().__init__()
        self.entries = [Entry(kind, model) for kind in kinds]
        self.modules_ = nn.ModuleList(self.entries)
        self.width = sum(entry.width for entry in self.entries)

    def forward(self, values: Sequence[Tensor]) -> list[Tensor]:
        """The features of each value."""
        return [entry(value) for entry, value in zip(self.entries, values, strict=True)]

    def calibrate(self, values: Sequence[Tensor]) -> None:
        """Centre and scale unbounded values by samples of them."""
        for entry, value in zip(self.entries, values, strict=True):
            entry.calibrate(value)


def _affine(kind: Type, count: int) -> tuple[Tensor, Tensor]:
    """The middle and one over the half-width of each entry."""
    if kind.lo is None or kind.hi is None:
        return torch.zeros(count), torch.ones(count)
    ends = kind.box or ((float(kind.lo), float(kind.hi)),)
    low, high = (torch.tensor([e[k] for e in ends]).repeat(count // len(ends)) for k in (0, 1))
    return (low + high) / 2, 2 / (high - low).clamp(min=1e-9)


def _table(kind: Type, model: Model) -> Tensor:
    """The features of each value of a finite scalar type [size, width]."""
    if kind.kind == "cell":
        grid = next(g for g in model.grids if g.name == kind.name)
        rows = grid.rows or ("." * grid.width,) * grid.height
        free = [(i, j) for i, row in enumerate(rows) for j, c in enumerate(row) if c != "#"]
        places = torch.tensor(free)
        sides = ((places[:, 0], grid.height), (places[:, 1], grid.width))
        return torch.cat([_range(p, size, grid.periodic) for p, size in sides], 1)
    place = torch.arange(kind.size)
    if kind.kind == "int":
        return _range(place, kind.size, kind.periodic)
    return torch.eye(kind.size)


def _range(place: Tensor, size: int, periodic: bool) -> Tensor:
    """Places on an axis: scaled or on the circle, and one by one where there are few."""
    share = place / max(1, size - 1)
    columns = [(2 * share - 1)[:, None]]
    if periodic:
        angle = 2 * math.pi * place / size
        columns = [torch.cos(angle)[:, None], torch.sin(angle)[:, None]]
    if size <= LONGEST:
        columns.append(nn.functional.one_hot(place, size).to(torch.get_default_dtype()))
    return torch.cat(columns, 1)
