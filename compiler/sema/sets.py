"""Sets: what stands after `in` and `uniform`, and numbers that are known before the run."""

from dataclasses import replace
from itertools import pairwise

from mfdsl.compiler.diagnostics import Edit, Help
from mfdsl.compiler.ir.constants import constant
from mfdsl.compiler.ir.spaces import link_name, link_type, node_type
from mfdsl.compiler.ir.types import BOOL, INT, Type
from mfdsl.compiler.sema import expressions, names
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.operators import compare, describe, number
from mfdsl.compiler.sema.values import (
    END_OF_RANGE,
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
            helps=[f"`floor({ctx.written(expr.span)})` rounds down"]
            if isinstance(expr, ast.Number)
            else [
                "declare its parameters as `int`",
                f"`floor({ctx.written(expr.span)})` rounds down",
            ],
        )
        return None
    return int(exact)


def static_real(ctx: Context, env: Env, expr: ast.Expr, what: str) -> float | None:
    """A number known before the run, or None with an error."""
    term = expressions.lower_number(ctx, replace(env, static=True, purpose=what), expr)
    if isinstance(term, Poison):
        return None
    value = constant(ctx.builder, term.node)
    if value is None:
        ctx.error(
            "MFG211",
            f"{what} is not a plain number",
            expr.span,
            "not a number made of numbers and parameters",
        )
    return value


def lower_set(ctx: Context, env: Env, expr: ast.Expr) -> SetValue | Poison:
    """The finite set that `expr` names."""
    if isinstance(expr, ast.Paren):
        return lower_set(ctx, env, expr.inner)
    if isinstance(expr, ast.Range):
        lo = static_integer(ctx, env, expr.lo, END_OF_RANGE)
        hi = static_integer(ctx, env, expr.hi, END_OF_RANGE)
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
    if (cells := type_of_space(ctx, env, expr)) is not None:
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


def type_of_space(ctx: Context, env: Env, expr: ast.Expr) -> Type | None:
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
