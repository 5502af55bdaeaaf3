"""Excerpts of source with marks under the labelled places, aligned as a terminal shows them.

Tabs are expanded, wide and combining characters counted by their width, control characters
written as escapes, and very long lines cut around the marks.
"""

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from mfdsl.compiler.diagnostics import Label
from mfdsl.compiler.source import SourceFile, Span

TAB_WIDTH = 4
MAX_WIDTH = 120
MARGIN = 30
MAX_LINES_PER_LABEL = 5
ELLIPSIS = "..."

Paint = Callable[[str, str], str]
"""Paints a text in a role: "primary", "secondary" or "gutter"."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The part of a label on one line: characters `[start, end)`; text only on its last line."""

    line: int
    start: int
    end: int
    text: str
    primary: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """A line as printed: a piece for each character, and the display column where each begins.

    `columns` has one entry more than `pieces`: the display width of the line.
    """

    pieces: tuple[str, ...]
    columns: tuple[int, ...]


def visible(text: str) -> str:
    """The text with every character that a terminal would act on written as an escape."""
    return "".join(c if c == "\n" else _glyph(c, 0)[0] for c in text)


def line_range(source: SourceFile, span: Span) -> tuple[int, int]:
    """First and last line of a span; a line break at its very end does not count."""
    start, end = _clamped(source, span)
    last = max(start, end - 1)
    return source.line_of(start), source.line_of(last)


def excerpt(
    source: SourceFile, labels: Sequence[Label], gutter: int, paint: Paint
) -> Iterator[str]:
    """The lines that the labels touch, in order, each with its rows of marks below it.

    A line alone between two shown ones is shown too; longer gaps become `...`.
    """
    marks = [mark for label in labels for mark in _marks(source, label)]
    previous: int | None = None
    for number in sorted({mark.line for mark in marks}):
        if previous is not None and number == previous + 2:
            yield from _line(source, number - 1, [], gutter, paint)
        elif previous is not None and number > previous + 2:
            yield paint(ELLIPSIS, "gutter")
        yield from _line(source, number, [m for m in marks if m.line == number], gutter, paint)
        previous = number


def _clamped(source: SourceFile, span: Span) -> tuple[int, int]:
    start = min(max(span.start, 0), len(source.text))
    return start, min(max(span.end, start), len(source.text))


def _marks(source: SourceFile, label: Label) -> Iterator[Mark]:
    start, end = _clamped(source, label.span)
    first, last = line_range(source, label.span)
    lines = list(range(first, last + 1))
    if len(lines) > MAX_LINES_PER_LABEL:
        lines = [first, first + 1, last]
    for number in lines:
        text = source.line(number)
        offset = source.line_starts[number - 1]
        indent = len(text) - len(text.lstrip())
        low = min(start - offset, len(text)) if number == first else indent
        high = min(end - offset, len(text)) if number == last else len(text)
        if number in (first, last) or text.strip():
            caption = label.text if number == last else ""
            yield Mark(number, low, max(high, low), caption, label.primary)


def _line(
    source: SourceFile, number: int, marks: Sequence[Mark], gutter: int, paint: Paint
) -> Iterator[str]:
    text, marks = _near(source.line(number), marks)
    shown = _shown(text)
    low, high = _window(shown, marks)
    yield f"{paint(f'{number:>{gutter}} |', 'gutter')} {_cut(shown, low, high)}".rstrip()
    for row in _rows(marks):
        yield f"{paint(' ' * gutter + ' |', 'gutter')} {_row(shown, row, low, high, paint)}"


def _anchor(marks: Sequence[Mark]) -> Mark:
    """The mark that must be seen when a line is too long for all."""
    return next((m for m in marks if m.primary), marks[0])


def _near(text: str, marks: Sequence[Mark]) -> tuple[str, Sequence[Mark]]:
    """A line short enough to measure: of a huge one, the part around its main mark."""
    if len(text) <= 8 * MAX_WIDTH:
        return text, marks
    center = _anchor(marks).start if marks else 0
    low = max(center - 2 * MAX_WIDTH, 0)
    part = text[low : center + 4 * MAX_WIDTH]

    def moved(at: int) -> int:
        return min(max(at - low, 0), len(part))

    return part, [replace(m, start=moved(m.start), end=moved(m.end)) for m in marks]


def _rows(marks: Sequence[Mark]) -> list[list[Mark]]:
    """One row for each mark from left to right; marks without text share the row of the next."""
    rows: list[list[Mark]] = []
    for mark in sorted(marks, key=lambda m: (m.start, -m.end, not m.primary)):
        before = rows[-1][-1] if rows else None
        if (
            before is not None
            and not before.text
            and max(before.end, before.start + 1) < mark.start
        ):
            rows[-1].append(mark)
        else:
            rows.append([mark])
    return rows


def _row(shown: Shown, row: Iterable[Mark], low: int, high: int, paint: Paint) -> str:
    out = ""
    at = low - (len(ELLIPSIS) if low else 0)
    for mark in row:
        start = min(max(shown.columns[mark.start], at), max(high - 1, low))
        end = max(min(shown.columns[mark.end], high), start + 1)
        role = "primary" if mark.primary else "secondary"
        text = ("^" if mark.primary else "-") * (end - start)
        if mark.text:
            text += " " + visible(" ".join(mark.text.split("\n")))
        out += " " * (start - at) + paint(text, role)
        at = end
    return out


def _window(shown: Shown, marks: Sequence[Mark]) -> tuple[int, int]:
    """Display columns `[low, high)` of the line that are printed."""
    width = shown.columns[-1]
    if width <= MAX_WIDTH:
        return 0, max(width + 1, 1)
    low = min((shown.columns[m.start] for m in marks), default=0)
    high = max((shown.columns[m.end] for m in marks), default=0)
    if high - low > MAX_WIDTH - MARGIN:
        low = shown.columns[_anchor(marks).start]
    start = max(0, min(low - MARGIN, width + 1 - MAX_WIDTH))
    return start, min(start + MAX_WIDTH, width + 1)


def _cut(shown: Shown, low: int, high: int) -> str:
    width = shown.columns[-1]
    kept = [i for i in range(len(shown.pieces)) if low <= shown.columns[i] < high]
    pad = " " * (shown.columns[kept[0]] - low) if kept else ""
    body = pad + "".join(shown.pieces[i] for i in kept)
    return (ELLIPSIS if low else "") + body + (ELLIPSIS if high <= width else "")


def _shown(text: str) -> Shown:
    pieces: list[str] = []
    columns = [0]
    for character in text:
        piece, width = _glyph(character, columns[-1])
        pieces.append(piece)
        columns.append(columns[-1] + width)
    return Shown(tuple(pieces), tuple(columns))


def _glyph(character: str, column: int) -> tuple[str, int]:
    """What is printed for a character at a display column, and how many columns it takes."""
    if character == "\t":
        width = TAB_WIDTH - column % TAB_WIDTH
        return " " * width, width
    category = unicodedata.category(character)
    if category in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        escape = character.encode("unicode_escape", "surrogatepass").decode("ascii")
        return escape, len(escape)
    if category in ("Mn", "Me"):
        return character, 0
    return character, 2 if unicodedata.east_asian_width(character) in "WF" else 1
