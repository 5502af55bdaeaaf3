"""Numbers of single agents from CSV files: a column with one value for each agent, and tables of
weights between agents.
"""

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mfdsl.compiler.ir.fold import read_float
from mfdsl.compiler.sema.data import MAX_DATA_BYTES, DataError
from mfdsl.compiler.syntax import ast
from mfdsl.compiler.syntax.nearest import nearest

MAX_WEIGHTS = 1 << 22  # entries of a table of weights: 2,048 agents
SPARSE = ("from", "to", "weight")


@dataclass(frozen=True, slots=True)
class Cell:
    """What one agent has in a column, as text, and the line of the file where it stands."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Weight:
    """One weight: of agent `row` on agent `column`, both counted from 0."""

    row: int
    column: int
    value: float
    line: int


@dataclass(frozen=True, slots=True)
class Dense:
    """A square table, flat and row-major."""

    size: int
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Sparse:
    """The weights that are listed; all others are 0."""

    weights: tuple[Weight, ...]


@dataclass(slots=True)
class AgentData:
    """What the files of one population hold: `columns` by trait, `tables` by name of weights.

    `first` is the file that was read first, with its number of agents.
    """

    columns: dict[str, tuple[float, ...]] = field(default_factory=dict)
    tables: dict[str, Dense] = field(default_factory=dict)
    first: tuple[int, ast.Text] | None = None

    @property
    def count(self) -> int | None:
        """The number of agents, None where no file fixes it."""
        return None if self.first is None else self.first[0]


def read_column(path: Path, name: str) -> tuple[Cell, ...]:
    """The column `name` of a CSV file with a header, one cell for each agent. Raises DataError."""
    rows = _rows(path)
    line, header = next(rows, (1, []))
    if name not in header:
        guess = nearest(name, header)
        known = ", ".join(f"`{column}`" for column in header[:5]) or "an empty first line"
        more = f"; did you mean `{guess}`?" if guess else ""
        raise DataError(f"`{path.name}` has no column `{name}`, it has {known}{more}")
    if header.count(name) > 1:
        raise DataError(f"`{path.name}` line {line}: two columns are called `{name}`")
    place, cells = header.index(name), []
    for line, row in rows:
        _check_width(path, line, row, len(header))
        cells.append(Cell(row[place], line))
    if not cells:
        raise DataError(f"`{path.name}` has no rows below its header")
    return tuple(cells)


def read_weights(path: Path) -> Dense | Sparse:
    """A square table without a header, or rows `from,to,weight` below such a header.

    Raises DataError for what is neither, for a pair that is given twice, and beyond MAX_WEIGHTS.
    """
    rows = list(_rows(path))
    if not rows:
        raise DataError(f"`{path.name}` is empty")
    if tuple(rows[0][1]) == SPARSE:
        return _sparse(path, rows[1:])
    values: list[float] = []
    for line, row in rows:
        _check_width(path, line, row, len(rows[0][1]))
        values += [read_number(path, line, cell) for cell in row]
    if len(rows) != len(rows[0][1]):
        raise DataError(
            f"`{path.name}` has {len(rows):,} rows of {len(rows[0][1]):,} numbers:"
            " weights have a row and a column for each agent"
        )
    check_size(path, len(rows))
    return Dense(len(rows), tuple(values))


def check_size(path: Path, size: int) -> None:
    """Refuse more weights than a model holds. Raises DataError."""
    if size * size > MAX_WEIGHTS:
        raise DataError(
            f"`{path.name}` gives weights between {size:,} agents, the limit is"
            f" {math.isqrt(MAX_WEIGHTS):,}"
        )


def read_number(path: Path, line: int, text: str) -> float:
    """A finite number. Raises DataError with its line."""
    try:
        number = read_float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"`{path.name}` line {line}: {text!r:.40} is not a number")
    return number


def _sparse(path: Path, rows: Sequence[tuple[int, list[str]]]) -> Sparse:
    found: dict[tuple[int, int], Weight] = {}
    for line, row in rows:
        _check_width(path, line, row, len(SPARSE))
        ends = (_agent(path, line, row[0]), _agent(path, line, row[1]))
        if ends in found:
            raise DataError(
                f"`{path.name}` line {line}: the weight from {ends[0]} to {ends[1]} stands in line"
                f" {found[ends].line} too"
            )
        found[ends] = Weight(*ends, read_number(path, line, row[2]), line)
    if not found:
        raise DataError(f"`{path.name}` has no rows below its header")
    return Sparse(tuple(found.values()))


def _agent(path: Path, line: int, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_WEIGHTS))):
        raise DataError(
            f"`{path.name}` line {line}: {text!r:.40} is no agent, they are counted 0, 1, 2, ..."
        )
    return int(text)


def _check_width(path: Path, line: int, row: Sequence[str], width: int) -> None:
    if len(row) != width:
        raise DataError(
            f"`{path.name}` line {line}: expected {width} field{'s' * (width != 1)},"
            f" found {len(row)}"
        )


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Lines that are not empty, with their numbers. Raises DataError."""
    if path.suffix != ".csv":
        raise DataError(f"`{path.name}` is no table: values of agents are read from `.csv`")
    try:
        if path.stat().st_size > MAX_DATA_BYTES:
            raise DataError(f"`{path.name}` is larger than {MAX_DATA_BYTES >> 20} MiB")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield number, [cell.strip() for cell in next(csv.reader([line]))]
    except OSError as error:
        raise DataError(f"cannot read `{path.name}`: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"`{path.name}` is not UTF-8 text") from None
    except csv.Error:
        raise DataError(f"`{path.name}` is not a table") from None
