"""Tables with named columns as files, and observed flows as such tables."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mfdsl.errors import UsageError, unknown
from mfdsl.files import read_text, write_bytes

if TYPE_CHECKING:
    import numpy as np

    from mfdsl.runtime.policy import Axis

Cell = str | int | float
NOISE = 0.05  # of shares that were measured; what is further off was meant otherwise
NOISE_OF_ALL = 0.5  # of their sum, over many states


@dataclass(frozen=True)
class NamedTable:
    """Columns by name, and rows of as many cells."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def as_csv(self) -> bytes:
        """The table as comma-separated values with a header."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return text.getvalue().encode()

    def as_npz(self) -> bytes:
        """An array for each column."""
        import numpy as np

        content = io.BytesIO()
        columns = zip(*self.rows, strict=True) if self.rows else ((),) * len(self.columns)
        arrays = {name: np.array(c) for name, c in zip(self.columns, columns, strict=True)}
        np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
        return content.getvalue()


def write_table(table: NamedTable, path: Path) -> None:
    """Write a table as CSV or NPZ, by the ending of the name.

    Raises:
        UsageError: the name ends otherwise, or the place cannot be written to.
    """
    writers = {".csv": table.as_csv, ".npz": table.as_npz}
    if path.suffix not in writers:
        raise UsageError(f"`{path}` says no kind of table", "end its name in .csv or .npz")
    write_bytes(path, writers[path.suffix]())


@dataclass(frozen=True)
class ObservedRow:
    """A share at a time, of all states with some values; `line` is where it is written."""

    line: int
    time: int
    values: Mapping[str, str]
    share: float
    weight: float


def read_observations(
    path: Path, variables: Sequence[str], *, lasting: bool = False
) -> list[ObservedRow]:
    """Rows of a CSV file with the columns `t`, any variables of states, `share`, and perhaps
    `weight`. A variable that is left out is summed over; `t` may be left out of a law that lasts.

    Raises:
        UsageError: the file cannot be read, a column is unknown or missing, or a cell is no number.
    """
    reader = csv.reader(io.StringIO(read_text(path)))
    header = [name.strip() for name in next(reader, [])]
    known = ("t", *variables, "share", "weight")
    if len(header) == 1 and any(sign in header[0] for sign in ";\t"):
        raise UsageError(f"`{path}` has one column `{header[0]}`", "put commas between columns")
    for name in header:
        if name not in known:
            raise unknown(f"column of `{path}`:", name, known)
    for name in ("share",) if lasting and "t" not in header else ("t", "share"):
        if header.count(name) != 1:
            raise UsageError(f"`{path}` needs one column `{name}`", f"columns: {', '.join(known)}")
    if len(set(header)) < len(header):
        raise UsageError(f"`{path}` has a column twice", "name each column once")
    rows = [_observed(path, reader.line_num, header, cells) for cells in reader if any(cells)]
    if not rows:
        raise UsageError(f"`{path}` has no rows", "one line for each share: t, states, share")
    _check_sums(path, rows)
    return rows


def _check_sums(path: Path, rows: Sequence[ObservedRow]) -> None:
    """Refuse shares of one time that together are far more than everybody."""
    by_time: dict[int, dict[tuple[str, ...], float]] = {}
    for row in rows:
        by_time.setdefault(row.time, {})[tuple(row.values.values())] = row.share
    for time, shares in by_time.items():
        if (total := sum(shares.values())) > 1 + NOISE_OF_ALL:
            raise UsageError(
                f"`{path}`: the shares at t = {time} add up to {total:g}",
                "they are shares of everybody: those of each of K players add up to 1 / K",
            )


def _observed(path: Path, line: int, header: Sequence[str], cells: Sequence[str]) -> ObservedRow:
    if len(cells) != len(header):
        raise UsageError(f"`{path}`, line {line}: {len(cells)} cells for {len(header)} columns")
    entries = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
    share = _float(path, line, "share", entries.pop("share"))
    weight = _float(path, line, "weight", entries.pop("weight", "1"))
    time = _float(path, line, "t", entries.pop("t", "0"))
    if time < 0 or time != int(time):
        raise UsageError(f"`{path}`, line {line}: t is {time:g}", "stages are 0, 1, 2, ...")
    if not -NOISE <= share <= 1 + NOISE:
        raise UsageError(
            f"`{path}`, line {line}: share is {share:g}", "shares lie between 0 and 1, 20 % is 0.2"
        )
    if weight < 0:
        raise UsageError(f"`{path}`, line {line}: weight is {weight:g}", "weights are at least 0")
    return ObservedRow(line, int(time), entries, share, weight)


def _float(path: Path, line: int, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise UsageError(f"`{path}`, line {line}: {name} is `{text}`, which is no finite number")
    return value


def cells_of(
    path: Path, rows: Sequence[ObservedRow], axes: "Sequence[Axis]", laws: int
) -> "np.ndarray":
    """For each row the states that it counts, [rows, S].

    Raises:
        UsageError: a value is none of its variable, or a time comes after the last law.
    """
    import numpy as np

    found = np.ones((len(rows), *(axis.size for axis in axes)))
    for k, row in enumerate(rows):
        if row.time >= laws:
            there = f"laws are at 0 to {laws - 1}"
            stays = "the law of a stationary horizon stays: t is 0, or no column"
            raise UsageError(
                f"`{path}`, line {row.line}: t is {row.time}", there if laws > 1 else stays
            )
        for place, axis in enumerate(axes):
            if axis.name not in row.values:
                continue
            at = _position(path, row, axis)
            kept = np.zeros(axis.size)
            kept[at] = 1
            found[k] *= kept.reshape(*[-1 if p == place else 1 for p in range(len(axes))])
    return found.reshape(len(rows), -1)


def _position(path: Path, row: ObservedRow, axis: "Axis") -> int:
    """The place of a value on its axis: its name, or its number."""
    from mfdsl.runtime.policy import TRUTH

    text = row.values[axis.name]
    where = f"`{path}`, line {row.line}"
    value: float | str
    if axis.labels and not (text.isdecimal() and text not in axis.labels):
        value = text.lower() if axis.labels == TRUTH else text  # pandas writes True
    else:
        value = _float(path, row.line, axis.name, text)
        if axis.step is None and value != int(value):
            raise UsageError(f"{where}: {axis.name} is `{text}`, which is no whole number")
    try:
        return axis.position(value)
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from None
