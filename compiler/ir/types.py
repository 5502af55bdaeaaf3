"""Types of the model: finite types are ranges of integers with a meaning, reals are intervals."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Kind = Literal["real", "int", "bool", "enum", "cell", "move", "node", "link"]


class Type(BaseModel):
    """A scalar type, or an array of it when `dims` is not empty.

    `lo` and `hi` bound the values, both ends included; None is unbounded. Values of finite types
    are integers: enum values, cells, moves, graph nodes and links count from 0 in the order of
    declaration (cells row by row over the free cells), bool is 0 or 1. `periodic` integers live on
    a ring; `periodic` reals too, with `hi` the same point as `lo`.

    Real vectors may have one interval for each entry of their last axis (`box`; `lo` and `hi` are
    then the hull), or lie in the Euclidean ball of radius `ball` around 0 (the hull again).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    lo: int | float | None = None
    hi: int | float | None = None
    periodic: bool = False
    name: str | None = None
    dims: tuple[int, ...] = ()
    box: tuple[tuple[float, float], ...] | None = None
    ball: float | None = None

    @property
    def finite(self) -> bool:
        """True when the scalar type has finitely many values."""
        return self.kind != "real" and self.lo is not None and self.hi is not None

    @property
    def size(self) -> int:
        """Number of values of a finite scalar type."""
        if self.kind == "real" or self.lo is None or self.hi is None:
            raise ValueError(f"{self} is not finite")
        return int(self.hi) - int(self.lo) + 1

    @property
    def first(self) -> int:
        """The lowest value of a finite scalar type: position k on its axis is `first + k`."""
        if self.kind == "real" or self.lo is None:
            raise ValueError(f"{self} is not finite")
        return int(self.lo)

    @property
    def scalar(self) -> "Type":
        """The type of one entry."""
        return Type(kind=self.kind, lo=self.lo, hi=self.hi, periodic=self.periodic, name=self.name)

    @property
    def numeric(self) -> bool:
        """True for reals and integers."""
        return self.kind in ("real", "int")


REAL = Type(kind="real")
INT = Type(kind="int")
BOOL = Type(kind="bool", lo=0, hi=1)
