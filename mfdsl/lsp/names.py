"""Which declaration each name of a file means, by the rules of `compiler.sema.names.find`.

The compiler resolves names while it lowers them and keeps no table; an editor needs one, also of a
text with errors. What cannot be resolved is left out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from mfdsl.compiler.source import SourceFile, Span
from mfdsl.compiler.syntax import ast
from mfdsl.lsp.symbols import Index, Kind, Scope, Symbol, Use

_TOP: Mapping[type, Kind] = {
    ast.Param: "param",
    ast.Let: "let",
    ast.Fn: "fn",
    ast.Enum: "enum",
    ast.Grid: "grid",
    ast.Graph: "graph",
}
_MEMBERS: Mapping[type, Kind] = {
    ast.State: "state",
    ast.Trait: "trait",
    ast.Noise: "noise",
    ast.Weights: "weights",
    ast.Action: "action",
    ast.Let: "let",
}
PLAYERS = ("population", "major", "environment")


@dataclass(frozen=True)
class _Env:
    """Where an expression stands: its bound names, and the player whose members it may name."""

    bound: Mapping[str, Symbol] = field(default_factory=dict)
    player: str = ""
    claim: bool = False

    def with_name(self, symbol: Symbol) -> "_Env":
        return replace(self, bound={**self.bound, symbol.name: symbol})


def index_of(
    unit: ast.Unit,
    source: SourceFile,
    imports: Mapping[str, str] | None = None,
    files: Mapping[str, Index] | None = None,
) -> Index:
    """The names of one file.

    `imports` maps the paths that the file writes to names of files, `files` these to the indices of
    what was imported.
    """
    index = Index(source, imports=dict(imports or {}))
    walk = _Walk(index)
    walk.declare(unit, files or {})
    walk.read(unit)
    return index


class _Walk:
    """One pass that declares, one that reads."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.rewards: dict[str, dict[str, Symbol]] = {}

    def declare(self, unit: ast.Unit, files: Mapping[str, Index]) -> None:
        """Everything that has a name at the top level, and the members of players."""
        if unit.header is not None:
            name, header = unit.header.name, unit.header
            self.add(Symbol(name.name, header.kind, name.span, header.span, doc=header.doc))
        for node in unit.declarations:
            if isinstance(node, ast.Import):
                self.declare_imports(node, files)
            elif isinstance(node, ast.Player):
                self.declare_player(node)
            elif type(node) in _TOP:
                self.declare_top(node)
        for node in unit.declarations:
            if isinstance(node, ast.Player) and node.handle is not None:
                law = self.index.members[node.name.name][node.handle.name]
                self.index.top.setdefault(law.name, (law,))

    def declare_imports(self, node: ast.Import, files: Mapping[str, Index]) -> None:
        other = files.get(self.index.imports.get(node.path.value, ""))
        for name in node.names:
            found = other.top.get(name.name, ()) if other is not None else ()
            if not found or other is None:
                continue
            self.index.top.setdefault(name.name, found)
            self.index.uses.append(Use(name.span, found))
            parts = other.parts.get(name.name, {}) if found[0].kind == "enum" else {}
            if parts:
                self.index.parts[name.name] = parts
            for part in parts.values():
                self.index.top[part.name] = (*self.index.top.get(part.name, ()), part)

    def declare_top(self, node: Any) -> None:
        name = node.name.name
        symbol = Symbol(name, _TOP[type(node)], node.name.span, node.span, doc=node.doc)
        self.top(symbol)
        parts = self.index.parts.setdefault(name, {})
        if isinstance(node, ast.Enum):
            for value in node.values:
                part = Symbol(value.name, "value", value.span, node.span, owner=name)
                parts[value.name] = self.add(part)
                self.index.top[value.name] = (*self.index.top.get(value.name, ()), part)
        elif isinstance(node, ast.Graph):
            for item in node.items:
                self.declare_nodes(item, name, parts)

    def declare_nodes(self, item: Any, graph: str, parts: dict[str, Symbol]) -> None:
        """Nodes, by themselves or by the first link that names them."""
        named = {ast.GraphNode: ("name",), ast.GraphLink: ("tail", "head")}.get(type(item), ())
        for ident in (getattr(item, name) for name in named):
            if ident.name in parts:
                self.index.uses.append(Use(ident.span, (parts[ident.name],)))
            else:
                part = Symbol(ident.name, "node", ident.span, item.span, owner=graph)
                parts[ident.name] = self.add(part)

    def declare_player(self, node: ast.Player) -> None:
        name = node.name.name
        self.top(Symbol(name, node.kind, node.name.span, node.span, doc=node.doc, over=name))
        members: dict[str, Symbol] = {}
        if node.handle is not None:
            handle = node.handle
            law = Symbol(handle.name, "law", handle.span, node.span, owner=name, over=name)
            members[handle.name] = self.add(law)
        if node.family is not None:
            ident = node.family.name
            index = Symbol(ident.name, "index", ident.span, node.family.span, owner=name)
            members[ident.name] = self.add(index)
        rewards = self.rewards.setdefault(name, {})
        for member in node.members:
            if isinstance(member, ast.Reward) and member.name is not None:
                ident, kind = member.name, member.kind
                term = Symbol(ident.name, kind, ident.span, member.span, name, "", member.doc)
                rewards[ident.name] = self.add(term)
            elif type(member) in _MEMBERS:
                declared: Any = member
                ident, word = declared.name, _MEMBERS[type(member)]
                part = Symbol(ident.name, word, ident.span, member.span, name, "", declared.doc)
                members[ident.name] = self.add(part)
        self.index.members[name] = members
        self.index.parts[name] = {
            k: s for k, s in members.items() if s.kind not in ("law", "index")
        }
        self.index.scopes.append(Scope(node.span, members))

    def top(self, symbol: Symbol) -> None:
        self.add(symbol)
        self.index.top.setdefault(symbol.name, (symbol,))

    def add(self, symbol: Symbol) -> Symbol:
        """A symbol, whose own name is the first use of it."""
        self.index.declared.append(symbol)
        self.index.uses.append(Use(symbol.span, (symbol,)))
        return symbol

    # Reading.

    def read(self, unit: ast.Unit) -> None:
        """Every expression, type and name of the file."""
        for node in unit.declarations:
            if isinstance(node, ast.Player):
                env = _Env(player=node.name.name)
                if node.family is not None:
                    self.walk(node.family.domain, env)
                for member in node.members:
                    self.walk(member, env)
            elif not isinstance(node, ast.Import):
                self.walk(node, _Env())

    def walk(self, node: Any, env: _Env) -> None:
        """A node of the tree and what is below it."""
        match node:
            case ast.Name():
                self.use(node.span, self.find(node.name, env))
            case ast.TypeExpr():
                self.use(node.base.span, self.index.top.get(node.base.name, ()))
                self.below(node, env)
            case ast.Next():
                self.use(node.name.span, self.member(env.player, node.name.name))
                self.below(node, env)
            case ast.Fn():
                self.function(node, env)
            case ast.Require():
                self.below(node, replace(env, claim=True))
            case ast.Call():
                self.use(node.function.span, self.find(node.function.name, env))
                self.arguments(node.arguments, env, "")
            case ast.CallFor():
                self.walk(node.domain, env)
                inner = self.bind(node, env)
                self.walk(node.body, inner)
                self.walk(node.condition, inner)
            case ast.VectorFor():
                self.walk(node.domain, env)
                self.walk(node.body, self.bind(node, env))
            case ast.CallIn():
                self.walk(node.domain, env)
                self.arguments(node.arguments, self.bind(node, env), "")
            case ast.Field():
                self.walk(node.base, env)
                part = self.index.parts.get(self.named(node.base, env), {}).get(node.name.name)
                self.use(node.name.span, (part,) if part is not None else ())
            case ast.Index():
                self.walk(node.base, env)
                self.indices(node, env)
            case _:
                self.below(node, env)

    def below(self, node: Any, env: _Env) -> None:
        """All nodes just below a node."""
        for child in _children(node):
            self.walk(child, env)

    def function(self, node: ast.Fn, env: _Env) -> None:
        for argument in node.arguments:
            self.walk(argument.type, env)
            name = argument.name
            symbol = Symbol(name.name, "argument", name.span, argument.span, owner=node.name.name)
            env = env.with_name(self.add(symbol))
        self.index.scopes.append(Scope(node.span, dict(env.bound)))
        self.walk(node.body, env)

    def arguments(self, arguments: tuple[ast.Argument, ...], env: _Env, player: str) -> None:
        """Values in brackets; the names before `=` are variables of the player, if any."""
        for argument in arguments:
            if argument.name is not None:
                name = argument.name
                self.use(
                    name.span, self.member(player, name.name) if player else self.claimed(name, env)
                )
            self.walk(argument.value, env)

    def indices(self, node: ast.Index, env: _Env) -> None:
        """`city[A, B]` names nodes of the graph; all else are values."""
        base = self.named(node.base, env)
        nodes = {k: s for k, s in self.index.parts.get(base, {}).items() if s.kind == "node"}
        for argument in node.indices:
            value = argument.value
            if isinstance(value, ast.Name) and value.name in nodes:
                self.use(value.span, (nodes[value.name],))
            else:
                self.arguments((argument,), env, base)

    def claimed(self, name: ast.Ident, env: _Env) -> tuple[Symbol, ...]:
        """`x` in `require invariant(x = -x)`."""
        return self.find(name.name, env) if env.claim else ()

    def bind(self, node: ast.CallFor | ast.VectorFor | ast.CallIn, env: _Env) -> _Env:
        """The env inside of a comprehension, whose variable goes over members or over a set."""
        name, over = node.name, self.named(node.domain, env)
        whole = Span(name.span.file, name.span.start, node.domain.span.end)
        owner = "" if isinstance(node, ast.VectorFor) else node.function.name
        inner = env.with_name(self.add(Symbol(name.name, "bound", name.span, whole, owner, over)))
        self.index.scopes.append(Scope(node.span, {name.name: inner.bound[name.name]}))
        return inner

    def named(self, node: Any, env: _Env) -> str:
        """The player, enum, grid or graph that an expression is, or goes over; else empty."""
        match node:
            case ast.Name():
                found = self.find(node.name, env)
                one = found[0] if len(found) == 1 else None
                if one is not None and one.kind in ("enum", "grid", "graph"):
                    return one.name
                return one.over if one is not None else ""
            case ast.Paren():
                return self.named(node.inner, env)
            case ast.Index():
                return self.named(node.base, env)
            case ast.Call(arguments=(only,)) if node.function.name == "others":
                return self.named(only.value, env)
            case _:
                return ""

    def find(self, name: str, env: _Env) -> tuple[Symbol, ...]:
        """What a plain name means: bound names, members, names of the file."""
        if name in env.bound:
            return (env.bound[name],)
        found = self.member(env.player, name) or self.index.top.get(name, ())
        if found or not env.claim:
            return found
        owners = [env.player] if env.player else list(self.rewards)
        terms = [self.rewards.get(owner, {}).get(name) for owner in owners]
        members = [self.index.members.get(owner, {}).get(name) for owner in owners]
        return tuple(s for s in (*terms, *members) if s is not None)[:1]

    def member(self, player: str, name: str) -> tuple[Symbol, ...]:
        symbol = self.index.members.get(player, {}).get(name)
        return (symbol,) if symbol is not None else ()

    def use(self, span: Span, symbols: tuple[Symbol, ...]) -> None:
        if symbols and not any(s.span == span for s in symbols):
            self.index.uses.append(Use(span, symbols))


def _children(node: Any) -> Iterator[Any]:
    """The nodes in the fields of a node."""
    if not isinstance(node, ast.Tree):
        return
    for one in fields(node):
        value = getattr(node, one.name)
        if isinstance(value, ast.Tree):
            yield value
        elif isinstance(value, tuple):
            yield from (item for item in value if isinstance(item, ast.Tree))
