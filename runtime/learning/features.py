"""Values of the model as numbers for a network: one entry around [-1, 1] for each fact."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.ir.types import Type

LONGEST = 64  # values of a range that are told apart one by one


@dataclass(frozen=True)
class Axis:
    """One direction of a value among its features: a column in [-1, 1], the cosine and the sine
    of an angle, or columns of which one is 1; `cells` of a histogram along it, None for as many
    as elsewhere.
    """

    kind: Literal["line", "circle", "names"]
    columns: tuple[int, ...]
    cells: int | None = None

    def moved(self, by: int) -> "Axis":
        """The axis with `by` columns before it."""
        return replace(self, columns=tuple(c + by for c in self.columns))


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
            table, axes = _table(kind, model)
            self.register_buffer("table", table)
            each = table.shape[1]
            self.width = count * each
            self.axes = tuple(a.moved(k * each) for k in range(count) for a in axes)
        else:
            shift, scale = _affine(kind, count)
            self.register_buffer("shift", shift)
            self.register_buffer("scale", scale)
            self.width = count * (2 if self.periodic else 1)
            self.axes = tuple(Axis("line", (k,)) for k in range(count))
            if self.periodic:
                self.axes = tuple(Axis("circle", (k, k + count)) for k in range(count))

    def forward(self, value: Tensor) -> Tensor:
        """Features [..., width] of values [..., *dims]."""
        lead = value.shape[: value.ndim - self.dims]
        if self.finite:
            return self.table[value.long() - self.first].reshape(*lead, self.width)
        flat = (value.reshape(*lead, -1).to(self.scale.dtype) - self.shift) * self.scale
        if self.periodic:
            return torch.cat([torch.cos(math.pi * flat), torch.sin(math.pi * flat)], -1)
        return flat

    def calibrate(self, values: Tensor, *, alike: bool = False) -> None:
        """Centre and scale an unbounded value by samples of it; `alike` if all agents share it."""
        if self.finite or self.bounded:
            return
        flat = values.reshape(-1, len(self.shift)).to(self.shift.dtype)
        self.shift.copy_(flat.mean(0))
        spread = flat.std(0, correction=0)
        if alike:  # games that start alike differ by 1 / sqrt(N) only, and move on all together
            spread = torch.maximum(spread, flat.mean(0).abs())
        self.scale.copy_(torch.where(spread > 1e-6, 1 / spread.clamp(min=1e-6), 1.0))


class Entries(nn.Module):
    """Several values side by side, [..., width]."""

    def __init__(self, kinds: Iterable[Type], model: Model) -> None:
        super().__init__()
        self.entries = [Entry(kind, model) for kind in kinds]
        self.modules_ = nn.ModuleList(self.entries)
        self.width, axes = 0, []
        for entry in self.entries:
            axes += [axis.moved(self.width) for axis in entry.axes]
            self.width += entry.width
        self.axes = tuple(axes)

    def forward(self, values: Sequence[Tensor]) -> list[Tensor]:
        """The features of each value."""
        return [entry(value) for entry, value in zip(self.entries, values, strict=True)]

    def calibrate(self, values: Sequence[Tensor], *, alike: bool = False) -> None:
        """Centre and scale unbounded values by samples; `alike` if all agents share them."""
        for entry, value in zip(self.entries, values, strict=True):
            entry.calibrate(value, alike=alike)


def _affine(kind: Type, count: int) -> tuple[Tensor, Tensor]:
    """The middle and one over the half-width of each entry."""
    if kind.lo is None or kind.hi is None:
        return torch.zeros(count), torch.ones(count)
    ends = kind.box or ((float(kind.lo), float(kind.hi)),)
    low, high = (torch.tensor([e[k] for e in ends]).repeat(count // len(ends)) for k in (0, 1))
    return (low + high) / 2, 2 / (high - low).clamp(min=1e-9)


def _table(kind: Type, model: Model) -> tuple[Tensor, tuple[Axis, ...]]:
    """The features of each value of a finite scalar type [size, width], and their axes."""
    if kind.kind in ("cell", "int"):
        places, sizes, periodic = places_of(kind, model)
        columns, axes, width = [], [], 0
        for k, size in enumerate(sizes):
            part, axis = _range(places[:, k], size, periodic)
            columns.append(part)
            axes.append(axis.moved(width))
            width += part.shape[1]
        return torch.cat(columns, 1), tuple(axes)
    return torch.eye(kind.size), (Axis("names", tuple(range(kind.size))),)


def places_of(kind: Type, model: Model) -> tuple[Tensor, tuple[int, ...], bool]:
    """Where the values of a range or a grid lie [size, axes], how long its axes are, and whether
    they are rings.
    """
    if kind.kind == "int":
        return torch.arange(kind.size)[:, None], (kind.size,), kind.periodic
    grid = next(g for g in model.grids if g.name == kind.name)
    rows = grid.rows or ("." * grid.width,) * grid.height
    free = [(i, j) for i, row in enumerate(rows) for j, c in enumerate(row) if c != "#"]
    return torch.tensor(free), (grid.height, grid.width), grid.periodic


def _range(place: Tensor, size: int, periodic: bool) -> tuple[Tensor, Axis]:
    """Places on an axis: scaled or on the circle, and one by one where there are few."""
    share = place / max(1, size - 1)
    columns, axis = [(2 * share - 1)[:, None]], Axis("line", (0,))
    if periodic:
        angle = 2 * math.pi * place / size
        columns = [torch.cos(angle)[:, None], torch.sin(angle)[:, None]]
        axis = Axis("circle", (0, 1))
    if size <= LONGEST:
        axis = Axis("names", tuple(range(len(columns), len(columns) + size)))
        columns.append(nn.functional.one_hot(place, size).to(torch.get_default_dtype()))
    return torch.cat(columns, 1), axis
