"""Finite spaces of a spec: grids with their cells, regions and moves, graphs with their links."""

from collections.abc import Mapping
from dataclasses import dataclass

from mfdsl.compiler.ir.model import Graph, Grid
from mfdsl.compiler.ir.types import Type

VON_NEUMANN = (
    ("up", -1, 0),
    ("left", 0, -1),
    ("stay", 0, 0),
    ("right", 0, 1),
    ("down", 1, 0),
)
MOORE = (
    ("up_left", -1, -1),
    ("up", -1, 0),
    ("up_right", -1, 1),
    ("left", 0, -1),
    ("stay", 0, 0),
    ("right", 0, 1),
    ("down_left", 1, -1),
    ("down", 1, 0),
    ("down_right", 1, 1),
)
MOVES = {"von_neumann": VON_NEUMANN, "moore": MOORE}
WALL = "#"


@dataclass(frozen=True)
class GridSpace:
    """A grid with its free cells in code order and its regions as sets of cell codes."""

    grid: Grid
    cells: Mapping[tuple[int, int], int]
    regions: Mapping[str, frozenset[int]]

    @property
    def name(self) -> str:
        """The name in the spec."""
        return self.grid.name

    @property
    def cell_type(self) -> Type:
        """The type of `name.cell`."""
        return Type(kind="cell", lo=0, hi=self.cell_count - 1, name=self.name)

    @property
    def move_type(self) -> Type:
        """The type of `name.move`."""
        return Type(kind="move", lo=0, hi=len(self.grid.moves) - 1, name=self.name)

    @property
    def cell_count(self) -> int:
        """Number of free cells."""
        return len(self.cells) if self.grid.rows else self.grid.height * self.grid.width

    @property
    def move_names(self) -> tuple[str, ...]:
        """Names of the moves, in code order."""
        return tuple(name for name, _, _ in self.grid.moves)

    def code(self, row: int, column: int) -> int | None:
        """The cell there, or None outside the grid and at walls; periodic grids wrap."""
        if self.grid.periodic:
            row, column = row % self.grid.height, column % self.grid.width
        if not (0 <= row < self.grid.height and 0 <= column < self.grid.width):
            return None
        if self.grid.rows is None:
            return row * self.grid.width + column
        return self.cells.get((row, column))


def grid_space(grid: Grid) -> GridSpace:
    """Number the free cells of `grid` row by row and collect its lettered regions."""
    if grid.rows is None:
        return GridSpace(grid, {}, {})
    cells: dict[tuple[int, int], int] = {}
    regions: dict[str, set[int]] = {}
    for r, row in enumerate(grid.rows):
        for c, mark in enumerate(row):
            if mark == WALL:
                continue
            code = cells[r, c] = len(cells)
            if mark.isalnum():
                regions.setdefault(mark, set()).add(code)
    return GridSpace(grid, cells, {k: frozenset(v) for k, v in regions.items()})


def link_type(graph: Graph) -> Type:
    """The type of `name.link`."""
    return Type(kind="link", lo=0, hi=len(graph.links) - 1, name=graph.name)


def node_type(graph: Graph) -> Type:
    """The type of `name.node`."""
    return Type(kind="node", lo=0, hi=len(graph.nodes) - 1, name=graph.name)


def link_name(graph: Graph, link: int) -> str:
    """A link as the spec writes it."""
    tail, head = graph.links[link]
    return f"{graph.name}[{graph.nodes[tail]}, {graph.nodes[head]}]"
