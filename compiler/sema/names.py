"""What a name means where it stands, and what to say when it means nothing there."""

import math
from collections.abc import Callable

from mfdsl.compiler.diagnostics import Help
from mfdsl.compiler.ir.spaces import GridSpace
from mfdsl.compiler.ir.types import INT, Type
from mfdsl.compiler.sema.context import (
    Context,
    EnumMember,
    LetSymbol,
    ParameterSymbol,
    PlayerScope,
    Symbol,
    VariableSymbol,
)
from mfdsl.compiler.sema.suggestions import FOREIGN_NAMES, did_you_mean, foreign
from mfdsl.compiler.sema.values import (
    COMMON,
    OWN,
    POISON,
    Builtin,
    Env,
    Poison,
    SetValue,
    Term,
    Value,
)
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast
from mfdsl.compiler.syntax.nearest import nearest

BUILTIN_NAMES = frozenset(
    "abs all any bernoulli ceil choose clip col cos dist dither drow dcol exp floor free ind log"
    " max mean min normalize others path_dist prob prod rem round row sin softmax sqrt step sum"
    " tanh uniform law".split()
)
FUTURE_NAMES = frozenset(
    "ball beta dot exponential head lipschitz monotone normal poisson reflect tail w2 norm".split()
)
RESERVED_NAMES = frozenset({"t", "pi", "infinite", "stationary", "reward", "dynamics"})
MOVE_WORDS = frozenset("up left stay right down up_left up_right down_left down_right".split())


def find(ctx: Context, env: Env, name: str) -> Symbol | Value | None:
    """The symbol that `name` means: locals first, then members of the population, then the file."""
    if name in env.locals:
        return env.locals[name]
    scope = ctx.scope(env)
    if scope is not None:
        if name in scope.members:
            return scope.members[name]
        if scope.index is not None and scope.index[0] == name:
            return scope.index[1]
    return ctx.scopes[env.file].get(name)


def candidates(ctx: Context, env: Env) -> list[str]:
    """All names that could have been meant here."""
    names: list[str] = [*env.locals]
    if (scope := ctx.scope(env)) is not None:
        names += scope.members
    return [*names, *ctx.scopes[env.file], "t", "pi", *sorted(BUILTIN_NAMES)]


def unknown_name(ctx: Context, env: Env, name: str, span: Span) -> Poison:
    """Remember an unknown name; all of its places become one diagnostic at the end."""
    if name in _reward_names(ctx.scope(env)):
        return ctx.error(
            "MFG105",
            f"the reward `{name}` cannot be read",
            span,
            "rewards are paid, not read",
            helps=["name the value with `let`, and use it here and in the reward"],
        )
    owner = None if env.player is not None else _owner(ctx, name)
    if owner is not None:
        return _member_outside(ctx, env, name, owner, span)
    places = ctx.unknown.setdefault((env.file, name), [])
    if span not in places:
        places.append(span)
    return POISON


def _reward_names(scope: PlayerScope | None) -> set[str]:
    members = scope.declaration.members if scope is not None else ()
    named = (m.name for m in members if isinstance(m, ast.Reward))
    return {name.name for name in named if name is not None}


def _owner(ctx: Context, name: str) -> tuple[ast.Player, str] | None:
    """The player that declares `name`, and what it is to it."""
    for scope in ctx.players.values():
        for member in scope.declaration.members:
            if isinstance(member, ast.State | ast.Trait | ast.Action | ast.Noise | ast.Let):
                if member.name.name == name:
                    return scope.declaration, type(member).__name__.lower()
    return None


def _member_outside(
    ctx: Context, env: Env, name: str, found: tuple[ast.Player, str], span: Span
) -> Poison:
    player, kind = found
    owner = f"{article(kind)} of `{player.name.name}`"
    if env.static:
        return ctx.error(
            "MFG211",
            f"`{name}` is not known before the run",
            span,
            f"{owner}, it differs between agents"
            if player.kind == "population"
            else f"{owner}, it changes while the game is played",
            helps=["sizes, ranges and horizons use parameters and numbers"],
        )
    return ctx.error(
        "MFG105",
        f"`{name}` cannot be read outside of the {player.kind}",
        span,
        owner,
        helps=[f"pass it as an argument, or move this into the {player.kind}"],
    )


def report_unknown_names(ctx: Context) -> None:
    """One diagnostic for each unknown name, with all the places that use it."""
    for (file, name), spans in ctx.unknown.items():
        members = [n for scope in ctx.players.values() for n in scope.members]
        known = [*members, *ctx.scopes.get(file, {}), *BUILTIN_NAMES, *MOVE_WORDS, "t", "pi"]
        helps: list[Help | str] = []
        if name in FUTURE_NAMES:
            ctx.error(
                "MFG706",
                f"`{name}` comes with a later release",
                spans[0],
                "not available for finite games of one population",
            )
            continue
        guess = nearest(name, known)
        where = "" if guess is None else known_line(ctx, file, guess)
        if name in ("inf", "infinity", "Inf"):
            helps.append("`horizon infinite` goes with `discount`; expressions are finite")
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


def article(word: str) -> str:
    """`a state`, `an action`."""
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def variable(ctx: Context, env: Env, symbol: VariableSymbol, span: Span) -> Term | Poison:
    """A state, action or noise of oneself or of the bound member, if it may be read here."""
    name, kind = symbol.name, symbol.kind
    ctx.used.add(name)
    if env.static:
        return ctx.error(
            "MFG211",
            f"`{name}` is not known before the run",
            span,
            f"{article(kind)} changes while the game is played",
            helps=["sizes, ranges and horizons may use parameters and numbers"],
        )
    if kind == "noise" and name not in env.noises:
        return _noise_not_readable(ctx, env, symbol, span)
    if kind == "action" and (not env.actions or env.at_end):
        why = "at t = T nobody acts any more" if env.at_end else f"{env.purpose} comes before it"
        return ctx.error("MFG105", f"the action `{name}` cannot be read here", span, why)
    if kind == "state" and env.view == OWN and env.states is not None and name not in env.states:
        return ctx.error(
            "MFG105",
            f"the state `{name}` is not drawn yet",
            span,
            "states are drawn in the order of declaration",
            helps=[f"declare `{name}` before the state that reads it"],
        )
    return leaf(ctx, env, kind, name, symbol.type)


def leaf(ctx: Context, env: Env, kind: str, name: str, type: Type) -> Term:
    """The leaf of a state, trait, action, noise or draw of the player of `env`, as it is seen."""
    if env.view == OWN:
        return ctx.node(kind, (), type, None, name)
    assert env.view is not None and env.player is not None
    if env.view == COMMON:
        return ctx.node(f"common_{kind}", (), type, None, (env.player, name))
    return ctx.node(f"peer_{kind}", (), type, None, (env.view, name))


def _noise_not_readable(ctx: Context, env: Env, symbol: VariableSymbol, span: Span) -> Poison:
    if env.view is not None and env.view >= 0:
        return ctx.error(
            "MFG105",
            f"the noise `{symbol.name}` of another member cannot be read",
            span,
            "noise is private to each agent",
            also=[(symbol.span, "drawn here, once for each agent")],
        )
    return ctx.error(
        "MFG105",
        f"the noise `{symbol.name}` cannot be read here",
        span,
        f"not drawn yet when {env.purpose or 'this value'} is evaluated",
        also=[(symbol.span, "drawn here")],
        helps=["noise may be read by next values and by noises declared later"],
    )


def time(ctx: Context, env: Env, span: Span) -> Term | Poison:
    """The time index `t`."""
    if env.static:
        return ctx.error("MFG211", "`t` is not known before the run", span, "the time index")
    if env.at_end and ctx.steps is not None:
        return ctx.integer(ctx.steps)
    return ctx.node("time", (), INT, None)


def enum_member(ctx: Context, env: Env, name: str, span: Span) -> Term | Poison | None:
    """An enum value by its bare name; ambiguous names need the name of the enum."""
    choices = ctx.ambiguous.get(env.file, {}).get(name, ())
    if len(choices) < 2:
        return None
    fitting = [c for c in choices if env.target is not None and c.type == env.target]
    if len(fitting) == 1:
        return ctx.constant(fitting[0].code, fitting[0].type)
    owners = [c.type.name or "" for c in choices]
    return ctx.error(
        "MFG103",
        f"`{name}` belongs to " + " and ".join(f"`{owner}`" for owner in owners),
        span,
        "which one is meant?",
        also=[(c.span, f"a value of `{c.type.name}`") for c in choices],
        helps=[f"write `{owner}.{name}`" for owner in owners],
    )


def parameter(ctx: Context, env: Env, name: str, symbol: ParameterSymbol) -> Term:
    """A parameter: a number where it fixes the shape of the model, a symbol elsewhere."""
    ctx.used.add(name)
    value = symbol.value
    if isinstance(value, tuple):
        if symbol.structural:
            return Term(ctx.builder.array(symbol.type.dims, value), _unbounded(symbol.type))
        return ctx.node("param", (), _unbounded(symbol.type), None, name)
    if env.static or symbol.structural:
        return ctx.constant(value, _unbounded(symbol.type))
    return ctx.node("param", (), _unbounded(symbol.type), None, name)


def _unbounded(type: Type) -> Type:
    """Parameters of numeric type are plain numbers; their range is checked when they are bound."""
    if type.kind in ("real", "int"):
        return Type(kind=type.kind, dims=type.dims)
    return type


def whole_type(type: Type) -> SetValue:
    """All values of a finite type."""
    assert type.lo is not None and type.hi is not None
    return SetValue(type, bounds=(int(type.lo), int(type.hi)))


LowerLet = Callable[[Context, Env, LetSymbol, str, Span], Value]


def lower_name(ctx: Context, env: Env, expr: ast.Name, lower_let: LowerLet) -> Value:
    """The value of a plain name; lets are lowered by `lower_let(ctx, env, symbol, name, span)`."""
    name, span = expr.name, expr.span
    ambiguous = enum_member(ctx, env, name, span)
    if ambiguous is not None and name not in env.locals:
        return ambiguous
    symbol = find(ctx, env, name)
    if symbol is None:
        return _builtin_name(ctx, env, name, span)
    if isinstance(symbol, ParameterSymbol):
        return parameter(ctx, env, name, symbol)
    if isinstance(symbol, EnumMember):
        return ctx.constant(symbol.code, symbol.type)
    if isinstance(symbol, VariableSymbol):
        return variable(ctx, env, symbol, span)
    if isinstance(symbol, LetSymbol):
        return lower_let(ctx, env, symbol, name, span)
    return symbol


def _builtin_name(ctx: Context, env: Env, name: str, span: Span) -> Value:
    if name == "t":
        return time(ctx, env, span)
    if name == "pi":
        return ctx.constant(math.pi)
    if name in MOVE_WORDS and ctx.grids:
        if env.target is not None and env.target.kind == "move":
            return _move(ctx, ctx.grids[env.target.name or ""], name, span)
        if len(ctx.grids) == 1:
            return _move(ctx, next(iter(ctx.grids.values())), name, span)
        return ctx.error(
            "MFG103",
            f"`{name}` is a move of several grids",
            span,
            "which one is meant?",
            helps=[f"write `{grid}.{name}`" for grid in ctx.grids],
        )
    if name in BUILTIN_NAMES:
        return Builtin(name)
    return unknown_name(ctx, env, name, span)


def _move(ctx: Context, space: GridSpace, name: str, span: Span) -> Value:
    if name in space.move_names:
        return ctx.constant(space.move_names.index(name), space.move_type)
    return ctx.error(
        "MFG107",
        f"grid `{space.name}` has no move `{name}`",
        span,
        "its moves are " + ", ".join(f"`{m}`" for m in space.move_names),
    )
