"""Arms of `match` and `mix`: every value is covered, and `else` stands once and last."""

from dataclasses import replace

from mfdsl.compiler.sema import expressions, sets
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.operators import compare, number
from mfdsl.compiler.sema.values import Env, Poison, Term
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast


def match_arms(
    ctx: Context, env: Env, expr: ast.Match
) -> list[tuple[Term | None, ast.Expr]] | None:
    """Conditions and values of the arms; the last condition is None, it takes what is left.

    Every value of a finite subject must be covered; None when an error was reported.
    """
    if not one_else(ctx, expr):
        return None
    if expr.subject is None:
        return _condition_arms(ctx, env, expr)
    subject = expressions.lower(ctx, env, expr.subject)
    if not isinstance(subject, Term):
        if not isinstance(subject, Poison):
            number(ctx, subject, expr.subject.span)
        return None
    hint = replace(env, target=subject.type)
    arms: list[tuple[Term | None, ast.Expr]] = []
    covered: set[int] = set()
    for arm in expr.arms:
        if arm.guard is None:
            arms.append((None, arm.value))
            continue
        guard = expressions.lower(ctx, hint, arm.guard)
        if not isinstance(guard, Term):
            if not isinstance(guard, Poison):
                number(ctx, guard, arm.guard.span)
            return None
        condition = compare(ctx, "==", subject, guard, arm.guard.span)
        if isinstance(condition, Poison):
            return None
        exact = ctx.exact(guard)
        covered |= {int(exact)} if exact is not None else set()
        arms.append((condition, arm.value))
    if arms and arms[-1][0] is None:
        return arms
    missing = _missing(ctx, subject, covered)
    if missing is None or missing:
        _report_missing(ctx, expr, missing)
        return None
    return [*arms[:-1], (None, arms[-1][1])]


def one_else(ctx: Context, expr: ast.Match | ast.Mix) -> bool:
    """Whether `else` stands once and last; reports when it does not."""
    place = next((i for i, arm in enumerate(expr.arms) if arm.guard is None), None)
    if place is None or place == len(expr.arms) - 1:
        return True
    file, first, later = expr.span.file, expr.arms[place].span, expr.arms[place + 1]
    word = "match" if isinstance(expr, ast.Match) else "mix"
    ctx.error(
        "MFG204",
        f"`else` comes last in a `{word}`, and once",
        later.span,
        "nothing is left for this arm",
        also=[(Span(file, first.start, first.start + len("else")), "takes all that is left")],
    )
    return False


def _condition_arms(
    ctx: Context, env: Env, expr: ast.Match
) -> list[tuple[Term | None, ast.Expr]] | None:
    arms: list[tuple[Term | None, ast.Expr]] = []
    inner = env
    for arm in expr.arms:
        if arm.guard is None:
            arms.append((None, arm.value))
            continue
        condition = expressions.lower_condition(ctx, inner, arm.guard)
        if isinstance(condition, Poison):
            return None
        arms.append((condition, arm.value))
        inner = expressions.guarded(inner, condition, False)
    if not arms or arms[-1][0] is not None:
        _report_missing(ctx, expr, None)
        return None
    return arms


def _missing(ctx: Context, subject: Term, covered: set[int]) -> list[str] | None:
    """Names of the values of a finite subject that no arm covers; None when it is not finite."""
    type = subject.type
    if not type.finite or type.size > 4096:
        return None
    return [
        sets.value_name(ctx, type, type.first + k)
        for k in range(type.size)
        if type.first + k not in covered
    ]


def _report_missing(ctx: Context, expr: ast.Match, missing: list[str] | None) -> None:
    span = Span(expr.span.file, expr.span.start, expr.span.start + len("match"))
    value = ctx.written(expr.arms[-1].value.span)
    if not missing:
        ctx.error(
            "MFG204",
            "this `match` needs an `else` arm",
            span,
            "no value when none of the arms applies",
            helps=[f"end with `else -> {value}`, or another value"],
        )
        return
    shown = ", ".join(f"`{name}`" for name in missing[:5]) + (", ..." if len(missing) > 5 else "")
    ctx.error(
        "MFG204",
        f"this `match` does not cover {shown}",
        span,
        "has no value there",
        helps=[f"add `{missing[0]} -> {value}`, say, or end with `else -> {value}`"],
    )
