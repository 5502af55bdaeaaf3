"""Next values of the states of a player: given by `x' = ...` or drawn by `x' ~ ...`."""

from collections.abc import Mapping

from mfdsl.compiler.ir.model import NoiseVariable
from mfdsl.compiler.sema import distributions, draws, expressions
from mfdsl.compiler.sema.context import Context, LetSymbol, PlayerScope, VariableSymbol
from mfdsl.compiler.sema.fitting import fitted
from mfdsl.compiler.sema.members import is_table
from mfdsl.compiler.sema.names import article
from mfdsl.compiler.sema.noises import drawn_next
from mfdsl.compiler.sema.suggestions import between, did_you_mean
from mfdsl.compiler.sema.values import Env, Poison, Term
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast
from mfdsl.compiler.syntax.nearest import nearest


def next_declarations(ctx: Context, scope: PlayerScope) -> dict[str, ast.Next]:
    """The one `x' = ...` of each state; states without one, or with two, are reported."""
    nexts: dict[str, ast.Next] = {}
    meant: set[str] = set()
    for member in scope.declaration.members:
        if not isinstance(member, ast.Next):
            continue
        name, span = member.name.name, member.name.span
        if name not in scope.states:
            if not isinstance(scope.members.get(name), Poison):
                meant |= _not_a_state(ctx, scope, name, span)
            continue
        if name in nexts:
            ctx.error(
                "MFG110",
                f"state `{name}` is updated twice",
                span,
                "updated again",
                also=[(nexts[name].name.span, "updated here first")],
            )
            continue
        nexts[name] = member
    for name, symbol in scope.states.items():
        if name not in nexts and name not in meant:
            helps = [f"add `{name}' = {name}` if it is constant"]
            if scope.kind == "population":
                helps[0] += ", or make it a `trait`"
            ctx.error(
                "MFG109",
                f"state `{name}` is never updated",
                symbol.span,
                f"nothing sets `{name}'`",
                helps=helps,
            )
    return nexts


def _not_a_state(ctx: Context, scope: PlayerScope, name: str, span: Span) -> set[str]:
    """Report it, and give the states that were meant: they do not count as forgotten."""
    symbol = scope.members.get(name)
    guess = nearest(name, scope.states) if symbol is None else None
    helps = did_you_mean(name, scope.states, [span]) if symbol is None else []
    if isinstance(symbol, VariableSymbol):
        label = f"`{name}` is {article(symbol.kind)}"
    elif isinstance(symbol, LetSymbol):
        label = f"`{name}` is a `let`"
    else:
        label = "no such state"
    ctx.error(
        "MFG108",
        f"`{name}'` is updated, but `{name}` is not a state of `{scope.declaration.name.name}`",
        span,
        label,
        helps=helps,
    )
    return set() if guess is None else {guess}


def lower_next_values(
    ctx: Context, scope: PlayerScope, nexts: Mapping[str, ast.Next]
) -> tuple[dict[str, int], list[NoiseVariable]]:
    """The node of each next value, and the noises that `x' ~ ...` draws."""
    nodes: dict[str, int] = {}
    drawn: list[NoiseVariable] = []
    noises = frozenset(scope.noises)
    for name, member in nexts.items():
        target = scope.states[name].type
        env = scope.env("next", f"the next `{name}`", noises=noises, target=target)
        if member.drawn:
            draw = drawn_next(ctx, env, name, member.value, target)
            if not isinstance(draw, Poison):
                nodes[name] = draw[0].node
                drawn += draw[1]
            continue
        value = _given(ctx, env, name, member)
        if not isinstance(value, Poison):
            nodes[name] = value.node
    return nodes, drawn


def _given(ctx: Context, env: Env, name: str, member: ast.Next) -> Term | Poison:
    target = env.target
    assert target is not None
    if (law := distributions.drawn_from(ctx, env, member.value)) is not None:
        words = f"write `{name}' ~ {ctx.written(member.value.span)}`"
        return ctx.error(
            "MFG207",
            f"the next `{name}` is drawn, so it is written with `~`",
            law,
            "a distribution",
            helps=[between(member.name.span, member.value.span, "' ~ ", words)],
        )
    value = expressions.lower(ctx, env, member.value)
    if is_table(target):
        return fitted(ctx, env, value, target, member.value.span)
    return draws.fitted_real(ctx, env, value, target, member.value.span)
