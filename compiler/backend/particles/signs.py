"""Signs of numbers: by one call, and where they are known.

`if x > 0 then 1 else if x < 0 then -1 else 0` is one operator of torch in the place of two choices.
`max(0, (r - d) / r)` with a parameter r > 0 is `max(0, r - d) / r`: what follows, a mean or a sum,
then divides once instead of for every agent.
"""

from collections.abc import Collection, Sequence

from mfdsl.compiler.backend.particles.arena import Arena
from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.ir.types import Type


def extreme(
    arena: Arena, op: str, args: Sequence[int], type: Type, above_zero: Collection[str]
) -> int:
    """The smallest or largest (`op` min or max) of some values, where `above_zero` are positive."""
    if len(args) == 2 and type.kind == "real" and not type.dims:
        for zero, value in (args, args[::-1]):
            node = arena.node(value)
            if arena.builder.exact(zero) == 0 and node.op == "div":
                above, below = node.args
                if arena.facts(below).common and _positive(arena, below, above_zero):
                    inner = extreme(arena, op, (zero, above), type, above_zero)
                    return arena.add("div", (inner, below))
    return arena.add(op, args, None, type)


def signed(arena: Arena, index: int) -> int | None:
    """The real number of which a node chooses the sign by cases, None where it does not."""
    exact = arena.builder.exact
    outer = arena.node(index)
    if outer.op != "if" or exact(outer.args[1]) != 1:
        return None
    above, inner = arena.node(outer.args[0]), arena.node(outer.args[2])
    if above.op != "lt" or exact(above.args[0]) != 0:
        return None
    if inner.op != "if" or [exact(i) for i in inner.args[1:]] != [-1, 0]:
        return None
    below, x = arena.node(inner.args[0]), above.args[1]
    if below.op != "lt" or below.args[0] != x or exact(below.args[1]) != 0:
        return None
    return x if arena.type_of(x).kind == "real" else None


def positive_parameters(model: Model) -> frozenset[str]:
    """Parameters that are above 0 by their declared range."""
    lows = {p.name: model.types[p.type].lo for p in model.parameters}
    return frozenset(name for name, low in lows.items() if low is not None and low > 0)


def _positive(arena: Arena, index: int, above_zero: Collection[str]) -> bool:
    """Whether a value is known to be above 0: numbers, parameters, sums and products of these."""
    node = arena.node(index)
    if node.op == "const":
        exact = arena.builder.exact(index)
        return exact is not None and exact > 0
    if node.op == "param":
        return node.attr in above_zero
    parts = (_positive(arena, i, above_zero) for i in node.args)
    return node.op in ("mul", "add", "div", "real") and all(parts)
