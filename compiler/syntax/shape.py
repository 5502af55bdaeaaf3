"""Checks on a finished declaration: depth of its formulas, sizes, and the rows of maps."""

from dataclasses import fields

from mfdsl.compiler.diagnostics import Sink
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast
from mfdsl.compiler.syntax.limits import (
    MAX_ENUM_VALUES,
    MAX_GRID_SIDE,
    MAX_MATCH_ARMS,
    MAX_TREE_DEPTH,
)

_FIELDS: dict[type, tuple[str, ...]] = {}
_NOT_COUNTED = (ast.Argument, ast.Arm, ast.Ident)


def check_shape(root: ast.Tree, sink: Sink) -> bool:
    """Report what is too deep or too large in `root`; False when it must not be used.

    Walks with a stack of its own, since the tree may be deeper than the interpreter allows.
    """
    pending: list[tuple[ast.Tree, int]] = [(root, 0)]
    fine = True
    while pending:
        node, depth = pending.pop()
        if depth > MAX_TREE_DEPTH:
            _report_depth(node.span, sink)
            return False
        match node:
            case ast.GridMap():
                fine = _check_map(node, sink) and fine
            case ast.Match() | ast.Mix():
                fine = _check_size(node, len(node.arms), MAX_MATCH_ARMS, "arms", sink) and fine
            case ast.Enum():
                count = len(node.values)
                fine = _check_size(node, count, MAX_ENUM_VALUES, "values", sink) and fine
        below = depth + (not isinstance(node, _NOT_COUNTED))
        pending += [(child, below) for child in children(node)]
    return fine


def children(node: ast.Tree) -> list[ast.Tree]:
    """The nodes directly under `node`."""
    kind = type(node)
    names = _FIELDS.get(kind)
    if names is None:
        names = _FIELDS[kind] = tuple(f.name for f in fields(kind) if f.name != "span")
    found: list[ast.Tree] = []
    for name in names:
        value = getattr(node, name)
        if isinstance(value, ast.Tree):
            found.append(value)
        elif isinstance(value, tuple):
            found += [item for item in value if isinstance(item, ast.Tree)]
    return found


def _report_depth(span: Span, sink: Sink) -> None:
    sink.report(
        "MFG702",
        f"nested more than {MAX_TREE_DEPTH} operators deep",
        span,
        "too deep from here on",
        helps=["name the parts with `let`"],
    )


def _check_size(node: ast.Tree, count: int, limit: int, what: str, sink: Sink) -> bool:
    if count <= limit:
        return True
    sink.report("MFG703", f"{count} {what} are more than {limit}", node.span, "too many")
    return False


def _check_map(grid: ast.GridMap, sink: Sink) -> bool:
    """All rows are equally long, and there are neither none nor too many."""
    if not grid.rows:
        sink.report("MFG010", "this map has no rows", grid.span, "empty")
        return False
    width = len(grid.rows[0])
    for number, (row, span) in enumerate(zip(grid.rows, grid.row_spans, strict=True), start=1):
        if len(row) == width:
            continue
        rows = "the row above has" if number == 2 else "the rows above have"
        sink.report(
            "MFG010",
            f"map row {number} has {len(row)} cell{'s' * (len(row) != 1)}, {rows} {width}",
            span,
            "too short" if len(row) < width else "too long",
            also=[(grid.row_spans[number - 2], f"{width} cells")],
        )
        return False
    if max(width, len(grid.rows)) > MAX_GRID_SIDE:
        size = f"{len(grid.rows)} rows of {width} cells"
        limit = f"{MAX_GRID_SIDE} x {MAX_GRID_SIDE}"
        sink.report("MFG703", f"{size} are more than {limit}", grid.span, "too large")
        return False
    return True
