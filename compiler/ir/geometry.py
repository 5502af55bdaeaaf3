"""Cells of a grid: numbering, moves and distances, written straightforwardly."""

from collections import deque
from functools import cache

from mfdsl.compiler.ir.model import Grid

WALL = "#"


@cache
def free_cells(grid: Grid) -> tuple[tuple[int, int], ...]:
    """(row, column) of every free cell, in code order."""
    return tuple(
        (r, c)
        for r in range(grid.height)
        for c in range(grid.width)
        if grid.rows is None or grid.rows[r][c] != WALL
    )


@cache
def cell_codes(grid: Grid) -> dict[tuple[int, int], int]:
    """Code of every free cell by (row, column)."""
    return {place: code for code, place in enumerate(free_cells(grid))}


def target(grid: Grid, cell: int, move: int) -> int | None:
    """The cell that a move leads to, None when a wall or an edge is in the way."""
    row, column = free_cells(grid)[cell]
    _, down, right = grid.moves[move]
    row, column = row + down, column + right
    if grid.periodic:
        row, column = row % grid.height, column % grid.width
    return cell_codes(grid).get((row, column))


def diagonal(grid: Grid) -> bool:
    """Whether moves go diagonally, so that distance is the maximum norm."""
    return any(down and right for _, down, right in grid.moves)


def cell_distance(grid: Grid, first: int, second: int) -> int:
    """Distance in moves between two cells when no wall is in the way."""
    gaps = []
    for a, b, size in zip(
        free_cells(grid)[first], free_cells(grid)[second], (grid.height, grid.width), strict=True
    ):
        gap = abs(a - b)
        gaps.append(min(gap, size - gap) if grid.periodic else gap)
    return max(gaps) if diagonal(grid) else sum(gaps)


def in_region(grid: Grid, cell: int, region: str) -> bool:
    """Whether the map marks `cell` with the letter or digit `region`."""
    row, column = free_cells(grid)[cell]
    return grid.rows is not None and grid.rows[row][column] == region


@cache
def path_distances(grid: Grid, region: str) -> tuple[int, ...]:
    """Fewest moves from each cell to the region around walls; the number of cells if cut off."""
    count = len(free_cells(grid))
    arrivals: list[list[int]] = [[] for _ in range(count)]
    for cell in range(count):
        for move in range(len(grid.moves)):
            after = target(grid, cell, move)
            if after is not None:
                arrivals[after].append(cell)
    distances = [0 if in_region(grid, cell, region) else count for cell in range(count)]
    queue = deque(cell for cell in range(count) if distances[cell] == 0)
    while queue:
        cell = queue.popleft()
        for before in arrivals[cell]:
            if distances[before] == count:
                distances[before] = distances[cell] + 1
                queue.append(before)
    return tuple(distances)
