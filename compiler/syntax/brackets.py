"""Pairs brackets while a file is split, and reports those without a partner."""

from typing import Literal

from mfdsl.compiler.diagnostics import Edit, Help, Sink
from mfdsl.compiler.source import SourceFile, Span
from mfdsl.compiler.syntax.limits import MAX_NESTING
from mfdsl.compiler.syntax.tokens import CLOSERS, OPENERS, Token

Outcome = Literal["fine", "stray", "broken"]


class Brackets:
    """The brackets that are open at one point of the file, outermost first."""

    def __init__(self, source: SourceFile, sink: Sink) -> None:
        self.source = source
        self.sink = sink
        self.open: list[Token] = []
        # `in (a, b]`, whatever it ends with, is reported by the parser: an interval, no brackets
        # that do not fit.
        self._after_in: Token | None = None
        self._half_open: Token | None = None
        self._last = ""
        self.too_deep = False

    @property
    def depth(self) -> int:
        """Number of open brackets."""
        return len(self.open)

    def feed(self, token: Token, base: int = 0) -> tuple[Outcome, Token]:
        """Take a token into account: what it did, and the token to go on with.

        `stray` closes nothing and is best left out; `broken` means that what was written since
        the partner, or since the start of the slice, cannot be parsed. A round bracket closed by
        a square one comes back as the right one. Nesting is counted from `base`.
        """
        last, self._last = self._last, token.text
        if token.kind != "operator":
            return "fine", token
        if token.text == "(" and last == "in":
            self._after_in = token
        if token.text == "," and self.open and self.open[-1] is self._after_in:
            self._half_open = self._after_in
        if token.text in OPENERS:
            self.open.append(token)
            return ("broken" if self._is_too_deep(base) else "fine"), token
        if token.text in CLOSERS:
            return self._close(token)
        return "fine", token

    def abandon(self, base: int, *, quiet: bool = False) -> None:
        """Drop all brackets above `base` and report the innermost of them as never closed."""
        lost = self.open[base:]
        del self.open[base:]
        if lost and not quiet and not self.too_deep:
            more = f"{len(lost) - 1} more around it" if len(lost) > 1 else None
            self._never_closed(lost[-1], [f"not closed either: {more}"] if more else [])
        self.too_deep = False

    def _is_too_deep(self, base: int) -> bool:
        if len(self.open) - base <= MAX_NESTING:
            return False
        if not self.too_deep:
            self.sink.report(
                "MFG702",
                f"nested more than {MAX_NESTING} levels deep",
                self._span(self.open[-1]),
                f"level {len(self.open) - base}",
                helps=["name the parts with `let`"],
            )
        self.too_deep = True
        return True

    def _close(self, token: Token) -> tuple[Outcome, Token]:
        partner = CLOSERS[token.text]
        if self.open and self.open[-1].text == partner:
            self.open.pop()
            return "fine", token
        at = self._partner(partner)
        if at is not None and self._is_slip(token, at):
            return "fine", self._mismatch(token, self.open.pop())
        if at is not None:
            unclosed = self.open[at + 1 :]
            del self.open[at:]
            self._never_closed(unclosed[-1], [], (self._span(token), f"`{token.text}` comes first"))
            return "broken", token
        if self.open and self.open[-1].text != "{" and token.text != "}":
            return "fine", self._mismatch(token, self.open.pop())
        self.sink.report(
            "MFG003",
            f"this `{token.text}` closes nothing",
            self._span(token),
            "no bracket is open for it here",
            helps=[Help("leave it out", (Edit(self._span(token), ""),), applicable=True)],
        )
        return "stray", token

    def _partner(self, partner: str) -> int | None:
        """Place of the innermost `partner`; round and square brackets do not reach past a `{`."""
        for at in range(len(self.open) - 1, -1, -1):
            if self.open[at].text == partner:
                return at
            if self.open[at].text == "{":
                return None
        return None

    def _is_slip(self, token: Token, partner: int) -> bool:
        """True when the innermost bracket stands on the line of the token, its partner above."""
        line = self.source.line_of
        here = line(token.start)
        return line(self.open[-1].start) == here and line(self.open[partner].start) < here

    def _mismatch(self, token: Token, opener: Token) -> Token:
        right = OPENERS[opener.text]
        if opener is self._half_open and token.text == "]":
            return token._replace(text=right)
        where = self._span(token)
        self.sink.report(
            "MFG003",
            f"this `{opener.text}` is closed by `{token.text}`",
            where,
            f"expected `{right}`",
            also=[(self._span(opener), "opened here")],
            helps=[Help(f"write `{right}`", (Edit(where, right),), applicable=True)],
        )
        return token._replace(text=right)

    def _never_closed(
        self, opener: Token, notes: list[str], also: tuple[Span, str] | None = None
    ) -> None:
        self.sink.report(
            "MFG003",
            f"this `{opener.text}` is never closed",
            self._span(opener),
            "opened here",
            also=[also] if also else [],
            notes=notes,
            helps=[f"add the missing `{OPENERS[opener.text]}`"],
        )

    def _span(self, token: Token) -> Span:
        return Span(self.source.name, token.start, token.end)
