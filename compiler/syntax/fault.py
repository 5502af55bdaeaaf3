"""A token that the grammar does not allow where it stands, and what the parser knows there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax.lexeme import END, Lexeme

Parses = Callable[[str, Sequence[Lexeme]], bool]

OPENS = frozenset({"LPAR", "LSQB", "LBRACE"})
SHUTS = frozenset({"RPAR", "RSQB", "RBRACE"})
CLOSED_BY = {
    "IF": ("THEN", "`then` after the condition of this `if`"),
    "THEN": ("ELSE", "`else` to finish this `if` expression"),
    "LPAR": ("RPAR", "`,` or `)` in these brackets"),
    "LSQB": ("RSQB", "`,` or `]` in these brackets"),
    "LBRACE": ("RBRACE", "`,` or `}` in these braces"),
}


@dataclass
class Fault:
    """A token `words[at]` that the parser in `state` cannot take."""

    kind: str
    words: list[Lexeme]
    at: int
    state: Any

    @property
    def found(self) -> Lexeme:
        """The token that does not fit."""
        return self.words[self.at]

    @property
    def before(self) -> Lexeme | None:
        """The token in front of it."""
        return self.words[self.at - 1] if self.at else None

    @cached_property
    def accepts(self) -> frozenset[str]:
        """The terminals that the parser could take instead."""
        return frozenset(self.state.accepts())

    @property
    def wants_value(self) -> bool:
        """True where a value must start."""
        return {"NAME", "NUMBER", "LPAR"} <= self.accepts

    @property
    def after_value(self) -> bool:
        """True where a value has just ended."""
        return "PLUS" in self.accepts and "NUMBER" not in self.accepts

    @property
    def head(self) -> str:
        """The keyword of the declaration, or `x'`."""
        first = self.words[0]
        return f"{first.text}'" if first.type == "NAME" else first.text

    def where(self) -> Span:
        """The token, or the one before it when the input ended."""
        if self.found.type == END and self.before is not None:
            return self.before.span
        return self.found.span

    def named(self) -> str:
        """The token in words."""
        if self.found.type == END:
            return "the end of it"
        return f"`{short(self.found)}`"

    def innermost(self) -> Lexeme | None:
        """The last word on the parser's stack that something must follow or close.

        Brackets that are closed may still lie there, until the parser has seen what comes next.
        """
        closed = 0
        for value in reversed(self.state.parser_state.value_stack):
            if not isinstance(value, Lexeme):
                continue
            if value.type in SHUTS:
                closed += 1
            elif closed:
                closed -= value.type in OPENS
            elif value.type in CLOSED_BY:
                return value
            elif value.type == "ELSE":
                return None
        return None


def short(word: Lexeme) -> str:
    """The text of the word, cut to what fits into a headline."""
    text = word.text.partition("\n")[0]
    return text if text == word.text and len(text) <= 40 else f"{text[:30]}..."
