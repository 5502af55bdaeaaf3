"""`mu[x]`: the mass of the law of a population at a point, or of a marginal of it."""

from dataclasses import replace

from mfdsl.compiler.ir.types import BOOL, INT, REAL
from mfdsl.compiler.sema import expressions
from mfdsl.compiler.sema.context import Context, PlayerScope, VariableSymbol
from mfdsl.compiler.sema.operators import compare, describe, found, same_kind, to_real
from mfdsl.compiler.sema.player_parts import no_part
from mfdsl.compiler.sema.suggestions import between
from mfdsl.compiler.sema.values import POISON, Env, Poison, Term, Value
from mfdsl.compiler.sema.variables import not_readable
from mfdsl.compiler.sema.visibility import readable
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast

PAYABLE = "choose a share of what there is, or let what cannot be paid leave next to nothing"


def mass(ctx: Context, env: Env, player: str, expr: ast.Index) -> Value:
    """`mu[x]`: the mass of the members whose states (or named states and actions) are these."""
    if not mean_field_allowed(ctx, env, expr.span):
        return POISON
    pairs = _mass_pairs(ctx, ctx.players[player], expr)
    if pairs is None:
        return POISON
    parts = []
    for symbol, value_expr in pairs:
        ctx.read.add((ctx.players[player].declaration.name.name, symbol.name))
        if not readable("member", symbol.kind, env.stage):
            return not_readable(ctx, env, symbol, expr.span)
        if symbol.type.kind == "real" or symbol.type.dims:
            return _no_mass(ctx, player, expr, symbol)
        value = expressions.lower(
            ctx, replace(env, target=symbol.type, depth=env.depth), value_expr
        )
        if not isinstance(value, Term):
            if not isinstance(value, Poison):
                ctx.error("MFG201", f"expected a value, found {found(value)}", value_expr.span)
            return POISON
        if same_kind(ctx, Term(value.node, symbol.type), value) is None:
            return _other_kind(ctx, ctx.players[player], expr, symbol, value, value_expr.span)
        peer = ctx.node(f"peer_{symbol.kind}", (), symbol.type, None, (env.depth, symbol.name))
        part = compare(ctx, "==", peer, value, value_expr.span)
        if isinstance(part, Poison):
            return POISON
        parts.append(part.node)
    condition = ctx.node("and", parts, BOOL, expr.span) if len(parts) > 1 else Term(parts[0], BOOL)
    return probability(ctx, env, player, condition, expr.span)


def _other_kind(
    ctx: Context,
    scope: PlayerScope,
    expr: ast.Index,
    symbol: VariableSymbol,
    value: Term,
    span: Span,
) -> Poison:
    """Report `mu[a]` where the law is over states, and `a` is an action."""
    kinds = {a.name: (a.type.kind, a.type.name) for a in scope.actions.values()}
    alike = [name for name, kind in kinds.items() if kind == (value.type.kind, value.type.name)]
    here = ctx.written(span)
    law = ctx.written(expr.base.span)
    return ctx.error(
        "MFG201",
        f"the law is asked for `{symbol.name}`, {describe(symbol.type)},"
        f" with {describe(value.type)}",
        span,
        describe(value.type),
        helps=[f"the mass of an action is `{law}[{name} = {here}]`" for name in alike],
    )


def _no_mass(ctx: Context, player: str, expr: ast.Index, symbol: VariableSymbol) -> Poison:
    """Report the mass at a point of a space where points have none, or of whole arrays."""
    name = symbol.name
    if symbol.type.kind == "real":
        return ctx.error(
            "MFG403",
            f"the mass at a single point is zero for continuous `{name}`",
            expr.span,
            f"`{name}` is real",
            also=[(symbol.span, "declared here")],
            helps=[f"use the mass nearby: `prob(dist(q.{name}, {name}) <= 0.1 for q in {player})`"],
        )
    return ctx.error(
        "MFG202",
        f"`{name}` is an array, the law is not indexed by it",
        expr.span,
        "an array",
        helps=[f"ask for its entries: `prob(q.{name}[0] == {name}[0] for q in {player})`"],
    )


def _many(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _mass_pairs(
    ctx: Context, scope: PlayerScope, expr: ast.Index
) -> list[tuple[VariableSymbol, ast.Expr]] | None:
    named = [a for a in expr.indices if a.name is not None]
    if any(_is_compared(ctx, scope, argument.value) for argument in expr.indices):
        return None
    declared = [m.name.name for m in scope.declaration.members if isinstance(m, ast.State)]
    if any(isinstance(scope.members.get(name), Poison) for name in declared):
        return None
    if named and len(named) < len(expr.indices):
        ctx.error("MFG202", "mixes named and unnamed indices", expr.span, "name all or none")
        return None
    if not scope.states:
        return None
    if not named:
        if not scope.states:  # reported where the population is declared
            return None
        if len(expr.indices) != len(scope.states):
            ctx.error(
                "MFG202",
                f"the law is over {_many(len(scope.states), 'state')},"
                f" indexed with {len(expr.indices)}",
                expr.span,
                ", ".join(f"`{name}`" for name in scope.states),
                helps=[
                    f"write `{ctx.written(expr.base.span)}[{next(iter(scope.states))} ="
                    f" {ctx.written(expr.indices[0].value.span)}]` for a marginal"
                ]
                if len(scope.states) > 1
                else [],
            )
            return None
        return list(zip(scope.states.values(), (a.value for a in expr.indices), strict=True))
    pairs = []
    for argument in named:
        assert argument.name is not None
        name = argument.name.name
        symbol = scope.states.get(name) or scope.actions.get(name)
        if symbol is None:
            no_part(ctx, "the law", name, [*scope.states, *scope.actions], argument.name.span)
            return None
        pairs.append((symbol, argument.value))
    return pairs


def _is_compared(ctx: Context, scope: PlayerScope, value: ast.Expr) -> bool:
    """Whether an index is `h == I` where `h = I` is meant; reports it."""
    if not isinstance(value, ast.Compare) or value.operators != ("==",):
        return False
    left, right = value.operands
    symbol = scope.states.get(left.name) if isinstance(left, ast.Name) else None
    if symbol is None or symbol.type.kind == "bool":  # the law of a truth value may be asked for
        return False
    name = ctx.written(left.span)
    ctx.error(
        "MFG202",
        f"the law is asked with `=`, not `==`: `{name} = {ctx.written(right.span)}`",
        value.span,
        "compares one's own value",
        helps=[between(left.span, right.span, " = ", f"write `{name} = ...`")],
    )
    return True


def mean_field_allowed(ctx: Context, env: Env, span: Span) -> bool:
    """Whether the law may be read here; reports when not."""
    if env.static:
        ctx.error(
            "MFG211", "the law is not known before the run", span, "depends on the population"
        )
        return False
    if not env.mean_field:
        ctx.error(
            "MFG105",
            f"the law cannot be read by {env.purpose}",
            span,
            "nobody has a state yet"
            if env.stage == "start"
            else "what is legal depends on oneself and `t` only",
            helps=[PAYABLE] if env.stage == "legal" else [],
        )
        return False
    return True


def probability(ctx: Context, env: Env, player: str, condition: Term, span: Span) -> Term:
    """`prob(condition)`: the mean of the indicator over the law."""
    hit = to_real(ctx, ctx.node("ind", (condition.node,), INT, span))
    return ctx.node("mean", (hit.node,), REAL, span, (env.depth, player))
