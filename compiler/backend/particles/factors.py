"""Products and quotients in an order in which what all agents share is multiplied first.

`x * a / b` with a tensor x [B, N] and shared a and b [B] takes two operations on agents,
`x * (a / b)` takes one.
"""

from collections.abc import Sequence

from mfdsl.compiler.backend.particles.arena import Arena
from mfdsl.compiler.ir.types import Type


def factored(arena: Arena, root: int) -> int:
    """The same value up to rounding, with shared factors and divisors taken together."""

    def rule(index: int) -> int | None:
        node, type = arena.node(index), arena.type_of(index)
        if type.kind != "real" or type.dims:
            return None
        if node.op == "mul":
            own, shared = _sorted(arena, node.args)
            return _product(arena, own, shared, type) if own and len(shared) > 1 else None
        if node.op == "div" and _shared(arena, node.args[1]):
            above = arena.node(node.args[0])
            own, shared = _sorted(arena, above.args) if above.op == "mul" else ([], [])
            if own and shared:
                share = arena.add("div", (_times(arena, shared), node.args[1]))
                return _product(arena, own, [share], type)
        return None

    return arena.rebuilt(root, rule)


def _shared(arena: Arena, index: int) -> bool:
    return arena.facts(index).common


def _sorted(arena: Arena, factors: Sequence[int]) -> tuple[list[int], list[int]]:
    """Factors that differ between agents, and those that do not."""
    own = [i for i in factors if not _shared(arena, i)]
    return own, [i for i in factors if _shared(arena, i)]


def _product(arena: Arena, own: Sequence[int], shared: Sequence[int], type: Type) -> int:
    return arena.add("mul", (_times(arena, shared), *own), None, type)


def _times(arena: Arena, factors: Sequence[int]) -> int:
    return arena.add("mul", factors)
