"""A binder is deeper than those around it: what is put into the body of one moves inwards.

A term may be made before it is known where it will stand: the argument of a function, the array
that a comprehension goes over, a number that is every entry of an array. Beneath a binder of its
own depth it would read well in the interpreter, but what writes the outer binder out would put its
values in the place of the inner variable, too.
"""

from collections.abc import Mapping

from mfdsl.compiler.ir.build import Builder
from mfdsl.compiler.ir.model import Attribute, Node
from mfdsl.compiler.ir.walk import MEMBERS, REDUCTIONS

BINDERS = frozenset((*MEMBERS, *REDUCTIONS, "array_over"))


class Depths:
    """The least depth of a binder at or under each node of a builder, None where there is none."""

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self.least: list[int | None] = []

    def body(self, root: int, depth: int) -> int:
        """The node `root` for the body of a binder of this depth."""
        least = self._least(root)
        fits = least is None or least > depth
        return root if fits else self._moved(root, depth + 1, {})

    def _least(self, root: int) -> int | None:
        nodes, known = self.builder.nodes, self.least
        for node in nodes[len(known) :]:
            below = [d for d in (known[a] for a in node.args) if d is not None]
            own = [depth_named(node)] if node.op in BINDERS else []
            known.append(min((*own, *below), default=None))
        return known[root]

    def _moved(self, root: int, depth: int, places: Mapping[int, int]) -> int:
        """`root` with its binders from `depth` on; `places` has the new depths by the old ones."""
        nodes = self.builder.nodes
        made: dict[int, int] = {}
        for i in self._outside(root):
            node, inner = nodes[i], places
            if node.op in BINDERS:
                own = max(depth_named(node), depth)
                inner = {**places, depth_named(node): own}
                args = [self._moved(a, own + 1, inner) for a in node.args]
            else:
                args = [made[a] for a in node.args]
            attr = _renamed(node, inner)
            same = attr == node.attr and args == list(node.args)
            kind, place = self.builder.types[node.type], self.builder.places[i]
            made[i] = i if same else self.builder.add(node.op, args, attr, kind, place)
        return made[root]

    def _outside(self, root: int) -> list[int]:
        """The nodes under `root` that are in no body of a binder under it, arguments first."""
        seen, stack = {root}, [root]
        while stack:
            node = self.builder.nodes[stack.pop()]
            new = () if node.op in BINDERS else set(node.args) - seen
            seen.update(new)
            stack.extend(new)
        return sorted(seen)


def depth_named(node: Node) -> int:
    """The depth of a binder, or of the binder of a leaf."""
    depth = node.attr[0] if isinstance(node.attr, tuple) else node.attr
    assert isinstance(depth, int)
    return depth


def _renamed(node: Node, places: Mapping[int, int]) -> Attribute:
    """What names a depth, by its new one."""
    bound = node.op in ("index", "weight") or node.op.startswith("peer_")
    if not bound and node.op not in BINDERS:
        return node.attr
    depth = places.get(depth_named(node), depth_named(node))
    return (depth, *node.attr[1:]) if isinstance(node.attr, tuple) else depth
