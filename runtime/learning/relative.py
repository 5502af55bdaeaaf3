"""Displacements between values of one space: what moves with both need not be learned twice."""

import torch
from torch import Tensor, nn

from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.ir.types import Type
from mfdsl.runtime.learning.features import LONGEST, Entry, places_of

MEASURED = ("real", "cell", "int")


def comparable(one: Type, other: Type) -> bool:
    """Whether two values lie in one space, so that a displacement tells them apart."""
    if one.kind != other.kind or one.kind not in MEASURED or one.dims != other.dims:
        return False
    if one.kind == "cell":
        return one.name == other.name and not one.dims
    if one.kind == "int":
        return one.finite and (one.lo, one.hi, one.dims) == (other.lo, other.hi, ())
    return one.periodic == other.periodic and len(one.dims) < 2


class Displacement(nn.Module):
    """From an own value [B, N, ...] to a common one [B, ...], as features [B, N, width].

    Steps between cells and whole numbers are told apart one by one where there are few; on rings
    and circles the shorter way counts.
    """

    places: Tensor

    def __init__(self, kind: Type, model: Model) -> None:
        super().__init__()
        self.finite, self.first = kind.finite, kind.first if kind.finite else 0
        if not kind.finite:
            self.entry = Entry(_doubled(kind), model)
            self.width = self.entry.width
            return
        places, sizes, periodic = places_of(kind, model)
        self.register_buffer("places", places)
        self.sizes = [size if periodic else 2 * size - 1 for size in sizes]
        self.periodic = periodic
        self.width = sum(size if size <= LONGEST else 1 for size in self.sizes)

    def forward(self, own: Tensor, common: Tensor) -> Tensor:
        """Features of the displacement from every agent to the common value."""
        if not self.finite:
            found: Tensor = self.entry(common[:, None] - own)
            return found
        here, there = (self.places[value.long() - self.first] for value in (own, common))
        parts = []
        for axis, size in enumerate(self.sizes):
            apart = there[:, None, axis] - here[..., axis]
            place = apart % size if self.periodic else apart + (size - 1) // 2
            parts.append(_told(place, size))
        return torch.cat(parts, -1)


def _told(place: Tensor, size: int) -> Tensor:
    if size <= LONGEST:
        return nn.functional.one_hot(place, size).to(torch.get_default_dtype())
    return (2 * place / (size - 1) - 1)[..., None].to(torch.get_default_dtype())


def _doubled(kind: Type) -> Type:
    """The type of differences: twice as wide, or the same circle."""
    if kind.periodic or kind.lo is None or kind.hi is None:
        return kind
    width = float(kind.hi) - float(kind.lo)
    return Type(kind="real", lo=-width, hi=width, dims=kind.dims)
