"""What a name means where it stands, and what to say when it means nothing there."""

from mfdsl.compiler.ir.types import INT, Type
from mfdsl.compiler.sema.context import (
    Context,
    ParameterSymbol,
    PlayerScope,
    Symbol,
)
from mfdsl.compiler.sema.values import (
    COMMON,
    OWN,
    Env,
    Handle,
    Poison,
    SetValue,
    Term,
    Value,
)
from mfdsl.compiler.source import Span

# Names of the language: those that nobody may declare, and those that a spec may take for its own.
BUILTIN_NAMES = frozenset(
    "abs all any bernoulli ceil choose clip col cos dist dither drow dcol exp floor free ind log"
    " max mean min normalize others path_dist prob prod rem round row sin softmax sqrt step sum"
    " tanh uniform law".split()
)
SOFT_NAMES = frozenset(
    "atan2 ball beta disc displacement dot exponential gamma head norm normal poisson project"
    " reflect sign softplus tail w2".split()
)
RESERVED_NAMES = frozenset({"t", "pi", "infinite", "stationary", "reward", "dynamics"})
MOVE_WORDS = frozenset("up left stay right down up_left up_right down_left down_right".split())


def find(ctx: Context, env: Env, name: str) -> Symbol | Value | None:
    """The symbol that `name` means: locals, members of the player, names of the file, handles.

    The handle of a population is known inside it, and elsewhere when no other has the same.
    """
    if name in env.locals:
        return env.locals[name]
    scope = ctx.scope(env)
    if scope is not None:
        if name in scope.members:
            return scope.members[name]
        if scope.index is not None and scope.index[0] == name:
            return scope.index[1]
    known = ctx.scopes[env.file].get(name)
    if known is None and len(owners := handle_owners(ctx, name)) == 1:
        return Handle(owners[0].name)
    return known


def handle_owners(ctx: Context, name: str) -> list[PlayerScope]:
    """The populations that call their law `name`."""
    handles = ((s, s.declaration.handle) for s in ctx.players.values())
    return [scope for scope, handle in handles if handle is not None and handle.name == name]


def candidates(ctx: Context, env: Env) -> list[str]:
    """All names that could have been meant here."""
    names: list[str] = [*env.locals]
    if (scope := ctx.scope(env)) is not None:
        names += scope.members
    return [*names, *ctx.scopes[env.file], "t", "pi", *sorted(BUILTIN_NAMES | SOFT_NAMES)]


def article(word: str) -> str:
    """`a state`, `an action`."""
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def leaf(ctx: Context, env: Env, kind: str, name: str, type: Type) -> Term:
    """The leaf of a state, trait, action, noise or draw of the player of `env`, as it is seen."""
    if env.view == OWN:
        return ctx.node(kind, (), type, None, name)
    assert env.view is not None and env.player is not None
    if env.view == COMMON:
        return ctx.node(f"common_{kind}", (), type, None, (env.player, name))
    return ctx.node(f"peer_{kind}", (), type, None, (env.view, name))


def time(ctx: Context, env: Env, span: Span) -> Term | Poison:
    """The time index `t`."""
    if env.static:
        return ctx.error("MFG211", "`t` is not known before the run", span, "the time index")
    if ctx.stationary:
        return ctx.error(
            "MFG105",
            "`t` cannot be read in a stationary game",
            span,
            "the law does not change with time, so every step is alike",
            helps=["`horizon infinite` begins at the initial law and counts its steps"],
        )
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
