"""Indices that run over the points of a law, each with the probability of its points."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from mfdsl.compiler.ir.build import Builder
from mfdsl.compiler.ir.model import NoiseVariable
from mfdsl.compiler.ir.types import REAL, Type
from mfdsl.compiler.ir.walk import reachable

FIRST_DEPTH = 100


@dataclass
class Points:
    """The indices of one copy of a model; depths lie beyond those of the spec.

    An index belongs to a `place`: the depth of the mean whose members draw the point, or a name.
    """

    builder: Builder
    weights: dict[int, tuple[object, int]] = field(default_factory=dict)
    _depths: dict[tuple[object, ...], int] = field(default_factory=dict)

    def index(self, place: object, key: tuple[object, ...], kind: Type) -> int:
        """The index leaf of a point; it is the same for the same place and key."""
        depth = self._depths.setdefault((place, *key), FIRST_DEPTH + len(self._depths))
        return self.builder.add("index", (), depth, kind)

    def weigh(self, leaf: int, place: object, weight: int) -> None:
        """Say how likely the point of an index is: a node over the index."""
        self.weights.setdefault(leaf, (place, weight))

    def under(self, roots: Iterable[int], place: object) -> list[int]:
        """The indices of a place that some nodes read."""
        found = reachable(self.builder.nodes, roots)
        return [i for i in found if i in self.weights and self.weights[i][0] == place]

    def summed(self, value: int, leaves: Sequence[int]) -> int:
        """The expectation of a value over the points of some indices."""
        for leaf in leaves:
            body = self.builder.add("mul", [self.weights[leaf][1], value])
            depth = self.builder.nodes[leaf].attr
            value = self.builder.add("sum_over", [body, leaf], depth, REAL)
        return value

    def entry(self, values: Sequence[float], leaf: int) -> int:
        """The entry of a list of numbers at an index."""
        table = self.builder.array((len(values),), values)
        return self.builder.add("element", [table, leaf], None, REAL)


def positions(count: int) -> Type:
    """The type of an index over so many points."""
    return Type(kind="int", lo=0, hi=count - 1)


def drawn(builder: Builder, name: str, leaf: int, density: int, doc: str = "") -> NoiseVariable:
    """A noise over the type of its leaf."""
    kind = builder.type_index(builder.type_of(leaf))
    return NoiseVariable(name=name, type=kind, doc=doc, density=density)


def names_of(name: str, dims: tuple[int, ...]) -> list[str]:
    """Names of the entries of a variable."""
    return [f"{name}_{k}" for k in range(int(np.prod(dims)))] if dims else [name]
