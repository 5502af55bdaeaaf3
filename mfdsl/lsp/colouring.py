"""Semantic tokens: the colour of every word, for editors that know no grammar of specs."""

from lsprotocol import types

from mfdsl.compiler.sema.names import BUILTIN_NAMES, RESERVED_NAMES, SOFT_NAMES
from mfdsl.compiler.syntax.tokens import Token, scan
from mfdsl.lsp.documents import Document
from mfdsl.lsp.positions import position
from mfdsl.lsp.symbols import Kind, Symbol

TYPES = (
    "namespace",
    "type",
    "class",
    "enum",
    "enumMember",
    "parameter",
    "variable",
    "property",
    "function",
    "keyword",
    "number",
    "string",
    "comment",
    "operator",
)
MODIFIERS = ("declaration", "readonly", "documentation", "defaultLibrary")
LEGEND = types.SemanticTokensLegend(list(TYPES), list(MODIFIERS))

_TOKENS = {
    "keyword": "keyword",
    "number": "number",
    "point": "number",
    "string": "string",
    "map": "string",
    "unclosed": "string",
    "comment": "comment",
    "doc": "comment",
}
_SYMBOLS: dict[Kind, str] = {
    "model": "namespace",
    "library": "namespace",
    "grid": "namespace",
    "graph": "namespace",
    "param": "parameter",
    "argument": "parameter",
    "fn": "function",
    "enum": "enum",
    "value": "enumMember",
    "node": "enumMember",
    "population": "class",
    "major": "class",
    "environment": "class",
    "let": "variable",
    "law": "variable",
    "index": "variable",
    "bound": "variable",
}
_BUILTIN = BUILTIN_NAMES | SOFT_NAMES


def semantic_tokens(document: Document) -> list[int]:
    """Five numbers for each word: lines and columns from the last one, length, type, modifiers."""
    known = {use.span.start: use.symbols[0] for use in document.index.uses}
    data: list[int] = []
    last = types.Position(0, 0)
    for token in scan(document.text):
        kind, modifiers = _kind(token, known.get(token.start))
        if not kind:
            continue
        for start, end in _lines(document.text, token):
            at, after = position(document.text, start), position(document.text, end)
            column = at.character - (last.character if at.line == last.line else 0)
            length = after.character - at.character
            data += [at.line - last.line, column, length, TYPES.index(kind), modifiers]
            last = at
    return data


def _kind(token: Token, symbol: Symbol | None) -> tuple[str, int]:
    """The type of a word and its modifiers as bits; an empty type where it has no colour."""
    if token.kind == "name" and symbol is not None:
        declared = symbol.span.start == token.start
        readonly = symbol.kind in ("param", "value")
        return _SYMBOLS.get(symbol.kind, "property"), _bits(declared, readonly, False, False)
    if token.kind == "name" and token.text in _BUILTIN:
        return "function", _bits(False, False, False, True)
    if token.kind == "name" and token.text in RESERVED_NAMES:
        return "variable", _bits(False, True, False, True)
    return _TOKENS.get(token.kind, ""), _bits(False, False, token.kind == "doc", False)


def _bits(*chosen: bool) -> int:
    return sum(1 << place for place, on in enumerate(chosen) if on)


def _lines(text: str, token: Token) -> list[tuple[int, int]]:
    """The parts of a token on each of its lines: few editors take one across lines."""
    parts, start = [], token.start
    for line in token.text.splitlines(keepends=True):
        end = start + len(line.rstrip("\r\n"))
        parts += [(start, end)] if end > start else []
        start += len(line)
    return parts
