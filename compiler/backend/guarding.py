"""Operands that a condition keeps away from where a function has no value.

Emitted code works out both branches of `if m > 0 then x / m else 0` and chooses afterwards. The
value is right, but the slope of the branch that is not chosen is 0 times infinity at m = 0, which
is no number. So that branch reads `if m > 0 then m else 1` in the place of m.
"""

from collections.abc import Callable, Sequence

from mfdsl.compiler.ir.build import Builder
from mfdsl.compiler.ir.types import BOOL
from mfdsl.compiler.ir.walk import Leaves, reachable

# The argument that may leave the domain of a function or of its slope.
PLACES = {"div": 1, "log": 0, "sqrt": 0, "pow": 0}

LeavesOf = Callable[[], Sequence[Leaves]]


class Guard:
    """Guards operands that depend on a law in an arena; `leaves` tells those of its nodes."""

    def __init__(self, builder: Builder, leaves: LeavesOf) -> None:
        self._builder = builder
        self._leaves = leaves
        self._lawful: list[bool] = []  # whether a node reads a law
        self._risky: list[bool] = []  # whether such an operand is in it

    def chosen(self, args: Sequence[int]) -> list[int]:
        """The arguments of an `if`, with operands of its branches guarded by its condition."""
        condition, one, other = args
        return [
            condition,
            self._kept(one, self._parts(condition, positive=True)),
            self._kept(other, self._parts(condition, positive=False)),
        ]

    def safe(self, operand: int, conditions: Sequence[int]) -> int:
        """The operand, or 1 where one of the conditions does not hold."""
        if not conditions:
            return operand
        both = self._builder.add("and", list(conditions), None, BOOL)
        one = self._builder.const(1)
        return self._builder.add("if", [both, operand, one], None, self._builder.type_of(one))

    def _kept(self, root: int, conditions: Sequence[int]) -> int:
        """The node with guarded operands; conditions that vary with more than these are left out,
        so that nothing is worked out more often than before.
        """
        self._look()
        if not self._risky[root]:
            return root
        leaves = self._leaves()
        nodes, at = self._builder.nodes, dict[int, int]()
        for old in reachable(nodes, [root]):
            if not self._risky[old]:
                continue
            node = nodes[old]
            args = [at.get(i, i) for i in node.args]
            if (inner := self._operand(old)) is not None:
                fitting = [c for c in conditions if _within(leaves[c], leaves[inner])]
                args[PLACES[node.op]] = self.safe(args[PLACES[node.op]], fitting)
            if args != list(node.args):
                at[old] = self._builder.add(node.op, args, node.attr, self._builder.type_of(old))
        return at.get(root, root)

    def _operand(self, at: int) -> int | None:
        """The operand of a node that needs a guard."""
        node = self._builder.nodes[at]
        if node.op not in PLACES or not self._lawful[node.args[PLACES[node.op]]]:
            return None
        if node.op == "pow" and (self._builder.exact(node.args[1]) or 0) >= 1:
            return None
        return node.args[PLACES[node.op]]

    def _look(self) -> None:
        """Learn what is new in the arena."""
        for at in range(len(self._risky), len(self._builder.nodes)):
            node = self._builder.nodes[at]
            self._lawful.append(node.op == "table" or any(self._lawful[i] for i in node.args))
            found = self._operand(at) is not None
            self._risky.append(found or any(self._risky[i] for i in node.args))

    def _parts(self, condition: int, *, positive: bool) -> list[int]:
        """Conditions that hold together where one does, or where it does not."""
        node = self._builder.nodes[condition]
        if node.op == "not":
            return self._parts(node.args[0], positive=not positive)
        if node.op == ("and" if positive else "or"):
            return [part for arg in node.args for part in self._parts(arg, positive=positive)]
        return [condition if positive else self._builder.add("not", [condition], None, BOOL)]


def _within(inner: Leaves, outer: Leaves) -> bool:
    """Whether a condition varies with nothing but what its operand varies with."""
    own, peers, indices = inner.own <= outer.own, inner.peers <= outer.peers, inner.indices
    return own and peers and indices <= outer.indices
