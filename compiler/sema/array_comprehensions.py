"""Comprehensions over the rows of an array: `mean(f(z) for z in market.user)`."""

from dataclasses import replace

from mfdsl.compiler.ir.types import INT, REAL, Type
from mfdsl.compiler.sema import expressions, names, vectors
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.operators import plain, shaped, to_real, truth
from mfdsl.compiler.sema.values import (
    POISON,
    EnumName,
    Env,
    GraphName,
    GridName,
    Items,
    Mapped,
    Poison,
    Term,
    Value,
)
from mfdsl.compiler.syntax import ast

OVER = ("sum", "prod", "min", "max", "any", "all", "mean", "prob")


def array_domain(ctx: Context, env: Env, expr: ast.Expr) -> Term | Poison | None:
    """The array that a comprehension goes over, None when its domain is a set."""
    if isinstance(expr, ast.Paren):
        return array_domain(ctx, env, expr.inner)
    if not isinstance(expr, ast.Name | ast.Field | ast.Index | ast.Vector | ast.VectorFor):
        return None
    base = expr.base if isinstance(expr, ast.Field) else expr
    if isinstance(base, ast.Name):
        symbol = names.find(ctx, env, base.name)
        if symbol is None or isinstance(symbol, EnumName | GridName | GraphName):
            return None
    value = expressions.lower(ctx, env, expr)
    if isinstance(value, Items | Mapped):
        value = vectors.as_array(ctx, env, value, expr.span)
    if isinstance(value, Term) and value.type.dims:
        return value
    return POISON if isinstance(value, Poison) else None


def over_array(ctx: Context, env: Env, expr: ast.CallFor, array: Term) -> Value:
    """The reduction of the body over the rows; `mean` and `prob` divide by their number."""
    name = expr.function.name
    count = array.type.dims[0]
    if name not in OVER or (expr.condition is not None and name in ("mean", "prob", "min", "max")):
        return ctx.error(
            "MFG206",
            f"`{name}` over the rows of an array {'has no `if`' if name in OVER else 'is unknown'}",
            expr.span,
            "`sum`, `prod`, `any` and `all` may have a condition",
        )
    axis = Type(kind="int", lo=0, hi=count - 1)
    index = ctx.node("index", (), axis, None, env.depth)
    rest = shaped(array.type.scalar, array.type.dims[1:])
    if array.type.box is not None and rest.dims:
        rest = rest.model_copy(update={"box": array.type.box})
    row = ctx.node("element", (array.node, index.node), shaped(array.type.scalar, rest.dims), None)
    item = Term(row.node, rest)
    inner = replace(env, depth=env.depth + 1, locals={**env.locals, expr.name.name: item})
    body = _body(ctx, inner, expr)
    if isinstance(body, Poison):
        return POISON
    op = {"mean": "sum", "prob": "sum"}.get(name, name)
    kept = body.type
    total = ctx.node(f"{op}_over", (body.node, index.node), kept, expr.span, env.depth)
    if name not in ("mean", "prob"):
        return total
    return ctx.node("div", (total.node, ctx.constant(count).node), kept, expr.span)


def _body(ctx: Context, env: Env, expr: ast.CallFor) -> Term | Poison:
    name = expr.function.name
    condition: Term | Poison | None = None
    if expr.condition is not None:
        condition = expressions.lower_condition(ctx, env, expr.condition)
        if isinstance(condition, Poison):
            return POISON
        env = expressions.guarded(env, condition, True)
    value = expressions.lower(ctx, env, expr.body)
    if name in ("any", "all", "prob"):
        term = truth(ctx, value, expr.body.span)
        if isinstance(term, Term) and name == "prob":
            term = to_real(ctx, ctx.node("ind", (term.node,), INT, expr.body.span))
    else:
        term = vectors.numeric(ctx, env, value, expr.body.span)
        if isinstance(term, Term):
            term = to_real(ctx, term) if name == "mean" else Term(term.node, plain(term.type))
    if isinstance(term, Poison) or not isinstance(condition, Term):
        return term
    neutral = ctx.truth(name == "all") if name in ("any", "all") else None
    if neutral is None:
        unit = REAL if term.type.kind == "real" else INT
        neutral = ctx.constant(0 if name == "sum" else 1, unit)
    return ctx.node("if", (condition.node, term.node, neutral.node), term.type, expr.span)
