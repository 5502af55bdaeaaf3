"""Comprehensions: `mean(... for q in population)` and `sum(... for k in set)`."""

from collections.abc import Sequence
from dataclasses import replace

from mfdsl.compiler.diagnostics import Edit
from mfdsl.compiler.ir.types import BOOL, INT, Type
from mfdsl.compiler.sema import expressions, names, sets
from mfdsl.compiler.sema.array_comprehensions import array_domain, over_array
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.dependencies import identifiers
from mfdsl.compiler.sema.families import MAX_MEMBERS
from mfdsl.compiler.sema.operators import add_terms, extremum, multiply, plain, truth
from mfdsl.compiler.sema.population_means import (
    lower_population,
    over_population,
    without_condition,
)
from mfdsl.compiler.sema.suggestions import FOREIGN_NAMES, did_you_mean, foreign
from mfdsl.compiler.sema.values import POISON, Env, FamilyName, Poison, SetValue, Term, Value
from mfdsl.compiler.sema.vectors import numeric
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast

MAX_BODIES = 16_000
OVER_SETS = {
    "sum": "sum_over",
    "prod": "prod_over",
    "min": "min_over",
    "max": "max_over",
    "any": "any_over",
    "all": "all_over",
}
NEUTRAL = {"sum": 0, "prod": 1}


def lower_call_for(ctx: Context, env: Env, expr: ast.CallFor) -> Value:
    """`f(body for name in domain if condition)`."""
    name = expr.function.name
    members = lower_population(ctx, env, expr.domain)
    if isinstance(members, Poison):
        return POISON
    if members is not None:
        return over_population(ctx, env, expr, *members)
    array = array_domain(ctx, env, expr.domain)
    if isinstance(array, Poison):
        return POISON
    if array is not None:
        return over_array(ctx, env, expr, array)
    if name in ("mean", "prob"):
        return _mean_over_set(ctx, env, expr)
    if name not in OVER_SETS:
        return ctx.error(
            "MFG206",
            f"`{name}` does not go over a set",
            expr.function.span,
            "`mean`, `prob`, `sum`, `prod`, `min`, `max`, `any` and `all` do",
            helps=foreign(FOREIGN_NAMES, name, expr.function.span)
            or did_you_mean(name, ["mean", "prob", *OVER_SETS], [expr.function.span]),
        )
    domain = sets.lower_set(ctx, env, expr.domain)
    return POISON if isinstance(domain, Poison) else _over_set(ctx, env, expr, domain)


def _mean_over_set(ctx: Context, env: Env, expr: ast.CallFor) -> Poison:
    name = expr.function.name
    domain = sets.lower_set(ctx, env, expr.domain)
    if isinstance(domain, Poison):
        return POISON
    return ctx.error(
        "MFG206",
        f"`{name}` goes over a population, not over a set",
        expr.domain.span,
        "a set",
        helps=[f"over a set, divide: `{_summed(ctx, expr)} / {domain.size}`"],
    )


def _summed(ctx: Context, expr: ast.CallFor) -> str:
    """A mean or a share over a set, written as a sum."""
    body = expr.body.span
    edits = [Edit(expr.function.span, "sum")]
    if expr.function.name == "prob":
        edits.append(Edit(Span(body.file, body.start, body.start), "ind("))
        edits.append(Edit(Span(body.file, body.end, body.end), ")"))
    return ctx.written(expr.span, edits)


def _unrolls(ctx: Context, env: Env, expr: ast.CallFor, domain: SetValue) -> bool:
    """Whether the body is written out for each element: few elements, or members of a family."""
    if domain.nodes is not None:
        return True
    if domain.bounds is None:
        return False
    return domain.size <= sets.MAX_UNROLLED or (
        domain.size <= MAX_MEMBERS and picks_members(ctx, env, expr.body, expr.condition)
    )


def picks_members(ctx: Context, env: Env, *parts: ast.Expr | None) -> bool:
    """Whether an expression indexes a family, so that the index must be known."""
    mentioned = {name for part in parts for name, _ in identifiers(part, plain=True)}
    return any(isinstance(names.find(ctx, env, name), FamilyName) for name in mentioned)


def _over_set(ctx: Context, env: Env, expr: ast.CallFor, domain: SetValue) -> Value:
    if _unrolls(ctx, env, expr, domain):
        return _unrolled(ctx, env, expr, domain)
    type = domain.type
    if type.kind == "int":
        assert domain.bounds is not None
        type = Type(kind="int", lo=domain.bounds[0], hi=domain.bounds[1])
    index = ctx.node("index", (), type, None, env.depth)
    item = Term(index.node, INT if type.kind == "int" else type)
    inner = replace(env, depth=env.depth + 1, locals={**env.locals, expr.name.name: item})
    condition: Term | Poison | None = None
    if domain.region is not None:
        condition = sets.contains(ctx, domain, item, expr.domain.span)
    if expr.condition is not None:
        wanted = expressions.lower_condition(ctx, inner, expr.condition)
        if isinstance(wanted, Poison):
            return POISON
        condition = _both(ctx, condition, wanted, expr.span)
    if isinstance(condition, Poison):
        return POISON
    if condition is not None:
        inner = expressions.guarded(inner, condition, True)
    body = _filtered(ctx, inner, expr, condition)
    if isinstance(body, Poison):
        return POISON
    return ctx.node(
        OVER_SETS[expr.function.name], (body.node, index.node), body.type, expr.span, env.depth
    )


def _both(ctx: Context, left: Term | Poison | None, right: Term, span: Span) -> Term | Poison:
    if left is None or isinstance(left, Poison):
        return right if left is None else POISON
    return ctx.node("and", (left.node, right.node), BOOL, span)


def _set_body(ctx: Context, env: Env, expr: ast.CallFor) -> Term | Poison:
    value = expressions.lower(ctx, env, expr.body)
    if expr.function.name in ("any", "all"):
        return truth(ctx, value, expr.body.span)
    term = numeric(ctx, env, value, expr.body.span)
    return term if isinstance(term, Poison) else Term(term.node, plain(term.type))


def _filtered(ctx: Context, env: Env, expr: ast.CallFor, condition: Term | None) -> Term | Poison:
    """The body where the condition holds, what changes nothing elsewhere."""
    body = _set_body(ctx, env, expr)
    if condition is None or isinstance(body, Poison):
        return body
    neutral = _neutral(ctx, expr, body)
    if neutral is None:
        return POISON
    return ctx.node("if", (condition.node, body.node, neutral.node), body.type, expr.span)


def _neutral(ctx: Context, expr: ast.CallFor, body: Term) -> Term | None:
    name = expr.function.name
    if name in ("min", "max"):
        ctx.error(
            "MFG206",
            f"`{name}` with `if` may have nothing to choose from",
            expr.span,
            "undefined when no element passes",
            helps=[f"write `{without_condition(ctx, expr)}`, with a number that never wins"],
        )
        return None
    if name in ("any", "all"):
        return ctx.truth(name == "all")
    return ctx.constant(NEUTRAL[name], body.type.scalar)


def _unrolled(ctx: Context, env: Env, expr: ast.CallFor, domain: SetValue) -> Value:
    name = expr.function.name
    items = list(domain.nodes or ())
    if domain.bounds is not None:
        lo, hi = domain.bounds
        items = [ctx.constant(v, domain.type).node for v in range(lo, hi + 1)]
    parts: list[Term] = []
    for node in items:
        if not _may_unroll(ctx, expr):
            return POISON
        item = Term(node, domain.type)
        inner = replace(env, locals={**env.locals, expr.name.name: item})
        condition: Term | None = None
        if expr.condition is not None:
            wanted = expressions.lower_condition(ctx, inner, expr.condition)
            if isinstance(wanted, Poison):
                return POISON
            condition = wanted
            inner = expressions.guarded(inner, condition, True)
        body = _filtered(ctx, inner, expr, condition)
        if isinstance(body, Poison):
            return POISON
        parts.append(body)
    return _combined(ctx, env, name, parts, expr)


def _may_unroll(ctx: Context, expr: ast.CallFor) -> bool:
    """Whether the body may be written out once more; reports the first time it may not."""
    ctx.unrolled += 1
    if ctx.unrolled == MAX_BODIES + 1:
        ctx.error(
            "MFG703",
            f"sums and the like are written out to more than {MAX_BODIES:,} terms",
            expr.span,
            "one term too many",
            helps=["nest them less deeply, or go over ranges of more than 64 values"],
        )
    return ctx.unrolled <= MAX_BODIES


def _combined(ctx: Context, env: Env, name: str, parts: Sequence[Term], expr: ast.CallFor) -> Value:
    if name in ("any", "all"):
        op = "or" if name == "any" else "and"
        return ctx.node(op, [p.node for p in parts], BOOL, expr.span)
    if name in ("min", "max"):
        return extremum(ctx, name, parts, expr.span)
    if name == "sum":
        return add_terms(ctx, parts, ["+"] * len(parts), expr.span)
    spans = [expr.span] * len(parts)
    return multiply(ctx, parts, ["*"] * len(parts), spans, expr.span, env)
