"""Types of variables: what stands after `:`."""

from math import prod

from mfdsl.compiler.ir.spaces import link_type, node_type
from mfdsl.compiler.ir.types import BOOL, INT, REAL, Type
from mfdsl.compiler.sema import names, sets
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.suggestions import (
    FOREIGN_TYPES,
    as_interval,
    as_range,
    did_you_mean,
    foreign,
)
from mfdsl.compiler.sema.values import POISON, EnumName, Env, GraphName, GridName, Poison
from mfdsl.compiler.syntax import ast

MAX_ENTRIES = 1_000_000


def scalar_type(ctx: Context, env: Env, expr: ast.TypeExpr) -> Type | Poison:
    """The scalar type that `expr` writes, without its dimensions."""
    base = expr.base.name
    if expr.member is not None:
        return _grid_type(ctx, env, expr)
    if base == "bool":
        return BOOL
    if base == "real":
        return _real_type(ctx, env, expr)
    if base == "int":
        return _int_type(ctx, env, expr)
    symbol = ctx.scopes[env.file].get(base)
    if isinstance(symbol, EnumName):
        ctx.used.add(base)
        return symbol.type
    if isinstance(symbol, Poison):
        return POISON
    known = [n for n, s in ctx.scopes[env.file].items() if isinstance(s, EnumName | GridName)]
    if isinstance(symbol, GridName):
        return ctx.error(
            "MFG201",
            f"`{base}` is a grid, not a type",
            expr.base.span,
            "a cell or a move of it?",
            helps=[f"write `{base}.cell` or `{base}.move`"],
        )
    known += ["real", "int", "bool"]
    spans = [expr.base.span]
    return ctx.error(
        "MFG101",
        f"unknown type `{base}`",
        expr.base.span,
        "not `real`, `int`, `bool` or an enum",
        helps=foreign(FOREIGN_TYPES, base, spans[0]) or did_you_mean(base, known, spans),
    )


def _grid_type(ctx: Context, env: Env, expr: ast.TypeExpr) -> Type | Poison:
    assert expr.member is not None
    symbol = ctx.scopes[env.file].get(expr.base.name)
    if isinstance(symbol, Poison):
        return POISON
    if isinstance(symbol, GraphName):
        return _graph_type(ctx, symbol, expr.member)
    if not isinstance(symbol, GridName):
        return ctx.error(
            "MFG101",
            f"unknown grid `{expr.base.name}`",
            expr.base.span,
            "not the name of a grid",
            helps=did_you_mean(expr.base.name, ctx.grids, [expr.base.span]),
        )
    ctx.used.add(expr.base.name)
    if expr.member.name == "cell":
        return symbol.space.cell_type
    if expr.member.name == "move":
        return symbol.space.move_type
    return ctx.error(
        "MFG107",
        f"grid `{expr.base.name}` has no type `{expr.member.name}`",
        expr.member.span,
        "its types are `cell` and `move`",
    )


def _graph_type(ctx: Context, symbol: GraphName, member: ast.Ident) -> Type | Poison:
    ctx.used.add(symbol.graph.name)
    if member.name == "node":
        return node_type(symbol.graph)
    if member.name == "link":
        return link_type(symbol.graph)
    return ctx.error(
        "MFG107",
        f"graph `{symbol.graph.name}` has no type `{member.name}`",
        member.span,
        "its types are `node` and `link`",
    )


def _real_type(ctx: Context, env: Env, expr: ast.TypeExpr) -> Type | Poison:
    if expr.domain is None:
        return REAL
    inner = expr.domain
    if isinstance(inner, ast.Call) and inner.function.name == "ball":
        return _ball(ctx, env, expr, inner)
    if expr.domain_kind == "mod" and not isinstance(inner, ast.Vector | ast.Range):
        return _circle(ctx, env, inner)
    if isinstance(inner, ast.Vector) and inner.items and _is_box(inner):
        return _box(ctx, env, expr, inner)
    if isinstance(inner, ast.Vector) and len(inner.items) == 2:
        ends = _interval(ctx, env, inner)
        if ends is None:
            return POISON
        return Type(kind="real", lo=ends[0], hi=ends[1], periodic=expr.domain_kind == "mod")
    return ctx.error(
        "MFG201",
        "a real lives in an interval",
        inner.span,
        "not an interval",
        helps=[as_interval(inner) if isinstance(inner, ast.Range) else "write `real in [0, 1]`"],
    )


def _interval(ctx: Context, env: Env, inner: ast.Vector) -> tuple[float, float] | None:
    """The ends of `[lo, hi]`."""
    lo = sets.static_real(ctx, env, inner.items[0], "the end of an interval")
    hi = sets.static_real(ctx, env, inner.items[1], "the end of an interval")
    if lo is None or hi is None:
        return None
    if lo > hi:
        ctx.error(
            "MFG213",
            f"the interval [{lo:g}, {hi:g}] is empty",
            inner.span,
            "the first end is larger",
        )
        return None
    return lo, hi


def _is_box(inner: ast.Vector) -> bool:
    return all(isinstance(item, ast.Vector) for item in inner.items)


def _box(ctx: Context, env: Env, expr: ast.TypeExpr, inner: ast.Vector) -> Type | Poison:
    """`real[2] in [[-2, 2], [-2, -1]]`: one interval for each entry."""
    length = "the length of an array"
    count = sets.static_integer(ctx, env, expr.dims[-1], length) if expr.dims else 0
    if count is None:
        return POISON
    if len(expr.dims) != 1 or count != len(inner.items) or expr.domain_kind == "mod":
        return ctx.error(
            "MFG213",
            f"{len(inner.items)} intervals are one for each entry of a vector of that length",
            inner.span,
            "does not fit the type",
            helps=["write one interval for all entries: `in [lo, hi]`"],
        )
    box: list[tuple[float, float]] = []
    for item in inner.items:
        assert isinstance(item, ast.Vector)
        ends = _interval(ctx, env, item) if len(item.items) == 2 else None
        if ends is None:
            if len(item.items) != 2:
                ctx.error("MFG201", "an interval has two ends", item.span, "write `[lo, hi]`")
            return POISON
        box.append(ends)
    if len(set(box)) == 1:
        return Type(kind="real", lo=box[0][0], hi=box[0][1])
    low, high = min(b[0] for b in box), max(b[1] for b in box)
    return Type(kind="real", lo=low, hi=high, box=tuple(box))


def _ball(ctx: Context, env: Env, expr: ast.TypeExpr, inner: ast.Call) -> Type | Poison:
    """`real[2] in ball(1)`: the Euclidean ball around 0."""
    if len(inner.arguments) != 1 or len(expr.dims) != 1 or expr.domain_kind == "mod":
        return ctx.error(
            "MFG213",
            "a ball is the domain of a vector",
            inner.span,
            "written `real[2] in ball(1)`",
        )
    radius = sets.static_real(ctx, env, inner.arguments[0].value, "the radius of a ball")
    if radius is None:
        return POISON
    if radius <= 0:
        return ctx.error(
            "MFG213", f"a ball of radius {radius:g}", inner.span, "must be larger than 0"
        )
    return Type(kind="real", lo=-radius, hi=radius, ball=radius)


def _circle(ctx: Context, env: Env, inner: ast.Expr) -> Type | Poison:
    """`real mod n`: a circle of length n."""
    length = sets.static_real(ctx, env, inner, "the length of a circle")
    if length is None:
        return POISON
    if length <= 0:
        return ctx.error(
            "MFG213", f"a circle of length {length:g}", inner.span, "must be larger than 0"
        )
    return Type(kind="real", lo=0, hi=length, periodic=True)


def _int_type(ctx: Context, env: Env, expr: ast.TypeExpr) -> Type | Poison:
    if expr.domain is None:
        return INT
    if expr.domain_kind == "mod" and not isinstance(expr.domain, ast.Range):
        size = sets.static_integer(ctx, env, expr.domain, "the length of a ring")
        if size is None:
            return POISON
        if size < 1:
            return ctx.error(
                "MFG213", f"a ring of length {size}", expr.domain.span, "must be at least 1"
            )
        return Type(kind="int", lo=0, hi=size - 1, periodic=True)
    if isinstance(expr.domain, ast.Vector):
        return ctx.error(
            "MFG201",
            "an int lives in a range, not in an interval",
            expr.domain.span,
            "brackets are for real numbers",
            helps=[as_range(expr.domain)] if len(expr.domain.items) == 2 else [],
        )
    domain = sets.lower_set(ctx, env, expr.domain)
    if isinstance(domain, Poison):
        return POISON
    if domain.bounds is None or domain.type.kind != "int":
        return ctx.error(
            "MFG201",
            "an int lives in a range",
            expr.domain.span,
            "not a range of integers",
            helps=["write `int in 0..9`, or use an enum"],
        )
    lo, hi = domain.bounds
    return Type(kind="int", lo=lo, hi=hi, periodic=expr.domain_kind == "mod")


def dimension_types(ctx: Context, env: Env, expr: ast.TypeExpr) -> tuple[Type, ...] | Poison:
    """The index types of an array: an enum, or 0..n-1 for a whole number n."""
    axes: list[Type] = []
    for dim in expr.dims:
        symbol = names.find(ctx, env, dim.name) if isinstance(dim, ast.Name) else None
        if isinstance(symbol, EnumName):
            ctx.used.add(symbol.type.name or "")
            axes.append(symbol.type)
            continue
        if (cells := sets.type_of_space(ctx, env, dim)) is not None:
            axes.append(cells)
            continue
        size = sets.static_integer(ctx, env, dim, "the length of an array")
        if size is None:
            return POISON
        if size < 1:
            return ctx.error("MFG213", f"an array of length {size}", dim.span, "must be at least 1")
        axes.append(Type(kind="int", lo=0, hi=size - 1))
    return tuple(axes)


def variable_type(ctx: Context, env: Env, expr: ast.TypeExpr) -> Type | Poison:
    """The type of a variable, with the lengths of its axes."""
    type_ = scalar_type(ctx, env, expr)
    axes = dimension_types(ctx, env, expr)
    if isinstance(type_, Poison) or isinstance(axes, Poison):
        return POISON
    entries = prod(axis.size for axis in axes)
    if entries > MAX_ENTRIES:
        return ctx.error(
            "MFG701",
            f"an array of {entries:,} entries",
            expr.span,
            f"the limit is {MAX_ENTRIES:,}",
        )
    return type_.model_copy(update={"dims": tuple(axis.size for axis in axes)})
