"""Cuts a token list into items (declarations, comments, closing braces) and these into rows.

A row is what the author wrote on one line. Places come from the tree, so that a keyword inside
an expression, as in `require reward in [0, 1]`, is not taken for a declaration.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mfdsl.compiler.syntax import ast
from mfdsl.compiler.syntax.tokens import CLOSERS, OPENERS, Token

COMMENTS = ("comment", "doc")


@dataclass(frozen=True, slots=True)
class Row:
    """Tokens of one line, the comment that ends it, and whether a blank line stood above."""

    tokens: tuple[Token, ...]
    comment: Token | None
    blank: bool


@dataclass(frozen=True, slots=True)
class Item:
    """What is laid out as one piece: a declaration with its tree, a lone comment or a `}`."""

    rows: tuple[Row, ...]
    depth: int
    tree: ast.Tree | None

    @property
    def tokens(self) -> tuple[Token, ...]:
        """All tokens of the item in order, without comments."""
        return tuple(token for row in self.rows for token in row.tokens)


@dataclass(slots=True)
class _Cutter:
    starts: Mapping[int, ast.Tree]
    items: list[Item] = field(default_factory=list)
    stack: list[str] = field(default_factory=list)
    depth: int = 0

    def begin(self, row: Row, tree: ast.Tree | None, depth: int) -> None:
        self.items.append(Item((row,), depth, tree))

    def extend(self, row: Row) -> None:
        last = self.items[-1]
        self.items[-1] = replace(last, rows=(*last.rows, row))

    def grow(self, token: Token) -> None:
        """Put a token at the end of the last row."""
        last = self.items[-1]
        row = last.rows[-1]
        grown = replace(row, tokens=(*row.tokens, token))
        self.items[-1] = replace(last, rows=(*last.rows[:-1], grown))

    def end_row(self, comment: Token) -> None:
        last = self.items[-1]
        ended = replace(last.rows[-1], comment=comment)
        self.items[-1] = replace(last, rows=(*last.rows[:-1], ended))

    def comment(self, token: Token, after: Token | None) -> None:
        """Take a comment; `after` is the next token that is not one."""
        if token.newlines == 0 and self.items:
            self.end_row(token)
            return
        row = Row((), token, token.newlines > 1)
        closes = after is not None and after.text == "}" and not self.stack
        if after is None or after.start in self.starts or closes:
            self.begin(row, None, self.depth)
        else:
            self.extend(row)

    def token(self, token: Token) -> None:
        """Take a token that is not a comment."""
        row = Row((token,), None, token.newlines > 1)
        if not self.stack and token.start in self.starts:
            self.begin(row, self.starts[token.start], self.depth)
        elif not self.stack and token.text == "}" and token.kind == "operator":
            self.depth -= 1
            self.begin(row, None, self.depth)
            return
        elif token.newlines:
            self.extend(row)
        else:
            self.grow(token)
        self._brackets(token)

    def _brackets(self, token: Token) -> None:
        if token.kind != "operator":
            return
        opens_block = token.text == "{" and isinstance(self.items[-1].tree, ast.Player)
        if opens_block and not self.stack:
            self.depth += 1
        elif token.text in OPENERS:
            self.stack.append(token.text)
        elif token.text in CLOSERS:
            self.stack.pop()


def cut(tokens: Sequence[Token], unit: ast.Unit) -> list[Item]:
    """The items of a file whose syntax is right, in order."""
    cutter = _Cutter({tree.span.start: tree for tree in _declarations(unit)})
    after: Token | None = None
    following: list[Token | None] = []
    for token in reversed(tokens):
        following.append(after)
        after = after if token.kind in COMMENTS else token
    for token, ahead in zip(tokens, reversed(following), strict=True):
        if token.kind in COMMENTS:
            cutter.comment(token, ahead)
        else:
            cutter.token(token)
    return cutter.items


def _declarations(unit: ast.Unit) -> Iterator[ast.Tree]:
    if unit.header is not None:
        yield unit.header
    for declaration in unit.declarations:
        yield declaration
        if isinstance(declaration, ast.Player):
            yield from declaration.members
