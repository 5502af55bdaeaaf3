"""Long vectors whose items differ in their place only become one expression over an index.

`[f(pos[k]) for k in 0..4]` reaches the arena item by item. As one expression along an axis it takes
as many tensor operations as a single item does.
"""

from collections.abc import Sequence

from mfdsl.compiler.backend.particles.arena import Arena
from mfdsl.compiler.backend.particles.rewrite import SMALL
from mfdsl.compiler.ir.types import Type
from mfdsl.compiler.ir.walk import reachable


def rolled(arena: Arena, root: int) -> int:
    """The same value, with one body for the items of every long vector that has one."""
    nodes = arena.builder.nodes

    def rule(index: int) -> int | None:
        node = nodes[index]
        if node.op != "vector" or len(node.args) <= SMALL:
            return None
        return _array(arena, node.args, arena.type_of(index))

    return arena.rebuilt(root, rule)


def _array(arena: Arena, items: Sequence[int], type: Type) -> int | None:
    """The items as one body over an index, or None where they have nothing in common."""
    nodes = arena.builder.nodes
    taken = {nodes[i].attr for i in reachable(nodes, items) if nodes[i].op == "index"}
    index = arena.place_index(len(items), taken)
    body = _Body(arena, index).of(tuple(items))
    if body is None or body in items or nodes[body].op == "element":
        return None
    return arena.add("array_over", (body, index), nodes[index].attr, type)


class _Body:
    """The expression that is item k where the index is k."""

    def __init__(self, arena: Arena, index: int) -> None:
        self.arena = arena
        self.index = index
        self._known: dict[tuple[int, ...], int | None] = {}

    def of(self, items: tuple[int, ...]) -> int | None:
        """One node for nodes that differ in their place only, None for others."""
        if len(set(items)) == 1:
            return items[0]
        if items not in self._known:
            self._known[items] = self._made(items)
        return self._known[items]

    def _made(self, items: tuple[int, ...]) -> int | None:
        arena = self.arena
        nodes = [arena.node(i) for i in items]
        first, type = nodes[0], arena.type_of(items[0])
        if first.op == "const":
            places = [arena.builder.exact(i) for i in items]
            whole = type.kind == "int" and not type.dims
            return self.index if whole and places == list(range(len(items))) else None
        alike = all(
            (n.op, n.attr, len(n.args)) == (first.op, first.attr, len(first.args)) for n in nodes
        )
        if not alike or not first.args or any(arena.type_of(i) != type for i in items):
            return None
        parts = [self.of(column) for column in zip(*(n.args for n in nodes), strict=True)]
        if any(part is None for part in parts):
            return None
        return arena.add(first.op, [p for p in parts if p is not None], first.attr, type)
