"""Numbers from data files: JSON, CSV and npz, with their shape and range checked."""

import csv
import json
import math
import zipfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from mfdsl.compiler.ir.fold import carried, read_float

MAX_DATA_BYTES = 16 << 20


class DataError(ValueError):
    """A data file does not hold what the parameter asks for; the text says what and where."""


def read_text(path: Path) -> str:
    """The text of a file in UTF-8. Raises DataError."""
    try:
        if path.stat().st_size > MAX_DATA_BYTES:
            raise DataError(f"`{path.name}` is larger than {MAX_DATA_BYTES >> 20} MiB")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot read `{path.name}`: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"`{path.name}` is not UTF-8 text") from None


def read_array(path: Path, key: str, dims: Sequence[int]) -> tuple[float, ...]:
    """The numbers of the parameter `key` from `path`, flat and row-major.

    JSON: an object with the name of the parameter as key, or a bare list. CSV: one row of numbers
    for each index of the first axis. npz: the array of that name. Raises DataError.
    """
    try:
        if path.stat().st_size > MAX_DATA_BYTES:
            raise DataError(f"`{path.name}` is larger than {MAX_DATA_BYTES >> 20} MiB")
        if path.suffix == ".json":
            values, shape = _json(path, key)
        elif path.suffix == ".csv":
            values, shape = _csv(path, len(dims))
        else:
            values, shape = _npz(path, key)
    except OSError as error:
        raise DataError(f"cannot read `{path.name}`: {error.strerror}") from None
    if tuple(shape) != tuple(dims):
        raise DataError(f"`{path.name}` holds an array of shape {list(shape)}, not {list(dims)}")
    for position, value in enumerate(values):
        if not math.isfinite(value):
            raise DataError(f"`{path.name}` holds {value} at position {position}")
    return tuple(values)


def flatten(value: object, where: str) -> tuple[list[float], tuple[int, ...]]:
    """Nested lists as flat numbers and their shape. Raises DataError for ragged lists."""
    if isinstance(value, bool) or not isinstance(value, list | int | float):
        raise DataError(f"{where} holds {value!r:.40}, not a number")
    if not isinstance(value, list):
        try:
            return [carried(Fraction(value)) if isinstance(value, int) else value], ()
        except OverflowError:
            raise DataError(f"{where} holds a number that is too large") from None
    if not value:
        return [], (0,)
    parts = [flatten(item, where) for item in value]
    shapes = {shape for _, shape in parts}
    if len(shapes) > 1:
        raise DataError(f"{where} holds rows of different length")
    return [x for flat, _ in parts for x in flat], (len(value), *shapes.pop())


def _json(path: Path, key: str) -> tuple[list[float], tuple[int, ...]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"), parse_float=read_float)
    except (UnicodeDecodeError, RecursionError):
        raise DataError(f"`{path.name}` is not JSON text") from None
    except json.JSONDecodeError as error:
        raise DataError(f"`{path.name}` line {error.lineno}: {error.msg.lower()}") from None
    except ValueError:
        raise DataError(f"`{path.name}` holds a number with too many digits") from None
    if isinstance(content, dict):
        if key not in content:
            known = ", ".join(f"`{name}`" for name in list(content)[:5])
            raise DataError(f"`{path.name}` has no key `{key}`, it has {known}")
        content = content[key]
    return flatten(content, f"`{path.name}`")


def _csv(path: Path, axes: int) -> tuple[list[float], tuple[int, ...]]:
    """One row, or one column, is a table with two axes and a list with one."""
    rows: list[list[float]] = []
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"`{path.name}` is not UTF-8 text") from None
    try:
        for number, row in enumerate(csv.reader(text.splitlines()), start=1):
            if not row:
                continue
            try:
                rows.append([read_float(cell) for cell in row])
            except ValueError:
                raise DataError(_no_numbers(path, number, row)) from None
            if len(row) != len(rows[0]):
                raise DataError(
                    f"`{path.name}` line {number}: expected {len(rows[0])} fields, found {len(row)}"
                )
    except csv.Error:
        raise DataError(f"`{path.name}` is not a table of numbers") from None
    flat = [x for row in rows for x in row]
    if axes != 2 and (len(rows) == 1 or (rows and len(rows[0]) == 1)):
        return flat, (len(flat),)
    return flat, (len(rows), len(rows[0]) if rows else 0)


def _no_numbers(path: Path, line: int, row: list[str]) -> str:
    """What is wrong with a line of which a cell is no number, and what would be right."""
    cell = next(cell for cell in row if not _is_number(cell)).strip()
    said = f"`{path.name}` line {line}: `{cell[:40]}` is not a number"
    if any(_is_number(part) for part in cell.replace("\t", ";").split(";")[:-1]):
        return f"{said}; cells are separated by commas"
    return f"{said}; a file of an array has numbers alone, no names" if line == 1 else said


def _is_number(cell: str) -> bool:
    try:
        read_float(cell)
    except ValueError:
        return False
    return True


def _check_unpacked(path: Path) -> None:
    """Refuse an archive that is small on disk and huge in memory."""
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > MAX_DATA_BYTES:
        raise DataError(f"`{path.name}` unpacks to more than {MAX_DATA_BYTES >> 20} MiB")


def _npz(path: Path, key: str) -> tuple[list[float], tuple[int, ...]]:
    import numpy  # only npz data needs it

    try:
        _check_unpacked(path)
        with numpy.load(path, allow_pickle=False) as archive:
            if key not in archive:
                raise DataError(f"`{path.name}` has no array `{key}`")
            array = archive[key]
    except (ValueError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"`{path.name}` is not an npz file of plain numbers") from None
    if array.dtype.kind not in "iuf":
        raise DataError(f"`{path.name}` holds {array.dtype}, not numbers")
    return [float(x) for x in array.reshape(-1)], tuple(array.shape)
