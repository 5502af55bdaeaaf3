"""State of one lowering: the builder, the sink, the scopes of all files, the obligations."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

from mfdsl.compiler.diagnostics import Edit, Help, Sink
from mfdsl.compiler.fix import apply_edits
from mfdsl.compiler.ir.build import Builder
from mfdsl.compiler.ir.model import Graph, Place
from mfdsl.compiler.ir.spaces import GridSpace
from mfdsl.compiler.ir.types import BOOL, INT, REAL, Type
from mfdsl.compiler.sema.agent_files import AgentData
from mfdsl.compiler.sema.binders import BINDERS, Depths
from mfdsl.compiler.sema.values import (
    COMMON,
    OWN,
    POISON,
    EnumName,
    Env,
    FamilyName,
    Function,
    GraphName,
    GridName,
    Handle,
    Obligation,
    PlayerName,
    Poison,
    PopulationName,
    Stage,
    Term,
    Value,
    WeightsName,
)
from mfdsl.compiler.source import SourceFile, Span
from mfdsl.compiler.syntax import ast

MAX_DEFINITIONS = 64
MAX_WRITTEN = 72  # characters of the author's text in a help

ParameterValue = Fraction | tuple[float, ...]


def closing(text: str, start: int) -> int:
    """Where the bracket that opens at `start` is closed; -1 where it is not."""
    depth = 0
    for at in range(start, len(text)):
        depth += (text[at] == "(") - (text[at] == ")")
        if depth == 0:
            return at
    return -1


@dataclass(frozen=True, slots=True)
class ParameterSymbol:
    """A parameter with its bound value; `axes` are the index types of an array, `labels` the names
    of the indices of each, none where they are numbers.
    """

    declaration: ast.Param
    type: Type
    value: ParameterValue
    default: ParameterValue | None
    structural: bool
    axes: tuple[Type, ...]
    labels: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class LetSymbol:
    """A `let` and the file it was written in."""

    declaration: ast.Let
    file: str


@dataclass(frozen=True, slots=True)
class OpenLet:
    """A `let` that is being lowered: the player that it belongs to, and its name."""

    player: str
    declaration: ast.Let


@dataclass(frozen=True, slots=True)
class EnumMember:
    """One value of an enum."""

    type: Type
    code: int
    span: Span


@dataclass(frozen=True, slots=True)
class VariableSymbol:
    """A state, trait, action or noise of a player.

    `axes` are the index types of an array. A noise that is no finite scalar is a function of
    standard draws: its `law` is lowered where it is read, over the noises `before` it.
    """

    kind: str
    name: str
    type: Type
    span: Span
    axes: tuple[Type, ...] = ()
    law: ast.Expr | None = None
    before: frozenset[str] = frozenset()


Symbol = (
    ParameterSymbol
    | LetSymbol
    | EnumMember
    | VariableSymbol
    | EnumName
    | GridName
    | GraphName
    | Function
    | Handle
    | PopulationName
    | PlayerName
    | FamilyName
    | WeightsName
    | Poison
)


@dataclass(slots=True)
class PlayerScope:
    """The names inside one player; each member of a family has a scope of its own.

    `index` is the name of the index of a family and its constant value here. `agents` is what files
    say of single agents. `legal` is the node of the mask over the actions, once it is lowered.
    """

    name: str
    kind: str
    file: str
    declaration: ast.Player
    index: tuple[str, Term] | None = None
    family: str | None = None
    members: dict[str, Symbol] = field(default_factory=dict)
    states: dict[str, VariableSymbol] = field(default_factory=dict)
    traits: dict[str, VariableSymbol] = field(default_factory=dict)
    actions: dict[str, VariableSymbol] = field(default_factory=dict)
    noises: dict[str, VariableSymbol] = field(default_factory=dict)
    agents: AgentData = field(default_factory=AgentData)
    legal: int | None = None

    @property
    def view(self) -> int:
        """How the player sees itself."""
        return OWN if self.kind == "population" else COMMON

    @property
    def lets(self) -> list[ast.Let]:
        """The lets of the block, in order."""
        return [m for m in self.declaration.members if isinstance(m, ast.Let)]

    def env(
        self,
        stage: Stage,
        purpose: str,
        *,
        noises: frozenset[str] = frozenset(),
        drawn: frozenset[str] = frozenset(),
        target: Type | None = None,
        static: bool = False,
    ) -> Env:
        """Where an expression of this player stands."""
        return Env(
            file=self.file,
            player=self.name,
            reader=self.name,
            view=self.view,
            stage=stage,
            purpose=purpose,
            noises=noises,
            drawn=drawn,
            target=target,
            static=static,
        )


@dataclass(slots=True)
class Context:
    """Everything the passes of one lowering share.

    `used` are the names at the top level that something reads, `read` the members as (block, name).
    `data_paths` are the data files of players, None where the file was reported. `spread` has the
    ends between which some parameters may lie instead of being bound, for checks of ranges.
    `sources` are the texts of all files, for helps that repeat what stands there.
    `looked` says by player how obligations were proved that ranges do not show, in `spent`
    counted seconds.
    """

    builder: Builder
    sink: Sink
    scopes: dict[str, dict[str, Symbol]] = field(default_factory=dict)
    players: dict[str, PlayerScope] = field(default_factory=dict)
    families: dict[str, FamilyName] = field(default_factory=dict)
    ambiguous: dict[str, dict[str, tuple[EnumMember, ...]]] = field(default_factory=dict)
    grids: dict[str, GridSpace] = field(default_factory=dict)
    graphs: dict[str, Graph] = field(default_factory=dict)
    obligations: dict[Obligation, None] = field(default_factory=dict)
    sources: Mapping[str, SourceFile] = field(default_factory=dict)
    looked: dict[str | None, set[str]] = field(default_factory=dict)
    spent: float = 0.0
    unknown: dict[tuple[str, str], list[Span]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    read: set[tuple[str, str]] = field(default_factory=set)
    lets: dict[tuple[str, Env], Value] = field(default_factory=dict)
    open_lets: list[OpenLet] = field(default_factory=list)
    start_reads: dict[tuple[str, str], Span] = field(default_factory=dict)
    data_paths: dict[ast.Text, Path | None] = field(default_factory=dict)
    open_functions: list[ast.Fn] = field(default_factory=list)
    open_definitions: int = 0
    expansions: int = 0
    unrolled: int = 0
    steps: int | None = None
    stationary: bool = False
    objective: Literal["nash", "team"] = "nash"
    spread: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    depths: Depths = field(init=False)

    def __post_init__(self) -> None:
        self.depths = Depths(self.builder)

    def scope(self, env: Env) -> PlayerScope | None:
        """The player whose members plain names mean in `env`."""
        return None if env.player is None else self.players[env.player]

    def legal(self, env: Env) -> int | None:
        """The node of the mask over the actions of the player whose expression it is."""
        return None if env.reader is None else self.players[env.reader].legal

    def written(self, span: Span, edits: Iterable[Edit] = ()) -> str:
        """What the author wrote at a place, after edits inside of it, on one line; cut if long."""
        source = self.sources.get(span.file)
        if source is None:
            return "..."
        moved = [
            Edit(Span(span.file, e.span.start - span.start, e.span.end - span.start), e.text)
            for e in edits
        ]
        lines = apply_edits(source.slice(span), moved).splitlines()
        text = " ".join(" ".join(line.partition("#")[0] for line in lines).split())
        if text.startswith("(") and closing(text, 0) == len(text) - 1:
            text = text[1:-1]
        return text if len(text) <= MAX_WRITTEN else f"{text[: MAX_WRITTEN - 3].rstrip()}..."

    def operand(self, span: Span) -> str:
        """What the author wrote at a place, for an example that goes on with an operator."""
        text = self.written(span)
        return f"({text})" if " " in text else text

    def first_state(self, player: str) -> str:
        """A state of a player for an example, or any other member of it."""
        scope = self.players[player]
        return next(iter([*scope.states, *scope.members]), "x")

    def error(
        self,
        code: str,
        message: str,
        span: Span,
        label: str = "",
        *,
        also: Iterable[tuple[Span, str]] = (),
        notes: Iterable[str] = (),
        helps: Iterable[Help | str] = (),
    ) -> Poison:
        """Report an error and give the value that silences what follows from it."""
        self.sink.report(code, message, span, label, also=also, notes=notes, helps=helps)
        return POISON

    def may_nest(self, span: Span) -> bool:
        """Whether one more definition may be opened inside the ones that are open."""
        if self.open_definitions < MAX_DEFINITIONS:
            return True
        self.error(
            "MFG702",
            f"definitions need each other more than {MAX_DEFINITIONS} levels deep",
            span,
            "one level too many",
            helps=["write the first ones out, or start in the middle with a `param`"],
        )
        return False

    def place(self, span: Span) -> Place:
        """The place of a node."""
        return Place(file=span.file, start=span.start, end=span.end)

    def node(
        self,
        op: str,
        args: Iterable[int],
        type: Type,
        span: Span | None,
        attr: int | float | str | tuple[int | str, ...] | None = None,
    ) -> Term:
        """The term of `op` applied to nodes; those in the body of a binder move inwards."""
        where = self.place(span) if span else None
        if op in BINDERS:
            depth = attr[0] if isinstance(attr, tuple) else attr
            assert isinstance(depth, int)
            args = [self.depths.body(node, depth) for node in args]
        index = self.builder.add(op, tuple(args), attr, type, where)
        return Term(index, type)

    def integer(self, value: int) -> Term:
        """The term of a whole number."""
        return Term(self.builder.const(value, INT), INT)

    def constant(self, value: Fraction | int | float, type: Type = REAL) -> Term:
        """The term of a constant of `type`."""
        return Term(self.builder.const(value, type), type)

    def truth(self, value: bool) -> Term:
        """The term of a truth value."""
        return Term(self.builder.const(int(value), BOOL), BOOL)

    def exact(self, term: Term) -> Fraction | None:
        """The number a constant term stands for."""
        return self.builder.exact(term.node)

    def oblige(
        self,
        kind: str,
        term: Term,
        span: Span,
        env: Env,
        *,
        lo: float = 0.0,
        hi: float = 0.0,
        other: int | None = None,
        name: str = "",
        text: str = "",
    ) -> None:
        """Remember what must hold of `term` on this path."""
        obligation = Obligation(
            kind,
            term.node,
            span,
            env.guards,
            lo,
            hi,
            other,
            name,
            text or env.purpose,
            env.reader,
        )
        self.obligations[obligation] = None
