"""Points: `Health.S`, `rooms.E`, `city.A`, `e.t0`, `q.x`, `truck[0].y`."""

from mfdsl.compiler.ir.spaces import GridSpace
from mfdsl.compiler.sema import expressions, graphs, player_parts
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.operators import found
from mfdsl.compiler.sema.player_parts import no_part
from mfdsl.compiler.sema.values import (
    POISON,
    EnumName,
    Env,
    FamilyName,
    GraphName,
    GridName,
    MemberPick,
    Peer,
    PlayerName,
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
        return no_part(ctx, f"enum `{base.type.name}`", name, base.values, span)
    if isinstance(base, GraphName):
        node = graphs.graph_field(ctx, base.graph, name)
        if node is None:
            parts = graphs.graph_parts(base.graph)
            return no_part(ctx, f"graph `{base.graph.name}`", name, parts, span)
        return node
    if isinstance(base, Term) and base.type.kind in ("link", "node") and not base.type.dims:
        number = graphs.attribute(ctx, base, name, expr.span)
        if number is None:
            owner = f"this {base.type.kind} of `{base.type.name}`"
            return no_part(ctx, owner, name, graphs.attributes_of(ctx, base), span)
        return number
    if isinstance(base, GridName):
        return _grid_field(ctx, base.space, name, span)
    if isinstance(base, Peer):
        return player_parts.peer_part(ctx, env, base, name, span)
    if isinstance(base, PlayerName):
        return player_parts.common_part(ctx, env, base.name, expr)
    if isinstance(base, MemberPick):
        return player_parts.picked_part(ctx, env, base, expr)
    if isinstance(base, FamilyName):
        return player_parts.family_part(ctx, base, name, expr.span)
    if isinstance(base, PopulationName):
        return player_parts.population_part(ctx, env, base, name, expr.span)
    return ctx.error("MFG107", f"{found(base)} has no parts", expr.span, f"no `{name}` here")


def _grid_field(ctx: Context, space: GridSpace, name: str, span: Span) -> Value:
    ctx.used.add(space.name)
    if name in space.regions:
        return SetValue(space.cell_type, region=(space, name))
    if name in space.move_names:
        return ctx.constant(space.move_names.index(name), space.move_type)
    parts = ["cell", "move", *sorted(space.regions), *space.move_names]
    return no_part(ctx, f"grid `{space.name}`", name, parts, span)
