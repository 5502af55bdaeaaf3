"""The members that a player declares: their names, kinds and types."""

from dataclasses import replace

from mfdsl.compiler.ir.types import Type
from mfdsl.compiler.sema import types
from mfdsl.compiler.sema.agent_data import read_agents, trait_type, weights_name
from mfdsl.compiler.sema.context import Context, LetSymbol, PlayerScope, VariableSymbol
from mfdsl.compiler.sema.dependencies import draw_order, names_in
from mfdsl.compiler.sema.names import RESERVED_NAMES, article
from mfdsl.compiler.sema.values import POISON, Poison
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast

Declared = ast.State | ast.Trait | ast.Action | ast.Noise | ast.Weights | ast.Let

_ELSEWHERE = {
    ("environment", ast.Action): ("nobody acts in it", "a `major` acts on its own"),
    ("environment", ast.Agents): ("there is one environment", ""),
    ("environment", ast.Trait): (
        "it has no agents that could differ",
        "make it a `state` that keeps its value: `x' = x`",
    ),
    ("environment", ast.Observe): ("nobody looks from there", "policies belong to who acts"),
    ("major", ast.Agents): (
        "a major is one agent",
        "a family has several: `major truck[m in 0..1]`",
    ),
    ("environment", ast.Weights): ("it has no agents to weigh", "weights belong to a `population`"),
    ("major", ast.Weights): ("a major is one agent", "weights belong to a `population`"),
    ("major", ast.Trait): (
        "a major is one agent, there is nobody to differ from",
        "make it a `state` that keeps its value: `x' = x`",
    ),
}


def declare_members(ctx: Context, scope: PlayerScope) -> None:
    """Make the names of the player's members known, with their types."""
    places: dict[str, tuple[str, Span]] = {}
    if scope.kind == "population":
        scope.agents = read_agents(ctx, scope)
    for member in scope.declaration.members:
        if not _belongs(ctx, scope, member):
            if isinstance(member, Declared):
                scope.members[member.name.name] = POISON
            continue
        if not isinstance(member, Declared):
            continue
        kind = type(member).__name__.lower()
        name, span = member.name.name, member.name.span
        if not _is_free(ctx, scope, name, span, places):
            if name not in places:
                scope.members[name] = POISON
            continue
        places[name] = (kind, span)
        if isinstance(member, ast.Let):
            scope.members[name] = LetSymbol(member, scope.file)
            continue
        if isinstance(member, ast.Weights):
            scope.members[name] = weights_name(scope, name, scope.agents)
            continue
        symbol = _variable(ctx, scope, kind, member)
        scope.members[name] = symbol
        if isinstance(symbol, VariableSymbol) and kind != "noise":
            group = {"state": scope.states, "trait": scope.traits, "action": scope.actions}[kind]
            group[name] = symbol
    _order_noises(scope)


def _belongs(ctx: Context, scope: PlayerScope, member: ast.PlayerMember) -> bool:
    found = _ELSEWHERE.get((scope.kind, type(member)))
    if found is None:
        return True
    word = type(member).__name__.lower()
    what = f"{article(scope.kind)} has no {word if word == 'agents' else f'`{word}`'}"
    span = member.span
    if isinstance(member, ast.Action | ast.Trait | ast.Weights):
        span = member.name.span
    ctx.error("MFG113", what, span, found[0], helps=[found[1]] if found[1] else [])
    return False


def _is_free(
    ctx: Context, scope: PlayerScope, name: str, span: Span, places: dict[str, tuple[str, Span]]
) -> bool:
    if name in RESERVED_NAMES:
        what = "is the time index" if name == "t" else "is a name of the language"
        ctx.error(
            "MFG104",
            f"`{name}` {what} and cannot be redefined",
            span,
            "reserved",
            helps=["choose another name"],
        )
        return False
    head = _names_of_head(scope.declaration)
    if name in head:
        first, what = head[name]
        ctx.error(
            "MFG102",
            f"`{name}` is already {what} `{scope.declaration.name.name}`",
            span,
            "declared again",
            also=[(first, "declared here first")],
        )
        return False
    if name in places:
        kind, first = places[name]
        ctx.error(
            "MFG102",
            f"`{name}` is already {article(kind)} of `{scope.declaration.name.name}`",
            span,
            "declared again",
            also=[(first, "declared here first")],
        )
        return False
    return True


def _names_of_head(player: ast.Player) -> dict[str, tuple[Span, str]]:
    """The names before the brace: where they stand, and what they are."""
    found: dict[str, tuple[Span, str]] = {}
    if player.family is not None:
        found[player.family.name.name] = (player.family.name.span, "the index of the family")
    if player.handle is not None:
        found[player.handle.name] = (player.handle.span, "the law of")
    return found


def _variable(
    ctx: Context,
    scope: PlayerScope,
    kind: str,
    member: ast.State | ast.Trait | ast.Action | ast.Noise,
) -> VariableSymbol | Poison:
    env = scope.env("next", "a type", static=True)
    type_ = types.variable_type(ctx, env, member.type)
    if isinstance(type_, Poison):
        return type_
    if isinstance(member, ast.Trait) and member.data is not None:
        values = scope.agents.columns.get(member.name.name)
        return POISON if values is None else _seen(member, trait_type(type_, values))
    if type_.kind == "int" and not type_.finite:
        return ctx.error(
            "MFG201",
            f"{article(kind)} needs a finite domain",
            member.type.span,
            "every integer is possible",
            helps=["write `int in 0..9` or `int mod 10`"],
        )
    axes = types.dimension_types(ctx, env, member.type) if type_.dims else ()
    if isinstance(axes, Poison):
        return axes
    law = member.law if isinstance(member, ast.Noise) and not is_table(type_) else None
    return VariableSymbol(kind, member.name.name, type_, member.name.span, axes, law)


def _seen(member: ast.Trait, type: Type) -> VariableSymbol:
    return VariableSymbol("trait", member.name.name, type, member.name.span)


def is_table(type: Type) -> bool:
    """Whether a variable is a finite scalar: its law is a probability for each value."""
    return type.finite and not type.dims


def _order_noises(scope: PlayerScope) -> None:
    """Tell each noise which others are drawn before it."""
    laws = {
        m.name.name: m.law
        for m in scope.declaration.members
        if isinstance(m, ast.Noise) and isinstance(scope.members.get(m.name.name), VariableSymbol)
    }
    before: frozenset[str] = frozenset()
    for name in draw_order({n: names_in(law, scope.members) for n, law in laws.items()}):
        symbol = scope.members[name]
        assert isinstance(symbol, VariableSymbol)
        scope.members[name] = scope.noises[name] = replace(symbol, before=before)
        before |= {name}
