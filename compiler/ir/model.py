"""The model: one flat arena of typed expression nodes, and the players that point into it.

This is all that later stages know of a spec. It is plain data with JSON in and out; the same
spec and parameters always give the same bytes. Operators are listed in `compiler.analysis.atoms`.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from mfdsl.compiler.ir.types import Type

ABI = 1
DEFAULT_AGENTS = 1000  # of a population in a simulation, where neither spec nor caller says more

# Operators that have a value with N agents only, or none over a law by states and actions.
ONLY_AGENTS = frozenset(
    {"min_members", "max_members", "min_others", "max_others", "w2", "peer_noise", "weight"}
)

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
    the horizon or the discount and is folded into the model; the others stay symbols. `labels` has
    for each axis of an array the names of its indices, none where they are numbers.
    """

    name: str
    type: int
    value: Values
    default: Values | None
    structural: bool
    doc: str
    labels: tuple[tuple[str, ...], ...] = ()


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


class Graph(Data):
    """A directed graph: `links` are (tail, head) by position in `nodes`.

    `attributes` are numbers of the links by name, in the order of the links; `node_attributes`
    those of the nodes.
    """

    name: str
    nodes: tuple[str, ...]
    links: tuple[tuple[int, int], ...]
    attributes: dict[str, tuple[float, ...]]
    node_attributes: dict[str, tuple[float, ...]]
    doc: str


class Variable(Data):
    """A named variable of a player; its type may be finite or real, a scalar or an array."""

    name: str
    type: int
    doc: str


class StateVariable(Variable):
    """A state, or with `next` None a trait: drawn once, constant afterwards.

    Exactly one of `initial` and `start` is given. `initial`: probability node of its own value at
    t = 0, over its own leaf and those of states drawn before it (finite scalars). `start`: node of
    the value at t = 0, over `draw` leaves and states drawn before it. `next`: node of the next
    value.
    """

    initial: int | None
    start: int | None = None
    next: int | None


class NoiseVariable(Variable):
    """A private draw of each step (leaf `noise`) or of t = 0 (leaf `draw`).

    Exactly one of `density` and `law` is given. `density`: node of the probability of its own
    value, over its own leaf and over states, actions, the law and earlier noises; the noise of
    `x' ~ D` is named `x_next`. `law`: a standard law without parameters from the model, each entry
    of the type independent: ("uniform",) on [0, 1), ("normal",), ("exponential",), ("gamma", k),
    ("beta", a, b); or ("disc", spacing, lo, hi): `dims[0]` points of the box [lo, hi]^dims[1] that
    keep `spacing` from each other, drawn one after another by rejection. What the spec declares is
    a function of such leaves.

    A draw with `given` is a row of the files of the population: its density is the empirical law,
    and with N agents agent i has entry i of the array `given`, which has N entries.
    """

    density: int | None
    law: tuple[str | float, ...] | None = None
    given: int | None = None


class Weights(Data):
    """Weights between the agents of a population: `array` is N by N, agent i reads row i."""

    name: str
    array: int
    doc: str


class Named(Data):
    """A `let` or an observed value of a player, under the name it has in the spec."""

    name: str
    node: int


class Term(Data):
    """One named reward term; costs are already negated. `final` terms are paid at t = T."""

    name: str
    node: int
    final: bool
    doc: str


class Player(Data):
    """A population of exchangeable agents, a major (one controlled agent) or an environment.

    One member of a family is a player of its own: `flow[cars]` has family `flow` and index `cars`.
    `legal` is the node of the mask over own states and actions, or None when every action is legal.
    `order` numbers the players in the order in which states are drawn at t = 0. Empty
    `observe` shows everything: own states and traits, states of majors and environments, and `t`.
    `observes_law` names the populations whose whole law is seen.
    """

    kind: Literal["population", "major", "environment"]
    name: str
    family: str | None
    index: str | None
    handle: str | None
    states: tuple[StateVariable, ...]
    traits: tuple[StateVariable, ...]
    actions: tuple[Variable, ...]
    noises: tuple[NoiseVariable, ...]
    draws: tuple[NoiseVariable, ...]
    legal: int | None
    rewards: tuple[Term, ...]
    lets: tuple[Named, ...]
    observe: tuple[Named, ...]
    observes_law: tuple[str, ...]
    agents: int | None
    order: int
    doc: str
    weights: tuple[Weights, ...] = ()

    @property
    def fixed(self) -> bool:
        """Whether files give each agent of the population, so that there are `agents` of them."""
        return bool(self.weights) or any(draw.given is not None for draw in self.draws)


class Horizon(Data):
    """`finite`: decisions at t = 0..steps-1; `infinite`: discounted from the initial law;
    `stationary`: discounted at the law that the policy keeps.
    """

    kind: Literal["finite", "infinite", "stationary"]
    steps: int | None


class Model(Data):
    """A checked game. `arrays` holds the constant arrays that `array` nodes name.

    `assumes` are the conditions on parameters as the spec has them, which the bound values meet.
    """

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
    graphs: tuple[Graph, ...]
    arrays: tuple[Array, ...]
    players: tuple[Player, ...]
    objective: Literal["nash", "team"]
    horizon: Horizon
    discount: float
    solver: dict[str, Scalar]
    assumes: tuple[str, ...] = ()

    @property
    def population(self) -> Player:
        """The population of a model that has just one."""
        (only,) = self.populations
        return only

    @property
    def populations(self) -> tuple[Player, ...]:
        """All populations, families expanded, in the order of declaration."""
        return tuple(p for p in self.players if p.kind == "population")

    def player(self, name: str) -> Player:
        """The player of that name."""
        return next(p for p in self.players if p.name == name)

    @property
    def tabular(self) -> bool:
        """Whether the model is one population with finite variables and nothing else.

        Such a model has exact tables; other finite models are reduced to one first.
        """
        if len(self.players) != 1 or self.objective != "nash" or self.players[0].traits:
            return False
        if any(node.op in ONLY_AGENTS for node in self.nodes):
            return False
        only = self.players[0]
        variables = (*only.states, *only.actions, *only.noises)
        return only.kind == "population" and all(
            self.types[v.type].finite and not self.types[v.type].dims for v in variables
        )

    @property
    def computes_arrays(self) -> bool:
        """Whether arrays are computed with, and not only looked up in: no tables are emitted of
        such a model before it is written out entry by entry.
        """
        return any(
            node.op in ("dot", "norm")
            or (bool(self.types[node.type].dims) and node.op not in ("array", "param", "vector"))
            for node in self.nodes
        )

    def node_type(self, index: int) -> Type:
        """The type of node `index`."""
        return self.types[self.nodes[index].type]
