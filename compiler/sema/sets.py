"""Sets and types: what stands after `in`, `mod`, `:` and `uniform`."""

from dataclasses import replace
from itertools import pairwise
from math import prod

from mfdsl.compiler.diagnostics import Edit, Help
from mfdsl.compiler.ir.fold import carried
from mfdsl.compiler.ir.spaces import link_name, link_type, node_type
from mfdsl.compiler.ir.types import BOOL, INT, REAL, Type
from mfdsl.compiler.sema import expressions, names
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.operators import compare, describe, number
from mfdsl.compiler.sema.suggestions import (
    FOREIGN_TYPES,
    as_interval,
    as_range,
    did_you_mean,
    foreign,
)
from mfdsl.compiler.sema.values import (
    POISON,
    EnumName,
    Env,
    GraphName,
    GridName,
    Poison,
    SetValue,
    Term,
)
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast

MAX_UNROLLED = 4
MAX_ENTRIES = 1_000_000


def value_name(ctx: Context, type: Type, value: int) -> str:
    """A finite value as the spec writes it."""
    if type.kind == "bool":
        return "true" if value else "false"
    if type.kind == "move":
        return ctx.grids[type.name or ""].move_names[value]
    if type.kind == "enum":
        for symbols in ctx.scopes.values():
            symbol = symbols.get(type.name or "")
            if isinstance(symbol, EnumName):
                return symbol.values[value]
    if type.kind == "cell":
        return cell_name(ctx, type, value)
    if type.kind == "node":
        return f"{type.name}.{ctx.graphs[type.name or ''].nodes[value]}"
    if type.kind == "link":
        return link_name(ctx.graphs[type.name or ""], value)
    return str(value)


def cell_name(ctx: Context, type: Type, code: int) -> str:
    """A cell as `grid[row, column]`."""
    space = ctx.grids[type.name or ""]
    if space.grid.rows is None:
        row, column = divmod(code, space.grid.width)
    else:
        row, column = next(place for place, c in space.cells.items() if c == code)
    return f"{type.name}[{row}, {column}]"


def static_integer(ctx: Context, env: Env, expr: ast.Expr, what: str) -> int | None:
    """A whole number known before the run, or None with an error."""
    term = expressions.lower_number(ctx, replace(env, static=True, purpose=what), expr)
    if isinstance(term, Poison):
        return None
    exact = ctx.exact(term)
    if exact is None:
        ctx.error("MFG211", f"{what} is not known before the run", expr.span, "not a constant")
        return None
    if term.type.kind != "int":
        found = f", found {float(exact):g}" if exact.denominator != 1 else ""
        ctx.error(
            "MFG209",
            f"{what} must be a whole number{found}",
            expr.span,
            "a real number",
            helps=["`floor(...)` rounds down"]
            if isinstance(expr, ast.Number)
            else ["declare its parameters as `int`", "`floor(...)` rounds down"],
        )
        return None
    return int(exact)


def static_real(ctx: Context, env: Env, expr: ast.Expr, what: str) -> float | None:
    """A number known before the run, or None with an error."""
    term = expressions.lower_number(ctx, replace(env, static=True, purpose=what), expr)
    if isinstance(term, Poison):
        return None
    exact = ctx.exact(term)
    if exact is None:
        ctx.error(
            "MFG211",
            f"{what} is not a plain number",
            expr.span,
            "not a sum, product or quotient of numbers and parameters",
        )
        return None
    return carried(exact)


def lower_set(ctx: Context, env: Env, expr: ast.Expr) -> SetValue | Poison:
    """The finite set that `expr` names."""
    if isinstance(expr, ast.Paren):
        return lower_set(ctx, env, expr.inner)
    if isinstance(expr, ast.Range):
        lo = static_integer(ctx, env, expr.lo, "the end of a range")
        hi = static_integer(ctx, env, expr.hi, "the end of a range")
        if lo is None or hi is None:
            return POISON
        if lo > hi:
            return ctx.error(
                "MFG213", f"the range {lo}..{hi} is empty", expr.span, "the first end is larger"
            )
        return SetValue(INT, bounds=(lo, hi))
    if isinstance(expr, ast.FiniteSet):
        return _listed(ctx, env, expr)
    if isinstance(expr, ast.Call) and expr.function.name == "range":
        return _python_range(ctx, expr)
    if (cells := _type_of_grid(ctx, env, expr)) is not None:
        return names.whole_type(cells)
    value = expressions.lower(ctx, env, expr)
    if isinstance(value, SetValue | Poison):
        return value
    if isinstance(value, EnumName):
        return names.whole_type(value.type)
    return ctx.error(
        "MFG201",
        "expected a set",
        expr.span,
        "not a set",
        helps=["sets are ranges `1..5`, lists `{a, b}`, enums and regions of a grid"],
    )


def _python_range(ctx: Context, expr: ast.Call) -> Poison:
    """`range(lo, hi)`, which leaves `hi` out, is `lo..hi - 1`."""
    file, places = expr.span.file, [argument.span for argument in expr.arguments]
    edits: tuple[Edit, ...] = ()
    if len(places) in (1, 2):
        first = "0.." if len(places) == 1 else ""
        edits = (Edit(Span(file, expr.span.start, places[0].start), first),)
        edits += tuple(Edit(Span(file, a.end, b.start), "..") for a, b in pairwise(places))
        edits += (Edit(Span(file, places[-1].end, expr.span.end), " - 1"),)
    return ctx.error(
        "MFG201",
        "ranges are written `lo..hi`, with both ends inside",
        expr.span,
        "not a set",
        helps=[Help("the last value is one below the end of `range`", edits, bool(edits))],
    )


def _type_of_grid(ctx: Context, env: Env, expr: ast.Expr) -> Type | None:
    """`rooms.cell`, `rooms.move`, `city.node` and `city.link` as sets."""
    if not isinstance(expr, ast.Field) or not isinstance(expr.base, ast.Name):
        return None
    symbol = names.find(ctx, env, expr.base.name)
    if isinstance(symbol, GraphName) and expr.name.name in ("node", "link"):
        ctx.used.add(symbol.graph.name)
        return node_type(symbol.graph) if expr.name.name == "node" else link_type(symbol.graph)
    if not isinstance(symbol, GridName) or expr.name.name not in ("cell", "move"):
        return None
    space = symbol.space
    ctx.used.add(space.name)
    return space.cell_type if expr.name.name == "cell" else space.move_type


def _listed(ctx: Context, env: Env, expr: ast.FiniteSet) -> SetValue | Poison:
    terms = []
    for item in expr.items:
        value = expressions.lower(ctx, env, item)
        if isinstance(value, Poison):
            return POISON
        if not isinstance(value, Term):
            number(ctx, value, item.span)
            return POISON
        terms.append(value)
    first = terms[0].type
    for term, item in zip(terms, expr.items, strict=True):
        if (term.type.kind, term.type.name) != (first.kind, first.name):
            return ctx.error(
                "MFG205",
                f"the elements disagree: {describe(first)} and {describe(term.type)}",
                item.span,
                describe(term.type),
            )
    return SetValue(first, nodes=tuple(dict.fromkeys(t.node for t in terms)))


def contains(ctx: Context, domain: SetValue, item: Term, span: Span) -> Term | Poison:
    """The condition that `item` lies in `domain`."""
    if domain.region is not None:
        space, region = domain.region
        if item.type != space.cell_type:
            return ctx.error(
                "MFG201",
                f"expected a `{space.name}.cell`, found {describe(item.type)}",
                span,
                f"`{space.name}.{region}` holds cells",
            )
        return ctx.node("region", (item.node,), BOOL, span, (space.name, region))
    if domain.nodes is not None:
        parts = []
        for node in domain.nodes:
            part = compare(ctx, "==", item, Term(node, domain.type), span)
            if isinstance(part, Poison):
                return POISON
            parts.append(part.node)
        return ctx.node("or", parts, BOOL, span)
    assert domain.bounds is not None
    if domain.type.kind != "int":
        if item.type == domain.type:
            return ctx.truth(True)
        return ctx.error(
            "MFG201", f"{describe(item.type)} is never {describe(domain.type)}", span, ""
        )
    lo, hi = domain.bounds
    ends = []
    if item.type.lo is None or item.type.lo < lo:
        ends.append(compare(ctx, "<=", ctx.integer(lo), item, span))
    if item.type.hi is None or item.type.hi > hi:
        ends.append(compare(ctx, "<=", item, ctx.integer(hi), span))
    nodes = [end.node for end in ends if isinstance(end, Term)]
    if len(nodes) < len(ends):
        return POISON
    return ctx.node("and", nodes, BOOL, span) if nodes else ctx.truth(True)


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
    lo = static_real(ctx, env, inner.items[0], "the end of an interval")
    hi = static_real(ctx, env, inner.items[1], "the end of an interval")
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
    count = static_integer(ctx, env, expr.dims[-1], "the length of an array") if expr.dims else 0
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
    radius = static_real(ctx, env, inner.arguments[0].value, "the radius of a ball")
    if radius is None:
        return POISON
    if radius <= 0:
        return ctx.error(
            "MFG213", f"a ball of radius {radius:g}", inner.span, "must be larger than 0"
        )
    return Type(kind="real", lo=-radius, hi=radius, ball=radius)


def _circle(ctx: Context, env: Env, inner: ast.Expr) -> Type | Poison:
    """`real mod n`: a circle of length n."""
    length = static_real(ctx, env, inner, "the length of a circle")
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
        size = static_integer(ctx, env, expr.domain, "the length of a ring")
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
    domain = lower_set(ctx, env, expr.domain)
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
        if (cells := _type_of_grid(ctx, env, dim)) is not None:
            axes.append(cells)
            continue
        size = static_integer(ctx, env, dim, "the length of an array")
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
