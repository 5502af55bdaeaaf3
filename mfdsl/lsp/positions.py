"""Offsets into a text and the positions of editors: zero-based lines, columns in UTF-16 units."""

import re
from bisect import bisect_right
from functools import lru_cache

from lsprotocol import types

from mfdsl.compiler.source import Span

_BREAK = re.compile(r"\r\n|\n|\r")


@lru_cache(maxsize=16)
def _starts(text: str) -> tuple[int, ...]:
    return (0, *(found.end() for found in _BREAK.finditer(text)))


def position(text: str, offset: int) -> types.Position:
    """Where the character at `offset` stands; beyond the end, where the text ends."""
    starts = _starts(text)
    offset = min(max(offset, 0), len(text))
    line = bisect_right(starts, offset) - 1
    return types.Position(line, _units(text[starts[line] : offset]))


def offset(text: str, at: types.Position) -> int:
    """The offset of a position; one beyond the end of its line is the end of that line."""
    starts = _starts(text)
    if at.line >= len(starts):
        return len(text)
    low = starts[at.line]
    high = starts[at.line + 1] if at.line + 1 < len(starts) else len(text)
    line = text[low:high].rstrip("\r\n")
    left = at.character
    for count, letter in enumerate(line):
        if left <= 0:
            return low + count
        left -= _units(letter)
    return low + len(line)


def range_of(text: str, span: Span) -> types.Range:
    """The range under a span."""
    return types.Range(position(text, span.start), position(text, span.end))


def _units(text: str) -> int:
    return len(text) + sum(letter > "\uffff" for letter in text)
