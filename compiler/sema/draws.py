"""Continuous and array draws as functions of standard draws."""

from mfdsl.compiler.ir.model import NoiseVariable
from mfdsl.compiler.ir.types import Type
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.operators import describe
from mfdsl.compiler.sema.values import Env, Poison, Term, Value
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast


def draw(
    ctx: Context, env: Env, expr: ast.Expr, target: Type, name: str, kind: str
) -> tuple[Term, list[NoiseVariable]] | Poison:
    """The value drawn from `expr`, and the standard draws it uses."""
    return ctx.error(
        "MFG706", "continuous laws come with a later release", expr.span, describe(target)
    )


def fitted_real(ctx: Context, env: Env, value: Value, target: Type, span: Span) -> Term | Poison:
    """A real or array value as a value of its domain."""
    return ctx.error(
        "MFG706", "continuous values come with a later release", span, describe(target)
    )
