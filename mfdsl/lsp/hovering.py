"""What stands in a hover: kind, declaration as written, evaluated type, value or range, doc."""

import math
from dataclasses import dataclass

import numpy as np
from lsprotocol import types

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.enclosure import Evaluator
from mfdsl.compiler.analysis.facts import facts_of
from mfdsl.compiler.ir.model import Model, Player
from mfdsl.compiler.ir.text import type_text
from mfdsl.compiler.sema.builtins import BUILTINS
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax.tokens import scan
from mfdsl.compiler.syntax.words import DECLARES, STARTERS
from mfdsl.lsp.documents import Document
from mfdsl.lsp.positions import range_of
from mfdsl.lsp.symbols import Symbol
from mfdsl.lsp.words import BUILTIN_WORDS, KEYWORD_WORDS, SIGNATURES
from mfdsl.summary import certificate_text, headline, number_text

MAX_LINES = 8
MAX_VALUES = 6


@dataclass(frozen=True)
class Known:
    """What the last whole analysis found: the model, and certificates when they are there."""

    model: Model | None = None
    certificates: tuple[Certificate, ...] = ()


def hover(document: Document, offset: int, known: Known) -> types.Hover | None:
    """What is known of the name, or of the word of the language, at an offset."""
    use = document.index.use_at(offset)
    if use is not None:
        text = "\n\n---\n\n".join(about(s, document, known) for s in use.symbols)
        return _hover(text, use.span, document)
    for token in scan(document.text):
        if token.start <= offset < token.end or token.end == offset:
            text = about_word(token.text) if token.kind in ("name", "keyword") else ""
            if text:
                return _hover(text, Span(document.name, token.start, token.end), document)
        if token.start > offset:
            return None
    return None


def _hover(text: str, span: Span, document: Document) -> types.Hover:
    content = types.MarkupContent(types.MarkupKind.Markdown, text)
    return types.Hover(content, range_of(document.text, span))


def about(symbol: Symbol, document: Document, known: Known) -> str:
    """The parts of a hover on a symbol, in Markdown."""
    source = document.source(symbol.span.file)
    whole = symbol.whole
    if source is not None and symbol.kind in ("population", "major", "environment"):
        end = source.text.find("{", whole.start, whole.end)
        whole = Span(whole.file, whole.start, end if end >= 0 else whole.end)
    lines = source.slice(whole).rstrip().splitlines() if source is not None else []
    shown = "\n".join([*lines[:MAX_LINES], *(["..."] if len(lines) > MAX_LINES else [])])
    where = f" of `{symbol.owner}`" if symbol.owner else ""
    if symbol.kind == "bound":
        where = f" over `{symbol.over}`" if symbol.over else ""
    parts = [f"{symbol.word}{where}", f"```mfg\n{shown}\n```"]
    if known.model is not None and symbol.span.file == document.name:
        parts += _evaluated(symbol, known.model)
    parts += [symbol.doc] if symbol.doc else []
    if symbol.kind in ("model", "population") and known.model is not None:
        parts += _summary(symbol, known)
    return "\n\n".join(parts)


def _evaluated(symbol: Symbol, model: Model) -> list[str]:
    """The type with its numbers, the value of a parameter, the range of a let or a reward."""
    if symbol.kind == "param":
        found = next((p for p in model.parameters if p.name == symbol.name), None)
        if found is None:
            return []
        values = found.value if isinstance(found.value, tuple) else (found.value,)
        few = ", ".join(f"{v:g}" for v in values[:MAX_VALUES])
        more = f", ... ({len(values)} values)" if len(values) > MAX_VALUES else ""
        return [f"type `{type_text(model.types[found.type])}`, value {few}{more}"]
    player = _player(symbol.owner, model)
    if player is None:
        return []
    if symbol.kind in ("state", "trait", "action"):
        groups = (*player.states, *player.traits, *player.actions)
        kinds = [model.types[v.type] for v in groups if v.name == symbol.name]
        return [f"type `{type_text(kinds[0])}`"] if kinds else []
    named = {
        "let": [n.node for n in player.lets if n.name == symbol.name],
        "reward": [t.node for t in player.rewards if t.name == symbol.name],
        "cost": [t.node for t in player.rewards if t.name == symbol.name],
    }.get(symbol.kind, [])
    if not named:
        return []
    kind = model.node_type(named[0])
    signed = ", counted negative" if symbol.kind == "cost" else ""
    found_range = "" if kind.kind not in ("real", "int") else _range(model, named[0])
    return [f"type `{type_text(kind)}`{found_range}{signed}"]


def _range(model: Model, node: int) -> str:
    """The enclosure of an expression over all states, actions and laws, as the compiler sees it.

    Empty where the expression has no value on some path, as a division guarded by an `if`.
    """
    with np.errstate(all="ignore"):
        found = Evaluator(facts_of(model), {}).value(node)
    low, high = float(found.lo.min()), float(found.hi.max())
    if math.isnan(low) or math.isnan(high):
        return ""
    return f", between {number_text(low)} and {number_text(high)}"


def _player(name: str, model: Model) -> Player | None:
    return next((p for p in model.players if name in (p.name, p.family)), None)


def _summary(symbol: Symbol, known: Known) -> list[str]:
    """The model in a line and its certificates, those of a population by its name only."""
    assert known.model is not None
    parts = [headline(known.model)] if symbol.kind == "model" else []
    rows = dict.fromkeys(
        f"- {c.claim}: {certificate_text(c)}, **{c.verdict}**"
        for c in known.certificates
        if symbol.kind == "model" or symbol.name in c.subject.split()
    )
    return [*parts, "\n".join(rows)] if rows else parts


def about_word(word: str) -> str:
    """A built-in function, a law or a keyword of the language."""
    if word in SIGNATURES or word in BUILTINS:
        written = SIGNATURES.get(word) or BUILTINS[word].signature
        return f"```mfg\n{written}\n```\n\n{BUILTIN_WORDS.get(word, '')}".rstrip()
    if word in STARTERS and word in DECLARES and word not in KEYWORD_WORDS:
        return f"`{word}` declares {DECLARES[word]}"
    return KEYWORD_WORDS.get(word, "")
