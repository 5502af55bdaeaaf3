"""Completion: names in scope, words of the language, what may follow a point."""

from collections.abc import Iterator, Mapping, Sequence

from lsprotocol import types

from mfdsl.compiler.sema.names import BUILTIN_NAMES, RESERVED_NAMES, SOFT_NAMES
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax.tokens import CLOSERS, KEYWORDS, OPENERS, Token, scan
from mfdsl.compiler.syntax.words import EVERYWHERE, INFIX, MEMBERS, TOP_LEVEL
from mfdsl.lsp.documents import Document
from mfdsl.lsp.hovering import about_word
from mfdsl.lsp.symbols import Kind, Symbol

ITEM = types.CompletionItemKind
KINDS: Mapping[Kind, types.CompletionItemKind] = {
    "param": ITEM.Constant,
    "let": ITEM.Variable,
    "fn": ITEM.Function,
    "argument": ITEM.Variable,
    "enum": ITEM.Enum,
    "value": ITEM.EnumMember,
    "grid": ITEM.Module,
    "graph": ITEM.Module,
    "node": ITEM.EnumMember,
    "population": ITEM.Class,
    "major": ITEM.Class,
    "environment": ITEM.Class,
    "law": ITEM.Variable,
    "index": ITEM.Variable,
    "bound": ITEM.Variable,
}
FAMILIES: Mapping[Kind, tuple[str, ...]] = {
    "grid": ("cell", "move"),
    "graph": ("node", "link"),
}
OPENINGS = frozenset({"if", "match", "mix", "not", "true", "false", "real", "int", "bool"})


def completion(document: Document, offset: int) -> list[types.CompletionItem]:
    """What may be written at an offset; empty inside of comments and texts."""
    tokens = scan(document.text)
    inside = next((t for t in tokens if t.start < offset <= t.end), None)
    if inside is not None and inside.kind in ("comment", "doc", "string", "map", "unclosed"):
        return []
    before = [t for t in tokens if t.end < offset or (t.end == offset and t is not inside)]
    before = [t for t in before if t.kind not in ("comment", "doc")]
    if inside is not None and inside.kind not in ("name", "keyword"):
        before.append(inside)
    if before and before[-1].text == ".":
        return list(_parts(document, before[:-1], offset))
    names = {s.name: s for s in _names(document, before, offset)}
    items = [_item(symbol) for symbol in names.values()]
    return [*items, *(_word(word) for word in _words(document, before, offset) - set(names))]


def _item(symbol: Symbol) -> types.CompletionItem:
    kind = KINDS.get(symbol.kind, ITEM.Field)
    where = f" of {symbol.owner}" if symbol.owner else ""
    return types.CompletionItem(
        label=symbol.name,
        kind=kind,
        detail=f"{symbol.word}{where}",
        documentation=symbol.doc or None,
    )


def _word(word: str) -> types.CompletionItem:
    kind = ITEM.Keyword if word in KEYWORDS else ITEM.Function
    text = about_word(word)
    shown = types.MarkupContent(types.MarkupKind.Markdown, text) if text else None
    return types.CompletionItem(label=word, kind=kind, documentation=shown)


def _names(document: Document, before: Sequence[Token], offset: int) -> Iterator[Symbol]:
    """Names of the file, then those of the scopes around, which hide them."""
    for symbols in document.index.top.values():
        yield from symbols
    around = [s for s in document.index.scopes if s.span.start <= offset <= s.span.end]
    for scope in sorted(around, key=lambda s: s.span.start):
        yield from scope.names.values()
    yield from _being_bound(before, document)


def _being_bound(before: Sequence[Token], document: Document) -> Iterator[Symbol]:
    """Names that the unfinished declaration binds by `for` or as arguments; it has no tree."""
    for at in range(len(before) - 1, 0, -1):
        token, last = before[at], before[at - 1]
        if token.kind == "keyword" and token.newlines and token.text in (TOP_LEVEL | MEMBERS):
            return
        if token.kind == "name" and last.text == "for" and last.kind == "keyword":
            over = before[at + 2].text if at + 2 < len(before) else ""
            yield document.index.top.get(token.text, (_bound(token, over, document),))[0]


def _bound(token: Token, over: str, document: Document) -> Symbol:
    span = Span(document.name, token.start, token.end)
    return Symbol(token.text, "bound", span, span, over=over)


def _parts(
    document: Document, before: Sequence[Token], offset: int
) -> Iterator[types.CompletionItem]:
    """What may follow the point behind the last token: `truck[0].`, `q.`, `Health.`, `rooms.`."""
    depth, base = 0, ""
    for token in reversed(before):
        depth += (token.text == "]") - (token.text == "[")
        if depth == 0 and token.text != "[":
            base = token.text
            break
    ahead = _bound_ahead(document, base, offset)
    found = ahead or [s for s in _names(document, before, offset) if s.name == base]
    for symbol in found[-1:]:
        owner = symbol.over or symbol.name
        yield from map(_item, document.index.parts.get(owner, {}).values())
        for part in FAMILIES.get(symbol.kind, ()):
            yield types.CompletionItem(label=part, kind=ITEM.Struct, detail=f"{part}s of {base}")


def _bound_ahead(document: Document, name: str, offset: int) -> list[Symbol]:
    """What binds a name to the right of its use, as in `mean(q. for q in person)`."""
    left = [t for t in scan(document.text) if t.start >= offset]
    depth = 0
    for at, token in enumerate(left[:-3]):
        depth += (token.text in OPENERS) - (token.text in CLOSERS)
        if depth < 0:
            return []
        bound, word, over = left[at + 1 : at + 4]
        if depth == 0 and token.text == "for" and bound.text == name and word.text == "in":
            return [_bound(bound, over.text, document)]
    return []


def _words(document: Document, before: Sequence[Token], offset: int) -> set[str]:
    """Keywords that may stand here, and built-in names."""
    here = document.text[document.text.rfind("\n", 0, offset) + 1 : offset]
    starts_line = not here.strip() or here.strip().isalpha()
    inside = sum((t.text == "{") - (t.text == "}") for t in before) > 0
    words = set(BUILTIN_NAMES | SOFT_NAMES | RESERVED_NAMES | OPENINGS | INFIX)
    if starts_line:
        words |= (MEMBERS if inside else TOP_LEVEL) | EVERYWHERE | ({"final"} if inside else set())
    return words
