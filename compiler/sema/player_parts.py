"""Parts of other players: `market.z0`, `truck[0].y`, `q.x`, and the members of families."""

from collections.abc import Sequence
from dataclasses import replace

from mfdsl.compiler.ir.types import BOOL
from mfdsl.compiler.sema.context import Context, LetSymbol, PlayerScope, Symbol, VariableSymbol
from mfdsl.compiler.sema.families import member_at
from mfdsl.compiler.sema.lets import lower_let
from mfdsl.compiler.sema.operators import choose, describe, found
from mfdsl.compiler.sema.suggestions import did_you_mean
from mfdsl.compiler.sema.unknown_names import private_noise
from mfdsl.compiler.sema.values import (
    COMMON,
    POISON,
    Env,
    FamilyName,
    MemberPick,
    Peer,
    PlayerName,
    Poison,
    PopulationName,
    Term,
    Value,
)
from mfdsl.compiler.sema.variables import variable
from mfdsl.compiler.sema.visibility import AFTER_NOISE, Relation, readable
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast


def no_part(ctx: Context, owner: str, name: str, parts: Sequence[str], span: Span) -> Poison:
    """Report a part that its owner does not have."""
    shown = ", ".join(f"`{part}`" for part in parts[:8]) + (", ..." if len(parts) > 8 else "")
    return ctx.error(
        "MFG107",
        f"{owner} has no `{name}`",
        span,
        f"it has {shown}" if parts else "it has no named parts",
        helps=did_you_mean(name, parts, [span]),
    )


def player_words(ctx: Context, value: PlayerName | PopulationName | FamilyName) -> str:
    """`one major`, `a population`, `a family of 2 environments`."""
    if isinstance(value, FamilyName):
        return f"a family of {len(value.members)} {value.kind}s"
    kind = ctx.players[value.name].kind
    return "a population" if kind == "population" else f"one {kind}"


def peer_part(ctx: Context, env: Env, peer: Peer, name: str, span: Span) -> Value:
    """`q.v` of the member bound by a mean."""
    scope = ctx.players[peer.player]
    noises = frozenset(scope.noises) if env.stage in AFTER_NOISE else frozenset()
    seen = replace(
        env,
        file=scope.file,
        player=peer.player,
        view=peer.depth,
        noises=noises,
        locals={},
        target=None,
        purpose="a mean over the population",
    )
    return _part(ctx, seen, scope, name, span, "member")


def common_part(ctx: Context, env: Env, player: str, expr: ast.Field) -> Value:
    """`truck[0].v` of a major or an environment."""
    name, span = expr.name.name, expr.name.span
    scope = ctx.players[player]
    symbol = scope.members.get(name)
    relation: Relation = "environment" if scope.kind == "environment" else "common"
    if player == env.reader:
        relation = "own"
        noises = env.noises if env.player == player else frozenset()
    else:
        if not env.static and not _is_visible(ctx, env, scope, relation, symbol, expr.span):
            return POISON
        noises = frozenset(scope.noises) if env.stage in AFTER_NOISE else frozenset()
    seen = replace(
        env,
        file=scope.file,
        player=player,
        view=COMMON,
        noises=noises,
        locals={},
        target=None,
    )
    return _part(ctx, seen, scope, name, span, relation)


def _is_visible(
    ctx: Context,
    env: Env,
    scope: PlayerScope,
    relation: Relation,
    symbol: Symbol | None,
    span: Span,
) -> bool:
    """Whether a part of a major or an environment may be read at this stage; reports when not."""
    if not isinstance(symbol, VariableSymbol | LetSymbol):
        return True
    kind = symbol.kind if isinstance(symbol, VariableSymbol) else "let"
    name = symbol.name if isinstance(symbol, VariableSymbol) else symbol.declaration.name.name
    if readable(relation, kind, env.stage):
        return True
    if kind == "noise" and relation == "common":
        private_noise(ctx, env, scope.declaration.name.name, name, span)
        return False
    reasons = {
        "legal": "what is legal depends on oneself and `t` only",
        "final": "at t = T nobody acts any more",
        "noise": "drawn at the same time",
    }
    why = reasons.get(env.stage, f"{env.purpose} comes before it")
    ctx.error("MFG105", f"`{scope.name}.{name}` cannot be read by {env.purpose}", span, why)
    return False


def _part(
    ctx: Context, env: Env, scope: PlayerScope, name: str, span: Span, relation: Relation
) -> Value:
    symbol = scope.members.get(name)
    if isinstance(symbol, VariableSymbol):
        return variable(ctx, env, symbol, span, relation)
    if isinstance(symbol, LetSymbol):
        return lower_let(ctx, env, symbol, name, span)
    if isinstance(symbol, Poison):
        return POISON
    parts = [n for n, s in scope.members.items() if isinstance(s, VariableSymbol | LetSymbol)]
    return no_part(ctx, f"`{scope.declaration.name.name}`", name, parts, span)


def population_part(
    ctx: Context, env: Env, population: PopulationName, name: str, span: Span
) -> Poison:
    """Report `person.x`: a population has no such value, only its members have."""
    scope = ctx.players[population.name]
    symbol = scope.members.get(name)
    if isinstance(symbol, VariableSymbol) and symbol.kind == "noise":
        return private_noise(ctx, env, scope.declaration.name.name, name, span)
    if env.stage == "observe":
        return ctx.error(
            "MFG406",
            f"observes `{scope.name}.{name}`, which is private to each agent",
            span,
            f"every `{scope.declaration.name.name}` has its own",
            helps=["observe a `let` that is a `mean` or a `prob`, or leave it out"],
        )
    return ctx.error(
        "MFG401",
        f"`{population.name}` is a population, `{name}` belongs to its members",
        span,
        "whose?",
        helps=[f"average over the members: `mean(q.{name} for q in {population.name})`"],
    )


def family_part(ctx: Context, family: FamilyName, name: str, span: Span) -> Poison:
    """Report `truck.y` of a family: which of them is not said."""
    helps = [f"write `{family.members[0]}.{name}`"]
    if family.kind == "population":
        helps = [f"average over one of them: `mean(q.{name} for q in {family.members[0]})`"]
    return ctx.error(
        "MFG404",
        f"`{family.name}` is {player_words(ctx, family)}",
        span,
        "which one?",
        helps=helps,
    )


def family_member(
    ctx: Context, env: Env, family: FamilyName, index: Value, expr: ast.Index
) -> Value:
    """`truck[m]`: one member of a family; an index not known before the run picks among all."""
    ctx.used.add(family.name)
    if isinstance(index, Poison):
        return POISON
    wanted = (family.axis.kind, family.axis.name)
    if not isinstance(index, Term) or (index.type.kind, index.type.name) != wanted:
        what = describe(index.type) if isinstance(index, Term) else found(index)
        return ctx.error(
            "MFG201",
            f"the index of `{family.name}` is {describe(family.axis)}, found {what}",
            expr.indices[0].span,
            what,
        )
    exact = ctx.exact(index)
    if exact is None:
        return _picked(ctx, env, family, index, expr)
    name = member_at(family, int(exact))
    if name is None:
        lo, hi = family.axis.lo, family.axis.hi
        return ctx.error(
            "MFG212",
            f"there is no `{family.name}[{exact}]`",
            expr.indices[0].span,
            f"the indices are {lo}..{hi}",
        )
    return PopulationName(name) if family.kind == "population" else PlayerName(name)


def _picked(ctx: Context, env: Env, family: FamilyName, index: Term, expr: ast.Index) -> Value:
    if family.kind == "population":
        return ctx.error(
            "MFG211",
            f"which `{family.name}` is meant is not known before the run",
            expr.indices[0].span,
            "changes while the game is played",
            helps=[
                "write a sum over all of them, each weighted with whether it is"
                f" `{ctx.written(expr.indices[0].value.span)}`"
            ],
        )
    if family.axis.kind == "int":
        lo, hi = float(family.axis.lo or 0), float(family.axis.hi or 0)
        ctx.oblige("index", index, expr.indices[0].span, env, lo=lo, hi=hi, text=family.name)
    return MemberPick(family, index)


def picked_part(ctx: Context, env: Env, pick: MemberPick, expr: ast.Field) -> Value:
    """`truck[i].y` with a computed index: chosen among all members with `if`."""
    family, name = pick.family, expr.name.name
    parts = [common_part(ctx, env, member, expr) for member in family.members]
    if any(isinstance(part, Poison) for part in parts):
        return POISON
    terms = [part for part in parts if isinstance(part, Term)]
    if len(terms) < len(parts):
        return ctx.error("MFG202", f"`{name}` cannot be picked by index", expr.span, "not a value")
    result: Term | Poison = terms[-1]
    lo = int(family.axis.lo or 0)
    for place in reversed(range(len(terms) - 1)):
        here = ctx.node(
            "eq", (pick.index.node, ctx.constant(lo + place, pick.index.type).node), BOOL, None
        )
        if isinstance(result, Poison):
            return POISON
        result = choose(ctx, here, terms[place], result, expr.span, expr.span)
    return result
