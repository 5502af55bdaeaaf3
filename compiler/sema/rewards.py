"""Reward terms of a player: named parts that add up; costs are negated."""

from collections.abc import Sequence

from mfdsl.compiler.ir.model import Term as RewardTerm
from mfdsl.compiler.ir.types import REAL
from mfdsl.compiler.sema import expressions
from mfdsl.compiler.sema.context import Context, PlayerScope
from mfdsl.compiler.sema.values import Poison
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast


def lower_rewards(ctx: Context, scope: PlayerScope) -> list[RewardTerm]:
    """The terms in order; an unnamed one is called `reward`, `final_cost` or the like."""
    terms: list[RewardTerm] = []
    for member in scope.declaration.members:
        if not isinstance(member, ast.Reward):
            continue
        name = _term_name(ctx, scope, member, terms)
        env = scope.env(
            "final" if member.final else "reward",
            f"the {'final ' * member.final}{member.kind}",
            noises=frozenset() if member.final else frozenset(scope.noises),
        )
        value = expressions.lower_real(ctx, env, member.value)
        if isinstance(value, Poison):
            continue
        node = value.node
        if member.kind == "cost":
            node = ctx.node("neg", (node,), REAL, member.value.span).node
        terms.append(RewardTerm(name=name, node=node, final=member.final, doc=member.doc))
    return terms


def check_rewards(ctx: Context) -> None:
    """Who acts wants something; under `objective team` one reward somewhere is enough."""
    blocks = {scope.declaration.name.name: scope for scope in ctx.players.values()}
    paid = {name for name, scope in blocks.items() if _first_reward(scope) is not None}
    if ctx.objective == "team":
        if not paid and blocks:
            first = next((s for s in blocks.values() if s.kind == "population"), None)
            if first is not None:
                _report_no_reward(ctx, first, "what does the team want?")
        return
    for scope in blocks.values():
        reward = _first_reward(scope)
        if scope.kind != "environment" and reward is None:
            wanted = "what do its agents want?" if scope.kind == "population" else "what is it for?"
            _report_no_reward(ctx, scope, wanted)
        if scope.kind == "environment" and reward is not None:
            ctx.error(
                "MFG113",
                "an environment has a reward only under `objective team`",
                reward.span,
                "nobody gets it",
                helps=["pay it in a `population` or a `major`", "`objective team` adds it up"],
            )


def _report_no_reward(ctx: Context, scope: PlayerScope, label: str) -> None:
    ctx.error(
        "MFG111",
        f"`{scope.declaration.name.name}` has no reward",
        scope.declaration.name.span,
        label,
        helps=[f"say what `{scope.declaration.name.name}` is paid, with a `reward` or a `cost`"],
    )


def _first_reward(scope: PlayerScope) -> ast.Reward | None:
    return next((m for m in scope.declaration.members if isinstance(m, ast.Reward)), None)


def _term_name(
    ctx: Context, scope: PlayerScope, member: ast.Reward, terms: Sequence[RewardTerm]
) -> str:
    taken = {term.name for term in terms}
    if member.name is None:
        base = f"final_{member.kind}" if member.final else member.kind
        name, count = base, 1
        while name in taken:
            count += 1
            name = f"{base}_{count}"
        return name
    name = member.name.name
    if name in taken or name in scope.members:
        ctx.error(
            "MFG102",
            f"`{name}` is already taken",
            member.name.span,
            "named again",
            also=[(place, "named here first") for place in _places(scope.declaration, name)[:1]],
        )
    return name


def _places(player: ast.Player, name: str) -> list[Span]:
    """Where the player declares `name`."""
    declared = (
        m.name
        for m in player.members
        if isinstance(m, ast.State | ast.Trait | ast.Action | ast.Noise | ast.Let | ast.Reward)
    )
    return [ident.span for ident in declared if ident is not None and ident.name == name]
