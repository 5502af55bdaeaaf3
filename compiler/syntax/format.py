"""The canonical layout of a spec: the work of `mfdsl fmt`.

Line breaks are the author's, except that a declaration that fits on one line is joined; blanks,
indentation and alignment follow from the tokens alone, which makes the layout idempotent.
"""

from collections.abc import Sequence
from dataclasses import replace

from mfdsl.compiler.diagnostics import CompileError, Sink
from mfdsl.compiler.source import SourceFile
from mfdsl.compiler.syntax import ast
from mfdsl.compiler.syntax.align import Pads, arm_pads, head_length, head_pads
from mfdsl.compiler.syntax.build import map_rows
from mfdsl.compiler.syntax.parse import parse
from mfdsl.compiler.syntax.printer import INDENT, Line, Printer
from mfdsl.compiler.syntax.rows import COMMENTS, Item, Row, cut
from mfdsl.compiler.syntax.spacing import spaces
from mfdsl.compiler.syntax.tokens import ALTERNATES, Token, scan

MAX_WIDTH = 100
GAP = 2


class FormatError(ValueError):
    """Formatting would have changed more than blanks; nothing was written."""


def format_source(text: str, name: str = "spec.mfg") -> str:
    """The text of a spec in canonical layout, with the same tokens and comments.

    `name` is the file name that messages print. Raises CompileError when the text has syntax
    errors, and FormatError when a token or comment would be lost.
    """
    source = SourceFile(name, text)
    sink = Sink()
    unit = parse(source, sink)
    if sink.failed:
        raise CompileError(sink.sorted(), {name: source})
    formatted = _layout(scan(text), unit)
    if _essence(formatted) != _essence(text):
        raise FormatError(
            f"formatting {name} would change more than blanks; the file is left as it is"
        )
    return formatted


def _essence(text: str) -> list[tuple[str, str, bool]]:
    """What formatting must keep: kinds and texts of tokens, and which comments stand alone."""
    return [
        (token.kind, _canonical(token), token.kind in COMMENTS and (i == 0 or token.newlines > 0))
        for i, token in enumerate(_ascii(scan(text)))
    ]


def _canonical(token: Token) -> str:
    if token.kind == "map":
        return "\n".join(row for row, _ in map_rows(token.text[3:-3]))
    return token.text.rstrip() if token.kind in COMMENTS else token.text


def _ascii(tokens: Sequence[Token]) -> list[Token]:
    return [
        token._replace(text=ALTERNATES.get(token.text, token.text))
        if token.kind == "operator"
        else token
        for token in tokens
    ]


def _layout(tokens: Sequence[Token], unit: ast.Unit) -> str:
    items = [_head_on_one_row(item) for item in cut(_ascii(tokens), unit)]
    printed: list[Line] = []
    opened = True
    for item, pads in zip(items, head_pads(items), strict=True):
        closes = item.tree is None and bool(item.tokens)
        joined = _joined(item, pads)
        lines = Printer(joined, pads | arm_pads(joined)).lines()
        if opened or closes:
            lines[0] = replace(lines[0], blank=False)
        printed += lines
        opened = isinstance(item.tree, ast.Player)
    return "".join(text + "\n" for text in _with_comments(printed))


def _head_on_one_row(item: Item) -> Item:
    """The item with the tokens up to its first `:`, `=` or `~` on its first row."""
    rows = list(item.rows)
    while len(rows) > 1 and len(rows[0].tokens) < head_length(item.tree):
        if rows[0].comment is not None or not rows[1].tokens:
            break
        rows[:2] = [Row(rows[0].tokens + rows[1].tokens, rows[1].comment, rows[0].blank)]
    return replace(item, rows=tuple(rows))


def _joined(item: Item, pads: Pads) -> Item:
    """The item on one row when it fits there and nothing demands its line breaks."""
    if len(item.rows) == 1 or any(row.comment is not None for row in item.rows[:-1]):
        return item
    tokens = item.tokens
    if any(t.kind == "map" for t in tokens) or any(
        r.tokens[-1].text == "{" for r in item.rows[:-1]
    ):
        return item
    width = item.depth * INDENT + sum(spaces(tokens)) + sum(pads.values())
    if width + sum(len(token.text) for token in tokens) > MAX_WIDTH:
        return item
    return replace(item, rows=(Row(tokens, item.rows[-1].comment, item.rows[0].blank),))


def _with_comments(lines: Sequence[Line]) -> list[str]:
    """The lines with their comments, aligned where neighbouring lines have one."""
    out: list[str] = []
    run: list[Line] = []
    for line in lines:
        if line.comment is None or line.blank:
            out += _comment_run(run)
            run = []
        if line.blank:
            out.append("")
        if line.comment is None:
            out.append(line.text)
        else:
            run.append(line)
    return out + _comment_run(run)


def _comment_run(run: Sequence[Line]) -> list[str]:
    """Lines with their comments in one column, but for those too long to share it."""
    ends = [len(line.text.rsplit("\n", 1)[-1]) for line in run]
    comments = [line.comment or "" for line in run]

    def fits(column: int) -> bool:
        sharing = (len(c) for c, end in zip(comments, ends, strict=True) if end <= column)
        return column + GAP + max(sharing) <= MAX_WIDTH

    column = max((end for end in ends if fits(end)), default=0)
    return [
        line.text + " " * (max(column - end, 0) + GAP) + comment
        for line, end, comment in zip(run, ends, comments, strict=True)
    ]
