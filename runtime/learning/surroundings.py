"""What an agent sees around itself: the nearest members and points, and fields that they make.

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
        if not nearest and not fields:
            return
        self.position, self.anchor = _anchor(model, sight)
        self.scale = _scale(self.anchor.type)
        for crowd in sight.crowds:
            alike = [k for k, f in enumerate(crowd.features) if _same(f.type, self.anchor.type)]
            self.crowds += [(crowd, alike[0])] if alike else []
        self.marks = [f for f in sight.points if f.type.dims[1:] == self.anchor.type.dims]
        axes = self.anchor.type.dims[0]
        each = nearest * axes + (len(WIDTHS) * (1 + axes) if fields else 0)
        self.width = each * (len(self.crowds) + len(self.marks))

    def seen(self, state: Any, points: dict[str, Tensor]) -> list[Tensor]:
        """Own entries [B, N, ...]; `points` are the common arrays [B, n, d] by name."""
        if self.anchor is None:
            return []
        own = getattr(state, self.sight.field)
        place: Tensor = own[self.position]
        found = []
        for there, oneself in self._laws(state, points):
            if self.nearest:
                found.append(self._closest(place, there, oneself))
            if self.fields:
                kept = checkpoint(_field, place, there, self.scale, use_reentrant=False)
                assert isinstance(kept, Tensor)
                found.append(kept)
        return found

    def _laws(self, state: Any, points: dict[str, Tensor]) -> Iterator[tuple[Tensor, bool]]:
        for crowd, index in self.crowds:
            yield getattr(state, crowd.field)[index], crowd.field == self.sight.field
        for feature in self.marks:
            yield points[feature.name], False

    def _closest(self, place: Tensor, there: Tensor, oneself: bool) -> Tensor:
        """Displacements to the nearest, the first one first, [B, N, k * d]; 0 where few are."""
        apart = there.detach()[:, None] - place.detach()[:, :, None]  # [B, N, M, d]
        far = (apart**2).sum(-1)
        if oneself:
            far = far + torch.diag(far.new_full((far.shape[-1],), torch.inf))
        count = min(self.nearest, far.shape[-1] - oneself)
        order = far.topk(count, largest=False).indices if count else far[..., :0].long()
        axes = place.shape[-1]
        chosen = (
            there[:, None]
            .expand(-1, place.shape[1], -1, -1)
            .gather(2, order[..., None].expand(-1, -1, -1, axes))
        )
        near = (chosen - place[:, :, None]) * self.scale
        missing = near.new_zeros(*near.shape[:2], self.nearest - count, axes)
        return torch.cat([near, missing], 2).flatten(-2)


def _field(place: Tensor, there: Tensor, scale: float) -> Tensor:
    """Mass and centre of what is near, [B, N, widths * (1 + d)]."""
    apart = (there[:, None] - place[:, :, None]) * scale  # [B, N, M, d]
    far = (apart**2).sum(-1)
    parts = []
    for width in WIDTHS:
        kernel = torch.exp(-far / (2 * width**2)) / there.shape[1]
        parts.append(kernel.sum(-1, keepdim=True))
        parts.append((kernel[..., None] * apart).sum(-2) / width)
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
