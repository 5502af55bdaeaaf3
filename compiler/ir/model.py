"""The model: one flat arena of typed expression nodes, and the players that point into it.

This is all that later stages know of a spec. It is plain data with JSON in and out; the same
spec and parameters always give the same bytes. Operators are listed in `compiler.analysis.atoms`.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from mfdsl.compiler.ir.types import Type

ABI = 1

Scalar = int | float | str | bool
Attribute = int | float | str | tuple[int | str, ...] | None
Values = int | float | tuple[float, ...]


class Data(BaseModel):
    """Frozen record that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Node(Data):
    """One operator applied to earlier nodes (`args` are smaller indices); `type` indexes types."""

    op: str
    args: tuple[int, ...] = ()
    attr: Attribute = None
    type: int


class Place(Data):
    """Where a node was written: character offsets into the file `file`."""

    file: str
    start: int
    end: int


class Parameter(Data):
    """A named constant of the game with its range; the values of an array are flat, row-major.

    `value` is the bound value: the override or the default. A structural parameter fixes sizes,
    the horizon or the discount and is folded into the model; the others stay symbols.
    """

    name: str
    type: int
    value: Values
    default: Values | None
    structural: bool
    doc: str


class Enum(Data):
    """An enumeration; values are coded by position."""

    name: str
    values: tuple[str, ...]
    doc: str


class Grid(Data):
    """A rectangle of cells; `rows` is its map, or None when every cell is free.

    In a map `#` is a wall, every other character a free cell, letters and digits name regions.
    Cells are coded row by row over the free cells. `moves` lists (name, row step, column step).
    """

    name: str
    height: int
    width: int
    periodic: bool
    rows: tuple[str, ...] | None
    moves: tuple[tuple[str, int, int], ...]
    doc: str


class Array(Data):
    """A constant array: `values` flat, row-major, `prod(dims)` of them."""

    dims: tuple[int, ...]
    values: tuple[float, ...]


class Variable(Data):
    """A named finite variable of a player."""

    name: str
    type: int
    doc: str


class StateVariable(Variable):
    """`initial`: probability node of its own value at t = 0 (over the `state` leaf of itself and
    of earlier states); `next`: node of the next value.
    """

    initial: int
    next: int


class NoiseVariable(Variable):
    """`density`: node of the probability of its own value (over its own `noise` leaf, and over
    states, actions, the law and earlier noises). The noise of `x' ~ D` is named `x_next`.
    """

    density: int


class Named(Data):
    """A `let` of a player, kept for readable output."""

    name: str
    node: int


class Term(Data):
    """One named reward term; costs are already negated. `final` terms are paid at t = T."""

    name: str
    node: int
    final: bool
    doc: str


class Population(Data):
    """Exchangeable agents with a finite product of states and of actions.

    `legal` is the node of the mask over states and actions, or None when every action is legal.
    """

    name: str
    handle: str | None
    states: tuple[StateVariable, ...]
    actions: tuple[Variable, ...]
    noises: tuple[NoiseVariable, ...]
    legal: int | None
    rewards: tuple[Term, ...]
    lets: tuple[Named, ...]
    observe: tuple[Named, ...]
    agents: int | None
    doc: str


class Horizon(Data):
    """`finite`: decisions at t = 0..steps-1; `infinite`: discounted from the initial law;
    `stationary`: discounted at the law that the policy keeps.
    """

    kind: Literal["finite", "infinite", "stationary"]
    steps: int | None


class Model(Data):
    """A checked game. `arrays` holds the constant arrays that `array` nodes name."""

    abi: int
    features: tuple[str, ...]
    name: str
    doc: str
    parameters: tuple[Parameter, ...]
    enums: tuple[Enum, ...]
    grids: tuple[Grid, ...]
    types: tuple[Type, ...]
    nodes: tuple[Node, ...]
    places: tuple[Place | None, ...]
    arrays: tuple[Array, ...]
    population: Population
    objective: Literal["nash"]
    horizon: Horizon
    discount: float
    solver: dict[str, Scalar]

    def node_type(self, index: int) -> Type:
        """The type of node `index`."""
        return self.types[self.nodes[index].type]
