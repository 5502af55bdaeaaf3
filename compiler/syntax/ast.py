"""The syntax tree: frozen nodes, one for each construct as written, each with its span.

Parentheses are kept, so that the formatter prints what the author wrote. Names are
NFKC-normalised; their text as written is under their span.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from mfdsl.compiler.source import Span


@dataclass(frozen=True, slots=True)
class Tree:
    """Base of all nodes: the span it was read from."""

    span: Span


@dataclass(frozen=True, slots=True)
class Ident(Tree):
    """A name where it is declared or used as a key."""

    name: str


# Expressions.


@dataclass(frozen=True, slots=True)
class Number(Tree):
    """A literal; `value` is exact, `integral` is False when it has a point or an exponent."""

    value: Fraction
    integral: bool


@dataclass(frozen=True, slots=True)
class Boolean(Tree):
    value: bool


@dataclass(frozen=True, slots=True)
class Text(Tree):
    """A quoted string, without its quotes."""

    value: str


@dataclass(frozen=True, slots=True)
class Name(Tree):
    name: str


@dataclass(frozen=True, slots=True)
class Paren(Tree):
    inner: "Expr"


@dataclass(frozen=True, slots=True)
class Vector(Tree):
    """`[a, b, c]`."""

    items: tuple["Expr", ...]


@dataclass(frozen=True, slots=True)
class VectorFor(Tree):
    """`[body for name in domain]`."""

    body: "Expr"
    name: Ident
    domain: "Expr"


@dataclass(frozen=True, slots=True)
class Negate(Tree):
    operand: "Expr"


@dataclass(frozen=True, slots=True)
class Not(Tree):
    operand: "Expr"


@dataclass(frozen=True, slots=True)
class Sum(Tree):
    """`a + b - c`, flat: `signs[i]` is "+" or "-" before `terms[i]` (the first is "+")."""

    terms: tuple["Expr", ...]
    signs: tuple[Literal["+", "-"], ...]


@dataclass(frozen=True, slots=True)
class Product(Tree):
    """`a * b / c`, flat: `operators[i]` is "*" or "/" before `factors[i]` (the first is "*")."""

    factors: tuple["Expr", ...]
    operators: tuple[Literal["*", "/"], ...]


@dataclass(frozen=True, slots=True)
class Power(Tree):
    base: "Expr"
    exponent: "Expr"


@dataclass(frozen=True, slots=True)
class Logic(Tree):
    """`a and b and c` or `a or b or c`."""

    operator: Literal["and", "or"]
    terms: tuple["Expr", ...]


Comparison = Literal["<", "<=", ">", ">=", "==", "!="]


@dataclass(frozen=True, slots=True)
class Compare(Tree):
    """`a < b` or `a <= b < c`: one operator fewer than operands."""

    operands: tuple["Expr", ...]
    operators: tuple[Comparison, ...]


@dataclass(frozen=True, slots=True)
class Member(Tree):
    """`item in set`."""

    item: "Expr"
    set: "Expr"


@dataclass(frozen=True, slots=True)
class Range(Tree):
    """`lo..hi`, both ends included; legal only where a set is expected."""

    lo: "Expr"
    hi: "Expr"


@dataclass(frozen=True, slots=True)
class FiniteSet(Tree):
    """`{a, b, c}`; legal only where a set is expected."""

    items: tuple["Expr", ...]


@dataclass(frozen=True, slots=True)
class If(Tree):
    condition: "Expr"
    then: "Expr"
    otherwise: "Expr"


@dataclass(frozen=True, slots=True)
class Arm(Tree):
    """`guard -> value`; the guard is None for `else`. In a `mix` the guard is the weight."""

    guard: "Expr | None"
    value: "Expr"


@dataclass(frozen=True, slots=True)
class Match(Tree):
    """`match subject { value -> ..., }`, or with conditions as guards when subject is None."""

    subject: "Expr | None"
    arms: tuple[Arm, ...]


@dataclass(frozen=True, slots=True)
class Mix(Tree):
    """`mix { weight -> value or distribution, ..., else -> ... }`."""

    arms: tuple[Arm, ...]


@dataclass(frozen=True, slots=True)
class Argument(Tree):
    """One argument of a call or an index, with its name when written `name = value`."""

    name: Ident | None
    value: "Expr"


@dataclass(frozen=True, slots=True)
class Call(Tree):
    """`f(a, b, name = c)`."""

    function: Ident
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class CallFor(Tree):
    """`f(body for name in domain if condition)`: mean, prob, sum, min, any, ..."""

    function: Ident
    body: "Expr"
    name: Ident
    domain: "Expr"
    condition: "Expr | None"


@dataclass(frozen=True, slots=True)
class CallIn(Tree):
    """`f(name in domain, key = value)`: choose, softmax, normalize."""

    function: Ident
    name: Ident
    domain: "Expr"
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Field(Tree):
    """`base.name`."""

    base: "Expr"
    name: Ident


@dataclass(frozen=True, slots=True)
class Index(Tree):
    """`base[i, key = j]`."""

    base: "Expr"
    indices: tuple[Argument, ...]


Expr = (
    Number
    | Boolean
    | Text
    | Name
    | Paren
    | Vector
    | VectorFor
    | Negate
    | Not
    | Sum
    | Product
    | Power
    | Logic
    | Compare
    | Member
    | Range
    | FiniteSet
    | If
    | Match
    | Mix
    | Call
    | CallFor
    | CallIn
    | Field
    | Index
)


# Types.


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
    name: Ident
    type: TypeExpr | None
    value: Expr
    doc: str


@dataclass(frozen=True, slots=True)
class FnArg(Tree):
    name: Ident
    type: TypeExpr | None


@dataclass(frozen=True, slots=True)
class Fn(Tree):
    name: Ident
    arguments: tuple[FnArg, ...]
    body: Expr
    doc: str


@dataclass(frozen=True, slots=True)
class Enum(Tree):
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
    name: Ident


@dataclass(frozen=True, slots=True)
class GridPeriodic(Tree):
    pass


GridItem = GridMap | GridSize | GridMoves | GridPeriodic


@dataclass(frozen=True, slots=True)
class Grid(Tree):
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
    path: Text


@dataclass(frozen=True, slots=True)
class Graph(Tree):
    name: Ident
    items: tuple[GraphNode | GraphLink | GraphFile, ...]
    doc: str


@dataclass(frozen=True, slots=True)
class Objective(Tree):
    name: Ident


@dataclass(frozen=True, slots=True)
class Horizon(Tree):
    """`horizon 50`; `infinite` and `stationary` are read as names."""

    value: Expr


@dataclass(frozen=True, slots=True)
class Discount(Tree):
    value: Expr


@dataclass(frozen=True, slots=True)
class Assume(Tree):
    condition: Expr


@dataclass(frozen=True, slots=True)
class Require(Tree):
    claim: Expr


@dataclass(frozen=True, slots=True)
class Solver(Tree):
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
    name: Ident
    type: TypeExpr
    law: Expr
    doc: str


@dataclass(frozen=True, slots=True)
class Noise(Tree):
    name: Ident
    type: TypeExpr
    law: Expr
    doc: str


@dataclass(frozen=True, slots=True)
class Action(Tree):
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
    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Agents(Tree):
    count: Expr


PlayerMember = (
    State | Trait | Noise | Action | Let | Next | Reward | Observe | Agents | Require
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
