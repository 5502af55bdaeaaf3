"""Links of a graph from a file: CSV with a header `from,to,...`, or a JSON list of objects."""

import csv
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mfdsl.compiler.ir.fold import read_float
from mfdsl.compiler.sema.data import DataError, read_text


@dataclass(frozen=True, slots=True)
class Link:
    """One link with its numbers; `where` says where it stands in the file."""

    tail: str
    head: str
    numbers: Mapping[str, float]
    where: str


def read_links(path: Path) -> Iterator[Link]:
    """The links of the file one by one. Raises DataError with the line and the reason."""
    text = read_text(path)
    if path.suffix == ".csv":
        return _csv(path.name, text)
    if path.suffix == ".json":
        return _json(path.name, text)
    raise DataError(f"`{path.name}` is not a graph: links are read from `.csv` or `.json`")


def _csv(name: str, text: str) -> Iterator[Link]:
    rows = ((k, row) for k, row in enumerate(csv.reader(text.splitlines()), start=1) if row)
    first, names = next(rows, (0, []))
    if not first:
        raise DataError(f"`{name}` is empty: its first line is `from,to,...`")
    header = [cell.strip() for cell in names]
    if header[:2] != ["from", "to"] or len(set(header)) < len(header) or "" in header:
        raise DataError(
            f"`{name}` line {first}: the header is `from,to,` and names of numbers, not "
            f"`{','.join(header)}`"
        )
    for line, row in rows:
        where = f"line {line}"
        if len(row) != len(header):
            expected = ",".join(header)
            raise DataError(f"`{name}` {where}: expected `{expected}`, found {len(row)} fields")
        cells = [cell.strip() for cell in row]
        numbers = {
            key: _number(cell, f"`{name}` {where}")
            for key, cell in zip(header[2:], cells[2:], strict=True)
        }
        yield _link(cells[0], cells[1], numbers, name, where)


def _json(name: str, text: str) -> Iterator[Link]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"`{name}` line {error.lineno}: {error.msg.lower()}") from None
    except (RecursionError, ValueError):
        raise DataError(f"`{name}` is not JSON text") from None
    if not isinstance(content, list):
        raise DataError(f"`{name}` holds no list of links")
    for place, entry in enumerate(content, start=1):
        where = f"entry {place}"
        if not isinstance(entry, dict) or not {"from", "to"} <= set(entry):
            raise DataError(f'`{name}` {where}: a link is an object with "from" and "to"')
        ends = [str(entry[key]) for key in ("from", "to")]
        numbers = {
            key: _number(value, f"`{name}` {where}")
            for key, value in entry.items()
            if key not in ("from", "to")
        }
        yield _link(ends[0], ends[1], numbers, name, where)


def _number(value: object, where: str) -> float:
    try:
        number = read_float(str(value)) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{where}: {value!r:.40} is not a number")
    return number


def _link(tail: str, head: str, numbers: Mapping[str, float], name: str, where: str) -> Link:
    for end in (tail, head):
        if not end:
            raise DataError(f"`{name}` {where}: a link needs both of its ends")
    return Link(tail, head, numbers, where)
