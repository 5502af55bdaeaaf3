"""The outline of a file: players with their members, enums with their values."""

from lsprotocol import types

from mfdsl.lsp.documents import Document
from mfdsl.lsp.positions import range_of
from mfdsl.lsp.symbols import Symbol

KIND = types.SymbolKind
KINDS = {
    "param": KIND.Constant,
    "let": KIND.Variable,
    "fn": KIND.Function,
    "enum": KIND.Enum,
    "value": KIND.EnumMember,
    "grid": KIND.Namespace,
    "graph": KIND.Namespace,
    "node": KIND.EnumMember,
    "population": KIND.Class,
    "major": KIND.Class,
    "environment": KIND.Class,
    "model": KIND.File,
    "library": KIND.File,
    "reward": KIND.Event,
    "cost": KIND.Event,
}
INNER = ("argument", "bound", "law", "index")


def outline(document: Document) -> list[types.DocumentSymbol]:
    """Top-level declarations in order, each with what it owns."""
    own = [s for s in document.index.declared if s.kind not in INNER]
    owned: dict[str, list[Symbol]] = {}
    for symbol in own:
        if symbol.owner:
            owned.setdefault(symbol.owner, []).append(symbol)
    tops = [s for s in own if not s.owner]
    return [_shown(s, owned.get(s.name, []), document) for s in sorted(tops, key=_place)]


def _place(symbol: Symbol) -> int:
    return symbol.span.start


def _shown(symbol: Symbol, parts: list[Symbol], document: Document) -> types.DocumentSymbol:
    whole = symbol.span if symbol.kind == "value" else symbol.whole.to(symbol.span)
    return types.DocumentSymbol(
        name=symbol.name,
        detail=symbol.word,
        kind=KINDS.get(symbol.kind, KIND.Field),
        range=range_of(document.text, whole),
        selection_range=range_of(document.text, symbol.span),
        children=[_shown(p, [], document) for p in sorted(parts, key=_place)],
    )
