"""A `let` as seen from where it is read: by oneself, by a bound member, or by another player."""

from mfdsl.compiler.sema import expressions
from mfdsl.compiler.sema.context import Context, LetSymbol, OpenLet
from mfdsl.compiler.sema.dependencies import report_cycle
from mfdsl.compiler.sema.values import POISON, Env, Poison, Term, Value
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast


def lower_let(ctx: Context, env: Env, symbol: LetSymbol, name: str, span: Span) -> Value:
    """The value of a `let`; lets of players that need each other are reported as a cycle."""
    scope = ctx.scope(env)
    member = scope is not None and scope.members.get(name) is symbol
    home = Env(
        file=symbol.file,
        player=env.player if member else None,
        reader=env.reader,
        view=env.view if member else None,
        depth=env.depth,
        static=env.static,
        stage=env.stage,
        noises=env.noises,
        drawn=env.drawn,
        purpose=f"`{name}`",
    )
    if not member or scope is None:
        ctx.used.add(name)
        return _opened(ctx, home, symbol, name, span)
    ctx.read.add((scope.declaration.name.name, name))
    if _closes_a_cycle(ctx, scope.name, symbol):
        return POISON
    ctx.open_lets.append(OpenLet(scope.name, symbol.declaration))
    value = _opened(ctx, home, symbol, name, span)
    ctx.open_lets.pop()
    return value


def _opened(ctx: Context, home: Env, symbol: LetSymbol, name: str, span: Span) -> Value:
    if (name, home) not in ctx.lets:
        if not ctx.may_nest(span):
            return POISON
        ctx.open_definitions += 1
        ctx.lets[name, home] = _body(ctx, home, symbol.declaration)
        ctx.open_definitions -= 1
    return ctx.lets[name, home]


def _body(ctx: Context, env: Env, declaration: ast.Let) -> Value:
    value = expressions.lower(ctx, env, declaration.value)
    if declaration.type is None or not isinstance(value, Term):
        return value
    return expressions.declared(
        ctx, env, declaration.name, declaration.type, value, declaration.value.span
    )


def _closes_a_cycle(ctx: Context, player: str, symbol: LetSymbol) -> bool:
    """Report the cycle that reading this `let` closes, and silence the lets on it."""
    this = OpenLet(player, symbol.declaration)
    if this not in ctx.open_lets:
        return False
    cycle = ctx.open_lets[ctx.open_lets.index(this) :]
    order = [declaration for scope in ctx.players.values() for declaration in scope.lets]
    first = min(range(len(cycle)), key=lambda i: order.index(cycle[i].declaration))
    cycle = cycle[first:] + cycle[:first]
    one_block = len({open_.player for open_ in cycle}) == 1
    places = []
    for open_ in cycle:
        name = open_.declaration.name
        places.append((name.name if one_block else f"{open_.player}.{name.name}", name.span))
        for scope in ctx.players.values():
            if scope.declaration is ctx.players[open_.player].declaration:
                scope.members[name.name] = Poison()
    report_cycle(ctx.sink, places, "MFG601", "define each other within one step")
    return True
