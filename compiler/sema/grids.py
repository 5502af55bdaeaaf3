"""Functions on cells and moves of a grid."""

from dataclasses import replace

from mfdsl.compiler.diagnostics import Edit, Help
from mfdsl.compiler.ir.spaces import GridSpace
from mfdsl.compiler.ir.types import BOOL, INT
from mfdsl.compiler.sema import expressions, sets
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.operators import found, number
from mfdsl.compiler.sema.values import POISON, Env, Items, Poison, Term, Value
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast

_EXAMPLES = {"cell": "cells are written `grid[row, column]`", "move": "moves are `stay`, `up`, ..."}


def _of_kind(ctx: Context, env: Env, argument: ast.Argument, kind: str) -> Term | None:
    value = expressions.lower(ctx, env, argument.value)
    if isinstance(value, Term) and value.type.kind == kind:
        return value
    if not isinstance(value, Poison):
        ctx.error(
            "MFG201",
            f"expected a {kind} of a grid, found {found(value)}",
            argument.span,
            f"not a {kind}",
            helps=[_EXAMPLES[kind]],
        )
    return None


def _component(ctx: Context, env: Env, expr: ast.Call, kind: str, op: str) -> Value:
    term = _of_kind(ctx, env, expr.arguments[0], kind)
    if term is None:
        return POISON
    return ctx.node(op, (term.node,), INT, expr.span, term.type.name)


def call_row(ctx: Context, env: Env, expr: ast.Call) -> Value:
    """`row(x)`: the row of a cell."""
    return _component(ctx, env, expr, "cell", "row")


def call_col(ctx: Context, env: Env, expr: ast.Call) -> Value:
    """`col(x)`: the column of a cell."""
    return _component(ctx, env, expr, "cell", "col")


def call_drow(ctx: Context, env: Env, expr: ast.Call) -> Value:
    """`drow(a)`: the row step of a move."""
    return _component(ctx, env, expr, "move", "drow")


def call_dcol(ctx: Context, env: Env, expr: ast.Call) -> Value:
    """`dcol(a)`: the column step of a move."""
    return _component(ctx, env, expr, "move", "dcol")


def _cell_and_move(ctx: Context, env: Env, expr: ast.Call) -> tuple[Term, Term] | None:
    cell = _of_kind(ctx, env, expr.arguments[0], "cell")
    if cell is None:
        return None
    space = ctx.grids[cell.type.name or ""]
    move = _of_kind(ctx, replace(env, target=space.move_type), expr.arguments[1], "move")
    if move is None:
        return None
    if move.type.name != cell.type.name:
        ctx.error(
            "MFG201",
            f"a move of `{move.type.name}` does not apply to a cell of `{cell.type.name}`",
            expr.span,
            "two different grids",
        )
        return None
    return cell, move


def call_step(ctx: Context, env: Env, expr: ast.Call) -> Value:
    """`step(x, a)`: the cell after the move; stays put at walls and edges."""
    pair = _cell_and_move(ctx, env, expr)
    if pair is None:
        return POISON
    cell, move = pair
    return ctx.node("step", (cell.node, move.node), cell.type, expr.span, cell.type.name)


def call_free(ctx: Context, env: Env, expr: ast.Call) -> Value:
    """`free(x, a)`: the move does not run into a wall or an edge."""
    pair = _cell_and_move(ctx, env, expr)
    if pair is None:
        return POISON
    cell, move = pair
    return ctx.node("free", (cell.node, move.node), BOOL, expr.span, cell.type.name)


def call_path_dist(ctx: Context, env: Env, expr: ast.Call) -> Value:
    """`path_dist(x, region)`: length of the shortest path around walls."""
    cell = _of_kind(ctx, env, expr.arguments[0], "cell")
    domain = sets.lower_set(ctx, env, expr.arguments[1].value)
    if cell is None or isinstance(domain, Poison):
        return POISON
    if domain.region is None or domain.region[0].name != cell.type.name:
        return ctx.error(
            "MFG201",
            "expected a region of the grid",
            expr.arguments[1].span,
            "not a region",
            helps=[f"regions are the letters of the map: `{cell.type.name}.E`"],
        )
    space, region = domain.region
    if not reaches_all(space, region):
        return ctx.error(
            "MFG304",
            f"some cells of `{space.name}` have no path to `{space.name}.{region}`",
            expr.span,
            "the distance is infinite there",
            helps=["open a wall of the map"],
        )
    return ctx.node("path_dist", (cell.node,), INT, expr.span, (space.name, region))


def reaches_all(space: GridSpace, region: str) -> bool:
    """Whether every free cell has a path to the region."""
    seen = set(space.regions[region])
    frontier = [place for place, code in space.cells.items() if code in seen]
    while frontier:
        row, column = frontier.pop()
        for _, down, right in space.grid.moves:
            code = space.code(row - down, column - right)
            if code is not None and code not in seen:
                seen.add(code)
                frontier.append(
                    (
                        (row - down) % space.grid.height,
                        (column - right) % space.grid.width,
                    )
                )
    return len(seen) == space.cell_count


def cell_distance(ctx: Context, left: Term, right: Value, expr: ast.Call) -> Value:
    """`dist(x, y)` of two cells: in moves, without walls."""
    if not isinstance(right, Term) or right.type != left.type:
        return ctx.error(
            "MFG201",
            f"expected a `{left.type.name}.cell`, found {found(right)}",
            expr.arguments[1].span,
            "not a cell of the same grid",
            helps=[_EXAMPLES["cell"]],
        )
    return ctx.node("cell_dist", (left.node, right.node), INT, expr.span, left.type.name)


def shift_cell(ctx: Context, values: list[Value], expr: ast.Sum) -> Value:
    """`x + [rows, columns]` on a periodic grid."""
    cell, offset = values
    if not isinstance(offset, Items):
        cell, offset = offset, cell
    if isinstance(cell, Poison):
        return POISON
    if not (isinstance(cell, Term) and cell.type.kind == "cell" and isinstance(offset, Items)):
        return ctx.error(
            "MFG202",
            "lists are used by index; only a cell plus `[rows, columns]` adds up",
            expr.span,
            "a list in a sum",
        )
    space = ctx.grids[cell.type.name or ""]
    if not space.grid.periodic or space.grid.rows is not None or len(offset.items) != 2:
        return ctx.error(
            "MFG303",
            f"`x + [rows, columns]` may leave the grid `{space.name}`",
            expr.span,
            "the grid has edges or walls",
            helps=["use `step(x, move)`, which stays put at walls"],
        )
    places = []
    for op, item, length in zip(
        ("row", "col"), offset.items, (space.grid.height, space.grid.width), strict=True
    ):
        by = number(ctx, item, expr.span)
        if isinstance(by, Poison) or by.type.kind != "int":
            return ctx.error("MFG201", "a cell moves by whole rows and columns", expr.span)
        here = ctx.node(op, (cell.node,), INT, expr.span, space.name)
        there = ctx.node(
            "add",
            (here.node, _signed(ctx, by, expr).node),
            INT,
            expr.span,
        )
        places.append(ctx.node("rem", (there.node, ctx.integer(length).node), INT, expr.span).node)
    return ctx.node("cell", places, space.cell_type, expr.span, space.name)


def report_moved(ctx: Context, values: list[Value], expr: ast.Sum) -> Poison | None:
    """`x + a` of a cell and a move, which is written `step(x, a)`; None when it is not that."""
    kinds = [value.type.kind if isinstance(value, Term) else "" for value in values]
    if kinds != ["cell", "move"] or expr.signs[1] != "+":
        return None
    cell, move = (term.span for term in expr.terms)
    file = expr.span.file
    edits = (
        Edit(Span(file, cell.start, cell.start), "step("),
        Edit(Span(file, cell.end, move.start), ", "),
        Edit(Span(file, move.end, move.end), ")"),
    )
    return ctx.error(
        "MFG201",
        "a cell and a move do not add up",
        expr.span,
        "neither of them is a number",
        helps=[Help("`step(cell, move)` is the cell after the move", edits, applicable=True)],
    )


def _signed(ctx: Context, by: Term, expr: ast.Sum) -> Term:
    if expr.signs[1] == "+":
        return by
    return ctx.node("neg", (by.node,), INT, expr.span)
