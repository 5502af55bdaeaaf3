"""Copies of expressions with other nodes in the place of some leaves."""

from collections.abc import Mapping

from mfdsl.compiler.analysis.enclosure import Facts
from mfdsl.compiler.ir.model import Node
from mfdsl.compiler.ir.types import Type
from mfdsl.compiler.ir.walk import reachable


class Copies:
    """New nodes behind those of some facts, equal ones only once. The facts are copied, too."""

    def __init__(self, facts: Facts) -> None:
        self.nodes: list[Node] = list(facts.nodes)
        self.types: list[Type] = list(facts.types)
        self.facts = Facts(
            self.nodes,
            self.types,
            facts.parameters,
            facts.arrays,
            facts.grids,
            facts.last_time,
            facts.names,
        )
        self._known: dict[tuple[object, ...], int] = {}

    def add(self, op: str, args: tuple[int, ...], attr: object, type: int) -> int:
        """A node, old or new."""
        key = (op, args, attr, type)
        if key not in self._known:
            self.nodes.append(Node(op=op, args=args, attr=attr, type=type))  # type: ignore[arg-type]
            self._known[key] = len(self.nodes) - 1
        return self._known[key]

    def const(self, value: float | int, like: int) -> int:
        """A constant of the type of the node `like`."""
        return self.add("const", (), value, self.nodes[like].type)

    def replaced(self, root: int, instead: Mapping[int, int]) -> int:
        """The expression with other nodes in the place of some."""
        known = dict(instead)
        for i in reachable(self.nodes, [root]):
            if i in known:
                continue
            node = self.nodes[i]
            args = tuple(known[a] for a in node.args)
            known[i] = i if args == node.args else self.add(node.op, args, node.attr, node.type)
        return known[root]
