"""Nodes of the syntax tree: what they share, and expressions."""

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


@dataclass(frozen=True, slots=True)
class Number(Tree):
    """A literal; `value` is exact, `integral` is False when it has a point or an exponent."""

    value: Fraction
    integral: bool


@dataclass(frozen=True, slots=True)
class Boolean(Tree):
    """`true` or `false`."""

    value: bool


@dataclass(frozen=True, slots=True)
class Text(Tree):
    """A quoted string, without its quotes."""

    value: str


@dataclass(frozen=True, slots=True)
class Name(Tree):
    """A name that stands for a value."""

    name: str


@dataclass(frozen=True, slots=True)
class Paren(Tree):
    """`(inner)`."""

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
    """`-operand`."""

    operand: "Expr"


@dataclass(frozen=True, slots=True)
class Not(Tree):
    """`not operand`."""

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
    """`base ^ exponent`."""

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
    """`if condition then a else b`."""

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
