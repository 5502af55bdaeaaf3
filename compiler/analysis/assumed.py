"""What a spec assumes of its parameters: whether values meet it, and what it leaves of ranges.

Conditions are read from the text of the spec and decided in exact arithmetic: comparisons of sums,
products, quotients and whole powers of numbers and scalar parameters. Everything else is undecided.
"""

from collections.abc import Iterator, Mapping, Set
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from operator import eq, ge, gt, le, lt, ne

from mfdsl.compiler.diagnostics import Sink
from mfdsl.compiler.ir.fold import carried
from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.source import SourceFile
from mfdsl.compiler.syntax import ast
from mfdsl.compiler.syntax.parse import parse

HEAD = "model assumed\nassume "
COMPARED = {"<": lt, "<=": le, ">": gt, ">=": ge, "==": eq, "!=": ne}
MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
STRICT = ("<", ">")
LARGEST_POWER = 64
ZERO = Fraction(0)

Numbers = Mapping[str, Fraction]
Ends = tuple[float, float]


class _UndecidedError(Exception):
    """A condition with something that is not read here."""


def meets(model: Model, values: Numbers) -> bool:
    """Whether parameters surely meet all that the spec assumes, those not in `values` as bound."""
    bound = _bound(model)
    numbers = bound | dict(values)
    if numbers == bound:
        return True  # no model is made of values that do not
    try:
        return all(_truth(_condition(text), numbers) for text in model.assumes)
    except _UndecidedError:
        return False


def narrowed(model: Model, box: Mapping[str, Ends]) -> dict[str, Ends]:
    """The ranges that are left where a parameter is compared with what no range moves."""
    found = dict(box)
    for text in model.assumes:
        for name, operator, value in _cuts(model, _condition(text), box.keys())[0]:
            found[name] = _cut(found[name], operator, carried(value))
    return found


def undecided(model: Model, names: Set[str]) -> tuple[str, ...]:
    """What is assumed of parameters that `narrowed` makes no ends of their ranges of."""
    left = []
    for text in model.assumes:
        cuts, whole = _cuts(model, _condition(text), names)
        if not whole or any(operator in STRICT for _, operator, _ in cuts):
            left.append(text)
    return tuple(left)


def names_in(text: str) -> frozenset[str]:
    """The names in a condition, of parameters or not."""
    return frozenset(_names(_condition(text)))


def _cuts(
    model: Model, condition: ast.Expr, names: Set[str]
) -> tuple[list[tuple[str, str, Fraction]], bool]:
    """Ends of the ranges of `names` in a condition, and whether it says nothing else of them."""
    fixed = {name: value for name, value in _bound(model).items() if name in _still(model)}
    known, found, whole = fixed.keys(), [], True
    for one, operator, other in _comparisons(condition):
        if known >= set(_names((one, other))):
            continue  # holds as bound
        sides = ((one, operator, other), (other, MIRRORED.get(operator, operator), one))
        for name, sign, value in sides:
            if isinstance(name, ast.Name) and name.name in names and sign in MIRRORED:
                try:
                    found.append((name.name, sign, _number(value, fixed)))
                    break
                except _UndecidedError:
                    continue
        else:
            whole = False
    return found, whole


def _still(model: Model) -> set[str]:
    """The parameters that keep their bound values whatever ranges over a box."""
    types = model.types
    return {
        p.name
        for p in model.parameters
        if p.structural or (types[p.type].lo is not None and types[p.type].lo == types[p.type].hi)
    }


def _cut(ends: Ends, operator: str, value: float) -> Ends:
    """What is left of an interval, with its ends also where a comparison excludes them."""
    lo, hi = ends
    if operator in ("<", "<=", "=="):
        hi = max(min(hi, value), lo)
    if operator in (">", ">=", "=="):
        lo = min(max(lo, value), hi)
    return lo, hi


def _bound(model: Model) -> dict[str, Fraction]:
    scalars = (p for p in model.parameters if not isinstance(p.value, tuple))
    return {p.name: _exact(p.value) for p in scalars}  # type: ignore[arg-type]


def _exact(value: float) -> Fraction:
    """The number that a spec would have to say for this value."""
    return Fraction(repr(float(value)))


@lru_cache(maxsize=64)
def _condition(text: str) -> ast.Expr:
    unit = parse(SourceFile("assumed", HEAD + text), Sink())
    (found,) = (d.condition for d in unit.declarations if isinstance(d, ast.Assume))
    return found


def _names(node: object) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.name
    elif isinstance(node, tuple):
        for part in node:
            yield from _names(part)
    elif isinstance(node, ast.Tree):
        for field in node.__dataclass_fields__:
            yield from _names(getattr(node, field))


def _comparisons(condition: ast.Expr) -> Iterator[tuple[ast.Expr, str, ast.Expr]]:
    """Comparisons of two that all hold where the condition does; others have no operator."""
    match condition:
        case ast.Paren(inner=inner):
            yield from _comparisons(inner)
        case ast.Logic(operator="and", terms=terms):
            for term in terms:
                yield from _comparisons(term)
        case ast.Compare(operands=operands, operators=operators):
            plain = [_without_parens(o) for o in operands]
            yield from zip(plain, operators, plain[1:], strict=False)
        case _:
            yield condition, "", condition


def _without_parens(node: ast.Expr) -> ast.Expr:
    while isinstance(node, ast.Paren):
        node = node.inner
    return node


def _truth(condition: ast.Expr, numbers: Numbers) -> bool:
    match condition:
        case ast.Paren(inner=inner):
            return _truth(inner, numbers)
        case ast.Boolean(value=value):
            return value
        case ast.Not(operand=operand):
            return not _truth(operand, numbers)
        case ast.Logic(operator=operator, terms=terms):
            found = [_truth(t, numbers) for t in terms]
            return all(found) if operator == "and" else any(found)
        case ast.Compare(operands=operands, operators=operators):
            values = [_number(o, numbers) for o in operands]
            pairs = zip(operators, pairwise(values), strict=True)
            return all(COMPARED[operator](a, b) for operator, (a, b) in pairs)
    raise _UndecidedError


def _number(node: ast.Expr, numbers: Numbers) -> Fraction:
    match node:
        case ast.Paren(inner=inner):
            return _number(inner, numbers)
        case ast.Number(value=value):
            return value
        case ast.Name(name=name) if name in numbers:
            return numbers[name]
        case ast.Negate(operand=operand):
            return -_number(operand, numbers)
        case ast.Sum(terms=terms, signs=signs):
            values = [_number(t, numbers) for t in terms]
            return sum((v if s == "+" else -v for v, s in zip(values, signs, strict=True)), ZERO)
        case ast.Product(factors=factors, operators=operators):
            return _product([_number(f, numbers) for f in factors], operators)
        case ast.Power(base=base, exponent=exponent):
            power, root = _number(exponent, numbers), _number(base, numbers)
            if power.denominator == 1 and abs(power) <= LARGEST_POWER and (root or power > 0):
                return Fraction(root**power.numerator)
    raise _UndecidedError


def _product(factors: list[Fraction], operators: tuple[str, ...]) -> Fraction:
    found = Fraction(1)
    for factor, operator in zip(factors, operators, strict=True):
        if operator == "/" and not factor:
            raise _UndecidedError
        found = found / factor if operator == "/" else found * factor
    return found
