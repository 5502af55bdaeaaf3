"""Enclosures of the functions on cells and moves: exact for exact arguments, else their range."""

from collections.abc import Callable, Mapping

import numpy as np

from mfdsl.compiler.analysis.intervals import Array, Interval, Mask, point
from mfdsl.compiler.ir.model import Node
from mfdsl.compiler.ir.spaces import GridSpace

Grids = Mapping[str, GridSpace]


def _component(place: int, moves: bool) -> Callable[[Grids, Node, list[Interval]], Interval]:
    def rule(grids: Grids, node: Node, arguments: list[Interval]) -> Interval:
        space = grids[str(node.attr)]
        table = (
            np.array([move[place + 1] for move in space.grid.moves], dtype=np.float64)
            if moves
            else cell_places(space)[place]
        )
        return _looked_up(table, arguments[0])

    return rule


def cell_places(space: GridSpace) -> tuple[Array, Array]:
    """Row and column of every free cell, in code order."""
    if space.grid.rows is None:
        rows, columns = np.divmod(np.arange(space.cell_count), space.grid.width)
    else:
        rows, columns = np.array(list(space.cells), dtype=np.int64).T
    return rows.astype(np.float64), columns.astype(np.float64)


def _looked_up(table: Array, at: Interval) -> Interval:
    if np.all(at.lo == at.hi):
        return point(table[np.clip(at.lo, 0, len(table) - 1).astype(np.int64)])
    return Interval(np.asarray(table.min()), np.asarray(table.max()))


def _any_cell(grids: Grids, node: Node, arguments: list[Interval]) -> Interval:
    space = grids[str(node.attr)]
    return Interval(np.asarray(0.0), np.asarray(float(space.cell_count - 1)))


def _cell(grids: Grids, node: Node, arguments: list[Interval]) -> Interval:
    row, column = arguments
    space = grids[str(node.attr)]
    points = np.all(row.lo == row.hi) and np.all(column.lo == column.hi)
    if not points:
        return _any_cell(grids, node, arguments)
    table = cell_codes(space)
    r = np.clip(row.lo, 0, space.grid.height - 1).astype(np.int64)
    c = np.clip(column.lo, 0, space.grid.width - 1).astype(np.int64)
    return point(np.maximum(table[r, c], 0.0))


def cell_codes(space: GridSpace) -> Array:
    """The code of the cell at each row and column, -1 at walls."""
    table = np.full((space.grid.height, space.grid.width), -1.0)
    rows, columns = cell_places(space)
    table[rows.astype(np.int64), columns.astype(np.int64)] = np.arange(space.cell_count)
    return table


def _after_move(grids: Grids, node: Node, arguments: list[Interval]) -> tuple[Array, Mask] | None:
    """The cell after the move and whether it is free, for exact cells and moves."""
    cell, move = arguments
    if not (np.all(cell.lo == cell.hi) and np.all(move.lo == move.hi)):
        return None
    space = grids[str(node.attr)]
    rows, columns = cell_places(space)
    steps = np.array([m[1:] for m in space.grid.moves], dtype=np.float64)
    at, by = cell.lo.astype(np.int64), move.lo.astype(np.int64)
    row, column = rows[at] + steps[by, 0], columns[at] + steps[by, 1]
    height, width = space.grid.height, space.grid.width
    if space.grid.periodic:
        row, column = np.mod(row, height), np.mod(column, width)
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    r = np.clip(row, 0, height - 1).astype(np.int64)
    c = np.clip(column, 0, width - 1).astype(np.int64)
    code = np.where(inside, cell_codes(space)[r, c], -1.0)
    return np.where(code >= 0, code, np.broadcast_to(cell.lo, code.shape)), code >= 0


def _step(grids: Grids, node: Node, arguments: list[Interval]) -> Interval:
    moved = _after_move(grids, node, arguments)
    return _any_cell(grids, node, arguments) if moved is None else point(moved[0])


def _free(grids: Grids, node: Node, arguments: list[Interval]) -> Interval:
    moved = _after_move(grids, node, arguments)
    if moved is None:
        return Interval(np.asarray(0.0), np.asarray(1.0))
    return point(moved[1].astype(np.float64))


def _distance(grids: Grids, node: Node, arguments: list[Interval]) -> Interval:
    space = grids[str(node.attr)]
    height, width = space.grid.height, space.grid.width
    diagonal = len(space.grid.moves) == 9
    a, b = arguments
    if not (np.all(a.lo == a.hi) and np.all(b.lo == b.hi)):
        far = (height // 2, width // 2) if space.grid.periodic else (height - 1, width - 1)
        return Interval(np.asarray(0.0), np.asarray(float(max(far) if diagonal else sum(far))))
    gaps = []
    for table, length in zip(cell_places(space), (height, width), strict=True):
        gap = np.abs(table[a.lo.astype(np.int64)] - table[b.lo.astype(np.int64)])
        gaps.append(np.minimum(gap, length - gap) if space.grid.periodic else gap)
    return point(np.maximum(*gaps) if diagonal else gaps[0] + gaps[1])


def _region(grids: Grids, node: Node, arguments: list[Interval]) -> Interval:
    assert isinstance(node.attr, tuple)
    space = grids[str(node.attr[0])]
    table = np.zeros(space.cell_count)
    table[sorted(space.regions[str(node.attr[1])])] = 1.0
    return _looked_up(table, arguments[0])


def _path(grids: Grids, node: Node, arguments: list[Interval]) -> Interval:
    assert isinstance(node.attr, tuple)
    space = grids[str(node.attr[0])]
    return Interval(np.asarray(0.0), np.asarray(float(space.cell_count)))


GRID_RULES: dict[str, Callable[[Grids, Node, list[Interval]], Interval]] = {
    "row": _component(0, False),
    "col": _component(1, False),
    "drow": _component(0, True),
    "dcol": _component(1, True),
    "cell": _cell,
    "step": _step,
    "free": _free,
    "cell_dist": _distance,
    "region": _region,
    "path_dist": _path,
}
