"""Expressions of the tree become terms: one small function for each construct."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mfdsl.compiler.analysis.enclosure import Guard
from mfdsl.compiler.diagnostics import Edit, Help
from mfdsl.compiler.ir.types import BOOL, INT, REAL
from mfdsl.compiler.sema import calls, comprehensions, plain_names, sets, types
from mfdsl.compiler.sema.arms import match_arms
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.exponents import is_count, is_positive
from mfdsl.compiler.sema.fields import lower_field
from mfdsl.compiler.sema.grids import report_moved, shift_cell
from mfdsl.compiler.sema.indexing import lower_index
from mfdsl.compiler.sema.operators import (
    add_terms,
    choose,
    common_shape,
    compare,
    describe,
    multiply,
    number,
    plain,
    shaped,
    to_real,
    truth,
)
from mfdsl.compiler.sema.values import (
    POISON,
    Env,
    Items,
    Mapped,
    Poison,
    Term,
    Value,
)
from mfdsl.compiler.sema.vectors import as_array, numeric
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast

MAX_EXPONENT = 64
MAX_WHOLE = 2**53


def lower(ctx: Context, env: Env, expr: ast.Expr) -> Value:
    """The value of `expr` where it stands; errors are reported and give POISON."""
    value = _RULES[type(expr)](ctx, env, expr)
    # what has no value is left out of the game, so that somebody must have been told
    assert not isinstance(value, Poison) or ctx.sink.failed or ctx.unknown, expr.span
    return value


def lower_number(ctx: Context, env: Env, expr: ast.Expr) -> Term | Poison:
    """The value of `expr` as a scalar number."""
    return number(ctx, lower(ctx, env, expr), expr.span)


def lower_real(ctx: Context, env: Env, expr: ast.Expr) -> Term | Poison:
    """The value of `expr` as a real."""
    term = lower_number(ctx, env, expr)
    return term if isinstance(term, Poison) else to_real(ctx, term)


def lower_numeric(ctx: Context, env: Env, expr: ast.Expr) -> Term | Poison:
    """The value of `expr` as a number or an array of numbers."""
    return numeric(ctx, env, lower(ctx, env, expr), expr.span)


def lower_condition(ctx: Context, env: Env, expr: ast.Expr) -> Term | Poison:
    """The value of `expr` as a truth value."""
    return truth(ctx, lower(ctx, env, expr), expr.span)


def lower_conditions(ctx: Context, env: Env, expr: ast.Expr) -> Term | Poison:
    """The value of `expr` as a truth value or an array of them."""
    value = as_array(ctx, env, lower(ctx, env, expr), expr.span)
    return truth(ctx, value, expr.span, arrays=True)


def guarded(env: Env, condition: Term, positive: bool) -> Env:
    """The environment of a branch that is taken only when `condition` is `positive`."""
    return replace(env, guards=(*env.guards, Guard(condition.node, positive)))


def declared(
    ctx: Context, env: Env, name: ast.Ident, type: ast.TypeExpr, value: Term, span: Span
) -> Term | Poison:
    """`value` of a `let` or an argument as the type that is written for `name`."""
    wanted = types.variable_type(ctx, env, type)
    if isinstance(wanted, Poison):
        return POISON
    if wanted.kind == "real" and value.type.numeric and wanted.dims == value.type.dims:
        return to_real(ctx, value)
    if wanted.dims != value.type.dims:
        return ctx.error(
            "MFG202",
            f"`{name.name}` is declared as {describe(wanted)}, its value is {describe(value.type)}",
            span,
            describe(value.type),
            also=[(name.span, "declared here")],
        )
    if (wanted.kind, wanted.name) != (value.type.kind, value.type.name):
        return ctx.error(
            "MFG201",
            f"`{name.name}` is declared as {describe(wanted)}, its value is {describe(value.type)}",
            span,
            describe(value.type),
            also=[(name.span, "declared here")],
        )
    return value


def _number(ctx: Context, env: Env, expr: ast.Number) -> Value:
    if expr.integral and expr.value > MAX_WHOLE:
        return ctx.error(
            "MFG201",
            "this whole number is too large",
            expr.span,
            f"whole numbers are exact up to {MAX_WHOLE}",
            helps=["write it as a real number: with a point, or as `1e20`"],
        )
    try:
        return ctx.constant(expr.value, INT if expr.integral else REAL)
    except OverflowError:
        return ctx.error(
            "MFG201", "this number is too large", expr.span, "beyond the range of a float"
        )


def _text(ctx: Context, env: Env, expr: ast.Text) -> Value:
    word = expr.value
    helps = []
    if word.isidentifier():
        helps = [Help(f"names stand without quotes: `{word}`", (Edit(expr.span, word),), True)]
    return ctx.error(
        "MFG201", "a string cannot be a value", expr.span, "text is not data", helps=helps
    )


def _name(ctx: Context, env: Env, expr: ast.Name) -> Value:
    return plain_names.lower_name(ctx, env, expr)


def _vector(ctx: Context, env: Env, expr: ast.Vector) -> Value:
    items = tuple(lower(ctx, env, item) for item in expr.items)
    return POISON if any(isinstance(i, Poison) for i in items) else Items(items)


def _vector_for(ctx: Context, env: Env, expr: ast.VectorFor) -> Value:
    domain = sets.lower_set(ctx, env, expr.domain)
    if isinstance(domain, Poison):
        return POISON
    if domain.bounds is None:
        return ctx.error(
            "MFG201", "an array runs over a range or an enum", expr.domain.span, "not a range"
        )
    first, around = domain.bounds[0], tuple(ctx.open_functions)

    def at(position: int, depth: int) -> Value:
        kept = domain.type
        if first:
            shifted = ctx.node("add", (position, ctx.integer(first).node), INT, expr.span)
            item = Term(shifted.node, INT)
        else:
            item = Term(position, kept)
        inner = replace(env, depth=depth, locals={**env.locals, expr.name.name: item})
        # an argument is read inside of a function that its own text may call, too
        here, ctx.open_functions = ctx.open_functions, list(around)
        value = lower(ctx, inner, expr.body)
        ctx.open_functions = here
        return value

    return Mapped(domain.size, at, comprehensions.picks_members(ctx, env, expr.body, None))


def _negate(ctx: Context, env: Env, expr: ast.Negate) -> Value:
    term = lower_numeric(ctx, env, expr.operand)
    if isinstance(term, Poison):
        return POISON
    return ctx.node("neg", (term.node,), plain(term.type), expr.span)


def _not(ctx: Context, env: Env, expr: ast.Not) -> Value:
    term = lower_conditions(ctx, env, expr.operand)
    return term if isinstance(term, Poison) else ctx.node("not", (term.node,), term.type, expr.span)


def _sum(ctx: Context, env: Env, expr: ast.Sum) -> Value:
    values = [lower(ctx, env, term) for term in expr.terms]
    cells = any(isinstance(v, Term) and v.type.kind == "cell" for v in values)
    if cells and any(isinstance(v, Items) for v in values) and len(values) == 2:
        return shift_cell(ctx, values, expr)
    if (moved := report_moved(ctx, values, expr)) is not None:
        return moved
    terms = [numeric(ctx, env, v, e.span) for v, e in zip(values, expr.terms, strict=True)]
    good = [t for t in terms if isinstance(t, Term)]
    if len(good) < len(terms):
        return POISON
    return add_terms(ctx, good, expr.signs, expr.span, [e.span for e in expr.terms])


def _product(ctx: Context, env: Env, expr: ast.Product) -> Value:
    terms = [lower_numeric(ctx, env, factor) for factor in expr.factors]
    good = [t for t in terms if isinstance(t, Term)]
    if len(good) < len(terms):
        return POISON
    spans = [factor.span for factor in expr.factors]
    return multiply(ctx, good, expr.operators, spans, expr.span, env)


def _power(ctx: Context, env: Env, expr: ast.Power) -> Value:
    base, exponent = lower_numeric(ctx, env, expr.base), lower_number(ctx, env, expr.exponent)
    if isinstance(base, Poison) or isinstance(exponent, Poison):
        return POISON
    exact = ctx.exact(exponent)
    if exact is not None and exact.denominator == 1 and exact > MAX_EXPONENT:
        return ctx.error(
            "MFG702",
            f"the exponent {exact} is larger than {MAX_EXPONENT}",
            expr.exponent.span,
            "too large",
        )
    whole = exact is not None and exact.denominator == 1 and exact >= 0
    if whole and base.type.kind == "int" and exponent.type.kind == "int":
        power = ctx.node("pow", (base.node, exponent.node), plain(base.type), expr.span)
        ctx.oblige("size", power, expr.span, env)
        return power
    exponent_as_written = exponent
    base, exponent = to_real(ctx, base), to_real(ctx, exponent)
    if not whole and not is_count(ctx, exponent_as_written):
        negative = exact is not None and exact.denominator == 1
        real = "nonnegative" if is_positive(ctx, exponent_as_written) else "positive"
        kind = "nonzero" if negative else real
        ctx.oblige(kind, base, expr.base.span, env, text="power")
    return ctx.node("pow", (base.node, exponent.node), base.type, expr.span)


def _logic(ctx: Context, env: Env, expr: ast.Logic) -> Value:
    terms: list[Term] = []
    inner = env
    for item in expr.terms:
        term = lower_conditions(ctx, inner, item)
        if isinstance(term, Poison):
            return POISON
        terms.append(term)
        if not term.type.dims:
            inner = guarded(inner, term, expr.operator == "and")
    dims = common_shape(ctx, terms, [item.span for item in expr.terms])
    if dims is None:
        return POISON
    return ctx.node(expr.operator, [t.node for t in terms], shaped(BOOL, dims), expr.span)


def _compare(ctx: Context, env: Env, expr: ast.Compare) -> Value:
    values = [
        as_array(ctx, env, value, operand.span)
        for value, operand in zip(_comparison_operands(ctx, env, expr), expr.operands, strict=True)
    ]
    terms = [v for v in values if isinstance(v, Term)]
    if len(terms) < len(values):
        for value, operand in zip(values, expr.operands, strict=True):
            if not isinstance(value, Term | Poison):
                number(ctx, value, operand.span)
        return POISON
    parts: list[Term] = []
    for i, operator in enumerate(expr.operators):
        sides = (expr.operands[i].span, expr.operands[i + 1].span)
        where = expr.span if len(expr.operators) == 1 else sides[0].to(sides[1])
        part = compare(ctx, operator, terms[i], terms[i + 1], where, sides)
        if isinstance(part, Poison):
            return POISON
        parts.append(part)
    dims = common_shape(ctx, parts, [expr.span] * len(parts))
    if len(parts) == 1 or dims is None:
        return parts[0] if dims is not None else POISON
    return ctx.node("and", [part.node for part in parts], shaped(BOOL, dims), expr.span)


def _comparison_operands(ctx: Context, env: Env, expr: ast.Compare) -> list[Value]:
    """The operands; the type of one tells what a bare enum value or move of the other means."""
    first = lower(ctx, env, expr.operands[0])
    hint = replace(env, target=first.type) if isinstance(first, Term) else env
    return [first, *(lower(ctx, hint, operand) for operand in expr.operands[1:])]


def _member(ctx: Context, env: Env, expr: ast.Member) -> Value:
    item = lower(ctx, env, expr.item)
    hint = replace(env, target=item.type) if isinstance(item, Term) else env
    domain = sets.lower_set(ctx, hint, expr.set)
    if isinstance(item, Poison) or isinstance(domain, Poison):
        return POISON
    if not isinstance(item, Term):
        return number(ctx, item, expr.item.span)
    return sets.contains(ctx, domain, item, expr.span)


def _misplaced_set(ctx: Context, env: Env, expr: ast.Range | ast.FiniteSet) -> Value:
    return ctx.error(
        "MFG201",
        "a set cannot be a value",
        expr.span,
        "a set stands after `in`",
        helps=["test membership with `x in lo..hi`"],
    )


def _if(ctx: Context, env: Env, expr: ast.If) -> Value:
    condition = lower_conditions(ctx, env, expr.condition)
    if isinstance(condition, Poison):
        return POISON
    yes, no = env, env
    if not condition.type.dims:
        yes, no = guarded(env, condition, True), guarded(env, condition, False)
    then = as_array(ctx, yes, lower(ctx, yes, expr.then), expr.then.span)
    otherwise = as_array(ctx, no, lower(ctx, no, expr.otherwise), expr.otherwise.span)
    return branch(ctx, condition, then, otherwise, expr.then, expr.otherwise)


def branch(
    ctx: Context,
    condition: Term,
    then: Value,
    otherwise: Value,
    then_expr: ast.Expr,
    otherwise_expr: ast.Expr,
) -> Value:
    """`if` over two lowered branches."""
    if isinstance(then, Poison) or isinstance(otherwise, Poison):
        return POISON
    if not isinstance(then, Term):
        return number(ctx, then, then_expr.span)
    if not isinstance(otherwise, Term):
        return number(ctx, otherwise, otherwise_expr.span)
    return choose(ctx, condition, then, otherwise, otherwise_expr.span, then_expr.span)


def _match(ctx: Context, env: Env, expr: ast.Match) -> Value:
    arms = match_arms(ctx, env, expr)
    if arms is None:
        return POISON
    result: Value | None = None
    last: ast.Expr | None = None
    values = []
    inner = env
    for condition, arm in arms:
        branch_env = inner if condition is None else guarded(inner, condition, True)
        values.append(as_array(ctx, branch_env, lower(ctx, branch_env, arm), arm.span))
        if condition is not None:
            inner = guarded(inner, condition, False)
    for (condition, arm), value in reversed(list(zip(arms, values, strict=True))):
        if result is None or condition is None or last is None:
            result, last = value, arm
            continue
        result = branch(ctx, condition, value, result, arm, last)
        last = arm
    return POISON if result is None else result


def _drawn_apart(ctx: Context, law: ast.Expr) -> str:
    shown = ctx.written(law.span)
    return f"draw it: a `noise` with `~ {shown}` that is used here, or a next value with `~`"


def _mix(ctx: Context, env: Env, expr: ast.Mix) -> Value:
    return ctx.error(
        "MFG207",
        "`mix` is a distribution, not a value",
        expr.span,
        "a value is needed here",
        helps=[_drawn_apart(ctx, expr)],
    )


def _call(ctx: Context, env: Env, expr: ast.Call) -> Value:
    return calls.lower_call(ctx, env, expr)


def _call_for(ctx: Context, env: Env, expr: ast.CallFor) -> Value:
    return comprehensions.lower_call_for(ctx, env, expr)


def _call_in(ctx: Context, env: Env, expr: ast.CallIn) -> Value:
    return ctx.error(
        "MFG207",
        f"`{expr.function.name}` is a distribution, not a value",
        expr.span,
        "a value is needed here",
        helps=[_drawn_apart(ctx, expr)],
    )


_RULES: dict[type, Callable[[Context, Env, Any], Value]] = {
    ast.Number: _number,
    ast.Boolean: lambda ctx, env, expr: ctx.truth(expr.value),
    ast.Text: _text,
    ast.Name: _name,
    ast.Paren: lambda ctx, env, expr: lower(ctx, env, expr.inner),
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
    ast.Range: _misplaced_set,
    ast.FiniteSet: _misplaced_set,
    ast.If: _if,
    ast.Match: _match,
    ast.Mix: _mix,
    ast.Call: _call,
    ast.CallFor: _call_for,
    ast.CallIn: _call_in,
    ast.Field: lambda ctx, env, expr: lower_field(ctx, env, expr),
    ast.Index: lambda ctx, env, expr: lower_index(ctx, env, expr),
}

__all__ = ["guarded", "lower", "lower_condition", "lower_number", "lower_real"]
