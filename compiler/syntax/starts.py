"""What the neighbours of a token say about it: can something end before it, or start with it."""

from collections.abc import Sequence

from mfdsl.compiler.syntax.tokens import Token
from mfdsl.compiler.syntax.words import DECLARES, INFIX

_CLOSING = frozenset({")", "]", "}", "'"})
_CONSTANTS = frozenset({"true", "false", "real", "int", "bool"})
_OPERAND_WORDS = frozenset({"if", "not", "match", "mix", "true", "false"})
_OPERAND_SIGNS = frozenset({"(", "[", "-"})
# Keywords after which an expression follows at once.
_TAKES_VALUE = frozenset({"horizon", "discount", "assume", "require", "observe", "agents"})


def ends_something(token: Token) -> bool:
    """True when an expression or a declaration can end with the token."""
    if token.kind in ("name", "number", "string", "map"):
        return True
    return token.text in _CLOSING or token.text in _CONSTANTS


def starts_operand(token: Token) -> bool:
    """True when an expression can start with the token."""
    if token.kind in ("name", "number", "string"):
        return True
    return token.text in _OPERAND_WORDS or token.text in _OPERAND_SIGNS


def fits(keyword: str, tokens: Sequence[Token], at: int) -> bool:
    """True when what follows `tokens[at]` can follow `keyword` at the start of a declaration."""
    following = tokens[at + 1 : at + 3]
    if not following:
        return False
    after = following[0]
    if keyword == "solver":
        return after.text == "{"
    if keyword == "final":
        return after.text in ("reward", "cost")
    if keyword in ("reward", "cost"):
        named = after.kind in ("name", "keyword") and [t.text for t in following[1:]] == ["="]
        return after.text == "=" or named
    if keyword in _TAKES_VALUE:
        return starts_operand(after) or (after.kind == "keyword" and after.text not in INFIX)
    return keyword in DECLARES and after.kind in ("name", "keyword")


def looks_like_declaration(tokens: Sequence[Token], at: int) -> bool:
    """True when the name at `at` is followed by what follows a keyword or a defined name."""
    if at + 1 >= len(tokens):
        return False
    after = tokens[at + 1]
    if after.newlines:
        return False
    if after.kind == "keyword":
        return after.text not in INFIX | {"if"}
    return after.kind in ("name", "number") or after.text in ("{", ":", "=", "~")
