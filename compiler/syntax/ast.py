"""The syntax tree: frozen nodes, one for each construct as written, each with its span.

Parentheses are kept, so that the formatter prints what the author wrote. Names are
NFKC-normalised; their text as written is under their span. Expressions are defined in
`ast_expressions` and found here too: all nodes are `ast.NAME`.
"""

from dataclasses import dataclass
from typing import Literal

from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax.ast_expressions import (
    Argument as Argument,
    Arm as Arm,
    Boolean as Boolean,
    Call as Call,
    CallFor as CallFor,
    CallIn as CallIn,
    Compare as Compare,
    Comparison as Comparison,
    Expr as Expr,
    Field as Field,
    FiniteSet as FiniteSet,
    Ident as Ident,
    If as If,
    Index as Index,
    Logic as Logic,
    Match as Match,
    Member as Member,
    Mix as Mix,
    Name as Name,
    Negate as Negate,
    Not as Not,
    Number as Number,
    Paren as Paren,
    Power as Power,
    Product as Product,
    Range as Range,
    Sum as Sum,
    Text as Text,
    Tree as Tree,
    Vector as Vector,
    VectorFor as VectorFor,
)


@dataclass(frozen=True, slots=True)
class TypeExpr(Tree):
    """`real[n] in [0, 1]`, `int mod n`, `bool`, `Health`, `rooms.cell`.

    `base` is "real", "int" or "bool", or the name of an enum or grid; `member` is the part after
    the point. `domain_kind` is "in", "mod" or None.
    """

    base: Ident
    member: Ident | None
    dims: tuple[Expr, ...]
    domain_kind: Literal["in", "mod"] | None
    domain: Expr | None


# Declarations. `doc` is the text of the `##` comments above or at the end of the line.


@dataclass(frozen=True, slots=True)
class Header(Tree):
    """`model NAME` or `library NAME`."""

    kind: Literal["model", "library"]
    name: Ident
    doc: str


@dataclass(frozen=True, slots=True)
class Import(Tree):
    """`import a, b from "path"`."""

    names: tuple[Ident, ...]
    path: Text


@dataclass(frozen=True, slots=True)
class Param(Tree):
    """`param name : type = default` or `param name : type from "data.json"`."""

    name: Ident
    type: TypeExpr
    default: Expr | None
    data: Text | None
    doc: str


@dataclass(frozen=True, slots=True)
class Let(Tree):
    """`let name : type = value`."""

    name: Ident
    type: TypeExpr | None
    value: Expr
    doc: str


@dataclass(frozen=True, slots=True)
class FnArg(Tree):
    """One name of a function's arguments, with its type when written."""

    name: Ident
    type: TypeExpr | None


@dataclass(frozen=True, slots=True)
class Fn(Tree):
    """`fn name(a, b) = body`."""

    name: Ident
    arguments: tuple[FnArg, ...]
    body: Expr
    doc: str


@dataclass(frozen=True, slots=True)
class Enum(Tree):
    """`enum Name { A, B }`."""

    name: Ident
    values: tuple[Ident, ...]
    doc: str


@dataclass(frozen=True, slots=True)
class GridMap(Tree):
    """`map triple-quoted text`: `rows` after removing the common indentation and blank ends.

    `row_spans[i]` is the place of row i in the file.
    """

    rows: tuple[str, ...]
    row_spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class GridSize(Tree):
    """`size height, width`."""

    height: Expr
    width: Expr


@dataclass(frozen=True, slots=True)
class GridMoves(Tree):
    """`moves von_neumann`."""

    name: Ident


@dataclass(frozen=True, slots=True)
class GridPeriodic(Tree):
    """`periodic`."""


@dataclass(frozen=True, slots=True)
class GridFile(Tree):
    """`file "path"`: a text whose lines are the rows of a map."""

    path: Text


GridItem = GridMap | GridSize | GridMoves | GridPeriodic | GridFile


@dataclass(frozen=True, slots=True)
class Grid(Tree):
    """`grid name { ... }`."""

    name: Ident
    items: tuple[GridItem, ...]
    doc: str


@dataclass(frozen=True, slots=True)
class Setting(Tree):
    """`key = value` in a solver block or in the braces of a graph item."""

    name: Ident
    value: Expr


@dataclass(frozen=True, slots=True)
class GraphNode(Tree):
    """`node NAME { ... }`."""

    name: Ident
    settings: tuple[Setting, ...]


@dataclass(frozen=True, slots=True)
class GraphLink(Tree):
    """`link A -> B { ... }`, or `A -- B` for both directions."""

    tail: Ident
    head: Ident
    both_ways: bool
    settings: tuple[Setting, ...]


@dataclass(frozen=True, slots=True)
class GraphFile(Tree):
    """`file "path"`."""

    path: Text


@dataclass(frozen=True, slots=True)
class Graph(Tree):
    """`graph name { ... }`."""

    name: Ident
    items: tuple[GraphNode | GraphLink | GraphFile, ...]
    doc: str


@dataclass(frozen=True, slots=True)
class Objective(Tree):
    """`objective nash`."""

    name: Ident


@dataclass(frozen=True, slots=True)
class Horizon(Tree):
    """`horizon 50`; `infinite` and `stationary` are read as names."""

    value: Expr


@dataclass(frozen=True, slots=True)
class Discount(Tree):
    """`discount 0.9`."""

    value: Expr


@dataclass(frozen=True, slots=True)
class Assume(Tree):
    """`assume condition`."""

    condition: Expr


@dataclass(frozen=True, slots=True)
class Require(Tree):
    """`require claim`."""

    claim: Expr


@dataclass(frozen=True, slots=True)
class Solver(Tree):
    """`solver { key = value ... }`."""

    settings: tuple[Setting, ...]


# Players and their members.


@dataclass(frozen=True, slots=True)
class Family(Tree):
    """`[name in domain]` after the name of a player."""

    name: Ident
    domain: Expr


@dataclass(frozen=True, slots=True)
class State(Tree):
    """`state x : T = value` (`drawn` False) or `state x : T ~ distribution` (`drawn` True)."""

    name: Ident
    type: TypeExpr
    initial: Expr
    drawn: bool
    doc: str


@dataclass(frozen=True, slots=True)
class Trait(Tree):
    """`trait u : T ~ law` or `trait u : T from "players.csv"`: one of `law` and `data` is given."""

    name: Ident
    type: TypeExpr
    law: Expr | None
    data: Text | None
    doc: str


@dataclass(frozen=True, slots=True)
class Noise(Tree):
    """`noise e : T ~ law`."""

    name: Ident
    type: TypeExpr
    law: Expr
    doc: str


@dataclass(frozen=True, slots=True)
class Weights(Tree):
    """`weights w from "w.csv"`."""

    name: Ident
    data: Text
    doc: str


@dataclass(frozen=True, slots=True)
class Action(Tree):
    """`action a : T where condition`."""

    name: Ident
    type: TypeExpr
    where: Expr | None
    doc: str


@dataclass(frozen=True, slots=True)
class Next(Tree):
    """`x' = value` or `x' ~ distribution` (`drawn`)."""

    name: Ident
    value: Expr
    drawn: bool


@dataclass(frozen=True, slots=True)
class Reward(Tree):
    """`[final] reward [name] = value`, or `cost` (its value is subtracted)."""

    kind: Literal["reward", "cost"]
    name: Ident | None
    value: Expr
    final: bool
    doc: str


@dataclass(frozen=True, slots=True)
class Observe(Tree):
    """`observe x, t`."""

    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Agents(Tree):
    """`agents 1000`."""

    count: Expr


PlayerMember = (
    State | Trait | Noise | Weights | Action | Let | Next | Reward | Observe | Agents | Require
)


@dataclass(frozen=True, slots=True)
class Player(Tree):
    """A `population`, `major` or `environment` block."""

    kind: Literal["population", "major", "environment"]
    name: Ident
    family: Family | None
    handle: Ident | None
    members: tuple[PlayerMember, ...]
    doc: str


Declaration = (
    Import
    | Param
    | Let
    | Fn
    | Enum
    | Grid
    | Graph
    | Objective
    | Horizon
    | Discount
    | Assume
    | Require
    | Solver
    | Player
)


@dataclass(frozen=True, slots=True)
class Unit:
    """One file: its header (None when it is missing) and its declarations in order."""

    file: str
    header: Header | None
    declarations: tuple[Declaration, ...]
