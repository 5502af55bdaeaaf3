"""Emitted helpers of one grid: arithmetic on open ones, tables made at first use on maps."""

from dataclasses import dataclass, field

from mfdsl.compiler.backend.torch_text import quoted
from mfdsl.compiler.ir import geometry
from mfdsl.compiler.ir.model import Grid

_TABLES = '''\
def {name}(device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Row and column of each cell, cell at each place (-1: wall), cell after each move, free."""
    key = ("{grid}", str(device))
    if key not in _TABLES:
        marks = torch.tensor([[ord(mark) for mark in line] for line in {map}], device=device)
        inside = marks != ord("#")
        row, col = inside.nonzero(as_tuple=True)
        code = torch.where(inside, inside.flatten().cumsum(0).view_as(marks) - 1, -1)
        down, right = torch.tensor({moves}, device=device)
        to_row, to_col = row[:, None] + down, col[:, None] + right
        {reach}
        free = {free}
        step = torch.where(free, after, torch.arange(len(row), device=device)[:, None])
        _TABLES[key] = (row, col, code, step, free)
    return _TABLES[key]


# What torch.compiler.assume_constant_result sets; to call it would load the compiler.
{name}._dynamo_marked_constant = True
'''

_MOVES = '''\
def {name}(device: torch.device) -> tuple[Tensor, Tensor]:
    """Row step and column step of each move."""
    key = ("{grid} moves", str(device))
    if key not in _TABLES:
        _TABLES[key] = tuple(torch.tensor({moves}, device=device))
    return _TABLES[key]


# What torch.compiler.assume_constant_result sets; to call it would load the compiler.
{name}._dynamo_marked_constant = True
'''

_PATH = '''\
def {name}_table(device: torch.device) -> Tensor:
    """Fewest moves from each cell to region {region}; the number of cells where it is cut off."""
    key = ("{grid} path {region}", str(device))
    if key not in _TABLES:
        row, col, _, step, _ = {tables}(device)
        marks = torch.tensor([[ord(mark) for mark in line] for line in {map}], device=device)
        far, moves = torch.full_like(row, len(row)), 0
        front = (marks[row, col] == ord("{region}")).nonzero()[:, 0]
        while len(front):
            far[front] = moves
            near = step[front].unique()
            front, moves = near[far[near] == len(row)], moves + 1
        _TABLES[key] = far
    return _TABLES[key]


# What torch.compiler.assume_constant_result sets; to call it would load the compiler.
{name}_table._dynamo_marked_constant = True


def {name}(cell: Tensor) -> Tensor:
    """Fewest moves to region {region} around walls."""
    return {name}_table(cell.device)[cell]
'''

_REGION = '''\
def {name}_table(device: torch.device) -> Tensor:
    """Whether each cell lies in region {region}."""
    key = ("{grid} region {region}", str(device))
    if key not in _TABLES:
        row, col, _, _, _ = {tables}(device)
        marks = torch.tensor([[ord(mark) for mark in line] for line in {map}], device=device)
        _TABLES[key] = marks[row, col] == ord("{region}")
    return _TABLES[key]


# What torch.compiler.assume_constant_result sets; to call it would load the compiler.
{name}_table._dynamo_marked_constant = True


def {name}(cell: Tensor) -> Tensor:
    """Whether the cell lies in region {region}."""
    return {name}_table(cell.device)[cell]
'''


@dataclass
class GridText:
    """A grid and the helpers of it that a module needs."""

    grid: Grid
    word: str
    used: set[tuple[str, str]] = field(default_factory=set)

    def use(self, op: str, region: str = "") -> str:
        """The name of the helper for a grid operator, which the module then defines."""
        self.used.add((op, region))
        return self._name(op, region)

    def constant(self, op: str, values: list[int], region: str) -> int:
        """A grid operator on numbers."""
        grid, first = self.grid, values[0]
        if op in ("row", "col"):
            return geometry.free_cells(grid)[first][op == "col"]
        if op in ("drow", "dcol"):
            _, down, right = grid.moves[first]
            return down if op == "drow" else right
        if op == "cell":
            row, col = values
            place = (row % grid.height, col % grid.width) if grid.periodic else (row, col)
            return geometry.cell_codes(grid)[place]
        if op in ("step", "free"):
            after = geometry.target(grid, first, values[1])
            return int(after is not None) if op == "free" else first if after is None else after
        if op == "cell_dist":
            return geometry.cell_distance(grid, first, values[1])
        if op == "path_dist":
            return geometry.path_distances(grid, region)[first]
        return int(geometry.in_region(grid, first, region))

    def definitions(self) -> list[str]:
        """Texts of all helpers in use, each a top-level definition."""
        ops = {op for op, _ in self.used}
        found = []
        mapped = self.grid.rows is not None
        needs_tables = mapped and bool(ops - {"drow", "dcol"})
        if needs_tables:
            found.append(self._tables())
        if ops & {"drow", "dcol"} or (not mapped and ops & {"step", "free"}):
            found.append(
                _MOVES.format(name=self._name("moves"), grid=self.word, moves=self._steps())
            )
        order = ("row", "col", "drow", "dcol", "cell", "free", "step", "cell_dist")
        if "cell_dist" in ops:
            ops |= {"row", "col"}
        found += [self._helper(op) for op in order if op in ops]
        regions = sorted(self.used)
        for kind, template in (("path_dist", _PATH), ("region", _REGION)):
            found += [
                template.format(
                    name=self._name(kind, region),
                    region=region,
                    grid=self.word,
                    tables=self._name("tables"),
                    map=self._map_name(),
                )
                for op, region in regions
                if op == kind
            ]
        return found

    def constants(self) -> list[str]:
        """Lines that the top of the module needs for the helpers in use."""
        if self.grid.rows is None or not {op for op, _ in self.used} - {"drow", "dcol"}:
            return []
        rows = "".join(f"    {quoted(row)},\n" for row in self.grid.rows)
        return [f"{self._map_name()} = (\n{rows})"]

    def _name(self, op: str, region: str = "") -> str:
        return f"_{self.word}_{op}_{region}" if region else f"_{self.word}_{op}"

    def _map_name(self) -> str:
        return f"_{self.word.upper()}_MAP"

    def _steps(self) -> str:
        down = tuple(m[1] for m in self.grid.moves)
        right = tuple(m[2] for m in self.grid.moves)
        return f"({down}, {right})"

    def _tables(self) -> str:
        height, width = self.grid.height, self.grid.width
        if self.grid.periodic:
            reach = f"after = code[to_row % {height}, to_col % {width}]"
            free = "after >= 0"
        else:
            rows, cols = f"to_row.clamp(0, {height - 1})", f"to_col.clamp(0, {width - 1})"
            reach = f"after = code[{rows}, {cols}]"
            free = (
                f"(to_row >= 0) & (to_row < {height}) & (to_col >= 0) & (to_col < {width})"
                " & (after >= 0)"
            )
        return _TABLES.format(
            name=self._name("tables"),
            grid=self.word,
            map=self._map_name(),
            moves=self._steps(),
            reach=reach,
            free=free,
        )

    def _helper(self, op: str) -> str:
        head, text, body = self._mapped(op) if self.grid.rows else self._open(op)
        lines = "".join(f"    {line}\n" for line in body)
        return f'def {self._name(op)}({head}) -> Tensor:\n    """{text}"""\n{lines}'

    def _mapped(self, op: str) -> tuple[str, str, list[str]]:
        tables = self._name("tables")
        height, width = self.grid.height, self.grid.width
        if op in ("row", "col"):
            place = ("row", "col").index(op)
            return (
                "cell: Tensor",
                f"The {op} of a cell.",
                [f"return {tables}(cell.device)[{place}][cell]"],
            )
        if op in ("step", "free"):
            place, text = (
                (3, "The cell after a move; stays put at walls and edges.")
                if op == "step"
                else (4, "Whether a move does not run into a wall or an edge.")
            )
            return (
                "cell: Tensor, move: Tensor",
                text,
                [f"return {tables}(cell.device)[{place}][cell, move]"],
            )
        if op == "cell":
            if self.grid.periodic:
                place_text = f"row % {height}, col % {width}"
            else:
                place_text = f"row.clamp(0, {height - 1}), col.clamp(0, {width - 1})"
            return (
                "row: Tensor, col: Tensor",
                "The cell at a place.",
                [f"return {tables}(row.device)[2][{place_text}].clamp(min=0)"],
            )
        return self._anywhere(op)

    def _open(self, op: str) -> tuple[str, str, list[str]]:
        height, width, wraps = self.grid.height, self.grid.width, self.grid.periodic
        if op == "row":
            return "cell: Tensor", "The row of a cell.", [f"return cell // {width}"]
        if op == "col":
            return "cell: Tensor", "The column of a cell.", [f"return cell % {width}"]
        if op == "cell":
            inner = f"row % {height} * {width} + col % {width}"
            if not wraps:
                inner = f"row.clamp(0, {height - 1}) * {width} + col.clamp(0, {width - 1})"
            return "row: Tensor, col: Tensor", "The cell at a place.", [f"return {inner}"]
        if op not in ("step", "free"):
            return self._anywhere(op)
        arguments = "cell: Tensor, move: Tensor"
        move = [
            f"down, right = {self._name('moves')}(move.device)",
            f"row, col = cell // {width} + down[move], cell % {width} + right[move]",
        ]
        inside = f"(row >= 0) & (row < {height}) & (col >= 0) & (col < {width})"
        if op == "free":
            text = "Whether a move does not run into an edge."
            if wraps:
                return arguments, text, ["return torch.ones_like(cell + move, dtype=torch.bool)"]
            return arguments, text, [*move, f"return {inside}"]
        if wraps:
            after = f"return row % {height} * {width} + col % {width}"
            return arguments, "The cell after a move.", [*move, after]
        after = f"return torch.where({inside}, row * {width} + col, cell)"
        return arguments, "The cell after a move; stays put at edges.", [*move, after]

    def _anywhere(self, op: str) -> tuple[str, str, list[str]]:
        """Helpers that are the same on every grid."""
        if op in ("drow", "dcol"):
            place, word = (0, "Row") if op == "drow" else (1, "Column")
            return (
                "move: Tensor",
                f"{word} step of a move.",
                [f"return {self._name('moves')}(move.device)[{place}][move]"],
            )
        row, col = self._name("row"), self._name("col")
        body = [
            f"rows = ({row}(a) - {row}(b)).abs()",
            f"cols = ({col}(a) - {col}(b)).abs()",
        ]
        if self.grid.periodic:
            height, width = self.grid.height, self.grid.width
            body.append(f"rows = torch.minimum(rows, {height} - rows)")
            body.append(f"cols = torch.minimum(cols, {width} - cols)")
        body.append(
            "return torch.maximum(rows, cols)"
            if geometry.diagonal(self.grid)
            else "return rows + cols"
        )
        return "a: Tensor, b: Tensor", "Distance in moves without walls.", body
