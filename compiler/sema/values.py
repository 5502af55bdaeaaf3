"""What an expression can stand for while it is lowered: a term, a set, an array, a name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from mfdsl.compiler.analysis.enclosure import Guard
from mfdsl.compiler.ir.model import Graph
from mfdsl.compiler.ir.spaces import GridSpace
from mfdsl.compiler.ir.types import Type
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast


@dataclass(frozen=True, slots=True)
class Term:
    """A scalar or array node."""

    node: int
    type: Type


@dataclass(frozen=True, slots=True)
class Poison:
    """An expression with an error already reported; it silences what would follow from it."""


@dataclass(frozen=True, slots=True)
class Items:
    """`[a, b, c]` before it is known what it is used for."""

    items: tuple["Value", ...]


@dataclass(frozen=True, slots=True)
class Mapped:
    """`[body for i in lo..hi]`: indexing substitutes, so the array itself is never made.

    `at(position, depth)` is the element at the node `position`, used inside `depth` binders. With
    `unrolls` positions must be constants, since the body picks members of a family.
    """

    size: int
    at: Callable[[int, int], "Value"]
    unrolls: bool = False


@dataclass(frozen=True, slots=True)
class SetValue:
    """A finite set: a range of integers, or listed nodes, or a region, or a whole type.

    Exactly one of `bounds`, `nodes`, `region` is set; a whole type has its bounds.
    """

    type: Type
    bounds: tuple[int, int] | None = None
    nodes: tuple[int, ...] | None = None
    region: tuple[GridSpace, str] | None = None

    @property
    def size(self) -> int:
        """Number of elements."""
        if self.bounds is not None:
            return self.bounds[1] - self.bounds[0] + 1
        if self.nodes is not None:
            return len(self.nodes)
        assert self.region is not None
        return len(self.region[0].regions[self.region[1]])


@dataclass(frozen=True, slots=True)
class EnumName:
    """The name of an enum, for `Health.S` and as a set."""

    type: Type
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GridName:
    """The name of a grid, for `rooms[r, c]`, `rooms.E`, `rooms.cell`."""

    space: GridSpace


@dataclass(frozen=True, slots=True)
class GraphName:
    """The name of a graph, for `city.A`, `city[A, B]`, `city.link`."""

    graph: Graph


@dataclass(frozen=True, slots=True)
class Handle:
    """`mu` of `population p as mu`: the law of the population `player`."""

    player: str


@dataclass(frozen=True, slots=True)
class Peer:
    """The member `q` of the population `player` bound by `for q in p`."""

    depth: int
    player: str


@dataclass(frozen=True, slots=True)
class PopulationName:
    """The name of a population, legal after `in` of a comprehension; `name` is the full one."""

    name: str


@dataclass(frozen=True, slots=True)
class PlayerName:
    """The name of a major or an environment, for `market.z0` and `truck[0].y`."""

    name: str


@dataclass(frozen=True, slots=True)
class FamilyName:
    """The name of a family: `axis` is the type of its index, `members` are the full names."""

    name: str
    kind: str
    axis: Type
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WeightsName:
    """`w` of `weights w from ...` of the population `player`; its numbers lie in [lo, hi]."""

    player: str
    name: str
    lo: float
    hi: float


@dataclass(frozen=True, slots=True)
class MemberPick:
    """`truck[i]` of a family of majors or environments with an index that the run computes."""

    family: FamilyName
    index: Term


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the spec, expanded where it is called."""

    declaration: ast.Fn
    file: str


@dataclass(frozen=True, slots=True)
class Builtin:
    """The name of a built-in function or distribution used without a call."""

    name: str


Value = (
    Term
    | Poison
    | Items
    | Mapped
    | SetValue
    | EnumName
    | GridName
    | GraphName
    | Handle
    | Peer
    | PopulationName
    | PlayerName
    | FamilyName
    | MemberPick
    | WeightsName
    | Function
    | Builtin
)

Stage = Literal["start", "legal", "noise", "next", "reward", "final", "let", "observe"]

POISON = Poison()
END_OF_RANGE = "the end of a range"  # what a value is for that must be known before the run
OWN = -1
COMMON = -2


@dataclass(frozen=True, slots=True)
class Env:
    """Where an expression stands.

    `player` is the full name of the player whose members plain names mean, None outside of all.
    `view` says as whose: OWN (a member of the population that the expression is about), COMMON (a
    major or an environment), the depth of a peer, or None outside of players. `depth` counts the
    binders around it. `static` asks for a value known before the run: every parameter is its bound
    number. `reader` is the player whose expression it is, also inside functions and lets of others,
    and `stage` says which part of it. `noises` are those of `player` that may be read, `drawn` the
    states and traits of the reader that are known at the start.
    """

    file: str
    player: str | None = None
    reader: str | None = None
    view: int | None = None
    depth: int = 0
    static: bool = False
    stage: Stage = "next"
    noises: frozenset[str] = frozenset()
    drawn: frozenset[str] = frozenset()
    target: Type | None = None
    guards: tuple[Guard, ...] = ()
    locals: Mapping[str, Value] = field(default_factory=dict, hash=False)
    purpose: str = ""

    @property
    def at_end(self) -> bool:
        """Whether this is paid at t = T."""
        return self.stage == "final"

    @property
    def actions(self) -> bool:
        """Whether own actions may be read."""
        return self.stage not in ("final", "observe", "start")

    @property
    def mean_field(self) -> bool:
        """Whether the law may be read."""
        return self.stage not in ("legal", "start")

    @property
    def own(self) -> bool:
        """Whether plain names mean variables of the reader itself."""
        return self.player == self.reader and self.view in (OWN, COMMON)


@dataclass(frozen=True, slots=True)
class Obligation:
    """What must hold wherever `node` is evaluated; checked once all ranges are known.

    `kind` is one of: "probability" (0 <= node), "total" (node <= 1), "one" (node == 1), "nonzero",
    "positive" and "mass" (> 0), "nonnegative", "exponent" (exp of it is a float), "finite",
    "size" (a whole number that floats hold exactly), "distinct" (the comparison is false),
    "index" (0 <= node < limit), "range" (lo <= node <= hi), "cell" (row `node` and column `other`
    is a free cell of the grid). `name` is the grid of a "cell", or what a "total" of one number is
    called. `player` is the player whose expression asks for it.
    """

    kind: str
    node: int
    span: Span
    guards: tuple[Guard, ...]
    lo: float = 0.0
    hi: float = 0.0
    other: int | None = None
    name: str = ""
    text: str = ""
    player: str | None = None
