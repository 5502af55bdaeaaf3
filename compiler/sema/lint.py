"""Warnings: names that are never used, games without interaction, terms that cost too much."""

from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.sema.context import Context, VariableSymbol
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast


def check_unused(ctx: Context, unit: ast.Unit, player: ast.Player) -> None:
    """Parameters, lets, functions, enums, grids, imports and noises that nothing reads."""
    for name, span, kind in _declared(unit, player):
        if name in ctx.used:
            continue
        ctx.sink.report(
            "MFG801",
            f"`{name}` is never used",
            span,
            f"this {kind} changes nothing",
            severity="warning",
            helps=["remove it, or use it"],
        )


def _declared(unit: ast.Unit, player: ast.Player) -> list[tuple[str, Span, str]]:
    kinds = {
        ast.Param: "parameter",
        ast.Let: "let",
        ast.Fn: "function",
        ast.Grid: "grid",
    }
    found = [
        (d.name.name, d.name.span, kinds[type(d)])
        for d in unit.declarations
        if isinstance(d, ast.Param | ast.Let | ast.Fn | ast.Grid)
    ]
    for declaration in unit.declarations:
        if isinstance(declaration, ast.Import):
            found += [(n.name, n.span, "import") for n in declaration.names]
    found += [
        (m.name.name, m.name.span, "let" if isinstance(m, ast.Let) else "noise")
        for m in player.members
        if isinstance(m, ast.Let | ast.Noise)
    ]
    return found


def check_interaction(ctx: Context, player: ast.Player, model: Model) -> None:
    """A game in which nothing reads the law is a single-agent problem."""
    population = model.population
    roots = [
        *(t.node for t in population.rewards),
        *(s.next for s in population.states),
        *(n.density for n in population.noises),
    ]
    seen: set[int] = set()
    stack = roots
    while stack:
        index = stack.pop()
        if index in seen:
            continue
        seen.add(index)
        if model.nodes[index].op in ("mean", "mean_if"):
            return
        stack.extend(model.nodes[index].args)
    ctx.sink.report(
        "MFG803",
        "nothing depends on the population, this is a single-agent problem",
        player.name.span,
        "no reward and no next value reads the law",
        severity="warning",
    )


def check_actions_used(ctx: Context) -> None:
    """Actions that nothing reads."""
    for name, symbol in ctx.actions.items():
        if name not in ctx.used and isinstance(symbol, VariableSymbol):
            ctx.sink.report(
                "MFG801",
                f"`{name}` is never used",
                symbol.span,
                "this action changes nothing",
                severity="warning",
            )
