"""Expressions of a spec as LaTeX, in the order in which the author wrote them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from mfdsl.compiler.syntax import ast
from mfdsl.compiler.typeset.symbols import moving, symbol, value

COMPARISONS = {"<": "<", "<=": r"\le", ">": ">", ">=": r"\ge", "==": "=", "!=": r"\ne"}
FUNCTIONS = {
    "exp": r"\exp",
    "log": r"\log",
    "sin": r"\sin",
    "cos": r"\cos",
    "tanh": r"\tanh",
    "min": r"\min",
    "max": r"\max",
}
LAWS = {
    "normal": r"\mathcal{N}",
    "uniform": r"\mathcal{U}",
    "bernoulli": r"\mathrm{Bernoulli}",
    "exponential": r"\mathrm{Exp}",
    "beta": r"\mathrm{Beta}",
    "gamma": r"\mathrm{Gamma}",
    "poisson": r"\mathrm{Poisson}",
    "dither": r"\mathrm{dither}",
}
OVER_SETS = {
    "sum": r"\sum",
    "prod": r"\prod",
    "min": r"\min",
    "max": r"\max",
    "any": r"\bigvee",
    "all": r"\bigwedge",
}

SUM, PRODUCT, UNARY, POWER, ATOM = range(5)


@dataclass(frozen=True, slots=True)
class Names:
    """What names stand for: variables that move, values of enums, laws of populations by handle.

    `members` are the variables of the player at hand, `weights` its tables between the agent at
    hand, i, and the member that a mean binds; `bound` maps the member of a mean to the
    letter that it is written with.
    """

    moving: frozenset[str] = frozenset()
    values: frozenset[str] = frozenset()
    populations: frozenset[str] = frozenset()
    handles: Mapping[str, str] = field(default_factory=dict)
    weights: frozenset[str] = frozenset()
    bound: Mapping[str, str] = field(default_factory=dict)


def formula(names: Names, expr: ast.Expr) -> str:
    """The LaTeX of an expression."""
    return _text(names, expr)[0]


def _text(names: Names, expr: ast.Expr) -> tuple[str, int]:
    """The LaTeX and how tightly it binds."""
    return _RULES[type(expr)](names, expr)


def _at(names: Names, expr: ast.Expr, level: int) -> str:
    """The LaTeX of an operand, in brackets where it binds more loosely than `level`."""
    text, own = _text(names, expr)
    return text if own >= level else rf"\left({text}\right)"


def _number(names: Names, expr: ast.Number) -> tuple[str, int]:
    return number(expr.value), ATOM


def number(exact: Fraction) -> str:
    """A literal in decimals; large and small ones with a power of ten."""
    if exact.denominator == 1 and abs(exact) < 10**6:
        return str(exact)
    text = f"{float(exact):.12g}"
    if "e" not in text:
        return text
    digits, power = text.split("e")
    times = "" if digits == "1" else rf"{digits} \cdot "
    return rf"{times}10^{{{int(power)}}}"


def _name(names: Names, expr: ast.Name) -> tuple[str, int]:
    if expr.name in names.bound:
        return names.bound[expr.name], ATOM
    if expr.name in names.moving:
        return moving(expr.name), ATOM
    if expr.name in names.values:
        return value(expr.name), ATOM
    return {"pi": r"\pi", "t": "t"}.get(expr.name) or symbol(expr.name), ATOM


def _paren(names: Names, expr: ast.Paren) -> tuple[str, int]:
    return _text(names, expr.inner)


def _vector(names: Names, expr: ast.Vector) -> tuple[str, int]:
    return rf"\left[{_listed(names, expr.items)}\right]", ATOM


def _listed(names: Names, items: Sequence[ast.Expr]) -> str:
    return ", ".join(formula(names, item) for item in items)


def _vector_for(names: Names, expr: ast.VectorFor) -> tuple[str, int]:
    index = symbol(expr.name.name)
    inside = rf"{index} \in {formula(names, expr.domain)}"
    return rf"\left({formula(names, expr.body)}\right)_{{{inside}}}", ATOM


def _negate(names: Names, expr: ast.Negate) -> tuple[str, int]:
    return f"-{_at(names, expr.operand, PRODUCT)}", SUM


def _not(names: Names, expr: ast.Not) -> tuple[str, int]:
    return rf"\lnot {_at(names, expr.operand, UNARY)}", UNARY


def _sum(names: Names, expr: ast.Sum) -> tuple[str, int]:
    parts = []
    for place, (term, sign) in enumerate(zip(expr.terms, expr.signs, strict=True)):
        text = _at(names, term, PRODUCT if place else SUM)
        parts.append(text if not place and sign == "+" else f"{sign} {text}")
    return " ".join(parts), SUM


def _product(names: Names, expr: ast.Product) -> tuple[str, int]:
    """Factors with the divisors that follow them as fractions, in the order written."""
    text = ""
    for place, (factor, operator) in enumerate(zip(expr.factors, expr.operators, strict=True)):
        if operator == "/":
            text = rf"\frac{{{text}}}{{{formula(names, factor)}}}"
            continue
        after = _at(names, factor, UNARY)
        mark = r" \cdot " if after[:1].isdigit() else r" \, "
        text = f"{text}{mark}{after}" if place else after
    return text, PRODUCT


def _power(names: Names, expr: ast.Power) -> tuple[str, int]:
    return f"{{{_at(names, expr.base, ATOM)}}}^{{{formula(names, expr.exponent)}}}", POWER


def _logic(names: Names, expr: ast.Logic) -> tuple[str, int]:
    mark = r" \land " if expr.operator == "and" else r" \lor "
    return mark.join(_at(names, term, SUM) for term in expr.terms), SUM - 1


def _compare(names: Names, expr: ast.Compare) -> tuple[str, int]:
    text = _at(names, expr.operands[0], SUM)
    for operator, operand in zip(expr.operators, expr.operands[1:], strict=True):
        text += f" {COMPARISONS[operator]} {_at(names, operand, SUM)}"
    return text, SUM - 1


def _member(names: Names, expr: ast.Member) -> tuple[str, int]:
    return rf"{_at(names, expr.item, SUM)} \in {formula(names, expr.set)}", SUM - 1


def _range(names: Names, expr: ast.Range) -> tuple[str, int]:
    ends = (formula(names, expr.lo), formula(names, expr.hi))
    return rf"\{{{ends[0]}, \dots, {ends[1]}\}}", ATOM


def _finite_set(names: Names, expr: ast.FiniteSet) -> tuple[str, int]:
    return rf"\{{{_listed(names, expr.items)}\}}", ATOM


def _cases(rows: Sequence[tuple[str, str]]) -> tuple[str, int]:
    lines = r" \\ ".join(f"{row} & {condition}" for row, condition in rows)
    return rf"\begin{{cases}} {lines} \end{{cases}}", ATOM


def _if(names: Names, expr: ast.If) -> tuple[str, int]:
    rows = []
    rest: ast.Expr = expr
    while isinstance(rest, ast.If):
        condition = rf"\text{{if }} {formula(names, rest.condition)}"
        rows.append((formula(names, rest.then), condition))
        rest = rest.otherwise
    return _cases([*rows, (formula(names, rest), r"\text{otherwise}")])


def _match(names: Names, expr: ast.Match) -> tuple[str, int]:
    rows = []
    for arm in expr.arms:
        if arm.guard is None:
            condition = r"\text{otherwise}"
        elif expr.subject is None:
            condition = rf"\text{{if }} {formula(names, arm.guard)}"
        else:
            subject = formula(names, expr.subject)
            condition = rf"\text{{if }} {subject} = {formula(names, arm.guard)}"
        rows.append((formula(names, arm.value), condition))
    return _cases(rows)


def _mix(names: Names, expr: ast.Mix) -> tuple[str, int]:
    rows = []
    for arm in expr.arms:
        chance = r"\text{otherwise}"
        if arm.guard is not None:
            chance = rf"\text{{with probability }} {formula(names, arm.guard)}"
        rows.append((formula(names, arm.value), chance))
    return _cases(rows)


def _arguments(names: Names, arguments: Sequence[ast.Argument]) -> str:
    shown = []
    for argument in arguments:
        key = "" if argument.name is None else f"{symbol(argument.name.name)} = "
        shown.append(key + formula(names, argument.value))
    return ", ".join(shown)


def _call(names: Names, expr: ast.Call) -> tuple[str, int]:
    name, inside = expr.function.name, _arguments(names, expr.arguments)
    if name == "ind":
        return rf"\mathbf{{1}}\{{{inside}\}}", ATOM
    if name == "sqrt":
        return rf"\sqrt{{{inside}}}", ATOM
    if name in ("abs", "norm", "floor", "ceil"):
        left, right = {
            "abs": ("|", "|"),
            "norm": (r"\|", r"\|"),
            "floor": (r"\lfloor", r"\rfloor"),
            "ceil": (r"\lceil", r"\rceil"),
        }[name]
        return rf"\left{left} {inside} \right{right}", ATOM
    head = FUNCTIONS.get(name) or LAWS.get(name) or rf"\operatorname{{{symbol(name)}}}"
    return rf"{head}\left({inside}\right)", ATOM


def _call_for(names: Names, expr: ast.CallFor) -> tuple[str, int]:
    letter = symbol(expr.name.name)
    inner = replace(names, bound={**names.bound, expr.name.name: letter})
    body = formula(inner, expr.body)
    given = "" if expr.condition is None else formula(inner, expr.condition)
    if expr.function.name in ("mean", "prob"):
        head = r"\mathbb{E}" if expr.function.name == "mean" else r"\mathbb{P}"
        bar = rf" \,\middle|\, {given}" if given else ""
        return rf"{head}_{{{letter} \sim {_law(names, expr.domain)}}}\left[{body}{bar}\right]", ATOM
    where = rf"{letter} \in {formula(names, expr.domain)}"
    where += f", {given}" if given else ""
    return rf"{OVER_SETS[expr.function.name]}_{{{where}}} {_at(inner, expr.body, PRODUCT)}", PRODUCT


def _law(names: Names, domain: ast.Expr) -> str:
    """The law of a population: its handle, or mu with its name."""
    others = ""
    if isinstance(domain, ast.Call) and domain.function.name == "others":
        domain, others = domain.arguments[0].value, r"^{-i}"
    if isinstance(domain, ast.Name) and domain.name in names.handles:
        return rf"{moving(names.handles[domain.name])}{others}"
    return rf"\mu^{{{formula(names, domain)}}}_t" if not others else r"\mu^{-i}_t"


def _call_in(names: Names, expr: ast.CallIn) -> tuple[str, int]:
    letter = symbol(expr.name.name)
    inner = replace(names, bound={**names.bound, expr.name.name: letter})
    weight = _arguments(inner, expr.arguments)
    domain = formula(names, expr.domain)
    head = rf"\operatorname{{{expr.function.name}}}_{{{letter} \in {domain}}}"
    return rf"{head}\left({weight}\right)", ATOM


def _field(names: Names, expr: ast.Field) -> tuple[str, int]:
    base = expr.base
    if isinstance(base, ast.Name) and base.name in names.bound:
        return rf"{symbol(expr.name.name)}^{{{names.bound[base.name]}}}", ATOM - 1
    return rf"\mathit{{{formula(names, base)}}}.{symbol(expr.name.name)}", ATOM - 1


def _index(names: Names, expr: ast.Index) -> tuple[str, int]:
    inside = _arguments(names, expr.indices)
    if isinstance(expr.base, ast.Name) and expr.base.name in names.weights:
        return rf"{symbol(expr.base.name)}_{{i{inside}}}", ATOM
    if isinstance(expr.base, ast.Name) and expr.base.name in names.handles.values():
        return rf"{moving(expr.base.name)}\left({inside}\right)", ATOM
    return rf"{_at(names, expr.base, ATOM)}[{inside}]", ATOM - 1


_RULES: dict[type, Callable[[Names, Any], tuple[str, int]]] = {
    ast.Number: _number,
    ast.Boolean: lambda names, expr: (value("true" if expr.value else "false"), ATOM),
    ast.Text: lambda names, expr: (value(expr.value), ATOM),
    ast.Name: _name,
    ast.Paren: _paren,
    ast.Vector: _vector,
    ast.VectorFor: _vector_for,
    ast.Negate: _negate,
    ast.Not: _not,
    ast.Sum: _sum,
    ast.Product: _product,
    ast.Power: _power,
    ast.Logic: _logic,
    ast.Compare: _compare,
    ast.Member: _member,
    ast.Range: _range,
    ast.FiniteSet: _finite_set,
    ast.If: _if,
    ast.Match: _match,
    ast.Mix: _mix,
    ast.Call: _call,
    ast.CallFor: _call_for,
    ast.CallIn: _call_in,
    ast.Field: _field,
    ast.Index: _index,
}
