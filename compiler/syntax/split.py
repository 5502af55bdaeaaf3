"""Cuts a file into declarations and members, so that an error in one does not hide another.

The keywords that start a declaration or a member are reserved and never occur in an expression;
one at the start of a line therefore ends whatever was left open before it.
"""

from dataclasses import dataclass, field
from typing import Literal

from mfdsl.compiler.diagnostics import Sink
from mfdsl.compiler.source import SourceFile
from mfdsl.compiler.syntax.brackets import Brackets
from mfdsl.compiler.syntax.misplaced import (
    report_inside,
    report_mid_line,
    report_no_block,
    report_nothing_starts,
    report_outside,
    report_unknown,
)
from mfdsl.compiler.syntax.nearest import nearest
from mfdsl.compiler.syntax.starts import ends_something, fits, looks_like_declaration
from mfdsl.compiler.syntax.tokens import CLOSERS, SOFT_KEYWORDS, Token
from mfdsl.compiler.syntax.words import (
    EVERYWHERE,
    HEADERS,
    MEMBERS,
    PLAYERS,
    STARTERS,
    TOP_LEVEL,
)

SliceKind = Literal["header", "decl", "player_head", "member", "unknown"]


@dataclass(slots=True)
class Slice:
    """The tokens of one declaration or member; `sound` is False when they cannot be parsed."""

    kind: SliceKind
    tokens: list[Token] = field(default_factory=list)
    sound: bool = True


@dataclass(slots=True)
class Block:
    """A player: the slice before its `{`, the slices inside, and the offset behind its `}`."""

    head: Slice
    opener: Token | None
    end: int
    members: list[Slice] = field(default_factory=list)


def split(source: SourceFile, tokens: list[Token], sink: Sink) -> list[Slice | Block]:
    """Declarations and players of `tokens` in order.

    Reports unclosed and unmatched brackets (MFG003), starts in mid-line (MFG004), words that
    declare nothing or in the wrong place (MFG006) and too deep nesting (MFG702).
    """
    splitter = _Splitter(source, tokens, sink)
    splitter.run()
    return splitter.parts


class _Splitter:
    """The state of one pass over the tokens."""

    def __init__(self, source: SourceFile, tokens: list[Token], sink: Sink) -> None:
        self.source = source
        self.tokens = tokens
        self.sink = sink
        self.parts: list[Slice | Block] = []
        self.brackets = Brackets(source, sink)
        self.block: Block | None = None
        self.slice: Slice | None = None
        # One early `}` puts many members outside of their block; only the first is reported.
        self.misplaced = False

    def run(self) -> None:
        for at in range(len(self.tokens)):
            unknown = self.is_unknown_start(at) and not self.correct(at)
            if unknown:
                self.finish_slice()
                self.report_unknown(at, None)
                self.begin("unknown", self.tokens[at])
            elif self.starts(at):
                self.start(at)
            elif self.slice is None and self.tokens[at].text not in CLOSERS:
                self.stray(at)
            self.take(self.tokens[at])
        self.finish_slice()
        self.close_block()

    # Where something starts.

    def at_base(self) -> bool:
        """True outside of all brackets but those of the player."""
        return self.brackets.depth == (1 if self.block else 0)

    def is_unknown_start(self, at: int) -> bool:
        """True when a name stands where only a keyword can, followed by what follows keywords."""
        token = self.tokens[at]
        if token.kind != "name" or not self.at_base() or not self.is_fresh(at):
            return False
        return looks_like_declaration(self.tokens, at)

    def correct(self, at: int) -> bool:
        """Read the name as the keyword that it misspells, if there is one; reports it."""
        token = self.tokens[at]
        pool = (MEMBERS | EVERYWHERE) if self.block else (TOP_LEVEL | EVERYWHERE)
        pool = pool - HEADERS if at else pool
        keyword = nearest(token.text, sorted(pool))
        if keyword is None or not fits(keyword, self.tokens, at):
            return False
        self.report_unknown(at, keyword)
        self.tokens[at] = token._replace(kind="keyword", text=keyword)
        return True

    def report_unknown(self, at: int, keyword: str | None) -> None:
        """Report the word, once for a run of grid or graph items outside of their braces."""
        above = self.parts[-1] if self.parts else None
        if isinstance(above, Slice) and above.kind == "unknown" and above.tokens:
            if {above.tokens[0].text, self.tokens[at].text} <= SOFT_KEYWORDS:
                return
        in_block = self.block is not None
        report_unknown(self.source, self.tokens[at], keyword, in_block, self.sink)

    def is_fresh(self, at: int) -> bool:
        """True when nothing before the token asks for it: a line start after something whole."""
        if at == 0 or self.slice is None:
            return True
        own_line = self.tokens[at].newlines > 0
        return own_line and ends_something(self.tokens[at - 1]) and not self.in_unknown(at)

    def in_unknown(self, at: int) -> bool:
        """True inside the braces of something unknown, whose content is skipped."""
        if self.slice is None or self.slice.kind != "unknown" or self.brackets.depth == 0:
            return False
        head = self.slice.tokens[0]
        return self.column(self.tokens[at]) > self.column(head)

    def starts(self, at: int) -> bool:
        """True when a declaration or member starts at this token."""
        token = self.tokens[at]
        if token.kind == "name":
            return self.starts_next(at)
        if token.kind != "keyword" or token.text not in STARTERS or self.in_unknown(at):
            return False
        if at == 0:
            return True
        before = self.tokens[at - 1]
        if before.text == "final":
            return False
        if self.slice is None:
            return True
        fitting = fits(token.text, self.tokens, at)
        if token.newlines:
            return ends_something(before) or fitting
        return self.at_base() and ends_something(before) and fitting

    def starts_next(self, at: int) -> bool:
        """True for `x' =` and `x' ~`, or a line that starts with `x'`."""
        following = [token.text for token in self.tokens[at + 1 : at + 3]]
        if following[:1] != ["'"] or self.in_unknown(at):
            return False
        if self.slice is None or at == 0:
            return True
        if not ends_something(self.tokens[at - 1]):
            return False
        if self.tokens[at].newlines:
            return self.at_base() or following[1:] in (["="], ["~"])
        return self.at_base() and following[1:] in (["="], ["~"])

    def column(self, token: Token) -> int:
        return token.start - self.source.line_starts[self.source.line_of(token.start) - 1]

    # What happens there.

    def start(self, at: int) -> None:
        """Finish what is open and begin a slice at the token."""
        token = self.tokens[at]
        if self.lacks_brace(token):
            self.open_missing_block()
        self.finish_slice()
        if token.text in TOP_LEVEL and token.kind == "keyword" and self.block:
            if self.column(token) <= self.column(self.block.head.tokens[0]):
                self.close_block()
        opened = self.block is not None and not self.block.members
        if at and not token.newlines and not (opened and self.tokens[at - 1].text == "{"):
            report_mid_line(self.source, token, self.block is not None, self.sink)
        if self.block is None:
            self.begin_top(token)
        elif token.kind == "keyword" and token.text in TOP_LEVEL:
            report_inside(self.source, token, self.sink)
            self.begin("unknown", token)
        else:
            self.begin("member", token)

    def begin_top(self, token: Token) -> None:
        kind: SliceKind = "decl"
        if token.kind == "name" or token.text in MEMBERS:
            if not self.misplaced:
                above = self.parts[-1] if self.parts else None
                end = above.end if isinstance(above, Block) else 0
                report_outside(self.source, token, end, self.sink)
            kind = "unknown"
            self.misplaced = True
        elif token.text in PLAYERS:
            kind = "player_head"
        elif token.text in HEADERS:
            kind = "header"
        self.misplaced = self.misplaced and kind == "unknown"
        self.begin(kind, token)

    def begin(self, kind: SliceKind, token: Token) -> None:
        self.slice = Slice(kind)
        if kind == "player_head":
            return
        target = self.block.members if self.block else self.parts
        target.append(self.slice)

    def stray(self, at: int) -> None:
        """Something that starts no declaration, where one must start."""
        token = self.tokens[at]
        if token.kind == "name":
            self.report_unknown(at, None)
        else:
            report_nothing_starts(self.source, token, self.block is not None, self.sink)
        self.begin("unknown", token)

    def take(self, token: Token) -> None:
        """Add the token to the open slice and keep count of brackets."""
        if token.text == "{" and self.slice is not None and self.slice.kind == "player_head":
            if self.brackets.depth == 0:
                self.open_block(token)
                return
        outcome, token = self.brackets.feed(token, base=1 if self.block else 0)
        if self.slice is not None and outcome == "broken":
            self.slice.sound = False
        if self.block is not None and self.brackets.depth == 0:
            self.finish_slice()
            self.block.end = token.end
            self.parts.append(self.block)
            self.block = None
            return
        if self.slice is not None and outcome != "stray":
            self.slice.tokens.append(token)

    def lacks_brace(self, token: Token) -> bool:
        """True for a member right behind the name of a player: its `{` was forgotten."""
        if self.block or self.slice is None or self.slice.kind != "player_head":
            return False
        if (token.kind == "keyword" and token.text in TOP_LEVEL) or self.brackets.depth:
            return False
        return self.column(token) > self.column(self.slice.tokens[0])

    def open_missing_block(self) -> None:
        """Go on as if the `{` stood there."""
        assert self.slice is not None
        first, last = self.slice.tokens[0], self.slice.tokens[-1]
        report_no_block(self.source, first, last, self.sink)
        self.open_block(Token("operator", "{", last.end, last.end, 0))

    def open_block(self, brace: Token) -> None:
        head = self.slice
        assert head is not None
        self.block = Block(head, brace, brace.end)
        self.brackets.feed(brace)
        self.slice = None

    def finish_slice(self) -> None:
        """Close the open slice; brackets that are open in it are never closed."""
        base = 1 if self.block else 0
        if self.slice is not None and self.slice.kind == "player_head" and self.block is None:
            self.finish_headless()
        if self.brackets.depth > base:
            if self.slice is not None:
                self.slice.sound = False
            self.brackets.abandon(base, quiet=self.slice is None)
        self.slice = None

    def finish_headless(self) -> None:
        """A player without a block."""
        head = self.slice
        assert head is not None
        if self.brackets.depth == 0 and head.sound:
            report_no_block(self.source, head.tokens[0], head.tokens[-1], self.sink)
        head.sound = False
        self.parts.append(Block(head, None, head.tokens[-1].end))

    def close_block(self) -> None:
        """End a player whose `}` is missing."""
        if self.block is None:
            return
        self.brackets.abandon(0)
        last = self.block.members[-1] if self.block.members else self.block.head
        if last.tokens:
            self.block.end = last.tokens[-1].end
        self.parts.append(self.block)
        self.block = None
