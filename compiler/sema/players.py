"""A player of any kind, member by member, and all players of a model."""

from collections.abc import Sequence

from mfdsl.compiler.ir.model import Named, NoiseVariable, Player, Variable
from mfdsl.compiler.ir.types import BOOL
from mfdsl.compiler.sema import expressions
from mfdsl.compiler.sema.agent_data import number_of_agents, weights_of
from mfdsl.compiler.sema.context import Context, LetSymbol, PlayerScope, VariableSymbol
from mfdsl.compiler.sema.initial import (
    drawing_order,
    lower_start,
    state_variables,
    trait_variables,
)
from mfdsl.compiler.sema.lets import lower_let
from mfdsl.compiler.sema.names import article
from mfdsl.compiler.sema.next_values import lower_next_values, next_declarations
from mfdsl.compiler.sema.noises import lower_noises
from mfdsl.compiler.sema.observe import lower_observe
from mfdsl.compiler.sema.rewards import check_rewards, lower_rewards
from mfdsl.compiler.sema.values import Term
from mfdsl.compiler.syntax import ast


def lower_players(ctx: Context) -> tuple[Player, ...] | None:
    """All players in the order of declaration; None when an error was reported."""
    for scope in ctx.players.values():
        scope.legal = _legal(ctx, scope)
    found = [_lower_player(ctx, scope) for scope in ctx.players.values()]
    check_rewards(ctx)
    order = drawing_order(ctx)
    players = [p for p in found if p is not None]
    if ctx.sink.failed or len(players) < len(found):
        return None
    return tuple(p.model_copy(update={"order": order[p.name]}) for p in players)


def _lower_player(ctx: Context, scope: PlayerScope) -> Player | None:
    """All members of one player; None when it has errors."""
    nexts = next_declarations(ctx, scope)
    noises = lower_noises(ctx, scope)
    next_nodes, drawn = lower_next_values(ctx, scope, nexts)
    start = lower_start(ctx, scope)
    rewards = lower_rewards(ctx, scope)
    lets = _lets(ctx, scope)
    observed, laws = lower_observe(ctx, scope)
    agents = number_of_agents(ctx, scope)
    _check_not_empty(ctx, scope)
    _check_distinct(ctx, scope, [*noises, *drawn])
    _check_distinct(ctx, scope, start.draws)
    if ctx.sink.failed:
        return None
    declaration = scope.declaration
    return Player(
        kind=declaration.kind,
        name=scope.name,
        family=scope.family,
        index=None if scope.family is None else scope.name[len(scope.family) + 1 : -1],
        handle=declaration.handle.name if declaration.handle else None,
        states=state_variables(ctx, scope, start, next_nodes),
        traits=trait_variables(ctx, scope, start),
        actions=_actions(ctx, scope),
        noises=(*noises, *drawn),
        draws=tuple(start.draws),
        legal=scope.legal,
        rewards=tuple(rewards),
        lets=tuple(lets),
        observe=tuple(observed),
        observes_law=tuple(laws),
        agents=agents,
        order=0,
        doc=declaration.doc,
        weights=weights_of(ctx, scope),
    )


def _actions(ctx: Context, scope: PlayerScope) -> tuple[Variable, ...]:
    return tuple(
        Variable(
            name=m.name.name,
            type=ctx.builder.type_index(scope.actions[m.name.name].type),
            doc=m.doc,
        )
        for m in scope.declaration.members
        if isinstance(m, ast.Action) and m.name.name in scope.actions
    )


def _check_not_empty(ctx: Context, scope: PlayerScope) -> None:
    """A population has states and actions, a major has actions."""
    declared = {type(m) for m in scope.declaration.members}
    needed: dict[str, list[tuple[str, type]]] = {
        "population": [("state", ast.State), ("action", ast.Action)],
        "major": [("action", ast.Action)],
        "environment": [],
    }
    for kind, node in needed[scope.kind]:
        if node not in declared:
            ctx.error(
                "MFG111",
                f"`{scope.declaration.name.name}` has no {kind}",
                scope.declaration.name.span,
                f"every {scope.kind} needs {article(kind)}",
                helps=[f"add `{kind} {kind[0]} : int in 0..1{' ~ uniform' * (kind == 'state')}`"],
            )


def _check_distinct(ctx: Context, scope: PlayerScope, draws: Sequence[NoiseVariable]) -> None:
    """No declared name may be that of a further draw: `e_1` of the law of `e`, `x_next` of `x'`."""
    names = [draw.name for draw in draws]
    for name in dict.fromkeys(n for n in names if names.count(n) > 1):
        symbol = scope.members.get(name)
        ctx.error(
            "MFG102",
            f"`{name}` is also the name of a draw of `{scope.declaration.name.name}`",
            symbol.span if isinstance(symbol, VariableSymbol) else scope.declaration.name.span,
            "declared here",
            helps=["choose another name"],
        )


def _legal(ctx: Context, scope: PlayerScope) -> int | None:
    """The node of the mask over the actions, None when every action is legal."""
    nodes: list[int] = []
    for member in scope.declaration.members:
        if not isinstance(member, ast.Action) or member.where is None:
            continue
        env = scope.env("legal", f"the condition on `{member.name.name}`")
        condition = expressions.lower_condition(ctx, env, member.where)
        if isinstance(condition, Term):
            nodes.append(condition.node)
    if not nodes:
        return None
    return ctx.node("and", nodes, BOOL, None).node if len(nodes) > 1 else nodes[0]


def _lets(ctx: Context, scope: PlayerScope) -> list[Named]:
    """Lets that are plain values of a player; the others live where they are used."""
    result: list[Named] = []
    block = scope.declaration.name.name
    read = set(ctx.read)
    for let in scope.lets:
        name = let.name.name
        symbol = scope.members.get(name)
        if not isinstance(symbol, LetSymbol):
            continue
        env = scope.env("let", f"`{name}`", noises=frozenset(scope.noises))
        value = lower_let(ctx, env, symbol, name, let.name.span)
        if isinstance(value, Term):
            result.append(Named(name=name, node=value.node))
    ctx.read -= {(block, let.name.name) for let in scope.lets} - read
    return result
