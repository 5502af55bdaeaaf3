"""Values that a finite variable gets: of its type, wrapped on a ring, inside a range."""

from mfdsl.compiler.ir.types import BOOL, INT, Type
from mfdsl.compiler.sema import expressions
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.operators import describe, extremum, found, wrap
from mfdsl.compiler.sema.values import POISON, Env, Poison, Term, Value
from mfdsl.compiler.source import Span

MAX_SHOWN = 40  # characters of a value that a help repeats three times


def fitted(ctx: Context, env: Env, value: Value, target: Type, span: Span) -> Term | Poison:
    """`value` as a value of the finite type `target`: wrapped on a ring, obliged on a range."""
    if isinstance(value, Poison):
        return POISON
    if not isinstance(value, Term) or value.type.dims:
        return ctx.error("MFG201", f"expected {describe(target)}, found {found(value)}", span)
    if target.kind != "int":
        if (value.type.kind, value.type.name) == (target.kind, target.name):
            return value
        return _wrong_type(ctx, value, target, span)
    if value.type.kind != "int":
        return _wrong_type(ctx, value, target, span)
    if target.periodic:
        if value.type == target:
            return value
        return wrap(ctx, Term(value.node, INT), target, span)
    assert target.lo is not None and target.hi is not None
    exact = ctx.exact(value)
    if exact is None or not target.lo <= exact <= target.hi:
        value = _kept_inside(ctx, env, value, target, span)
    return Term(value.node, target)


def _kept_inside(ctx: Context, env: Env, value: Term, target: Type, span: Span) -> Term:
    """Oblige `value` to stay in its domain wherever the action is legal.

    Tables have rows for illegal actions too; there the value is clipped, which changes nothing
    that is ever played.
    """
    assert target.lo is not None and target.hi is not None
    lo, hi = target.lo, target.hi
    mask = ctx.legal(env)
    if mask is None or not env.actions:
        ctx.oblige("range", value, span, env, lo=float(lo), hi=float(hi))
        return value
    legal = expressions.guarded(env, Term(mask, BOOL), True)
    ctx.oblige("range", value, span, legal, lo=float(lo), hi=float(hi))
    below = extremum(ctx, "min", [value, ctx.integer(int(hi))], span)
    return extremum(ctx, "max", [below, ctx.integer(int(lo))], span)


def _wrong_type(ctx: Context, value: Term, target: Type, span: Span) -> Poison:
    helps = []
    if target.kind == "int" and value.type.kind == "real":
        shown = written if len(written := ctx.written(span)) <= MAX_SHOWN else "..."
        helps = [
            f"round it: `floor({shown})`, `round({shown})`,"
            f" or at random with the same mean: `dither({shown})`"
        ]
    if target.kind == "cell":
        helps = [f"cells are written `{target.name}[row, column]`"]
    if target.kind == "bool":
        helps = ["a comparison gives a truth value"]
    return ctx.error(
        "MFG201",
        f"expected {describe(target)}, found {describe(value.type)}",
        span,
        describe(value.type),
        helps=helps,
    )
