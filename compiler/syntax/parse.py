"""Text to syntax tree: scan, split, parse each piece, put the pieces together."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from typing import Any

from lark import UnexpectedToken
from lark.parsers.lalr_interactive_parser import InteractiveParser

from mfdsl.compiler.diagnostics import Diagnostic, Sink
from mfdsl.compiler.source import SourceFile, Span
from mfdsl.compiler.syntax import ast
from mfdsl.compiler.syntax.applicable import confirm_edits
from mfdsl.compiler.syntax.build import PlayerHead, player
from mfdsl.compiler.syntax.docs import Docs
from mfdsl.compiler.syntax.expected import report_fault
from mfdsl.compiler.syntax.fault import Fault
from mfdsl.compiler.syntax.grammar import grammar
from mfdsl.compiler.syntax.lexeme import END, Lexeme, lexemes
from mfdsl.compiler.syntax.lexical import repair
from mfdsl.compiler.syntax.limits import (
    MAX_DECLARATIONS,
    MAX_FILE_BYTES,
    MAX_IMPORTS,
    MAX_REPORTS,
    MAX_TOKENS,
)
from mfdsl.compiler.syntax.read import report_size
from mfdsl.compiler.syntax.shape import check_shape
from mfdsl.compiler.syntax.split import Block, Slice, SliceKind, split
from mfdsl.compiler.syntax.tokens import Token, iterate

# Keywords used as names that one declaration may contain before the rest of it is skipped.
MAX_RECOVERIES = 10
KEPT_FILES = 64


class BoundedSink(Sink):
    """A sink that ignores what comes after the first `MAX_REPORTS` diagnostics."""

    def report(self, *arguments: Any, **options: Any) -> None:
        """As `Sink.report`."""
        if len(self.diagnostics) < MAX_REPORTS:
            super().report(*arguments, **options)


def parse(source: SourceFile, sink: Sink) -> ast.Unit:
    """The declarations of `source` that could be read; what could not is reported into `sink`.

    Never raises, whatever the text is.
    """
    unit, found = _confirmed(source)
    sink.diagnostics += [d for d in found if d not in sink.diagnostics]
    return unit


@lru_cache(maxsize=KEPT_FILES)
def _confirmed(source: SourceFile) -> tuple[ast.Unit, tuple[Diagnostic, ...]]:
    """The declarations and faults of a file: it is read for its meaning, for its layout and for
    its place in a run, and a game is loaded with other parameters.
    """
    own = BoundedSink()
    unit = _parse(source, own)
    if own.diagnostics:
        own.diagnostics = confirm_edits(source, own.diagnostics, _count_errors)
    return unit, tuple(own.diagnostics)


def _count_errors(source: SourceFile) -> int:
    sink = BoundedSink()
    _parse(source, sink)
    return len(sink.diagnostics)


def _parse(source: SourceFile, sink: Sink) -> ast.Unit:
    nothing = ast.Unit(source.name, None, ())
    text = source.text
    if len(text) > MAX_FILE_BYTES or len(text.encode(errors="replace")) > MAX_FILE_BYTES:
        report_size(source.name, sink)
        return nothing
    tokens = list(islice(iterate(text), MAX_TOKENS + 1))
    if len(tokens) > MAX_TOKENS:
        sink.report("MFG703", f"`{source.name}` has more than {MAX_TOKENS:,} words and signs")
        return nothing
    clean, broken = repair(source, tokens, sink)
    parts = split(source, clean, sink)
    for part in parts:
        _mark_broken(part, broken)
    return _Assembler(source, Docs(tokens), sink).unit(parts)


def _mark_broken(part: Slice | Block, broken: set[int]) -> None:
    """Slices that lost a token cannot be parsed."""
    slices = [part] if isinstance(part, Slice) else [part.head, *part.members]
    for piece in slices:
        if broken and any(token.start in broken for token in piece.tokens):
            piece.sound = False


class _Assembler:
    """Parses the slices of one file and puts their nodes together."""

    def __init__(self, source: SourceFile, docs: Docs, sink: Sink) -> None:
        self.source = source
        self.docs = docs
        self.sink = sink

    def unit(self, parts: Sequence[Slice | Block]) -> ast.Unit:
        """The whole file."""
        header: ast.Header | None = None
        declarations: list[Any] = []
        has_header = False
        for position, part in enumerate(parts):
            if isinstance(part, Slice) and part.kind == "header":
                self.check_header_place(part, position, has_header)
                header = header or self.node(part)
                has_header = True
                continue
            node = self.player(part) if isinstance(part, Block) else self.node(part)
            if node is not None:
                declarations.append(node)
            if len(declarations) > MAX_DECLARATIONS:
                break
        if not has_header:
            self.report_no_header(parts)
        return ast.Unit(self.source.name, header, self.limited(declarations))

    def node(self, piece: Slice) -> Any:
        """The tree of one slice with its doc comment, or None."""
        if not piece.sound or piece.kind == "unknown":
            return None
        node = parse_slice(piece.kind, piece.tokens, self.source, self.sink)
        if not isinstance(node, ast.Tree):
            return node
        if not check_shape(node, self.sink):
            return None
        if not hasattr(node, "doc"):
            return node
        documented: Any = node
        return replace(documented, doc=self.docs.of(piece.tokens))

    def player(self, block: Block) -> ast.Player | None:
        """A player with those members that could be read."""
        head = self.node(block.head)
        members = [
            node for piece in self.few(block.members) if (node := self.node(piece)) is not None
        ]
        if not isinstance(head, PlayerHead):
            return None
        brace = [block.opener] if block.opener else []
        return player(head, members, block.end, self.docs.of(block.head.tokens + brace))

    def few(self, members: Sequence[Slice]) -> Sequence[Slice]:
        """The members of a player within the limit of their number."""
        if len(members) > MAX_DECLARATIONS:
            token = members[MAX_DECLARATIONS].tokens[0]
            where = Span(self.source.name, token.start, token.end)
            message = f"more than {MAX_DECLARATIONS:,} members in one block"
            self.sink.report("MFG703", message, where, "too many")
        return members[:MAX_DECLARATIONS]

    def limited(self, declarations: list[Any]) -> tuple[Any, ...]:
        """The declarations within the limits of their numbers."""
        imports = [node for node in declarations if isinstance(node, ast.Import)]
        if len(imports) > MAX_IMPORTS:
            extra = imports[MAX_IMPORTS]
            self.sink.report("MFG703", f"more than {MAX_IMPORTS} imports", extra.span, "too many")
        if len(declarations) > MAX_DECLARATIONS:
            extra = declarations[MAX_DECLARATIONS]
            message = f"more than {MAX_DECLARATIONS:,} declarations"
            self.sink.report("MFG703", message, extra.span, "too many")
        return tuple(declarations[:MAX_DECLARATIONS])

    def check_header_place(self, piece: Slice, position: int, has_header: bool) -> None:
        """A file has one header, and it comes first."""
        token = piece.tokens[0]
        where = Span(self.source.name, token.start, token.end)
        if has_header:
            self.sink.report("MFG001", "a file has one `model` or `library` line", where, "another")
        elif position > 0:
            message = f"the `{token.text}` line must come first"
            self.sink.report("MFG001", message, where, "other declarations stand above")

    def report_no_header(self, parts: Sequence[Slice | Block]) -> None:
        helps = ["start it with `model NAME`, or `library NAME` for a file of functions"]
        if not parts:
            self.sink.report("MFG001", f"`{self.source.name}` declares nothing", helps=helps)
            return
        first = parts[0].head if isinstance(parts[0], Block) else parts[0]
        token = first.tokens[0]
        where = Span(self.source.name, token.start, token.end)
        message = f"`{self.source.name}` does not say what it is"
        self.sink.report("MFG001", message, where, "expected `model NAME` above", helps=helps)


def parse_slice(kind: SliceKind, tokens: list[Token], source: SourceFile, sink: Sink) -> Any:
    """The tree of one declaration or member, or None after a report.

    A keyword used as a name is reported and read as a name, so that more faults can be found.
    """
    words = lexemes(tokens, source.name)
    state = grammar().parse_interactive(start=kind)
    end = tokens[-1].end
    words.append(Lexeme(END, "", Span(source.name, end, end)))
    failed = 0
    result = None
    for at, word in enumerate(words):
        try:
            result = state.feed_token(word)  # type: ignore[arg-type]  # reads only `type`
        except UnexpectedToken:
            failed += 1
            fault = Fault(kind, words, at, _fed(kind, words[:at]))
            recovered = report_fault(fault, sink, _parses)
            if recovered is None or failed == MAX_RECOVERIES:
                return None
            words[at], state = recovered, fault.state
            state.feed_token(recovered)
    return result


def _fed(kind: str, words: Sequence[Lexeme]) -> InteractiveParser:
    """A parser that has read the words and not yet seen the next one.

    An unfit token makes the parser reduce before it fails, and then it accepts less than before.
    """
    state = grammar().parse_interactive(start=kind)
    for word in words:
        state.feed_token(word)  # type: ignore[arg-type]
    return state


def _parses(kind: str, words: Sequence[Lexeme]) -> bool:
    """True when the words are a whole declaration or member."""
    try:
        _fed(kind, words)
    except UnexpectedToken:
        return False
    return True
