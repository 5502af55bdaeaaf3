"""What an agent sees around itself: the nearest members and points, and fields that they make.

Of points with masses all are seen one by one, the nearest first, for there are few of them; where
there is no mass there is no point. Fields tell as well how crowded each of these points is.

A field is an integral over a law of Gaussian kernels at one's own place, of several widths: how
much mass is near, and where its centre lies (mean shift; Comaniciu and Meer 2002). Like every
integral over a law it does not depend on the number of members or their order.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.ir.types import Type
from mfdsl.runtime.learning.sight import Crowd, Feature, Sight
from mfdsl.runtime.views.native import available

WIDTHS = (0.15, 0.4, 1.0)  # of kernels, in half-widths of the space


class Surroundings:
    """The laws that lie in the space of an agent's place, and how it looks at them."""

    def __init__(self, sight: Sight, model: Model, nearest: int, fields: bool) -> None:
        self.sight, self.nearest, self.fields = sight, nearest, fields
        self.anchor: Feature | None = None
        self.position = 0
        self.crowds: list[tuple[Crowd, int]] = []
        self.marks: list[Feature] = []
        self.width, self.scale = 0, 1.0
        if sight.single or not (nearest or fields or sight.masses):
            return
        self.position, self.anchor = _anchor(model, sight)
        self.scale = _scale(self.anchor.type)
        for crowd in sight.crowds:
            alike = [k for k, f in enumerate(crowd.features) if _same(f.type, self.anchor.type)]
            self.crowds += [(crowd, alike[0])] if alike else []
        self.marks = [f for f in sight.points if f.type.dims[1:] == self.anchor.type.dims]
        axes = self.anchor.type.dims[0]
        kernels = len(WIDTHS) * (1 + axes) if fields else 0
        self.width = (nearest * axes + kernels) * len(self.crowds)
        told = axes + 1 + (len(WIDTHS) * len(self.crowds) if fields else 0)
        for mark in self.marks:
            each = mark.type.dims[0] * told if mark.name in sight.masses else nearest * axes
            self.width += each + kernels

    def seen(
        self, state: Any, points: dict[str, Tensor], masses: dict[str, Tensor]
    ) -> list[Tensor]:
        """Own entries [B, N, ...]; `points` are the common arrays [B, n, d] by name, and `masses`
        how much is at each point [B, n], where this is known.
        """
        if self.anchor is None:
            return []
        own = getattr(state, self.sight.field)
        place: Tensor = own[self.position]
        found = []
        for there, mass, oneself in self._laws(state, points, masses):
            if mass is not None:
                crowds = [getattr(state, c.field)[k] for c, k in self.crowds if self.fields]
                near = [_density(there, members, self.scale) for members in crowds]
                facts = torch.cat([mass[..., None], *near], -1)
                found.append(_listed(place, there, facts, self.scale))
            elif self.nearest:
                found.append(self._closest(place, there, oneself))
            if self.fields:
                kept = checkpoint(_field, place, there, mass, self.scale, use_reentrant=False)
                assert isinstance(kept, Tensor)
                found.append(kept)
        return found

    def _laws(
        self, state: Any, points: dict[str, Tensor], masses: dict[str, Tensor]
    ) -> Iterator[tuple[Tensor, Tensor | None, bool]]:
        """Places of the members of each law, their masses (None: alike), and whether one is
        oneself among them.
        """
        for crowd, index in self.crowds:
            yield getattr(state, crowd.field)[index], None, crowd.field == self.sight.field
        for feature in self.marks:
            yield points[feature.name], masses.get(feature.name), False

    def _closest(self, place: Tensor, there: Tensor, oneself: bool) -> Tensor:
        """Displacements to the nearest, the first one first, [B, N, k * d]; 0 where few are."""
        count = min(self.nearest, there.shape[1] - oneself)
        order = _order(place.detach(), there.detach(), count, oneself)
        axes = place.shape[-1]
        chosen = (
            there[:, None]
            .expand(-1, place.shape[1], -1, -1)
            .gather(2, order[..., None].expand(-1, -1, -1, axes))
        )
        near = (chosen - place[:, :, None]) * self.scale
        missing = near.new_zeros(*near.shape[:2], self.nearest - count, axes)
        return torch.cat([near, missing], 2).flatten(-2)


def _order(place: Tensor, there: Tensor, count: int, oneself: bool) -> Tensor:
    """The numbers of the `count` nearest of `there` [B, M, d] to each of `place` [B, N, d], the
    first one first, [B, N, count]; with `oneself` both are the same and no one is near itself.
    """
    if count and place.device.type == "cpu" and available():
        from mfdsl.runtime.learning.nearest_native import closest  # needs numba

        order = torch.empty(*place.shape[:2], count, dtype=torch.long)
        closest(place.numpy(), there.numpy(), oneself, order.numpy())
        return order
    return _sorted(place, there, count, oneself)


def _sorted(place: Tensor, there: Tensor, count: int, oneself: bool) -> Tensor:
    """`_order` by tensor operations."""
    far = (there[:, None] - place[:, :, None]).square().sum(-1)  # [B, N, M]
    if oneself:
        far = far + torch.diag(far.new_full((far.shape[-1],), torch.inf))
    return far.topk(count, largest=False).indices if count else far[..., :0].long()


def _listed(place: Tensor, there: Tensor, facts: Tensor, scale: float) -> Tensor:
    """Displacements to all points and facts about them [B, n, f], the nearest first,
    [B, N, n * (d + f)]; the first fact is the mass, and zeros stand last for points without one.
    """
    apart = (there[:, None] - place[:, :, None]) * scale  # [B, N, n, d]
    here = (facts[..., 0] > 0)[:, None]
    far = (apart.detach() ** 2).sum(-1).masked_fill(~here, torch.inf)
    order = far.sort(dim=-1, stable=True).indices[..., None]
    alike = facts[:, None].expand(-1, place.shape[1], -1, -1)
    told = torch.cat([apart, alike], -1) * here[..., None]
    return told.gather(2, order.expand_as(told)).flatten(-2)


def _density(there: Tensor, members: Tensor, scale: float) -> Tensor:
    """How much of a law is near each point, [B, n, widths]."""
    far = ((members[:, None] - there[:, :, None]) * scale).square().sum(-1)  # [B, n, M]
    return torch.stack([torch.exp(-far / (2 * width**2)).mean(-1) for width in WIDTHS], -1)


def _field(place: Tensor, there: Tensor, mass: Tensor | None, scale: float) -> Tensor:
    """Mass and centre of what is near, [B, N, widths * (1 + d)].

    Distances and centres are matrix products, so that no displacement of every pair is kept.
    """
    here, points = place * scale, there * scale
    squares = here.square().sum(-1)[..., None] + points.square().sum(-1)[:, None]
    far = (squares - 2 * here @ points.mT).clamp(min=0)  # [B, N, M]
    share = 1 / there.shape[1] if mass is None else mass[:, None].to(far)
    parts = []
    for width in WIDTHS:
        kernel = torch.exp(far * (-1 / (2 * width**2))) * share
        near = kernel.sum(-1, keepdim=True)
        parts += [near, (kernel @ points - near * here) / width]
    return torch.cat(parts, -1)


def _anchor(model: Model, sight: Sight) -> tuple[int, Feature]:
    """The own real vector that says where an agent is, and its position in the state."""
    for position, variable in enumerate(model.player(sight.player).states):
        kind = model.types[variable.type]
        if kind.kind == "real" and len(kind.dims) == 1:
            return position, Feature(variable.name, kind, True)
    raise ValueError(
        f"`{sight.player}` has no real vector as a place: leave out `nearest` and `fields`"
    )


def _same(one: Type, other: Type) -> bool:
    return one.kind == "real" and one.dims == other.dims


def _scale(kind: Type) -> float:
    """One over the half-width of a space, 1 where it has no bounds."""
    if kind.lo is None or kind.hi is None:
        return 1.0
    return 2 / max(float(kind.hi) - float(kind.lo), 1e-9)
