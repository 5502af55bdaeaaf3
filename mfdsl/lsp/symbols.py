"""What a spec declares, as an editor sees it: symbols, where they are read, and who owns them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mfdsl.compiler.source import SourceFile, Span

Kind = Literal[
    "model",
    "library",
    "param",
    "let",
    "fn",
    "argument",
    "enum",
    "value",
    "grid",
    "graph",
    "node",
    "population",
    "major",
    "environment",
    "law",
    "index",
    "bound",
    "state",
    "trait",
    "noise",
    "weights",
    "action",
    "reward",
    "cost",
]

WORDS: Mapping[Kind, str] = {
    "param": "parameter",
    "fn": "function",
    "argument": "argument",
    "value": "value",
    "law": "law",
    "index": "index",
    "bound": "bound variable",
    "weights": "weights",
}


@dataclass(frozen=True, slots=True)
class Symbol:
    """One declared name: `span` is the name itself, `whole` the declaration that it stands in.

    `owner` is the enum of a value, the player of a member, the population of a law, the function of
    an argument. `over` is the player that a bound variable or an index goes over, or whose law this
    is.
    """

    name: str
    kind: Kind
    span: Span
    whole: Span
    owner: str = ""
    over: str = ""
    doc: str = ""

    @property
    def word(self) -> str:
        """The kind in words: `parameter`, `state`."""
        return WORDS.get(self.kind, self.kind)


@dataclass(frozen=True, slots=True)
class Use:
    """A place where a name stands, and what it may mean there; several only for enum values."""

    span: Span
    symbols: tuple[Symbol, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """Names that are known inside a stretch of the file only."""

    span: Span
    names: Mapping[str, Symbol]


@dataclass(slots=True)
class Index:
    """All names of one file.

    `top` are the names that the file knows at its top level, imported ones too; `members` those of
    each player, `parts` what may follow the name of an enum, a player or a graph and a point.
    """

    source: SourceFile
    top: dict[str, tuple[Symbol, ...]] = field(default_factory=dict)
    members: dict[str, dict[str, Symbol]] = field(default_factory=dict)
    parts: dict[str, dict[str, Symbol]] = field(default_factory=dict)
    declared: list[Symbol] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    scopes: list[Scope] = field(default_factory=list)
    imports: dict[str, str] = field(default_factory=dict)

    def use_at(self, offset: int) -> Use | None:
        """The name at an offset or just before it."""
        here = [u for u in self.uses if u.span.start <= offset <= u.span.end]
        return max(here, key=lambda u: u.span.start, default=None)

    def uses_of(self, symbol: Symbol) -> list[Use]:
        """Where a symbol stands in this file, its declaration too, in order."""
        found = [u for u in self.uses if any(s.span == symbol.span for s in u.symbols)]
        return sorted(found, key=lambda u: u.span)
