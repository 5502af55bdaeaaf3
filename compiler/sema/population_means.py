"""Comprehensions over populations: `mean`, `prob`, `min` and `max` of their members."""

from dataclasses import replace

from mfdsl.compiler.analysis.enclosure import Guard
from mfdsl.compiler.diagnostics import Edit, Help
from mfdsl.compiler.ir.types import INT, REAL, Type
from mfdsl.compiler.sema import expressions, names
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.masses import mean_field_allowed
from mfdsl.compiler.sema.operators import found, number, plain, to_real, truth
from mfdsl.compiler.sema.player_parts import player_words
from mfdsl.compiler.sema.suggestions import FOREIGN_NAMES, did_you_mean, foreign
from mfdsl.compiler.sema.values import (
    OWN,
    POISON,
    Env,
    FamilyName,
    Peer,
    PlayerName,
    Poison,
    PopulationName,
    Term,
    Value,
)
from mfdsl.compiler.sema.vectors import numeric
from mfdsl.compiler.sema.weights import weights_fit
from mfdsl.compiler.syntax import ast

EXTREMES = ("min", "max")
WITHOUT_LIMIT = ("sum", "prod", "any", "all")


def lower_population(
    ctx: Context, env: Env, domain: ast.Expr
) -> tuple[PopulationName, bool] | Poison | None:
    """The population that a comprehension goes over, and whether it leaves oneself out.

    None when the domain is something else.
    """
    if isinstance(domain, ast.Paren):
        return lower_population(ctx, env, domain.inner)
    if isinstance(domain, ast.Call) and domain.function.name == "others":
        return _others(ctx, env, domain)
    if not _names_a_player(ctx, env, domain):
        return None
    value = expressions.lower(ctx, env, domain)
    if isinstance(value, PopulationName):
        return value, False
    return POISON if isinstance(value, Poison) else _not_a_population(ctx, domain, value)


def _names_a_player(ctx: Context, env: Env, domain: ast.Expr) -> bool:
    """Whether the domain is the name of a player, of a family, or one of its members."""
    base = domain.base if isinstance(domain, ast.Index) else domain
    if not isinstance(base, ast.Name):
        return False
    symbol = names.find(ctx, env, base.name)
    return isinstance(symbol, PopulationName | PlayerName | FamilyName)


def _not_a_population(ctx: Context, domain: ast.Expr, value: Value) -> Poison:
    if not isinstance(value, FamilyName | PlayerName):
        return ctx.error("MFG404", "expected a population", domain.span, f"this is {found(value)}")
    if isinstance(value, PlayerName):
        parts = [*ctx.players[value.name].states, *ctx.players[value.name].members]
        helps = [f"read its values directly: `{value.name}.{part}`" for part in parts[:1]]
    elif value.kind == "population":
        helps = [f"go over one of them: `for q in {value.members[0]}`"]
    else:
        axis = value.axis
        over = axis.name if axis.kind != "int" else f"{axis.lo}..{axis.hi}"
        state = ctx.first_state(value.members[0])
        helps = [f"use `sum({value.name}[m].{state} for m in {over})`"]
    return ctx.error(
        "MFG404",
        f"`{value.name}` is {player_words(ctx, value)}, not a population",
        domain.span,
        "not a population",
        helps=helps,
    )


def _others(ctx: Context, env: Env, domain: ast.Call) -> tuple[PopulationName, bool] | Poison:
    """`others(p)`: the members of one's own population without oneself."""
    if len(domain.arguments) != 1:
        return ctx.error("MFG206", "`others` takes one population", domain.span, "`others(p)`")
    argument = domain.arguments[0].value
    members = lower_population(ctx, env, argument)
    if isinstance(members, Poison):
        return POISON
    if members is None:
        expressions.lower(ctx, env, argument)
        return ctx.error(
            "MFG404", "`others` takes one's own population", argument.span, "not a population"
        )
    name = members[0].name
    if env.reader != name or env.view not in (OWN, None):
        return ctx.error(
            "MFG105",
            f"`others({name})` can only be read by its own members",
            domain.span,
            f"there is no oneself of `{name}` here",
            helps=[f"over all members: `for q in {name}`"],
        )
    return members[0], True


def over_population(
    ctx: Context, env: Env, expr: ast.CallFor, members: PopulationName, others: bool
) -> Value:
    """`f(body for q in population if condition)`."""
    name = expr.function.name
    ctx.used.add(ctx.players[members.name].declaration.name.name)
    if name not in ("mean", "prob", *EXTREMES):
        return _no_limit(ctx, expr)
    if not mean_field_allowed(ctx, env, expr.span):
        return POISON
    if name in EXTREMES:
        return _extreme(ctx, env, expr, members, others)
    inner = _inside(env, expr, members)
    condition: Term | Poison | None = None
    if expr.condition is not None:
        condition = expressions.lower_condition(ctx, inner, expr.condition)
    if isinstance(condition, Term):
        inner = replace(inner, guards=(Guard(condition.node, True),))
    body = _mean_body(ctx, inner, expr)
    if isinstance(body, Poison) or isinstance(condition, Poison):
        return POISON
    if not weights_fit(ctx, env.depth, body, [condition] if condition else [], expr.span, name):
        return POISON
    binder = (env.depth, members.name)
    suffix = "_others" if others else ""
    kept = Type(kind="real", dims=body.type.dims)
    if condition is None or expr.condition is None:
        return ctx.node(f"mean{suffix}", (body.node,), kept, expr.span, binder)
    share = to_real(ctx, ctx.node("ind", (condition.node,), INT, expr.span))
    mass = ctx.node(f"mean{suffix}", (share.node,), REAL, expr.span, binder)
    domain, bound = ctx.written(expr.domain.span), expr.name.name
    share_text = f"prob({ctx.written(expr.condition.span)} for {bound} in {domain})"
    ctx.oblige("mass", mass, expr.span, env, text=share_text)
    op = "mean_others_if" if others else "mean_if"
    return ctx.node(op, (body.node, condition.node), kept, expr.span, binder)


def _inside(env: Env, expr: ast.CallFor, members: PopulationName) -> Env:
    """Where the body stands: the name is bound to a member."""
    bound = {**env.locals, expr.name.name: Peer(env.depth, members.name)}
    return replace(env, depth=env.depth + 1, guards=(), locals=bound)


def _no_limit(ctx: Context, expr: ast.CallFor) -> Poison:
    name = expr.function.name
    if name not in WITHOUT_LIMIT:
        return ctx.error(
            "MFG206",
            f"`{name}` does not go over a population",
            expr.function.span,
            "`mean`, `prob`, `min` and `max` do",
            helps=foreign(FOREIGN_NAMES, name, expr.function.span)
            or did_you_mean(name, ["mean", "prob", *EXTREMES], [expr.function.span]),
        )
    better = "prob" if name in ("any", "all") else "mean"
    edits = (Edit(expr.function.span, better),)
    text = f"`{ctx.written(expr.span, edits)}` has a limit"
    return ctx.error(
        "MFG402",
        f"`{name}` over a population grows with the number of agents"
        if name in WITHOUT_LIMIT[:2]
        else f"`{name}` over a population has no limit as the number of agents grows",
        expr.function.span,
        "not a quantity of the mean field",
        helps=[Help(text, edits, applicable=name == "sum")],
    )


def without_condition(ctx: Context, expr: ast.CallFor) -> str:
    """`max(e for k in S if c)` with a number that never wins where the condition fails."""
    assert expr.condition is not None
    condition = ctx.written(expr.condition.span)
    lost = "1e9" if expr.function.name == "min" else "-1e9"
    body = f"if {condition} then {ctx.written(expr.body.span)} else {lost}"
    bound = f"for {expr.name.name} in {ctx.written(expr.domain.span)}"
    return f"{expr.function.name}({body} {bound})"


def _extreme(
    ctx: Context, env: Env, expr: ast.CallFor, members: PopulationName, others: bool
) -> Value:
    """The smallest or largest value of a member: of the support of the law, in the limit."""
    name = expr.function.name
    if expr.condition is not None:
        return ctx.error(
            "MFG206",
            f"`{name}` with `if` may have nothing to choose from",
            expr.span,
            "undefined when no member passes",
            helps=[f"write `{without_condition(ctx, expr)}`, with a number that never wins"],
        )
    body = number(ctx, expressions.lower(ctx, _inside(env, expr, members), expr.body), expr.span)
    if isinstance(body, Poison) or not weights_fit(ctx, env.depth, body, [], expr.span, name):
        return POISON
    op = f"{name}_{'others' if others else 'members'}"
    kept = plain(body.type)
    return ctx.node(op, (body.node,), kept, expr.span, (env.depth, members.name))


def _mean_body(ctx: Context, env: Env, expr: ast.CallFor) -> Term | Poison:
    value = expressions.lower(ctx, env, expr.body)
    if expr.function.name == "prob":
        condition = truth(ctx, value, expr.body.span)
        if isinstance(condition, Poison):
            return POISON
        return to_real(ctx, ctx.node("ind", (condition.node,), INT, expr.body.span))
    term = numeric(ctx, env, value, expr.body.span)
    return term if isinstance(term, Poison) else to_real(ctx, term)
