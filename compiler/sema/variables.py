"""Reading a state, a trait, an action or a noise, by its plain name or through its player."""

from mfdsl.compiler.sema import draws
from mfdsl.compiler.sema.context import Context, VariableSymbol
from mfdsl.compiler.sema.names import article, leaf
from mfdsl.compiler.sema.values import END_OF_RANGE, POISON, Env, Poison, Term
from mfdsl.compiler.sema.visibility import Relation, readable
from mfdsl.compiler.source import Span


def variable(
    ctx: Context, env: Env, symbol: VariableSymbol, span: Span, relation: Relation = "own"
) -> Term | Poison:
    """The value of a variable of the player of `env`, if it may be read at this stage."""
    assert env.player is not None
    name, kind = symbol.name, symbol.kind
    ctx.read.add((ctx.players[env.player].declaration.name.name, name))
    if env.static:
        return not_static(ctx, env, env.player, kind, name, span)
    allowed = readable(relation, kind, env.stage)
    if kind == "noise" and not (allowed and name in env.noises):
        return _noise_not_readable(ctx, env, symbol, span)
    if not allowed:
        return not_readable(ctx, env, symbol, span)
    if env.stage == "start" and not _is_drawn(ctx, env, name, span):
        return _not_drawn_yet(ctx, env, symbol, span)
    if symbol.law is not None:
        return _derived(ctx, env, symbol)
    return leaf(ctx, env, kind, name, symbol.type)


def not_readable(ctx: Context, env: Env, symbol: VariableSymbol, span: Span) -> Poison:
    """Report that a variable has no value at this stage."""
    why = "at t = T nobody acts any more" if env.at_end else f"{env.purpose} comes before it"
    what = f"the {symbol.kind} `{symbol.name}`"
    return ctx.error("MFG105", f"{what} cannot be read here", span, why)


def _derived(ctx: Context, env: Env, symbol: VariableSymbol) -> Term | Poison:
    """A noise that is a function of standard draws, as it is seen from `env`."""
    assert symbol.law is not None and env.player is not None
    home = Env(
        file=ctx.players[env.player].file,
        player=env.player,
        reader=env.reader,
        view=env.view,
        depth=env.depth,
        stage="noise",
        noises=symbol.before,
        purpose=f"the law of `{symbol.name}`",
    )
    drawn = draws.draw(ctx, home, symbol.law, symbol.type, symbol.name, "noise")
    return POISON if isinstance(drawn, Poison) else drawn[0]


def not_static(ctx: Context, env: Env, player: str, kind: str, name: str, span: Span) -> Poison:
    """Report that a member of a player is not known before the run."""
    helps = ["sizes, ranges and horizons use parameters and numbers"]
    if env.purpose == END_OF_RANGE:
        helps.append(
            f"take all values and leave some out: `sum(k for k in 0..9 if k <= {name})`,"
            f" `action a : int in 0..9 where a <= {name}`"
        )
    block = ctx.players[player]
    varies = "differs between agents" if block.kind == "population" else "changes in the game"
    return ctx.error(
        "MFG211",
        f"`{name}` is not known before the run",
        span,
        f"{article(kind)} of `{block.declaration.name.name}`, it {varies}",
        helps=helps,
    )


def _is_drawn(ctx: Context, env: Env, name: str, span: Span) -> bool:
    """Whether a state is drawn before it is read; what is needed of other players is noted."""
    assert env.player is not None and env.reader is not None
    if env.player == env.reader:
        return name in env.drawn
    ctx.start_reads.setdefault((env.reader, env.player), span)
    return True


def _not_drawn_yet(ctx: Context, env: Env, symbol: VariableSymbol, span: Span) -> Poison:
    traits = ctx.players[env.player or ""].traits
    by_trait = symbol.kind == "state" and not traits.keys() <= env.drawn
    return ctx.error(
        "MFG105",
        f"the {symbol.kind} `{symbol.name}` is not drawn yet",
        span,
        "traits are drawn before states"
        if by_trait
        else f"{symbol.kind}s are drawn in the order of declaration",
        helps=[]
        if by_trait
        else [f"declare `{symbol.name}` before the {symbol.kind} that reads it"],
    )


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
