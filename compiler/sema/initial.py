"""Values at t = 0: traits first, then states, each over what is drawn before it.

A finite scalar has the probability of each value; all else is a function of standard draws.
Players are drawn one after another: a player may read the states of majors and environments.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mfdsl.compiler.ir.model import NoiseVariable, StateVariable
from mfdsl.compiler.sema import distributions, draws, expressions, names
from mfdsl.compiler.sema.agent_data import draw_rows
from mfdsl.compiler.sema.context import Context, PlayerScope, VariableSymbol
from mfdsl.compiler.sema.dependencies import draw_order, names_in, report_cycle
from mfdsl.compiler.sema.members import is_table
from mfdsl.compiler.sema.suggestions import between
from mfdsl.compiler.sema.values import Env, Poison
from mfdsl.compiler.syntax import ast


@dataclass(slots=True)
class Start:
    """What is drawn at t = 0: the probability or the value of each variable, and the draws."""

    initial: dict[str, int]
    start: dict[str, int]
    draws: list[NoiseVariable]
    drawn: frozenset[str]

    def __contains__(self, name: str) -> bool:
        return name in self.initial or name in self.start


def lower_start(ctx: Context, scope: PlayerScope) -> Start:
    """Lower the laws and values at t = 0 of all traits and states."""
    found = Start({}, {}, [], frozenset())
    given = draw_rows(ctx, scope)
    if given is not None:
        found.start |= given[0]
        found.draws.append(given[1])
        found.drawn |= given[0].keys()
    for kind, symbols in ((ast.Trait, scope.traits), (ast.State, scope.states)):
        declared = {
            m.name.name: (m, law)
            for m in scope.declaration.members
            if isinstance(m, kind) and m.name.name in symbols and (law := _law(m)) is not None
        }
        needs = {n: names_in(law, scope.members) for n, (_, law) in declared.items()}
        for name in draw_order(needs):
            env = scope.env(
                "start", f"the initial `{name}`", drawn=found.drawn, target=symbols[name].type
            )
            _lower(ctx, env, *declared[name], symbols[name], found)
            found.drawn |= {name}
    return found


def _law(member: ast.State | ast.Trait) -> ast.Expr | None:
    """What is written behind `=` or `~`; nothing is for a trait from a file."""
    return member.law if isinstance(member, ast.Trait) else member.initial


def _lower(
    ctx: Context,
    env: Env,
    member: ast.State | ast.Trait,
    law: ast.Expr,
    symbol: VariableSymbol,
    found: Start,
) -> None:
    name, target = symbol.name, symbol.type
    given = isinstance(member, ast.State) and not member.drawn
    if given and distributions.drawn_from(ctx, env, law) is not None:
        words = f"write `state {name} : {ctx.written(member.type.span)} ~ {ctx.written(law.span)}`"
        ctx.error(
            "MFG207",
            f"the initial value of `{name}` is a distribution",
            law.span,
            "drawn, not given",
            helps=[between(member.type.span, law.span, " ~ ", words)],
        )
        return
    if is_table(target):
        leaf = names.leaf(ctx, env, symbol.kind, name, target)
        density = distributions.density(ctx, env, law, leaf, target)
        if not isinstance(density, Poison):
            found.initial[name] = density.node
    elif given:
        value = expressions.lower(ctx, env, law)
        fitted = draws.fitted_real(ctx, env, value, target, law.span)
        if not isinstance(fitted, Poison):
            found.start[name] = fitted.node
    else:
        drawn = draws.draw(ctx, env, law, target, name, "draw")
        if not isinstance(drawn, Poison):
            found.start[name] = drawn[0].node
            found.draws += drawn[1]


def state_variables(
    ctx: Context, scope: PlayerScope, start: Start, nexts: Mapping[str, int]
) -> tuple[StateVariable, ...]:
    """The states that are drawn and updated without an error."""
    return tuple(
        _variable(ctx, scope.states[m.name.name], m.doc, start, nexts[m.name.name])
        for m in scope.declaration.members
        if isinstance(m, ast.State) and m.name.name in start and m.name.name in nexts
    )


def trait_variables(ctx: Context, scope: PlayerScope, start: Start) -> tuple[StateVariable, ...]:
    """The traits that are drawn without an error."""
    return tuple(
        _variable(ctx, scope.traits[m.name.name], m.doc, start, None)
        for m in scope.declaration.members
        if isinstance(m, ast.Trait) and m.name.name in start
    )


def _variable(
    ctx: Context, symbol: VariableSymbol, doc: str, start: Start, next_: int | None
) -> StateVariable:
    return StateVariable(
        name=symbol.name,
        type=ctx.builder.type_index(symbol.type),
        doc=doc,
        initial=start.initial.get(symbol.name),
        start=start.start.get(symbol.name),
        next=next_,
    )


def drawing_order(ctx: Context) -> dict[str, int]:
    """The place of each player in the order in which states are drawn; circles are reported."""
    needs = {name: {b for a, b in ctx.start_reads if a == name} for name in ctx.players}
    order = draw_order(needs)
    place = {name: position for position, name in enumerate(order)}
    late = [(a, b) for a, b in ctx.start_reads if place[b] > place[a]]
    if late:
        _report_circle(ctx, needs, late[0])
    return place


def _report_circle(ctx: Context, needs: Mapping[str, set[str]], edge: tuple[str, str]) -> None:
    """Report the shortest way back along the reads at t = 0."""
    goal, path = edge[0], [edge[1]]
    ways: list[list[str]] = [path]
    while ways and ways[0][-1] != goal:
        way = ways.pop(0)
        ways += [[*way, name] for name in sorted(needs[way[-1]]) if name not in way]
    if not ways:
        return
    circle = [goal, *ways[0][:-1]]
    first = min(range(len(circle)), key=lambda i: list(ctx.players).index(circle[i]))
    circle = circle[first:] + circle[:first]
    places = [
        (name, ctx.start_reads[name, circle[(i + 1) % len(circle)]])
        for i, name in enumerate(circle)
    ]
    report_cycle(
        ctx.sink,
        places,
        "MFG601",
        "need each other to be drawn at t = 0",
        "give one of them an initial value that does not read the others",
    )
