"""From states of the module to what networks read: own entries, shared entries, laws.

Everything that agents see alike is computed once for each game; neighbours are the nearest members
and points, by the first own real vector that measures the same space.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn

from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.ir.types import Type
from mfdsl.runtime.learning.encoders import Members
from mfdsl.runtime.learning.features import Axis, Entries
from mfdsl.runtime.learning.relative import Displacement, comparable
from mfdsl.runtime.learning.sight import Crowd, Feature, Sight
from mfdsl.runtime.learning.surroundings import Surroundings

Widths = tuple[int, int, Sequence[Members]]
"""How many numbers a view has: own, common, and of a member of each law."""


@dataclass(frozen=True, eq=False)
class View:
    """What one player's networks read: `own` [B, N, k] (None for a major), `common` [B, c], and a
    law for each crowd and set of points, members [B, M, d] with weights [B, M] or None: all alike.

    `alike` [B, N] are numbers from 0, equal for agents of a game whose own entries are; None where
    nothing is known of that.
    """

    own: Tensor | None
    common: Tensor
    laws: tuple[Tensor, ...]
    weights: tuple[Tensor | None, ...]
    alike: Tensor | None = None


class Eyes(nn.Module):
    """Turns observed values into a `View`; neighbours and fields are own entries, too.

    Without `laws` a view has none, only what is near.

    Raises:
        ValueError: then nothing at all is seen, members of a population see nothing of their own,
            or there is no place for neighbours and fields.
    """

    unit: Tensor

    def __init__(
        self,
        sight: Sight,
        model: Model,
        nearest: int = 0,
        fields: bool = False,
        laws: bool = True,
    ) -> None:
        super().__init__()
        self.sight = sight
        # networks may have fewer digits than the game
        self.register_buffer("unit", torch.ones(()), persistent=False)
        self.read: list[Crowd | Feature] = [*sight.crowds, *sight.points] if laws else []
        self.own = Entries([f.type for f in sight.own], model)
        self.common = Entries([f.type for f in sight.common], model)
        members = [_members_entries(law, model) for law in self.read]
        self.laws = nn.ModuleList(members)
        self.around = Surroundings(sight, model, nearest, fields)
        self.pairs = [] if sight.single else _pairs(sight)
        self.joint = [
            (a, b) for a, b in combinations(sight.common, 2) if comparable(a.type, b.type)
        ]
        steps = [Displacement(own.type, model) for own, _ in self.pairs]
        joint = [Displacement(one.type, model) for one, _ in self.joint]
        self.apart, self.between = nn.ModuleList(steps), nn.ModuleList(joint)
        self.own_width = self.own.width + self.around.width + sum(step.width for step in steps)
        self.common_width = self.common.width + sum(step.width for step in joint)
        self.law_widths = tuple(Members(e.width, e.axes) for e in members)
        self.finite = not self.around.width and all(
            f.type.finite and not f.type.dims for f in sight.own
        )
        if not (sight.single or self.own_width):
            raise ValueError(
                f"`{sight.player}` sees nothing of its own, so all its members would act alike:"
                " hide less"
            )
        if not (laws or self.own_width or self.common_width):
            raise ValueError(f"`{sight.player}` sees nothing besides laws: leave out `laws=false`")

    @property
    def widths(self) -> Widths:
        """How many numbers a view has."""
        return self.own_width, self.common_width, self.law_widths

    def celled(self, cells: Mapping[str, int]) -> tuple[Members, ...]:
        """The widths of laws, with this many cells along real variables of populations by name."""
        return tuple(
            Members(law.width, _celled(law.axes, entries, read, cells))
            for law, entries, read in zip(self.law_widths, self.laws, self.read, strict=True)
        )

    def forward(self, seen: dict[str, Tensor], state: Any, batch: int) -> View:
        """A view of B games; `seen` are the values of this player by name."""
        common = [*self.common(self._common(seen, batch)), *self._joint(seen, batch)]
        laws = [torch.cat(e(v), -1) for e, v in self._members(seen, state, batch)]
        masses = self._masses(seen, batch)
        own = alike = None
        if not self.sight.single:
            parts = self.own([seen[f.name] for f in self.sight.own])
            near = self.around.seen(state, self._points(seen, batch), masses)
            own = torch.cat([*parts, *near, *self._displacements(seen, batch)], -1).to(self.unit)
            alike = self._alike(seen) if self.finite else None
        shared = torch.cat(common, -1) if common else self.unit.new_zeros(batch, 0)
        weights = tuple(masses.get(law.name) for law in self.read)
        return View(own, shared, tuple(laws), weights, alike)

    def calibrate(self, seen: dict[str, Tensor], state: Any, batch: int) -> None:
        """Centre and scale unbounded values by what is seen in one state of B games."""
        self.own.calibrate([seen[f.name] for f in self.sight.own])
        self.common.calibrate(self._common(seen, batch), alike=True)
        for entries, values in self._members(seen, state, batch):
            entries.calibrate(values)

    def _common(self, seen: dict[str, Tensor], batch: int) -> list[Tensor]:
        return [_common(seen[f.name], self.sight, f, batch) for f in self.sight.common]

    def _members(
        self, seen: dict[str, Tensor], state: Any, batch: int
    ) -> Iterator[tuple[Entries, Sequence[Tensor]]]:
        """What each law is made of: its entries, and the values of its members."""
        for entries, law in zip(self.laws, self.read, strict=True):
            assert isinstance(entries, Entries)
            if isinstance(law, Crowd):
                yield entries, members_of(state, law)
            else:
                yield entries, [_common(seen[law.name], self.sight, law, batch)]

    def _displacements(self, seen: dict[str, Tensor], batch: int) -> list[Tensor]:
        """From own values to common ones of the same space."""
        return [
            apart(seen[own.name], _common(seen[common.name], self.sight, common, batch))
            for (own, common), apart in zip(self.pairs, self.apart, strict=True)
        ]

    def _joint(self, seen: dict[str, Tensor], batch: int) -> list[Tensor]:
        """Between common values of one space."""
        values = dict(zip(self.sight.common, self._common(seen, batch), strict=True))
        return [
            apart(values[one][:, None], values[other])[:, 0]
            for (one, other), apart in zip(self.joint, self.between, strict=True)
        ]

    def _alike(self, seen: dict[str, Tensor]) -> Tensor:
        """The place of the own values among all that there may be [B, N]."""
        first, *others = self.sight.own
        place = seen[first.name].long() - first.type.first
        for feature in others:
            place = place * feature.type.size + (seen[feature.name].long() - feature.type.first)
        return place

    def _points(self, seen: dict[str, Tensor], batch: int) -> dict[str, Tensor]:
        """Sets of points [B, n, d] by name."""
        sight = self.sight
        return {f.name: _common(seen[f.name], sight, f, batch) for f in sight.points}

    def _masses(self, seen: dict[str, Tensor], batch: int) -> dict[str, Tensor]:
        """How much is at each point [B, n], by the name of the points; 1 is the most, if there is
        a bound.
        """
        return {
            name: _common(seen[f.name], self.sight, f, batch).to(self.unit)
            / (1.0 if f.type.hi is None else float(f.type.hi))
            for name, f in self.sight.masses.items()
        }


def _members_entries(law: Crowd | Feature, model: Model) -> Entries:
    """What is read of a member of a crowd, or of one of the points."""
    types = [f.type for f in law.features] if isinstance(law, Crowd) else [_one(law.type)]
    return Entries(types, model)


def _celled(
    axes: Sequence[Axis], entries: nn.Module, law: Crowd | Feature, cells: Mapping[str, int]
) -> tuple[Axis, ...]:
    """The axes of a law, in the order of its features; points have cells of their own."""
    assert isinstance(entries, Entries)
    if not isinstance(law, Crowd):
        return tuple(axes)
    pairs = zip(law.features, entries.entries, strict=True)
    named = [None if f.type.finite else cells.get(f.name) for f, e in pairs for _ in e.axes]
    return tuple(replace(axis, cells=n) for axis, n in zip(axes, named, strict=True))


def _pairs(sight: Sight) -> list[tuple[Feature, Feature]]:
    """Own and common values that lie in one space."""
    return [(o, c) for o in sight.own for c in sight.common if comparable(o.type, c.type)]


def members_of(state: Any, crowd: Crowd) -> Sequence[Tensor]:
    """States and traits of the members of a population, in the order of `Crowd.features`."""
    values: Sequence[Tensor] = getattr(state, crowd.field)
    return values


def _common(value: Tensor, sight: Sight, feature: Feature, batch: int) -> Tensor:
    """A common value [B, ...]: without the axis of agents, along which it is constant."""
    if value.ndim == 0:
        return value.expand(batch)
    if not sight.single and value.ndim == len(feature.type.dims) + 2:
        value = value[:, 0]
    return value.expand(batch, *value.shape[1:]) if value.ndim else value.expand(batch)


def _one(kind: Type) -> Type:
    """The type of a row of an array of points."""
    return kind.model_copy(update={"dims": kind.dims[1:]})
