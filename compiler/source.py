"""Source text: files, spans, and the way from an offset to a line and a column.

Offsets are character offsets into the decoded text; only the JSON output speaks of bytes.
"""

import hashlib
from bisect import bisect_right
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open range `[start, end)` of characters in the file named `file`."""

    file: str
    start: int
    end: int

    def to(self, other: "Span") -> "Span":
        """The smallest span that holds both; both must lie in one file."""
        return Span(self.file, min(self.start, other.start), max(self.end, other.end))


@dataclass(frozen=True, slots=True)
class Position:
    """One-based line and column (in characters) and zero-based byte offset."""

    line: int
    column: int
    offset: int


@dataclass(frozen=True)
class SourceFile:
    """The text of one `.mfg` file under the name that messages print."""

    name: str
    text: str
    line_starts: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        starts = [0] + [i + 1 for i, c in enumerate(self.text) if c == "\n"]
        object.__setattr__(self, "line_starts", tuple(starts))

    @property
    def digest(self) -> str:
        """SHA-256 of the text in UTF-8, in hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def line_count(self) -> int:
        """Number of lines; an empty text has one."""
        return len(self.line_starts)

    def line_of(self, offset: int) -> int:
        """One-based number of the line that holds `offset`."""
        return bisect_right(self.line_starts, offset)

    def line(self, number: int) -> str:
        """Text of the one-based line `number`, without its line break."""
        start = self.line_starts[number - 1]
        end = self.line_starts[number] - 1 if number < self.line_count else len(self.text)
        return self.text[start:end].rstrip("\r")

    def position(self, offset: int) -> Position:
        """Line, column and byte offset of the character at `offset`."""
        line = self.line_of(offset)
        column = offset - self.line_starts[line - 1] + 1
        return Position(line, column, len(self.text[:offset].encode()))

    def slice(self, span: Span) -> str:
        """The text under `span`."""
        return self.text[span.start : span.end]
