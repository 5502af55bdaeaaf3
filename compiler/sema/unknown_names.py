"""What to say about a name that means nothing where it stands."""

from mfdsl.compiler.diagnostics import Help
from mfdsl.compiler.sema.context import Context, ParameterSymbol, PlayerScope, VariableSymbol
from mfdsl.compiler.sema.names import BUILTIN_NAMES, MOVE_WORDS, SOFT_NAMES, article
from mfdsl.compiler.sema.suggestions import (
    FOREIGN_IDIOMS,
    FOREIGN_NAMES,
    did_you_mean,
    foreign,
    renamed,
)
from mfdsl.compiler.sema.values import POISON, Env, Peer, Poison
from mfdsl.compiler.sema.variables import not_static
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast
from mfdsl.compiler.syntax.limits import MAX_REPORTS
from mfdsl.compiler.syntax.nearest import nearest

MAX_GUESSES = 20  # unknown names for which a known one is looked for: as many are shown

FUTURE_NAMES = frozenset("lipschitz monotone".split())


def unknown_name(ctx: Context, env: Env, name: str, span: Span) -> Poison:
    """Report a name that cannot be read here; the places of an unknown one are collected.

    The unknown ones become one diagnostic each at the end, see `report_unknown_names`.
    """
    scope = ctx.scope(env)
    if name in _reward_names(scope):
        return ctx.error(
            "MFG105",
            f"the reward `{name}` cannot be read",
            span,
            "rewards are paid, not read",
            helps=["name the value with `let`, and use it here and in the reward"],
        )
    owner = _owner(ctx, name)
    if owner is not None and env.player is None:
        return _member_outside(ctx, env, name, owner, span)
    if owner is not None and scope is not None:
        return _member_of_another(ctx, scope, name, owner, span)
    places = ctx.unknown.setdefault((env.file, name), [])
    if span not in places:
        places.append(span)
    return POISON


def _reward_names(scope: PlayerScope | None) -> set[str]:
    members = scope.declaration.members if scope is not None else ()
    named = (m.name for m in members if isinstance(m, ast.Reward))
    return {name.name for name in named if name is not None}


Declared = ast.State | ast.Trait | ast.Action | ast.Noise | ast.Weights | ast.Let
Owner = tuple[ast.Player, Declared]


def _owner(ctx: Context, name: str) -> Owner | None:
    """The player that declares `name`, and its declaration."""
    for scope in ctx.players.values():
        for member in scope.declaration.members:
            if isinstance(member, Declared):
                if member.name.name == name:
                    return scope.declaration, member
    return None


def _kind(owner: Owner) -> str:
    return type(owner[1]).__name__.lower()


def _member_outside(ctx: Context, env: Env, name: str, owner: Owner, span: Span) -> Poison:
    player = owner[0]
    owned = f"{article(_kind(owner))} of `{player.name.name}`"
    if env.static:
        scope = next(s for s in ctx.players.values() if s.declaration is player)
        return not_static(ctx, env, scope.name, _kind(owner), name, span)
    return ctx.error(
        "MFG105",
        f"`{name}` cannot be read outside of the {player.kind}",
        span,
        owned,
        helps=_of_the_bound(env, player, name, span)
        or [f"pass it as an argument, or move this into the {player.kind}"],
    )


def _of_the_bound(env: Env, player: ast.Player, name: str, span: Span) -> list[Help | str]:
    """`q.search` where a comprehension goes over its population as `q`."""
    here = player.name.name
    bound = (
        word
        for word, value in env.locals.items()
        if isinstance(value, Peer) and value.player.partition("[")[0] == here
    )
    return [renamed(f"{word}.{name}", [span], applicable=True) for word in bound]


def _member_of_another(
    ctx: Context, scope: PlayerScope, name: str, owner: Owner, span: Span
) -> Poison:
    """A plain name that belongs to another player: private noise, or it needs its player."""
    player, member = owner
    here, there = scope.declaration.name.name, player.name.name
    if isinstance(member, ast.Noise) and player.kind != "environment":
        return ctx.error(
            "MFG105",
            f"`{name}` is private noise of `{there}`, so `{here}` cannot read it",
            span,
            "not readable here",
            also=[(member.name.span, "declared here")],
            helps=[_share(ctx, name)],
        )
    one = next(s.name for s in ctx.players.values() if s.declaration is player)
    full = f"{one}.{name}"
    helps: list[Help | str] = [f"write `{full}`"]
    if player.kind == "population":
        helps = [f"write `mean(q.{name} for q in {one})`"]
    elif player.family is None:
        helps = [renamed(full, [span], applicable=True)]
    return ctx.error(
        "MFG101",
        f"unknown name `{name}`",
        span,
        f"not a name of `{here}`, but {article(_kind(owner))} of `{there}`",
        helps=helps,
    )


def _share(ctx: Context, name: str) -> str:
    """How noise becomes common."""
    shared = next((s for s in ctx.players.values() if s.kind == "environment"), None)
    where = "an `environment`" if shared is None else f"`{shared.declaration.name.name}`"
    return f"declare `{name}` in {where} to share it"


def private_noise(ctx: Context, env: Env, owner: str, name: str, span: Span) -> Poison:
    """Report `truck[0].z`: noise that only its player reads."""
    reader = "this" if env.reader is None else ctx.players[env.reader].declaration.name.name
    return ctx.error(
        "MFG105",
        f"`{name}` is private noise of `{owner}`, so `{reader}` cannot read it",
        span,
        "not readable here",
        helps=[_share(ctx, name)],
    )


def report_unknown_names(ctx: Context) -> None:
    """One diagnostic for each unknown name, with all the places that use it, up to a limit."""
    members = [n for scope in ctx.players.values() for n in scope.members]
    for position, ((file, name), spans) in enumerate(list(ctx.unknown.items())[:MAX_REPORTS]):
        known = [
            *members,
            *ctx.scopes.get(file, {}),
            *BUILTIN_NAMES,
            *SOFT_NAMES,
            *MOVE_WORDS,
            "t",
            "pi",
        ]
        helps: list[Help | str] = []
        if name in FUTURE_NAMES:
            ctx.error(
                "MFG113",
                f"`{name}` is a claim, not a value",
                spans[0],
                "stands only in a `require`, with what it is about",
                helps=[f"write `require {name}(reward, mu)`"],
            )
            continue
        known = known if position < MAX_GUESSES else []
        guess = nearest(name, known)
        where = "" if guess is None else known_line(ctx, file, guess)
        if name in FOREIGN_IDIOMS:
            helps.append(FOREIGN_IDIOMS[name])
        elif any(name in graph.attributes for graph in ctx.graphs.values()):
            helps.append(f"a number of links is read from one of them: `e.{name}`")
        else:
            helps += foreign(FOREIGN_NAMES, name, spans[0])
            helps = helps or [*did_you_mean(name, known, spans, where)]
        ctx.sink.report(
            "MFG101",
            f"unknown name `{name}`",
            spans[0],
            "not defined here",
            also=[(span, "used here too") for span in spans[1:]],
            helps=helps,
        )


def known_line(ctx: Context, file: str, name: str) -> str:
    """`, a state of walker` and the like, to tell candidates apart."""
    for scope in ctx.players.values():
        symbol = scope.members.get(name)
        if isinstance(symbol, VariableSymbol):
            return f", {article(symbol.kind)} of `{scope.declaration.name.name}`"
    if isinstance(ctx.scopes.get(file, {}).get(name), ParameterSymbol):
        return ", a parameter"
    return ""
