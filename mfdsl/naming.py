"""Values as the spec writes them: `I`, `rooms[3, 4]`, `up`, `city[A, B]`, `[0.5, -1.2]`."""

from collections.abc import Sequence
from typing import Any

from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.ir.spaces import grid_space, link_name
from mfdsl.compiler.ir.types import Type

LONGEST = 4


def value_text(model: Model, kind: Type, value: Any) -> str:
    """A scalar, or an array given as nested lists; long arrays are cut."""
    if isinstance(value, Sequence):
        shown = [value_text(model, kind, entry) for entry in value[:LONGEST]]
        rest = f", ... ({len(value)})" if len(value) > LONGEST else ""
        return f"[{', '.join(shown)}{rest}]"
    if kind.kind == "real":
        return f"{value:.4g}"
    if kind.kind == "bool":
        return "true" if value else "false"
    return _finite(model, kind, int(value))


def _finite(model: Model, kind: Type, value: int) -> str:
    if kind.kind == "enum":
        return next(e.values for e in model.enums if e.name == kind.name)[value]
    if kind.kind in ("cell", "move"):
        grid = next(g for g in model.grids if g.name == kind.name)
        if kind.kind == "move":
            return grid.moves[value][0]
        if grid.rows is None:
            row, column = divmod(value, grid.width)
        else:
            cells = grid_space(grid).cells
            row, column = next(place for place, code in cells.items() if code == value)
        return f"{grid.name}[{row}, {column}]"
    if kind.kind in ("node", "link"):
        graph = next(g for g in model.graphs if g.name == kind.name)
        return link_name(graph, value) if kind.kind == "link" else graph.nodes[value]
    return str(value)
