"""Prints the rows of one item: indentation from the open brackets, blanks from the tokens."""

from dataclasses import dataclass, field

from mfdsl.compiler.syntax import ast
from mfdsl.compiler.syntax.align import Pads
from mfdsl.compiler.syntax.build import map_rows
from mfdsl.compiler.syntax.rows import Item, Row
from mfdsl.compiler.syntax.spacing import spaces
from mfdsl.compiler.syntax.tokens import CLOSERS, OPENERS, Token

INDENT = 2


@dataclass(frozen=True, slots=True)
class Line:
    """A printed row: its text, the comment that ends it, and whether a blank line goes above."""

    text: str
    comment: str | None
    blank: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """An open bracket: where rows inside it begin, and where its closer does on a row of its own.

    `hanging` is True when the opener ended its row.
    """

    inner: int
    closer: int
    hanging: bool
    brace: bool


@dataclass(slots=True)
class Printer:
    """Prints one item; `pads` are the blanks that align it with its neighbours."""

    item: Item
    pads: Pads
    stack: list[Frame] = field(default_factory=list)
    value_column: int | None = None

    def lines(self) -> list[Line]:
        """The rows of the item, indented and spaced."""
        blanks = spaces(self.item.tokens)
        previous: Token | None = None
        out: list[Line] = []
        index = 0
        for number, row in enumerate(self.item.rows):
            indent = self._indent(number, row, previous)
            text = " " * indent
            for place, token in enumerate(row.tokens):
                if place:
                    text += " " * (blanks[index] + self.pads.get(index, 0))
                last = place + 1 == len(row.tokens) and number + 1 < len(self.item.rows)
                text = self._token(text, token, indent, last)
                index += 1
                previous = token
            comment = row.comment.text.rstrip() if row.comment is not None else None
            if not row.tokens:
                text, comment = text + (comment or ""), None
            out.append(Line(text, comment, row.blank))
        return out

    def _indent(self, number: int, row: Row, previous: Token | None) -> int:
        if number == 0:
            return self.item.depth * INDENT
        if not self.stack:
            return self._level()
        frame = self.stack[-1]
        if row.tokens and row.tokens[0].text in CLOSERS:
            return frame.closer
        declares = isinstance(self.item.tree, (ast.Solver, ast.Grid, ast.Graph, ast.Enum))
        begins = previous is None or previous.text in ("{", ",")
        if frame.hanging and frame.brace and not declares and not begins:
            return frame.inner + INDENT
        return frame.inner

    def _level(self) -> int:
        """Where a row that goes on at the present bracket level begins."""
        if self.stack:
            return self.stack[-1].inner
        if self.value_column is not None:
            return self.value_column + INDENT
        return self.item.depth * INDENT + 2 * INDENT

    def _token(self, text: str, token: Token, indent: int, last: bool) -> str:
        """The text of the row so far with the token at its end; keeps track of brackets."""
        column = len(text)
        if token.kind == "map":
            return text + _map_text(token.text, indent)
        if token.kind == "operator":
            if token.text in OPENERS:
                brace = token.text == "{"
                outer = min(indent, self._level())
                inner = outer + INDENT if last else column + (2 if brace else 1)
                self.stack.append(Frame(inner, outer if last else column, last, brace))
            elif token.text in CLOSERS and self.stack:
                self.stack.pop()
            elif token.text in ("=", "~") and not self.stack:
                self.value_column = None if last else column + 2
        return text + token.text


def _map_text(text: str, indent: int) -> str:
    rows = [f"{' ' * (indent + INDENT)}{row}".rstrip() for row, _ in map_rows(text[3:-3])]
    return "\n".join(['"""', *rows, " " * indent + '"""'])
