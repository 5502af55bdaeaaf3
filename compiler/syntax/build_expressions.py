"""Expression nodes and types from what the parser reduced: one function for each grammar rule.

Children are lexemes and finished nodes in source order, punctuation included, so the span of a
node is that of its first child to that of its last.
"""

import unicodedata
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast
from mfdsl.compiler.syntax.lexeme import Lexeme

# Lexemes and nodes alternate as each rule of the grammar says; the grammar is the type.
Children = list[Any]


@dataclass(frozen=True, slots=True)
class Dims:
    """The bracketed sizes of an array type."""

    span: Span
    items: tuple[ast.Expr, ...]


@dataclass(frozen=True, slots=True)
class Domain:
    """`in S` or `mod S` after a type."""

    span: Span
    kind: Literal["in", "mod"]
    set: ast.Expr


def span(children: Children) -> Span:
    """From the first child to the last."""
    first: Span = children[0].span
    return first if len(children) == 1 else first.to(children[-1].span)


def nodes(children: Children) -> tuple[Any, ...]:
    """The children that are syntax nodes."""
    return tuple(child for child in children if isinstance(child, ast.Tree))


def ident(lexeme: Lexeme) -> ast.Ident:
    """The name as declared or used, NFKC-normalised."""
    return ast.Ident(lexeme.span, normalised(lexeme.text))


def idents(children: Children) -> tuple[ast.Ident, ...]:
    """All names among the children."""
    return tuple(ident(c) for c in children if isinstance(c, Lexeme) and c.type == "NAME")


def normalised(name: str) -> str:
    """The NFKC form, in which look-alike code points of one letter agree."""
    return name if name.isascii() else unicodedata.normalize("NFKC", name)


def text(lexeme: Lexeme) -> ast.Text:
    """A quoted string without its quotes."""
    return ast.Text(lexeme.span, lexeme.text[1:-1])


def _number(c: Children) -> ast.Number:
    digits: str = c[0].text
    integral = digits.isdigit()
    return ast.Number(c[0].span, Fraction(int(digits) if integral else digits), integral)


def _flat(c: Children) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Operands and the operator texts between them."""
    return tuple(c[0::2]), tuple(operator.text for operator in c[1::2])


def _sum(c: Children) -> ast.Sum:
    terms, signs = _flat(c)
    return ast.Sum(span(c), terms, ("+", *signs))


def _product(c: Children) -> ast.Product:
    factors, operators = _flat(c)
    return ast.Product(span(c), factors, ("*", *operators))


def _or(c: Children) -> ast.Logic:
    return ast.Logic(span(c), "or", tuple(c[0::2]))


def _and(c: Children) -> ast.Logic:
    return ast.Logic(span(c), "and", tuple(c[0::2]))


def _compare(c: Children) -> ast.Compare:
    operands, operators = _flat(c)
    return ast.Compare(span(c), operands, operators)


def _argument(c: Children) -> ast.Argument:
    name = ident(c[0]) if len(c) == 3 else None
    return ast.Argument(span(c), name, c[-1])


def _call(c: Children) -> ast.Call | ast.CallIn:
    """A call; `f(y in S, key = v)` binds `y`, while `f(y in S)` has one Boolean argument."""
    function, arguments = ident(c[0]), nodes(c)
    if len(arguments) > 1 and all(a.name is not None for a in arguments[1:]):
        first = arguments[0]
        if first.name is None and isinstance(first.value, ast.Member):
            item = first.value.item
            if isinstance(item, ast.Name):
                bound = ast.Ident(item.span, item.name)
                return ast.CallIn(span(c), function, bound, first.value.set, arguments[1:])
    return ast.Call(span(c), function, arguments)


def _call_for(c: Children) -> ast.CallFor:
    condition = c[8] if len(c) == 10 else None
    return ast.CallFor(span(c), ident(c[0]), c[2], ident(c[4]), c[6], condition)


def _index(c: Children) -> ast.Index:
    return ast.Index(span(c), c[0], nodes(c[1:]))


def _match(c: Children) -> ast.Match:
    children = nodes(c)
    arms = tuple(child for child in children if isinstance(child, ast.Arm))
    subject = None if isinstance(children[0], ast.Arm) else children[0]
    return ast.Match(span(c), subject, arms)


def _arm(c: Children) -> ast.Arm:
    guard = None if isinstance(c[0], Lexeme) else c[0]
    return ast.Arm(span(c), guard, c[2])


def _type(c: Children) -> ast.TypeExpr:
    base = ast.Ident(c[0].span, normalised(c[0].text))
    member = ident(c[2]) if len(c) > 2 and isinstance(c[2], Lexeme) else None
    dims = next((child.items for child in c if isinstance(child, Dims)), ())
    domain = next((child for child in c if isinstance(child, Domain)), None)
    kind, domain_set = (domain.kind, domain.set) if domain else (None, None)
    return ast.TypeExpr(span(c), base, member, dims, kind, domain_set)


EXPRESSIONS = {
    "number": _number,
    "string": lambda c: text(c[0]),
    "name": lambda c: ast.Name(c[0].span, normalised(c[0].text)),
    "boolean": lambda c: ast.Boolean(c[0].span, c[0].text == "true"),
    "paren": lambda c: ast.Paren(span(c), c[1]),
    "vector": lambda c: ast.Vector(span(c), nodes(c)),
    "vector_for": lambda c: ast.VectorFor(span(c), c[1], ident(c[3]), c[5]),
    "negate": lambda c: ast.Negate(span(c), c[1]),
    "logical_not": lambda c: ast.Not(span(c), c[1]),
    "sum": _sum,
    "product": _product,
    "pow": lambda c: ast.Power(span(c), c[0], c[2]),
    "or_": _or,
    "and_": _and,
    "compare": _compare,
    "element": lambda c: ast.Member(span(c), c[0], c[2]),
    "range": lambda c: ast.Range(span(c), c[0], c[2]),
    "finite": lambda c: ast.FiniteSet(span(c), nodes(c)),
    "if_": lambda c: ast.If(span(c), c[1], c[3], c[5]),
    "match": _match,
    "mix": lambda c: ast.Mix(span(c), nodes(c)),
    "arm": _arm,
    "argument": _argument,
    "range_argument": lambda c: ast.Argument(span(c), None, ast.Range(span(c), c[0], c[2])),
    "finite_argument": lambda c: ast.Argument(span(c), None, ast.FiniteSet(span(c), nodes(c))),
    "call": _call,
    "call_for": _call_for,
    "field": lambda c: ast.Field(span(c), c[0], ident(c[2])),
    "index": _index,
    "type": _type,
    "dims": lambda c: Dims(span(c), nodes(c)),
    "domain": lambda c: Domain(span(c), c[0].text, c[1]),
}
