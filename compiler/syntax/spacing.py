"""Blanks between the tokens of one declaration when they share a line."""

from collections.abc import Sequence

from mfdsl.compiler.syntax.tokens import CLOSERS, OPENERS, Token

_TIGHT = frozenset((".", "..", "^"))
_SIZED = frozenset(("real", "int", "bool"))
_ITEMS = {
    "grid": frozenset(("map", "size", "moves", "periodic", "file")),
    "graph": frozenset(("node", "link", "file")),
}


def spaces(tokens: Sequence[Token]) -> list[int]:
    """Number of blanks before each token; 0 for the first.

    `tokens` are those of one declaration, without comments.
    """
    counts: list[int] = []
    stack: list[str] = []
    unary = False
    for i, token in enumerate(tokens):
        if token.text in CLOSERS and stack:
            stack.pop()
        before = tokens[i - 1] if i else None
        if before is None:
            counts.append(0)
        elif _begins_item(tokens, i, stack):
            counts.append(2)
        else:
            counts.append(_between(before, token, unary, bool(stack) and stack[-1] != "{"))
        unary = token.text == "-" and token.kind == "operator" and _awaits_operand(before)
        if token.kind == "operator" and token.text in OPENERS:
            stack.append(token.text)
    return counts


def _begins_item(tokens: Sequence[Token], i: int, stack: Sequence[str]) -> bool:
    """True for a setting or grid item that follows another one on its line."""
    if list(stack) != ["{"] or tokens[i - 1].text == "{":
        return False
    kind = tokens[0].text
    if kind == "solver":
        return tokens[i].kind == "name" and i + 1 < len(tokens) and tokens[i + 1].text == "="
    return tokens[i].text in _ITEMS.get(kind, ())


def _awaits_operand(before: Token | None) -> bool:
    """True when a minus after `before` is a sign, not a difference."""
    if before is None:
        return True
    if before.kind == "keyword":
        return before.text not in ("true", "false")
    return before.kind == "operator" and before.text not in CLOSERS and before.text != "'"


def _between(before: Token, token: Token, unary: bool, bracketed: bool) -> int:
    old, new = before.text, token.text
    if unary:
        return 1 if new == "-" else 0
    if old in ("(", "[") or new in (")", "]", ",", "'", "′") or (old, new) == ("{", "}"):
        return 0
    if old in _TIGHT or new in _TIGHT:
        return 0
    if new == "(":
        return 0 if before.kind == "name" else 1
    if new == "[":
        return 0 if before.kind == "name" or old in _SIZED or old in CLOSERS else 1
    return 0 if new == ":" and bracketed else 1
