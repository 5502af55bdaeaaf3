"""Points and brackets: `Health.S`, `q.x`, `rooms.E`, `rooms[3, 4]`, `weights[i, j]`, `mu[x]`."""

from collections.abc import Sequence
from dataclasses import replace

from mfdsl.compiler.ir.spaces import GridSpace
from mfdsl.compiler.ir.types import BOOL, INT, REAL, Type
from mfdsl.compiler.sema import expressions, graphs, names
from mfdsl.compiler.sema.context import (
    Context,
    LetSymbol,
    ParameterSymbol,
    PlayerScope,
    VariableSymbol,
)
from mfdsl.compiler.sema.operators import compare, describe, found, to_real
from mfdsl.compiler.sema.suggestions import did_you_mean, insertion
from mfdsl.compiler.sema.values import (
    POISON,
    EnumName,
    Env,
    GraphName,
    GridName,
    Handle,
    Items,
    Mapped,
    Peer,
    Poison,
    PopulationName,
    SetValue,
    Term,
    Value,
)
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast


def lower_field(ctx: Context, env: Env, expr: ast.Field) -> Value:
    """`base.name`."""
    base = expressions.lower(ctx, env, expr.base)
    name, span = expr.name.name, expr.name.span
    if isinstance(base, Poison):
        return POISON
    if isinstance(base, EnumName):
        ctx.used.add(base.type.name or "")
        if name in base.values:
            return ctx.constant(base.values.index(name), base.type)
        return _no_part(ctx, f"enum `{base.type.name}`", name, base.values, span)
    if isinstance(base, GraphName):
        node = graphs.graph_field(ctx, base.graph, name)
        if node is None:
            parts = graphs.graph_parts(base.graph)
            return _no_part(ctx, f"graph `{base.graph.name}`", name, parts, span)
        return node
    if isinstance(base, Term) and base.type.kind in ("link", "node") and not base.type.dims:
        number = graphs.attribute(ctx, base, name, expr.span)
        if number is None:
            owner = f"this {base.type.kind} of `{base.type.name}`"
            return _no_part(ctx, owner, name, graphs.attributes_of(ctx, base), span)
        return number
    if isinstance(base, GridName):
        return _grid_field(ctx, base.space, name, span)
    if isinstance(base, Peer):
        return _peer_field(ctx, env, base, name, span)
    if isinstance(base, PopulationName):
        return ctx.error(
            "MFG401",
            f"`{base.name}` is a population, `{name}` belongs to its members",
            expr.span,
            "whose?",
            helps=[f"average over the members: `mean(q.{name} for q in {base.name})`"],
        )
    return ctx.error("MFG107", f"{found(base)} has no parts", expr.span, f"no `{name}` here")


def _no_part(ctx: Context, owner: str, name: str, parts: Sequence[str], span: Span) -> Poison:
    shown = ", ".join(f"`{part}`" for part in parts[:8]) + (", ..." if len(parts) > 8 else "")
    return ctx.error(
        "MFG107",
        f"{owner} has no `{name}`",
        span,
        f"it has {shown}" if parts else "it has no named parts",
        helps=did_you_mean(name, parts, [span]),
    )


def _grid_field(ctx: Context, space: GridSpace, name: str, span: Span) -> Value:
    ctx.used.add(space.name)
    if name in space.regions:
        return SetValue(space.cell_type, region=(space, name))
    if name in space.move_names:
        return ctx.constant(space.move_names.index(name), space.move_type)
    parts = ["cell", "move", *sorted(space.regions), *space.move_names]
    return _no_part(ctx, f"grid `{space.name}`", name, parts, span)


def _peer_field(ctx: Context, env: Env, peer: Peer, name: str, span: Span) -> Value:
    scope = ctx.players[peer.player]
    symbol = scope.members.get(name)
    seen = replace(
        env,
        player=peer.player,
        view=peer.depth,
        noises=frozenset(),
        purpose="a mean over the population",
    )
    if isinstance(symbol, VariableSymbol):
        return names.variable(ctx, seen, symbol, span)
    if isinstance(symbol, LetSymbol):
        return expressions.lower_let(ctx, seen, symbol, name, span)
    if isinstance(symbol, Poison):
        return POISON
    parts = [n for n, s in scope.members.items() if isinstance(s, VariableSymbol | LetSymbol)]
    return _no_part(ctx, f"`{scope.declaration.name.name}`", name, parts, span)


def lower_index(ctx: Context, env: Env, expr: ast.Index) -> Value:
    """`base[i, j]` and `mu[x]`, `mu[h = I]`."""
    base = _indexed_base(ctx, env, expr.base)
    if isinstance(base, Handle):
        return _mass(ctx, env, base.player, expr)
    named = next((a for a in expr.indices if a.name is not None), None)
    if named is not None and named.name is not None and not isinstance(base, Poison):
        return ctx.error(
            "MFG202", "only a law is indexed by name", named.name.span, "an index has no name"
        )
    if isinstance(base, Poison):
        return POISON
    if isinstance(base, PopulationName):
        return ctx.error(
            "MFG401",
            f"agents of a population have no names, `{base.name}[...]` cannot be written",
            expr.span,
            "single agents cannot be addressed",
            helps=[f"use `mean(... for q in {base.name})`"],
        )
    if isinstance(base, GraphName):
        return graphs.link_of(ctx, base.graph, expr)
    if isinstance(base, GridName):
        return _cell(ctx, env, base.space, expr)
    return _element(ctx, env, base, expr)


def _indexed_base(ctx: Context, env: Env, base: ast.Expr) -> Value:
    if isinstance(base, ast.Name) and base.name in ("mu", "μ"):
        population = _population_near(ctx, env)
        if names.find(ctx, env, base.name) is None and population is not None:
            return ctx.error(
                "MFG106",
                f"`{base.name}` is not declared; `population {population.name.name}` has no handle",
                base.span,
                "which law?",
                also=[(population.name.span, "declared here without a handle")],
                helps=[
                    insertion(
                        population.name.span,
                        f" as {base.name}",
                        f"write `population {population.name.name} as {base.name}`",
                    )
                ],
            )
    return expressions.lower(ctx, env, base)


def _population_near(ctx: Context, env: Env) -> ast.Player | None:
    """The population whose law is meant here: the one around, or the only one."""
    here = ctx.scope(env)
    populations = [s for s in ctx.players.values() if s.kind == "population"]
    if here is not None and here.kind == "population":
        return here.declaration
    return populations[0].declaration if len(populations) == 1 else None


def _positions(
    ctx: Context, env: Env, expr: ast.Index, axes: Sequence[Type | None], owner: str
) -> list[Term] | None:
    """The indices as positions from 0, one for each axis, with their bounds obliged."""
    if len(expr.indices) != len(axes):
        many = "index" if len(axes) == 1 else "indices"
        ctx.error(
            "MFG202",
            f"{owner} takes {len(axes)} {many}, got {len(expr.indices)}",
            expr.span,
            f"{len(expr.indices)} here",
        )
        return None
    terms = []
    for argument, axis in zip(expr.indices, axes, strict=True):
        hint = replace(env, target=axis) if axis is not None else env
        value = expressions.lower(ctx, hint, argument.value)
        if not isinstance(value, Term):
            if not isinstance(value, Poison):
                ctx.error("MFG201", f"expected an index, found {found(value)}", argument.span)
            return None
        if not _fits_axis(ctx, value, axis, argument.value.span):
            return None
        if axis is not None and axis.kind == "int":
            assert axis.hi is not None
            exact = ctx.exact(value)
            if exact is not None and not 0 <= exact <= axis.hi:
                ctx.error(
                    "MFG212",
                    f"index {exact} is outside 0..{axis.hi}",
                    argument.value.span,
                    f"{owner} has positions 0..{axis.hi}",
                )
                return None
            if exact is None:
                ctx.oblige(
                    "index", value, argument.value.span, env, lo=0, hi=float(axis.hi), text=owner
                )
        terms.append(value)
    return terms


def _fits_axis(ctx: Context, value: Term, axis: Type | None, span: Span) -> bool:
    wanted = axis if axis is not None else INT
    if wanted.kind == "int" and value.type.kind == "int":
        return True
    if wanted.kind != "int" and (value.type.kind, value.type.name) == (wanted.kind, wanted.name):
        return True
    ctx.error(
        "MFG201",
        f"expected {describe(wanted)} as index, found {describe(value.type)}",
        span,
        describe(value.type),
    )
    return False


def _cell(ctx: Context, env: Env, space: GridSpace, expr: ast.Index) -> Value:
    ctx.used.add(space.name)
    terms = _positions(ctx, env, expr, (None, None), f"grid `{space.name}`")
    if terms is None:
        return POISON
    exact = [ctx.exact(t) for t in terms]
    if exact[0] is not None and exact[1] is not None:
        code = space.code(int(exact[0]), int(exact[1]))
        height, width = space.grid.height, space.grid.width
        inside = 0 <= exact[0] < height and 0 <= exact[1] < width
        if code is None:
            return ctx.error(
                "MFG303",
                f"`{space.name}[{exact[0]}, {exact[1]}]` is not a free cell",
                expr.span,
                "a wall" if inside else f"the grid has {height} rows and {width} columns",
            )
        return ctx.constant(code, space.cell_type)
    row, column = terms
    if space.grid.periodic:
        rows, columns = ctx.integer(space.grid.height), ctx.integer(space.grid.width)
        row = ctx.node("rem", (row.node, rows.node), INT, expr.span)
        column = ctx.node("rem", (column.node, columns.node), INT, expr.span)
    if not space.grid.periodic or space.grid.rows is not None:
        ctx.oblige("cell", row, expr.span, env, other=column.node, name=space.name)
    return ctx.node("cell", (row.node, column.node), space.cell_type, expr.span, space.name)


def _element(ctx: Context, env: Env, base: Value, expr: ast.Index) -> Value:
    if isinstance(base, Items):
        return _item(ctx, env, base, expr)
    if isinstance(base, Mapped):
        axis = Type(kind="int", lo=0, hi=base.size - 1)
        terms = _positions(ctx, env, expr, (axis,), "the array")
        return POISON if terms is None else base.at(terms[0].node, env.depth)
    if not isinstance(base, Term) or not base.type.dims:
        return ctx.error(
            "MFG202", f"{found(base)} cannot be indexed", expr.base.span, "not an array"
        )
    axes = _array_axes(ctx, env, expr.base, base.type.dims)
    name = expr.base.name if isinstance(expr.base, ast.Name) else "the array"
    terms = _positions(ctx, env, expr, axes, f"`{name}`")
    if terms is None:
        return POISON
    kind = INT if base.type.kind == "int" else REAL
    return ctx.node("element", (base.node, *(t.node for t in terms)), kind, expr.span)


def _array_axes(ctx: Context, env: Env, base: ast.Expr, dims: tuple[int, ...]) -> tuple[Type, ...]:
    symbol = names.find(ctx, env, base.name) if isinstance(base, ast.Name) else None
    if isinstance(symbol, ParameterSymbol):
        return symbol.axes
    return tuple(Type(kind="int", lo=0, hi=n - 1) for n in dims)


def _item(ctx: Context, env: Env, base: Items, expr: ast.Index) -> Value:
    """An element of a written list; `[[...], [...]][i, j]` goes one level for each index."""
    axis = Type(kind="int", lo=0, hi=len(base.items) - 1)
    first = replace(expr, indices=expr.indices[:1])
    terms = _positions(ctx, env, first, (axis,), "the list")
    if terms is None:
        return POISON
    exact = ctx.exact(terms[0])
    if len(expr.indices) > 1:
        inner = [i for i in base.items if isinstance(i, Items)]
        if exact is None or len(inner) < len(base.items):
            return ctx.error(
                "MFG202",
                "a list of lists is indexed by constants only",
                expr.span,
                "not known before the run",
                helps=["make it a `param` of type `real[n, m]`"],
            )
        return _item(ctx, env, inner[int(exact)], replace(expr, indices=expr.indices[1:]))
    if exact is not None:
        return base.items[int(exact)]
    scalars = [i for i in base.items if isinstance(i, Term) and i.type.numeric]
    if len(scalars) < len(base.items):
        return ctx.error("MFG202", "the list holds something other than numbers", expr.span)
    real = any(s.type.kind == "real" for s in scalars)
    nodes = [(to_real(ctx, s) if real else s).node for s in scalars]
    kind = REAL if real else INT
    array = ctx.node("vector", nodes, Type(kind=kind.kind, dims=(len(nodes),)), expr.span)
    return ctx.node("element", (array.node, terms[0].node), kind, expr.span)


def _mass(ctx: Context, env: Env, player: str, expr: ast.Index) -> Value:
    """`mu[x]`: the mass of the members whose states (or named states and actions) are these."""
    ctx.used.add(expr.base.name if isinstance(expr.base, ast.Name) else "")
    pairs = _mass_pairs(ctx, ctx.players[player], expr)
    if pairs is None:
        return POISON
    if not mean_field_allowed(ctx, env, expr.span):
        return POISON
    parts = []
    for symbol, value_expr in pairs:
        ctx.used.add(symbol.name)
        value = expressions.lower(
            ctx, replace(env, target=symbol.type, depth=env.depth), value_expr
        )
        if not isinstance(value, Term):
            if not isinstance(value, Poison):
                ctx.error("MFG201", f"expected a value, found {found(value)}", value_expr.span)
            return POISON
        peer = ctx.node(f"peer_{symbol.kind}", (), symbol.type, None, (env.depth, symbol.name))
        part = compare(ctx, "==", peer, value, value_expr.span)
        if isinstance(part, Poison):
            return POISON
        parts.append(part.node)
    condition = ctx.node("and", parts, BOOL, expr.span) if len(parts) > 1 else Term(parts[0], BOOL)
    return probability(ctx, env, player, condition, expr.span)


def _many(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _mass_pairs(
    ctx: Context, scope: PlayerScope, expr: ast.Index
) -> list[tuple[VariableSymbol, ast.Expr]] | None:
    named = [a for a in expr.indices if a.name is not None]
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
                helps=[f"write `mu[{next(iter(scope.states))} = ...]` for a marginal"]
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
            _no_part(ctx, "the law", name, [*scope.states, *scope.actions], argument.name.span)
            return None
        pairs.append((symbol, argument.value))
    return pairs


def mean_field_allowed(ctx: Context, env: Env, span: Span) -> bool:
    """Whether the law may be read here; reports when not."""
    if env.static:
        ctx.error(
            "MFG211", "the law is not known before the run", span, "depends on the population"
        )
        return False
    if not env.mean_field:
        starts = env.states is not None
        ctx.error(
            "MFG105",
            f"the law cannot be read by {env.purpose}",
            span,
            "nobody has a state yet" if starts else "what is legal depends on oneself and `t` only",
        )
        return False
    return True


def probability(ctx: Context, env: Env, player: str, condition: Term, span: Span) -> Term:
    """`prob(condition)`: the mean of the indicator over the law."""
    hit = to_real(ctx, ctx.node("ind", (condition.node,), INT, span))
    return ctx.node("mean", (hit.node,), REAL, span, (env.depth, player))
