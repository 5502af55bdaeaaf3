"""Decision rules: what a planner hands to all agents at once, from own state to a law of actions.

A rule is a table over the cells of the own state (Cui et al. 2024, arXiv:2303.10665, section 4): a
mean and a deviation for each real action in each cell, or a chance for each choice. `rbf` smooths
it with Gaussian kernels at the cells' centres (Cui et al. 2024, arXiv:2307.06175), so that rules
are Lipschitz in the state.
"""

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.ir.types import Type
from mfdsl.runtime.learning.heads import chosen, inside
from mfdsl.runtime.learning.networks import log_softmax
from mfdsl.runtime.learning.sight import Sight
from mfdsl.runtime.views.native import available

RuleKind = Literal["bins", "rbf"]
LARGEST = 1 << 14  # cells of a rule
SMALLEST = 1e-10
WIDEST = 0.25  # deviation of a rule's 1, in half-widths: entries reach from 0 to twice that


class Rule(nn.Module):
    """The rules of one population: entries in [-1, 1] of the planner's action to laws of actions.

    `size` entries make a rule. Real actions have a mean and a deviation in each cell, finite ones
    a weight for each choice (`softmax`: its logarithm times `sharp`).
    """

    def __init__(
        self,
        sight: Sight,
        model: Model,
        bins: int,
        cells: Mapping[str, int],
        kind: RuleKind = "bins",
        *,
        softmax: bool = False,
        sharp: float = 5.0,
    ) -> None:
        super().__init__()
        self.sight, self.kind, self.softmax, self.sharp = sight, kind, softmax, sharp
        self.axes = [Axis(f, bins, cells) for f in states_of(sight, model)]
        self.cells = math.prod(axis.size for axis in self.axes)
        if self.cells > LARGEST:
            raise ValueError(
                f"a rule for `{sight.player}` would have {self.cells:,} cells: take fewer `bins`"
            )
        self.reals = [a for a in sight.actions if not a.type.finite]
        self.finite = [a for a in sight.actions if a.type.finite]
        self.count = sum(math.prod(a.type.dims) for a in self.reals)
        self.choices = math.prod(a.type.size for a in self.finite) if self.finite else 0
        self.size = self.cells * (2 * self.count + self.choices)

    def laws(self, entries: Tensor, state: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Means and deviations in half-widths [B, N, k], and log-chances [B, N, c], of agents.

        `entries` are [B, size] for all agents alike, or [B, N, size] for each agent its own.
        """
        table = entries.reshape(*entries.shape[:-1], self.cells, 2 * self.count + self.choices)
        values = getattr(state, self.sight.field)
        own = {name: values[k] for k, name in enumerate(values._fields)}
        if self.kind == "rbf":
            numbers = self._smoothed(table, own)
        else:
            numbers = self._looked_up(table, own)
        mean = numbers[..., : self.count]
        spread = (numbers[..., self.count : 2 * self.count] + 1 + SMALLEST) * WIDEST
        weight = numbers[..., 2 * self.count :]
        if not self.choices:
            return mean, spread, weight
        chances = self.sharp * weight if self.softmax else (weight + 1 + SMALLEST).log()
        return mean, spread, log_softmax(chances)

    def _looked_up(self, table: Tensor, own: Mapping[str, Tensor]) -> Tensor:
        place = torch.zeros((), dtype=torch.long, device=table.device)
        for axis in self.axes:
            place = place * axis.size + axis.cell(own[axis.name])
        if table.ndim == 3:
            first = self.cells * torch.arange(len(table), device=table.device)[:, None]
            return nn.functional.embedding(place + first, table.flatten(0, 1))
        index = place[..., None, None].expand(*place.shape, 1, table.shape[-1])
        return table.gather(2, index)[..., 0, :]

    def _smoothed(self, table: Tensor, own: Mapping[str, Tensor]) -> Tensor:
        weights = None
        for axis in self.axes:
            share = axis.share(own[axis.name])
            if weights is None:
                weights = share
            else:
                weights = (weights[..., :, None] * share[..., None, :]).flatten(-2)
        assert weights is not None
        weights = weights.to(table.dtype)  # networks may have fewer digits than the game
        return (weights[..., None, :] @ (table[:, None] if table.ndim == 3 else table))[..., 0, :]

    def actions(
        self,
        laws: tuple[Tensor, Tensor, Tensor],
        normal: Tensor | None,
        uniform: Tensor | None,
        unit: Tensor,
    ) -> list[Tensor]:
        """Actions of the agents from standard numbers; reals are clipped to their bounds."""
        mean, spread, chances = laws
        reals = None if normal is None else mean + spread * normal
        return self._bounded(reals, None if uniform is None else chosen(chances, uniform), unit)

    def played(
        self,
        entries: Tensor,
        state: Any,
        normal: Tensor | None,
        uniform: Tensor | None,
        unit: Tensor,
    ) -> list[Tensor]:
        """`actions` by the `laws` of the entries; compiled loops (extra `native`) draw reals from
        a table that all agents of a game share.
        """
        if normal is not None and self._compiled(entries, state):
            return self._bounded(self._drawn(entries, state, normal), None, unit)
        return self.actions(self.laws(entries, state), normal, uniform, unit)

    def _compiled(self, entries: Tensor, state: Any) -> bool:
        """Whether compiled loops apply: they have no gradients."""
        values = (entries, *getattr(state, self.sight.field))
        plain = all(v.device.type == "cpu" and not v.requires_grad for v in values)
        shared = self.kind == "bins" and not self.choices and entries.ndim == 2
        return shared and plain and available()

    def _drawn(self, entries: Tensor, state: Any, normal: Tensor) -> Tensor:
        from mfdsl.runtime.learning import rules_native as loops  # needs numba

        own = getattr(state, self.sight.field)
        values = dict(zip(own._fields, own, strict=True))
        place = torch.zeros(normal.shape[:2], dtype=torch.long).numpy()
        for axis in self.axes:
            value = axis.scalar(values[axis.name]).numpy()
            if axis.finite:
                loops.among_names(value, axis.first, axis.size, place)
            else:
                # as many digits as the values have
                digits = value.dtype.type
                low, width = digits(axis.low), digits(axis.high - axis.low)
                loops.among_cells(value, low, width, digits(axis.size), place)
        table = entries.reshape(len(entries), self.cells, 2 * self.count)
        found = torch.empty_like(normal, dtype=torch.result_type(entries, normal))
        rows = table.contiguous().numpy()
        loops.drawn(rows, place, normal.numpy(), 1 + SMALLEST, WIDEST, found.numpy())
        return found

    def _bounded(self, reals: Tensor | None, index: Tensor | None, unit: Tensor) -> list[Tensor]:
        """Actions from numbers [B, N, k] and choices [B, N]."""
        found: dict[str, Tensor] = {}
        start = 0
        for action in self.reals:
            size = math.prod(action.type.dims)
            assert reals is not None
            numbers = reals[..., start : start + size]
            bounded = inside(numbers, action.type, "clip")
            found[action.name] = bounded.reshape(*numbers.shape[:-1], *action.type.dims).to(unit)
            start += size
        if self.finite:
            assert index is not None
            for action in reversed(self.finite):
                value = index % action.type.size + action.type.first
                found[action.name] = value.bool() if action.type.kind == "bool" else value
                index = index // action.type.size
        return [found[action.name] for action in self.sight.actions]


class Axis:
    """One scalar of the own state: its cells, in the order of the values."""

    def __init__(self, coordinate: "Coordinate", bins: int, cells: Mapping[str, int]) -> None:
        self.name, self.entry, kind = coordinate.name, coordinate.entry, coordinate.type
        self.finite = kind.finite
        self.first = kind.first if kind.finite else 0
        self.size = kind.size if kind.finite else cells.get(self.name, bins)
        self.periodic = kind.periodic and not kind.finite
        self.low, self.high = (0.0, 1.0) if kind.finite else _ends(coordinate.interval)

    def cell(self, value: Tensor) -> Tensor:
        """The cell of each value: the one whose centre is nearest."""
        if self.finite:
            return value.long() - self.first
        share = (self.scalar(value) - self.low) / (self.high - self.low)
        return (share * self.size).long().clamp_(0, self.size - 1)

    def share(self, value: Tensor) -> Tensor:
        """Weights of the cells, adding up to 1: kernels as wide as a cell."""
        if self.finite:
            return nn.functional.one_hot(value.long() - self.first, self.size).to(
                torch.get_default_dtype()
            )
        width = (self.high - self.low) / self.size
        centres = self.low + width * (torch.arange(self.size, device=value.device) + 0.5)
        apart = self.scalar(value)[..., None] - centres
        if self.periodic:
            round_ = self.high - self.low
            apart = (apart + round_ / 2) % round_ - round_ / 2
        return torch.softmax(-2 * (apart / width) ** 2, -1).to(value.dtype)

    def scalar(self, value: Tensor) -> Tensor:
        """The entry of the variable that this axis is along."""
        return value if self.entry is None else value[..., self.entry]


class Coordinate:
    """A scalar of a state: a variable, or one entry of a vector."""

    def __init__(self, name: str, type: Type, entry: int | None) -> None:
        self.name, self.type, self.entry = name, type, entry

    @property
    def interval(self) -> Type:
        """The bounds of the scalar."""
        if self.type.box is not None and self.entry is not None:
            low, high = self.type.box[self.entry]
            return Type(kind="real", lo=low, hi=high)
        return self.type


def states_of(sight: Sight, model: Model) -> list[Coordinate]:
    """The scalars of the own state that a rule may tell apart.

    Raises:
        ValueError: one has no bounds, so that there are no cells.
    """
    player = model.player(sight.player)
    listed = {f.name for f in sight.own}
    found = []
    for variable in (*player.states, *player.traits):
        kind = model.types[variable.type]
        if variable.name not in listed:
            continue
        if not kind.finite and (kind.lo is None or kind.hi is None):
            raise ValueError(
                f"`{variable.name}` of `{sight.player}` has no bounds, so a rule has no cells:"
                " `mf_ppo` learns rules without cells"
            )
        entries: list[int | None] = [None] if not kind.dims else list(range(kind.dims[0]))
        found += [Coordinate(variable.name, kind, entry) for entry in entries]
    return found


def _ends(kind: Type) -> tuple[float, float]:
    if kind.lo is None or kind.hi is None:
        raise ValueError("cells need bounds")
    return float(kind.lo), float(kind.hi)
