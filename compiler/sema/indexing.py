"""Brackets: `rooms[3, 4]`, `rates[i, j]`, `pts[k]`, `mu[x]`, `truck[0]`."""

from collections.abc import Sequence
from dataclasses import replace

from mfdsl.compiler.diagnostics import Edit, Help
from mfdsl.compiler.ir.spaces import GridSpace
from mfdsl.compiler.ir.types import INT, REAL, Type
from mfdsl.compiler.sema import expressions, graphs, masses, names, player_parts
from mfdsl.compiler.sema.context import Context, ParameterSymbol, VariableSymbol
from mfdsl.compiler.sema.operators import describe, found, to_real
from mfdsl.compiler.sema.suggestions import insertion
from mfdsl.compiler.sema.values import (
    POISON,
    Env,
    FamilyName,
    GraphName,
    GridName,
    Handle,
    Items,
    Mapped,
    MemberPick,
    Peer,
    PlayerName,
    Poison,
    PopulationName,
    Term,
    Value,
    WeightsName,
)
from mfdsl.compiler.sema.weights import lower_weight
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast


def lower_index(ctx: Context, env: Env, expr: ast.Index) -> Value:
    """`base[i, j]` and `mu[x]`, `mu[h = I]`."""
    base = _indexed_base(ctx, env, expr)
    if isinstance(base, Handle):
        return masses.mass(ctx, env, base.player, expr)
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
            f"agents of a population have no names, `{ctx.written(expr.span)}` cannot be written",
            expr.span,
            "single agents cannot be addressed",
            helps=[f"use `mean(q.{ctx.first_state(base.name)} for q in {base.name})`"],
        )
    if isinstance(base, PlayerName):
        place = expr.base.span
        rest = Edit(Span(place.file, place.end, expr.span.end), "")
        return ctx.error(
            "MFG202",
            f"`{base.name}` is {player_parts.player_words(ctx, base)}, it has no index",
            expr.span,
            "not a family",
            helps=[Help(f"write `{base.name}`", (rest,), applicable=True)],
        )
    if isinstance(base, FamilyName):
        return _family_member(ctx, env, base, expr)
    if isinstance(base, WeightsName):
        return lower_weight(ctx, env, base, expr)
    if isinstance(base, GraphName):
        return graphs.entry_of(ctx, base.graph, expr)
    if isinstance(base, GridName):
        return _cell(ctx, env, base.space, expr)
    return _element(ctx, env, base, expr)


def _family_member(ctx: Context, env: Env, family: FamilyName, expr: ast.Index) -> Value:
    if len(expr.indices) != 1:
        return ctx.error(
            "MFG202",
            f"`{family.name}` takes 1 index, got {len(expr.indices)}",
            expr.span,
            f"{len(expr.indices)} here",
        )
    hint = replace(env, target=family.axis)
    index = expressions.lower(ctx, hint, expr.indices[0].value)
    return player_parts.family_member(ctx, env, family, index, expr)


def _indexed_base(ctx: Context, env: Env, expr: ast.Index) -> Value:
    base, shown = expr.base, ctx.written(expr.indices[0].value.span)
    if isinstance(base, ast.Name) and names.find(ctx, env, base.name) is None:
        owners = names.handle_owners(ctx, base.name)
        if owners:
            return ctx.error(
                "MFG103",
                f"`{base.name}` belongs to " + " and ".join(f"`{owner.name}`" for owner in owners),
                base.span,
                "which law is meant?",
                helps=[
                    f"write `prob(q.{state} == {shown} for q in {owner.name})`"
                    for owner in owners[:2]
                    for state in [ctx.first_state(owner.name)]
                ],
            )
        population = _population_near(ctx, env)
        if base.name in ("mu", "μ") and population is not None:
            return _no_handle(ctx, population, base)
    return expressions.lower(ctx, env, base)


def _no_handle(ctx: Context, population: ast.Player, base: ast.Name) -> Poison:
    name, head = population.name.name, population.name.span
    end = population.family.span if population.family is not None else head
    written = f"{name}[...]" if population.family is not None else name
    words = f"write `population {written} as {base.name}`"
    return ctx.error(
        "MFG106",
        f"`{base.name}` is not declared; `population {name}` has no handle",
        base.span,
        "which law?",
        also=[(head, "declared here without a handle")],
        helps=[insertion(end, f" as {base.name}", words)],
    )


def _population_near(ctx: Context, env: Env) -> ast.Player | None:
    """The population whose law is meant here: the one around, or the only one."""
    here = ctx.scope(env)
    populations = [s for s in ctx.players.values() if s.kind == "population"]
    if here is not None and here.kind == "population":
        return here.declaration
    return populations[0].declaration if len(populations) == 1 else None


def _positions(
    ctx: Context,
    env: Env,
    expr: ast.Index,
    axes: Sequence[Type | None],
    owner: str,
    *,
    partly: bool = False,
) -> list[Term] | None:
    """The indices as positions from 0, one for each axis, with their bounds obliged.

    With `partly`, the last axes may be left out.
    """
    few = len(expr.indices) < len(axes)
    if len(expr.indices) > len(axes) or (few and not partly):
        many = "index" if len(axes) == 1 else "indices"
        ctx.error(
            "MFG202",
            f"{owner} takes {len(axes)} {many}, got {len(expr.indices)}",
            expr.span,
            f"{len(expr.indices)} here",
        )
        return None
    terms = []
    for argument, axis in zip(expr.indices, axes, strict=not partly):
        hint = replace(env, target=axis) if axis is not None else env
        value = expressions.lower(ctx, hint, argument.value)
        if not isinstance(value, Term):
            if not isinstance(value, Poison):
                ctx.error("MFG201", f"expected an index, found {found(value)}", argument.span)
            return None
        if not _fits_axis(ctx, value, axis, argument.value.span, owner):
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


def _fits_axis(ctx: Context, value: Term, axis: Type | None, span: Span, owner: str) -> bool:
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
        helps=_of_a_set(value, axis, owner),
    )
    return False


def _of_a_set(value: Term, axis: Type | None, owner: str) -> list[str]:
    """How an array that takes positions is declared so that it takes elements of a set."""
    of_a_set = value.type.kind in ("enum", "cell", "move", "node", "link")
    if axis is None or axis.kind != "int" or axis.hi is None or not of_a_set:
        return []
    kind = value.type.name if value.type.kind == "enum" else f"{value.type.name}.{value.type.kind}"
    return [
        f"{owner} is declared with the size {axis.hi + 1} here and takes positions 0..{axis.hi};"
        f" declare it with `{kind}` in place of {axis.hi + 1}, as in `real[{kind}]`"
    ]


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
    terms = _positions(ctx, env, expr, axes, f"`{name}`", partly=True)
    if terms is None:
        return POISON
    kept = _element_type(base.type, terms)
    return ctx.node("element", (base.node, *(t.node for t in terms)), kept, expr.span)


def _element_type(type: Type, terms: Sequence[Term]) -> Type:
    """The type of an entry, or of the rest of an array when some axes are left."""
    rest = type.dims[len(terms) :]
    if rest:
        return type.model_copy(update={"dims": rest})
    if type.kind in ("real", "int") and not type.periodic:
        return INT if type.kind == "int" else REAL
    return type.scalar


def _array_axes(ctx: Context, env: Env, base: ast.Expr, dims: tuple[int, ...]) -> tuple[Type, ...]:
    """The index types of an array: as declared, else positions from 0."""
    symbol: object = names.find(ctx, env, base.name) if isinstance(base, ast.Name) else None
    if isinstance(base, ast.Field):
        symbol = _declared_part(ctx, env, base)
    if isinstance(base, ast.Index) and isinstance(base.base, ast.Name):  # `C[g][k]`
        symbol = names.find(ctx, env, base.base.name)
    if isinstance(symbol, ParameterSymbol | VariableSymbol):
        taken = len(base.indices) if isinstance(base, ast.Index) else 0
        if len(symbol.axes) - taken == len(dims):
            return symbol.axes[taken:]
    return tuple(Type(kind="int", lo=0, hi=n - 1) for n in dims)


def _declared_part(ctx: Context, env: Env, field: ast.Field) -> object:
    """The variable that `q.v` or `truck[0].v` names."""
    owner = expressions.lower(ctx, env, field.base)
    player: str | None = None
    if isinstance(owner, Peer):
        player = owner.player
    elif isinstance(owner, PlayerName):
        player = owner.name
    elif isinstance(owner, MemberPick):
        player = owner.family.members[0]
    return None if player is None else ctx.players[player].members.get(field.name.name)


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
