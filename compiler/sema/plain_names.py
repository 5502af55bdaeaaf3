"""A plain name in an expression: a local, a member, a declaration of the file, a builtin."""

import math

from mfdsl.compiler.ir.spaces import GridSpace
from mfdsl.compiler.sema.context import (
    Context,
    EnumMember,
    LetSymbol,
    ParameterSymbol,
    VariableSymbol,
)
from mfdsl.compiler.sema.graphs import graph_field
from mfdsl.compiler.sema.lets import lower_let
from mfdsl.compiler.sema.names import (
    BUILTIN_NAMES,
    MOVE_WORDS,
    SOFT_NAMES,
    enum_member,
    find,
    parameter,
    time,
)
from mfdsl.compiler.sema.unknown_names import unknown_name
from mfdsl.compiler.sema.values import Builtin, Env, Value
from mfdsl.compiler.sema.variables import variable
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast


def lower_name(ctx: Context, env: Env, expr: ast.Name) -> Value:
    """The value of a plain name where it stands."""
    name, span = expr.name, expr.span
    ambiguous = enum_member(ctx, env, name, span)
    if ambiguous is not None and name not in env.locals:
        return ambiguous
    symbol = find(ctx, env, name)
    if symbol is None:
        return _builtin_name(ctx, env, name, span)
    if isinstance(symbol, ParameterSymbol):
        return parameter(ctx, env, name, symbol)
    if isinstance(symbol, EnumMember):
        return ctx.constant(symbol.code, symbol.type)
    if isinstance(symbol, VariableSymbol):
        return variable(ctx, env, symbol, span)
    if isinstance(symbol, LetSymbol):
        return lower_let(ctx, env, symbol, name, span)
    return symbol


def _builtin_name(ctx: Context, env: Env, name: str, span: Span) -> Value:
    if name == "t":
        return time(ctx, env, span)
    if name == "pi":
        return ctx.constant(math.pi)
    if name in MOVE_WORDS and ctx.grids:
        if env.target is not None and env.target.kind == "move":
            return _move(ctx, ctx.grids[env.target.name or ""], name, span)
        if len(ctx.grids) == 1:
            return _move(ctx, next(iter(ctx.grids.values())), name, span)
        return ctx.error(
            "MFG103",
            f"`{name}` is a move of several grids",
            span,
            "which one is meant?",
            helps=[f"write `{grid}.{name}`" for grid in ctx.grids],
        )
    if env.target is not None and env.target.kind == "node":
        node = graph_field(ctx, ctx.graphs[env.target.name or ""], name)
        if node is not None:
            return node
    if name in BUILTIN_NAMES or name in SOFT_NAMES:
        return Builtin(name)
    return unknown_name(ctx, env, name, span)


def _move(ctx: Context, space: GridSpace, name: str, span: Span) -> Value:
    if name in space.move_names:
        return ctx.constant(space.move_names.index(name), space.move_type)
    return ctx.error(
        "MFG107",
        f"grid `{space.name}` has no move `{name}`",
        span,
        "its moves are " + ", ".join(f"`{m}`" for m in space.move_names),
    )
