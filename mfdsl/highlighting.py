"""A Pygments lexer of specs, made of the compiler's own tokens: `mfg` in Markdown and Sphinx."""

from collections.abc import Iterator
from typing import Any

from pygments.lexer import Lexer
from pygments.token import (
    Comment,
    Error,
    Keyword,
    Name,
    Number,
    Operator,
    Punctuation,
    String,
    Text,
    Whitespace,
    _TokenType,
)

from mfdsl.compiler.sema.names import BUILTIN_NAMES, RESERVED_NAMES, SOFT_NAMES
from mfdsl.compiler.syntax.tokens import Token, iterate

_KINDS: dict[str, _TokenType] = {
    "number": Number,
    "point": Number,
    "string": String.Double,
    "map": String.Heredoc,
    "unclosed": String.Double,
    "comment": Comment.Single,
    "doc": String.Doc,
    "foreign": Error,
    "bad": Error,
}
_TYPES = frozenset({"real", "int", "bool"})
_CONSTANTS = frozenset({"true", "false"})
_WORDS = frozenset({"and", "or", "not", "in", "mod"})


class SpecLexer(Lexer):  # type: ignore[misc]  # Pygments has no types
    """Colours of `.mfg` files."""

    name = "mfg"
    aliases = ("mfg", "mfdsl")
    filenames = ("*.mfg",)
    url = "https://pypi.org/project/mfdsl/"

    def get_tokens_unprocessed(self, text: str) -> Iterator[tuple[int, _TokenType, str]]:
        """Offsets, kinds and texts of all tokens, blanks included."""
        end = 0
        for token in iterate(text):
            if token.start > end:
                yield end, Whitespace, text[end : token.start]
            yield token.start, _kind(token), token.text
            end = token.end
        if end < len(text):
            yield end, Whitespace, text[end:]


def _kind(token: Token) -> Any:
    """The colour of a token."""
    word = token.text
    match token.kind:
        case "keyword" if word in _TYPES:
            return Keyword.Type
        case "keyword" if word in _CONSTANTS:
            return Keyword.Constant
        case "keyword":
            return Operator.Word if word in _WORDS else Keyword
        case "name" if word in BUILTIN_NAMES | SOFT_NAMES:
            return Name.Builtin
        case "name":
            return Name.Builtin.Pseudo if word in RESERVED_NAMES else Name
        case "operator":
            return Punctuation if word in "()[]{},:." else Operator
        case _:
            return _KINDS.get(token.kind, Text)
