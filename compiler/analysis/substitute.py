"""Copies of expressions with other nodes in the place of some leaves."""

from collections.abc import Mapping, Sequence

from mfdsl.compiler.analysis.counted import count
from mfdsl.compiler.analysis.enclosure import Facts
from mfdsl.compiler.ir.model import Node
from mfdsl.compiler.ir.types import REAL, Type
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
            facts.endless,
        )
        self._known: dict[tuple[object, ...], int] = {}

    def add(self, op: str, args: tuple[int, ...], attr: object, type: int) -> int:
        """A node, old or new."""
        key = (op, args, attr, type)
        if key not in self._known:
            self.nodes.append(Node(op=op, args=args, attr=attr, type=type))  # type: ignore[arg-type]
            self._known[key] = len(self.nodes) - 1
        return self._known[key]

    def product(self, factors: Sequence[int]) -> int:
        """The node of a product of real numbers, 1 without factors."""
        if not factors:
            return self.add("const", (), 1.0, self.type_place(REAL))
        if len(factors) == 1:
            return factors[0]
        return self.add("mul", tuple(factors), None, self.nodes[factors[0]].type)

    def total(self, parts: Sequence[int]) -> int:
        """The node of a sum of some numbers."""
        if len(parts) == 1:
            return parts[0]
        return self.add("add", tuple(parts), None, self.nodes[parts[0]].type)

    def less(self, one: int, other: int) -> int:
        """The node of a difference."""
        kind = self.nodes[one].type
        return self.add("add", (one, self.add("neg", (other,), None, kind)), None, kind)

    def type_place(self, type: Type) -> int:
        """The place of a type, which is added if it is new."""
        if type not in self.types:
            self.types.append(type)
        return self.types.index(type)

    def const(self, value: float | int, like: int) -> int:
        """A constant of the type of the node `like`."""
        return self.add("const", (), value, self.nodes[like].type)

    def replaced(self, root: int, instead: Mapping[int, int]) -> int:
        """The expression with other nodes in the place of some."""
        known = dict(instead)
        for i in reachable(self.nodes, [root]):
            if i in known:
                continue
            count(1)
            node = self.nodes[i]
            args = tuple(known[a] for a in node.args)
            known[i] = i if args == node.args else self.add(node.op, args, node.attr, node.type)
        return known[root]
