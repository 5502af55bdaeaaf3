"""Warnings: names that are never used, games without interaction, terms that cost too much."""

import numpy as np

from mfdsl.compiler.analysis.enclosure import Evaluator, Facts, choose_axes, leaves_of
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
    if any(model.nodes[i].op in ("mean", "mean_if") for i in _below(model, _roots(model))):
        return
    ctx.sink.report(
        "MFG803",
        "nothing depends on the population, this is a single-agent problem",
        player.name.span,
        "no reward and no next value reads the law",
        severity="warning",
    )


def check_actions_used(ctx: Context) -> None:
    """Actions that nothing reads."""
    actions = [item for scope in ctx.players.values() for item in scope.actions.items()]
    for name, symbol in actions:
        if name not in ctx.used and isinstance(symbol, VariableSymbol):
            ctx.sink.report(
                "MFG801",
                f"`{name}` is never used",
                symbol.span,
                "this action changes nothing",
                severity="warning",
            )


def check_conditions(ctx: Context, facts: Facts, model: Model) -> None:
    """Comparisons that come out the same for every value of the variables, whatever the parameters.

    Those that read the law or a parameter are left alone: other values may decide otherwise.
    """
    for index in sorted(_below(model, _roots(model))):
        node, place = model.nodes[index], model.places[index]
        if node.op not in ("lt", "le", "eq", "ne") or place is None:
            continue
        parts = {model.nodes[i].op for i in _below(model, [index])}
        if parts & {"param", "mean", "mean_if"}:
            continue
        value = Evaluator(facts, choose_axes(facts, leaves_of(facts.nodes, [index]))).value(index)
        always, never = bool(np.all(value.lo > 0)), bool(np.all(value.hi <= 0))
        if always or never:
            ctx.sink.report(
                "MFG802",
                f"this condition is {'always' if always else 'never'} true",
                Span(place.file, place.start, place.end),
                "for every value of its variables",
                severity="warning",
            )


def _roots(model: Model) -> list[int]:
    population = model.population
    legal = [] if population.legal is None else [population.legal]
    return [
        *(t.node for t in population.rewards),
        *(s.next for s in population.states),
        *(s.initial for s in population.states),
        *(n.density for n in population.noises),
        *legal,
    ]


def _below(model: Model, roots: list[int]) -> set[int]:
    """All nodes that the roots are built from, themselves included."""
    seen: set[int] = set()
    stack = list(roots)
    while stack:
        index = stack.pop()
        if index not in seen:
            seen.add(index)
            stack.extend(model.nodes[index].args)
    return seen
