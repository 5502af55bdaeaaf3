"""`w2(drone.pos, market.user)`: how far a population is from a cloud of points."""

from dataclasses import replace

from mfdsl.compiler.ir.types import REAL
from mfdsl.compiler.ir.walk import OWN, reachable
from mfdsl.compiler.sema import expressions
from mfdsl.compiler.sema.binders import depth_named
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.masses import mean_field_allowed
from mfdsl.compiler.sema.operators import describe, found
from mfdsl.compiler.sema.player_parts import peer_part
from mfdsl.compiler.sema.population_means import lower_population
from mfdsl.compiler.sema.values import POISON, Env, Peer, Poison, PopulationName, Term, Value
from mfdsl.compiler.sema.vectors import as_array
from mfdsl.compiler.syntax import ast


def lower_w2(ctx: Context, env: Env, expr: ast.Call) -> Value:
    """The squared 2-Wasserstein distance from the law of a vector to equal masses on rows."""
    cloud, points = (argument.value for argument in expr.arguments)
    population = _population(ctx, env, cloud)
    if isinstance(population, Poison) or not isinstance(cloud, ast.Field):
        return POISON
    target = as_array(ctx, env, expressions.lower(ctx, env, points), points.span)
    if isinstance(target, Poison) or not mean_field_allowed(ctx, env, expr.span):
        return POISON
    inner = replace(env, depth=env.depth + 1, guards=())
    peer = Peer(env.depth, population.name)
    point = peer_part(ctx, inner, peer, cloud.name.name, cloud.name.span)
    if isinstance(point, Poison):
        return POISON
    if not isinstance(point, Term) or point.type.kind != "real" or len(point.type.dims) != 1:
        what = describe(point.type) if isinstance(point, Term) else found(point)
        return ctx.error("MFG201", f"`w2` needs a real vector, found {what}", cloud.span, what)
    dims = target.type.dims if isinstance(target, Term) else ()
    if not isinstance(target, Term) or len(dims) != 2 or dims[1] != point.type.dims[0]:
        what = describe(target.type) if isinstance(target, Term) else found(target)
        length = point.type.dims[0]
        return ctx.error(
            "MFG201",
            f"`w2` needs points of length {length}, found {what}",
            points.span,
            f"must be a `real[n, {length}]`",
        )
    if not _shared(ctx, env, target):
        return ctx.error(
            "MFG206",
            "the points of `w2` are not the same for everybody",
            points.span,
            "differ between members, or along a long sum",
            helps=["read parameters, environments, majors and means here"],
        )
    binder = (env.depth, population.name)
    return ctx.node("w2", (point.node, target.node), REAL, expr.span, binder)


def _shared(ctx: Context, env: Env, points: Term) -> bool:
    """Whether points read nothing of oneself, of a bound member or of an index.

    Modules transport once for each game, not once for each of those.
    """
    nodes = ctx.builder.nodes
    below = [nodes[i] for i in reachable(nodes, [points.node])]
    free = (n for n in below if n.op == "index" or n.op.startswith("peer_"))
    own = any(n.op in (*OWN, "trait", "draw") for n in below)
    return not own and all(depth_named(n) >= env.depth for n in free)


def _population(ctx: Context, env: Env, cloud: ast.Expr) -> PopulationName | Poison:
    """The population `drone` of `drone.pos`, or `flow[g]` of `flow[g].pos`."""
    if isinstance(cloud, ast.Field):
        members = lower_population(ctx, env, cloud.base)
        if isinstance(members, Poison):
            return POISON
        if members is not None:
            ctx.used.add(ctx.players[members[0].name].declaration.name.name)
            return members[0]
    return ctx.error(
        "MFG206",
        "`w2` starts with a variable of a population",
        cloud.span,
        "whose?",
        helps=["write `w2(drone.pos, market.points)`"],
    )
