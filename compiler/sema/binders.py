"""Expressions that are put into the body of a binder: their own binders move inwards."""

from mfdsl.compiler.ir.model import Attribute, Node
from mfdsl.compiler.ir.walk import MEMBERS, REDUCTIONS, reachable
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.values import Term

BINDERS = (*MEMBERS, *REDUCTIONS, "array_over")


def inside(ctx: Context, term: Term, depth: int, binders: int = 1) -> Term:
    """A term that was made at `depth`, for the body of as many binders that start there.

    Beneath a binder of the same depth it would read well in the interpreter, but what writes the
    outer binder out would put its values in the place of the inner variable, too.
    """
    nodes = ctx.builder.nodes
    below = reachable(nodes, [term.node])
    if not any(nodes[i].op in BINDERS for i in below):
        return term
    made: dict[int, int] = {}
    for i in below:
        node = nodes[i]
        args, attr = [made[a] for a in node.args], _moved(node, depth, binders)
        kind, place = ctx.builder.types[node.type], ctx.builder.places[i]
        same = attr == node.attr and args == list(node.args)
        made[i] = i if same else ctx.builder.add(node.op, args, attr, kind, place)
    return Term(made[term.node], term.type)


def _moved(node: Node, depth: int, binders: int) -> Attribute:
    """What names the depth of a binder, or of what it binds, moved if it is not further out."""
    attr = node.attr
    if node.op == "index" or node.op in (*REDUCTIONS, "array_over"):
        assert isinstance(attr, int)
        return attr + binders if attr >= depth else attr
    if node.op in MEMBERS or node.op.startswith("peer_") or node.op == "weight":
        assert isinstance(attr, tuple)
        first, *rest = attr
        assert isinstance(first, int)
        return (first + binders, *rest) if first >= depth else attr
    return attr
