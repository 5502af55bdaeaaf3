"""`w[q]`: the weight that an agent gives to a member, as a factor of what a mean averages."""

from collections.abc import Sequence

from mfdsl.compiler.ir.model import Node
from mfdsl.compiler.ir.types import Type
from mfdsl.compiler.ir.walk import depth_of, reachable
from mfdsl.compiler.sema import expressions
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.operators import found
from mfdsl.compiler.sema.values import OWN, POISON, Env, Peer, Poison, Term, WeightsName
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast


def lower_weight(ctx: Context, env: Env, weights: WeightsName, expr: ast.Index) -> Term | Poison:
    """`w[q]` with the member `q` that a mean over the population binds."""
    name, player = weights.name, weights.player
    block = ctx.players[player].declaration.name.name
    ctx.read.add((block, name))
    first = expr.indices[0].value
    if len(expr.indices) != 1:
        count = len(expr.indices)
        return ctx.error(
            "MFG202", f"`{name}` takes 1 index, got {count}", expr.span, "one member is enough"
        )
    index = expressions.lower(ctx, env, first)
    if isinstance(index, Poison):
        return POISON
    if not isinstance(index, Peer) or index.player != player:
        return ctx.error(
            "MFG202",
            f"`{name}` is indexed by a member of `{player}`, found"
            f" {f'a member of `{index.player}`' if isinstance(index, Peer) else found(index)}",
            first.span,
            "not such a member",
            helps=[f"write `mean({name}[q] * q.{ctx.first_state(player)} for q in {player})`"],
        )
    if env.view != OWN or env.player != env.reader:
        return ctx.error(
            "MFG105",
            f"`{ctx.written(expr.span)}` is a weight of another agent here",
            expr.span,
            "each agent reads its own weights",
            helps=["average what does not read weights"],
        )
    type = Type(kind="real", lo=weights.lo, hi=weights.hi)
    return ctx.node("weight", (), type, expr.span, (index.depth, player, name))


def weights_fit(
    ctx: Context, depth: int, body: Term, others: Sequence[Term], span: Span, function: str
) -> bool:
    """Whether weights at `depth` are factors of a `mean`, and occur nowhere else; reports when not.

    `others` are parts of the comprehension in which no weight may occur, such as its condition. A
    weighted mean reads no member that is bound further out: it would be a sum over pairs of pairs.
    """
    if not any(scope.agents.tables for scope in ctx.players.values()):
        return True
    nodes = ctx.builder.nodes
    parts = [body.node, *(term.node for term in others)]
    inside = _holding(nodes, parts, depth)
    if not inside:
        return True
    wrong = [part for part in parts[1:] if part in inside]
    waiting = [body.node] if body.node in inside else []
    if function != "mean" or _nested(nodes, parts, depth):
        wrong, waiting = [*waiting, *wrong], []
    while waiting and not wrong:
        i = waiting.pop()
        node = nodes[i]
        held = [a for a in node.args if a in inside]
        if node.op in ("neg", "add") or (node.op == "mul" and len(held) == 1):
            waiting += held
        elif (node.op == "div" or node.op == "if") and node.args[node.op == "div"] not in inside:
            waiting += held
        elif node.op != "weight":
            wrong.append(i)
    if not wrong:
        return True
    _misplaced(ctx, wrong[0], depth, span)
    return False


def _holding(nodes: Sequence[Node], parts: Sequence[int], depth: int) -> set[int]:
    """The nodes below some parts that depend on a weight at `depth`."""
    found: set[int] = set()
    for i in reachable(nodes, parts):
        node = nodes[i]
        here = node.op == "weight" and depth_of(node) == depth
        if here or any(a in found for a in node.args):
            found.add(i)
    return found


def _nested(nodes: Sequence[Node], parts: Sequence[int], depth: int) -> bool:
    """Whether some parts read a member that is bound further out than `depth`."""
    below = (nodes[i] for i in reachable(nodes, parts))
    return any(node.op.startswith("peer_") and depth_of(node) < depth for node in below)


def _misplaced(ctx: Context, part: int, depth: int, span: Span) -> None:
    nodes = ctx.builder.nodes
    found = (i for i in reachable(nodes, [part]) if nodes[i].op == "weight")
    index = next(i for i in found if depth_of(nodes[i]) == depth)
    place, attr = ctx.builder.places[index], nodes[index].attr
    where = span if place is None else Span(place.file, place.start, place.end)
    assert isinstance(attr, tuple)
    ctx.error(
        "MFG407",
        f"the weight `{attr[2]}` is no factor of what is averaged",
        where,
        "not multiplied with a value of the member",
        helps=[
            f"write `mean({attr[2]}[q] * q.{ctx.first_state(str(attr[1]))} for q in {attr[1]})`,"
            " with all else beside it"
        ],
    )
