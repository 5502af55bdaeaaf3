"""Grids for continuous variables: their points, and how a value between two points is split.

A value falls on the point below or above by chance so that its mean stays (Kushner and Dupuis,
1992); mass is kept exactly.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mfdsl.compiler.ir.build import Builder
from mfdsl.compiler.ir.model import Model, Player, Variable
from mfdsl.compiler.ir.reduced import Coordinate
from mfdsl.compiler.ir.types import BOOL, INT, REAL, Type
from mfdsl.compiler.tabular.frames import NoTables
from mfdsl.compiler.tabular.points import names_of


@dataclass(frozen=True)
class Bins:
    """How many points a grid has, by the name of the variable or else `every`, and the ends `low`
    and `high` of the grids of variables without bounds.
    """

    every: int | None = None
    named: Mapping[str, int] = field(default_factory=dict)
    low: Mapping[str, float] = field(default_factory=dict)
    high: Mapping[str, float] = field(default_factory=dict)

    def of(self, variable: str) -> int | None:
        """Points for a variable, None when nobody asked for a grid."""
        return self.named.get(variable, self.every)

    def to_options(self) -> dict[str, int | float]:
        """The same as options of a solve."""
        found: dict[str, int | float] = {} if self.every is None else {"bins": self.every}
        for kind, group in (("bins", self.named), ("low", self.low), ("high", self.high)):
            found |= {f"{kind}.{name}": value for name, value in group.items()}
        return found

    def ends(self, variable: str, kind: Type) -> tuple[float, float]:
        """The ends of the grid of a variable.

        Raises:
            NoTables: it has no bounds and none are asked for, or they are the wrong way round.
        """
        low, high = self.low.get(variable, kind.lo), self.high.get(variable, kind.hi)
        if low is None or high is None:
            raise NoTables(
                f"`{variable}` has no bounds",
                f"give it bounds with `in`, or its grid: `--opt low.{variable}=-5 --opt "
                f"high.{variable}=5`",
            )
        if not low < high:
            raise NoTables(f"the grid of `{variable}` ends at {high:g} and begins at {low:g}")
        return float(low), float(high)


def coordinates(model: Model, player: Player, variable: Variable, bins: Bins) -> list[Coordinate]:
    """The axes that stand for a variable, one for each entry.

    Raises:
        NoTables: it is continuous, and has no bounds or nobody asked for a grid.
    """
    kind = model.types[variable.type]
    names = names_of(variable.name, kind.dims)
    if kind.finite:
        return [
            Coordinate(player.name, variable.name, k, name, kind.size, kind.first)
            for k, name in enumerate(names)
        ]
    if kind.kind != "real":
        raise NoTables(f"`{variable.name}` has no bounds", "give it bounds with `in`")
    ends = bins.ends(variable.name, kind)
    size = bins.of(variable.name)
    if size is None:
        raise NoTables(
            f"`{variable.name}` is continuous",
            "`mfdsl solve --opt bins=21` puts it on a grid of 21 points",
        )
    found = []
    for k, name in enumerate(names):
        low, high = kind.box[k % len(kind.box)] if kind.box else ends
        step = (high - low) / (size if kind.periodic else size - 1)
        place = (name, size, 0, float(low), float(step), kind.periodic)
        found.append(Coordinate(player.name, variable.name, k, *place))
    return found


class Grid:
    """Arithmetic on one axis."""

    def __init__(self, builder: Builder, axis: Coordinate) -> None:
        assert axis.step is not None
        self.builder, self.axis, self.step = builder, axis, axis.step

    def value(self, place: int) -> int:
        """The value at a position."""
        steps = self._op("mul", self.builder.const(self.step), self._op("real", place))
        return self._op("add", self.builder.const(self.axis.low), steps)

    def share(self, value: int, leaf: int) -> int:
        """The share of a value that falls on the point `leaf`; beyond the grid, on its end."""
        const = self.builder.const
        scaled = self._scaled(value)
        if not self.axis.periodic:
            scaled = self._op("min", self._op("max", scaled, const(0)), const(self.axis.size - 1))
        gap = self._op("add", scaled, self._op("neg", self._op("real", leaf)))
        if self.axis.periodic:
            half = self.axis.size / 2
            around = self._op("add", gap, const(half))
            around = self._op("rem", around, const(float(self.axis.size)))
            gap = self._op("add", around, const(-half))
        near = self._op("add", const(1), self._op("neg", self._op("abs", gap)))
        return self._op("max", const(0), near)

    def split(self, value: int, side: int) -> tuple[int, int]:
        """The position that a value falls on, given its `side` (0 or 1), and the law of the side.

        Values beyond the grid fall on its end.
        """
        const, last = self.builder.const, self.axis.size - 1
        scaled = self._scaled(value)
        below = self._op("floor", scaled, type=INT)
        if not self.axis.periodic:
            below = self._op("min", below, const(last - 1, INT), type=INT)
            below = self._op("max", below, const(0, INT), type=INT)
        over = self._op("add", scaled, self._op("neg", self._op("real", below)))
        share = self._op("min", self._op("max", over, const(0)), const(1))
        up = self._op("eq", side, const(1, INT), type=BOOL)
        law = self._op("if", up, share, self._op("add", const(1), self._op("neg", share)))
        after = self._op("add", below, side, type=INT)
        if self.axis.periodic:
            after = self._op("rem", after, const(last + 1, INT), type=INT)
        kind = Type(kind="int", lo=0, hi=last)
        return self._op("min", after, const(last, INT), type=kind), law

    def _scaled(self, value: int) -> int:
        offset = self._op("add", value, self.builder.const(-self.axis.low))
        return self._op("div", offset, self.builder.const(self.step))

    def _op(self, op: str, *args: int, type: Any = REAL) -> int:
        return self.builder.add(op, args, None, type)
