"""Products and quotients in an order in which what all agents share is multiplied first.

`x * a / b` with a tensor x [B, N] and shared a and b [B] takes two operations on agents,
`x * (a / b)` takes one. What takes several operations on agents stays whole,
others may read it too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mfdsl.compiler.backend.particles.arena import Arena
from mfdsl.compiler.ir.types import Type


@dataclass(frozen=True)
class Quotient:
    """A product of `own` values, which differ between agents, times `above` over `below`."""

    own: tuple[int, ...] = ()
    above: tuple[int, ...] = ()
    below: tuple[int, ...] = ()


def factored(arena: Arena, root: int) -> int:
    """The same value up to rounding, with shared factors and divisors taken together."""

    def rule(index: int) -> int | None:
        node, type = arena.node(index), arena.type_of(index)
        if type.kind != "real" or type.dims or node.op not in ("mul", "div"):
            return None
        parts = _split(arena, index)
        if not parts.own or len(parts.above) + len(parts.below) < 2:
            return None
        return _product(arena, parts, type)

    return arena.rebuilt(root, rule)


def _split(arena: Arena, index: int) -> Quotient:
    """The factors of a value: those of products, and those over shared divisors."""
    node = arena.node(index)
    if arena.facts(index).common:
        return Quotient(above=(index,))
    if node.op == "mul":
        parts = [p if len(p.own) < 2 else Quotient((i,)) for i, p in _splits(arena, node.args)]
        return Quotient(
            tuple(i for p in parts for i in p.own),
            tuple(i for p in parts for i in p.above),
            tuple(i for p in parts for i in p.below),
        )
    if node.op == "div" and arena.facts(node.args[1]).common:
        over = _split(arena, node.args[0])
        return Quotient(over.own, over.above, (*over.below, node.args[1]))
    return Quotient(own=(index,))


def _splits(arena: Arena, indices: Sequence[int]) -> list[tuple[int, Quotient]]:
    return [(i, _split(arena, i)) for i in indices]


def _product(arena: Arena, parts: Quotient, type: Type) -> int:
    own = _times(arena, parts.own)
    if not parts.above:
        return arena.add("div", (own, _times(arena, parts.below)), None, type)
    share = _times(arena, parts.above)
    if parts.below:
        share = arena.add("div", (share, _times(arena, parts.below)))
    return arena.add("mul", (share, *parts.own), None, type)


def _times(arena: Arena, factors: Sequence[int]) -> int:
    return arena.add("mul", factors)
