"""Declarations and members from what the parser reduced: one function for each grammar rule."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast
from mfdsl.compiler.syntax.build_expressions import (
    EXPRESSIONS,
    Children,
    ident,
    idents,
    nodes,
    span,
    text,
)
from mfdsl.compiler.syntax.lexeme import Lexeme


@dataclass(frozen=True, slots=True)
class PlayerHead:
    """The line that opens a player, before its members are known."""

    span: Span
    kind: Any
    name: ast.Ident
    family: ast.Family | None
    handle: ast.Ident | None


def player(head: PlayerHead, members: list[Any], end: int, doc: str) -> ast.Player:
    """The block of `head` with its members; `end` is the offset behind its closing brace."""
    whole = Span(head.span.file, head.span.start, end)
    return ast.Player(whole, head.kind, head.name, head.family, head.handle, tuple(members), doc)


def _after(c: Children, terminal: str) -> Any:
    """The child behind the first lexeme of this terminal, or None."""
    for lexeme, child in pairwise(c):
        if isinstance(lexeme, Lexeme) and lexeme.type == terminal:
            return child
    return None


def _header(c: Children) -> ast.Header:
    return ast.Header(span(c), c[0].text, ident(c[1]), "")


def _import(c: Children) -> ast.Import:
    return ast.Import(span(c), idents(c), text(c[-1]))


def _param(c: Children) -> ast.Param:
    return ast.Param(span(c), ident(c[1]), c[3], _after(c, "EQUAL"), None, "")


def _param_data(c: Children) -> ast.Param:
    return ast.Param(span(c), ident(c[1]), c[3], None, text(c[5]), "")


def _let(c: Children) -> ast.Let:
    return ast.Let(span(c), ident(c[1]), _after(c, "COLON"), c[-1], "")


def _fn(c: Children) -> ast.Fn:
    arguments = tuple(child for child in c if isinstance(child, ast.FnArg))
    return ast.Fn(span(c), ident(c[1]), arguments, c[-1], "")


def _enum(c: Children) -> ast.Enum:
    name, *values = idents(c)
    return ast.Enum(span(c), name, tuple(values), "")


def _grid_map(c: Children) -> ast.GridMap:
    rows = map_rows(c[1].text[3:-3])
    start, file = c[1].span.start + 3, c[1].span.file
    return ast.GridMap(
        span(c),
        tuple(row for row, _ in rows),
        tuple(Span(file, start + at, start + at + len(row)) for row, at in rows),
    )


def map_rows(body: str) -> list[tuple[str, int]]:
    """Rows of a map with their offsets: blank ends and the common indentation are left out."""
    lines, offset = [], 0
    for line in body.split("\n"):
        lines.append((line.rstrip(), offset))
        offset += len(line) + 1
    first, at = lines[0]
    # A first row right behind the quotes has no indentation of its own.
    bare = first.lstrip()
    head = [(bare, at + len(first) - len(bare))] if bare else []
    rest = lines[1:]
    while rest and not rest[0][0] and not head:
        rest.pop(0)
    while rest and not rest[-1][0]:
        rest.pop()
    indent = min((len(line) - len(line.lstrip()) for line, _ in rest if line), default=0)
    return head + [(line[indent:], at + min(indent, len(line))) for line, at in rest]


def _grid(c: Children) -> ast.Grid:
    return ast.Grid(span(c), ident(c[1]), nodes(c), "")


def _graph_node(c: Children) -> ast.GraphNode:
    return ast.GraphNode(span(c), ident(c[1]), nodes(c[-1].items) if len(c) == 3 else ())


def _graph_link(c: Children) -> ast.GraphLink:
    settings = nodes(c[-1].items) if len(c) == 5 else ()
    return ast.GraphLink(span(c), ident(c[1]), ident(c[3]), c[2].type == "DASHES", settings)


@dataclass(frozen=True, slots=True)
class _Settings:
    """`{ key = value, ... }` behind a graph item."""

    span: Span
    items: Children


def _player_head(c: Children) -> PlayerHead:
    family = next((child for child in c if isinstance(child, ast.Family)), None)
    handle = _after(c, "AS")
    return PlayerHead(span(c), c[0].text, ident(c[1]), family, ident(handle) if handle else None)


def _state(c: Children) -> ast.State:
    return ast.State(span(c), ident(c[1]), c[3], c[5], c[4].type == "TILDE", "")


def _next(c: Children) -> ast.Next:
    return ast.Next(span(c), ident(c[0]), c[3], c[2].type == "TILDE")


def _reward(c: Children) -> ast.Reward:
    final = c[0].type == "FINAL"
    kind, *rest = c[1:] if final else c
    name = ident(rest[0]) if len(rest) == 3 else None
    return ast.Reward(span(c), kind.text, name, c[-1], final, "")


# The transformer of the parser: rule name to builder.
BUILDERS = EXPRESSIONS | {
    "header": _header,
    "import_": _import,
    "param": _param,
    "param_data": _param_data,
    "let": _let,
    "fn": _fn,
    "fn_arg": lambda c: ast.FnArg(span(c), ident(c[0]), _after(c, "COLON")),
    "enum": _enum,
    "grid": _grid,
    "grid_map": _grid_map,
    "grid_size": lambda c: ast.GridSize(span(c), c[1], c[3]),
    "grid_moves": lambda c: ast.GridMoves(span(c), ident(c[1])),
    "grid_periodic": lambda c: ast.GridPeriodic(span(c)),
    "graph": lambda c: ast.Graph(span(c), ident(c[1]), nodes(c), ""),
    "graph_node": _graph_node,
    "graph_link": _graph_link,
    "grid_file": lambda c: ast.GridFile(span(c), text(c[1])),
    "graph_file": lambda c: ast.GraphFile(span(c), text(c[1])),
    "attrs": lambda c: _Settings(span(c), c),
    "objective": lambda c: ast.Objective(span(c), ident(c[1])),
    "horizon": lambda c: ast.Horizon(span(c), c[1]),
    "discount": lambda c: ast.Discount(span(c), c[1]),
    "assume": lambda c: ast.Assume(span(c), c[1]),
    "require": lambda c: ast.Require(span(c), c[1]),
    "solver": lambda c: ast.Solver(span(c), nodes(c)),
    "setting": lambda c: ast.Setting(span(c), ident(c[0]), c[2]),
    "player_head": _player_head,
    "family": lambda c: ast.Family(span(c), ident(c[1]), c[3]),
    "state": _state,
    "trait": lambda c: ast.Trait(span(c), ident(c[1]), c[3], c[5], None, ""),
    "trait_data": lambda c: ast.Trait(span(c), ident(c[1]), c[3], None, text(c[5]), ""),
    "noise": lambda c: ast.Noise(span(c), ident(c[1]), c[3], c[5], ""),
    "weights": lambda c: ast.Weights(span(c), ident(c[1]), text(c[3]), ""),
    "action": lambda c: ast.Action(span(c), ident(c[1]), c[3], _after(c, "WHERE"), ""),
    "next": _next,
    "reward": _reward,
    "observe": lambda c: ast.Observe(span(c), nodes(c)),
    "agents": lambda c: ast.Agents(span(c), c[1]),
}
