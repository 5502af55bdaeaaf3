"""Warnings: names that are never used, games without interaction, costs that are gains."""

from collections.abc import Iterator

import numpy as np

from mfdsl.compiler.analysis.axes import choose_axes
from mfdsl.compiler.analysis.enclosure import Evaluator, Facts, leaves_of
from mfdsl.compiler.ir.model import Model, Place
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.dependencies import identifiers
from mfdsl.compiler.sema.domains import enclosure
from mfdsl.compiler.sema.failures import reach
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast
from mfdsl.compiler.syntax.limits import MAX_REPORTS
from mfdsl.compiler.syntax.shape import children

LAW = frozenset(
    "mean mean_if mean_others mean_others_if min_members max_members min_others max_others"
    " w2".split()
)


def check_unused(ctx: Context, unit: ast.Unit) -> None:
    """Parameters, lets, functions, grids, imports, noises, traits and actions that nobody reads."""
    for name, span, kind in _unread(ctx, unit):
        ctx.sink.report(
            "MFG801",
            f"`{name}` is never used",
            span,
            f"this {kind} changes nothing",
            severity="warning",
            helps=["remove it, or use it"] if kind != "action" else [],
        )


def _unread(ctx: Context, unit: ast.Unit) -> Iterator[tuple[str, Span, str]]:
    kinds = {ast.Param: "parameter", ast.Let: "let", ast.Fn: "function", ast.Grid: "grid"}
    for declaration in unit.declarations:
        if isinstance(declaration, ast.Import):
            for name in declaration.names:
                if name.name not in ctx.used:
                    yield name.name, name.span, "import"
        elif isinstance(declaration, ast.Param | ast.Let | ast.Fn | ast.Grid):
            if declaration.name.name not in ctx.used:
                yield declaration.name.name, declaration.name.span, kinds[type(declaration)]
    for declaration in unit.declarations:
        if not isinstance(declaration, ast.Player):
            continue
        for member in declaration.members:
            if isinstance(member, ast.Let | ast.Noise | ast.Trait | ast.Weights | ast.Action):
                if (declaration.name.name, member.name.name) not in ctx.read:
                    yield member.name.name, member.name.span, type(member).__name__.lower()


def check_members_read(ctx: Context, unit: ast.Unit) -> None:
    """Means over members that read nothing of them: often `x` where `q.x` is meant."""
    for mean in _means(unit):
        bound = mean.name.name
        words = list(identifiers((mean.body, mean.condition), plain=True))
        if any(word == bound for word, _ in words):
            continue
        own = {m for scope in ctx.players.values() for m in (*scope.states, *scope.members)}
        read = next((word for word, _ in words if word in own), None)
        ctx.sink.report(
            "MFG801",
            f"`{bound}` is never used",
            mean.name.span,
            "this mean is over the same value for every member",
            severity="warning",
            helps=[f"`{read}` is one's own, that of a member is `{bound}.{read}`"] if read else [],
        )


def _means(unit: ast.Unit) -> Iterator[ast.CallFor]:
    stack: list[ast.Tree] = [*reversed(unit.declarations)]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.CallFor) and node.function.name in ("mean", "prob"):
            yield node
        stack.extend(reversed(children(node)))


def check_interaction(ctx: Context, model: Model) -> None:
    """A game in which nothing reads the law of a population is a single-agent problem."""
    if any(model.nodes[i].op in LAW for i in _below(model, _roots(model))):
        return
    scope = next(s for s in ctx.players.values() if s.kind == "population")
    alone = len(model.players) == 1
    ctx.sink.report(
        "MFG803",
        "nothing depends on the population, this is a single-agent problem"
        if alone
        else "nothing depends on a population, no agent matters to another",
        scope.declaration.name.span,
        "no reward and no next value reads the law",
        severity="warning",
    )


def check_costs(ctx: Context, facts: Facts, model: Model) -> None:
    """A cost that is a gain wherever it is not 0 has the wrong sign, or is a reward."""
    ends: dict[Span, tuple[float, float]] = {}
    for player in model.players:
        members = ctx.players[player.name].declaration.members
        declared = (m for m in members if isinstance(m, ast.Reward))
        for member, term in zip(declared, player.rewards, strict=True):
            if member.kind == "cost":
                lo, hi = enclosure(facts, [term.node])  # of what is paid: the cost with a minus
                known = ends.get(member.value.span, (np.inf, -np.inf))
                ends[member.value.span] = min(known[0], -hi), max(known[1], -lo)
    for span, (lo, hi) in ends.items():
        if lo < 0 and hi <= 0:
            ctx.sink.report(
                "MFG805",
                "this cost is never positive",
                span,
                f"between {reach(lo)} and {reach(hi)}",
                severity="warning",
                helps=["costs are subtracted: turn the sign round, or call it a `reward`"],
            )


def check_conditions(ctx: Context, facts: Facts, model: Model) -> None:
    """Comparisons that come out the same for every value of the variables, whatever the parameters.

    Those that read the law or a parameter are left alone: other values may decide otherwise. A
    comparison that stands for several, as under a `sum`, is one where all come out alike.
    """
    outcomes: dict[Place, set[bool | None]] = {}
    for index in sorted(_below(model, _roots(model))):
        place = model.places[index]
        if model.nodes[index].op not in ("lt", "le", "eq", "ne") or place is None:
            continue
        known = outcomes.setdefault(place, set())
        if None not in known and len(known) < 2:
            known.add(_outcome(facts, model, index))
    alike = {place: known.pop() for place, known in outcomes.items() if len(known) == 1}
    decided = [(place, always) for place, always in alike.items() if always is not None]
    for place, always in decided[:MAX_REPORTS]:
        ctx.sink.report(
            "MFG802",
            f"this condition is {'always' if always else 'never'} true",
            Span(place.file, place.start, place.end),
            "for every value of its variables",
            severity="warning",
        )


def _outcome(facts: Facts, model: Model, index: int) -> bool | None:
    """What a comparison always is, None where that is open."""
    kinds = [model.node_type(i) for i in model.nodes[index].args]
    if any(kind.finite and kind.size == 1 for kind in kinds):  # as the law of `x = here` is
        return None
    if {model.nodes[i].op for i in _below(model, [index])} & {"param", *LAW}:
        return None
    value = Evaluator(facts, choose_axes(facts, leaves_of(facts.nodes, [index]))).value(index)
    if np.all(value.lo > 0):
        return True
    return False if np.all(value.hi <= 0) else None


def _roots(model: Model) -> list[int]:
    roots: list[int | None] = []
    for player in model.players:
        roots += [player.legal, *(t.node for t in player.rewards)]
        for state in (*player.states, *player.traits):
            roots += [state.next, state.initial, state.start]
        roots += [noise.density for noise in player.noises]
    return [root for root in roots if root is not None]


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
