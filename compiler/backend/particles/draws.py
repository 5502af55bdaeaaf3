"""Finite draws by inverse CDF: the first value v, in order, with u < P(value <= v)."""

from collections.abc import Callable

from mfdsl.compiler.backend.particles.arena import Arena
from mfdsl.compiler.ir.types import BOOL, INT, Type

UNROLLED = 16


def drawn(arena: Arena, type: Type, uniform: int, chance: Callable[[int], int]) -> int:
    """The value of a finite scalar; `chance` gives the probability of a value or of an index.

    Few outcomes are comparisons with running sums; a law that gives all values the same mass is
    floor(u K); longer laws are searched along an axis.
    """
    if type.size <= UNROLLED:
        return _compared(arena, type, uniform, chance)
    index = arena.index(type)
    density = chance(index)
    depth = arena.node(index).attr
    if depth not in arena.facts(density).indices:
        return _scaled(arena, type, uniform)
    certain = _certain(arena, density, index)
    if certain is not None:
        return certain
    return arena.add("search", (uniform, density, index), depth, type)


def _compared(arena: Arena, type: Type, uniform: int, chance: Callable[[int], int]) -> int:
    values = range(type.first, type.first + type.size)
    chances = {v: chance(arena.const(v, type)) for v in values}
    if type.size > 2 and len(set(chances.values())) == 1:
        return _scaled(arena, type, uniform)
    possible = {v: c for v, c in chances.items() if arena.builder.exact(c) != 0}
    outcomes = list(possible)
    level = arena.const(0)
    reached: list[tuple[int, int]] = []
    for k, value in enumerate(outcomes[:-1]):
        last = k == len(outcomes) - 2 and k > 0
        level = (
            _beyond(arena, possible[outcomes[-1]])
            if last
            else arena.add("add", (level, possible[value]))
        )
        reached.append((outcomes[k + 1] - value, arena.add("le", (level, uniform), None, BOOL)))
    if type.kind == "bool":
        return reached[0][1] if reached else arena.const(outcomes[0], type)
    parts = [arena.const(outcomes[0], INT)]
    for step, condition in reached:
        one = arena.add("ind", (condition,), None, INT)
        parts.append(
            one if step == 1 else arena.add("mul", (arena.const(step, INT), one), None, INT)
        )
    return _typed(arena, arena.add("add", parts, None, type), type)


def _beyond(arena: Arena, chance: int) -> int:
    """The mass before the last outcome: exactly 1 when the last has none, whatever rounding does
    to the sum of the others.
    """
    return arena.add("add", (arena.const(1), arena.add("neg", (chance,))))


def _scaled(arena: Arena, type: Type, uniform: int) -> int:
    whole = arena.add("mul", (uniform, arena.const(type.size)))
    place = arena.add("floor", (whole,), None, Type(kind="int", lo=0, hi=type.size - 1))
    if type.kind == "bool":
        return arena.add("eq", (place, arena.const(1, INT)), None, BOOL)
    return _typed(arena, arena.add("add", (place, arena.const(type.first, INT)), None, type), type)


def _typed(arena: Arena, value: int, type: Type) -> int:
    """A constant outcome is a value of the type itself, whatever its number was made as."""
    exact = arena.builder.exact(value)
    return value if exact is None else arena.const(int(exact), type)


def _certain(arena: Arena, density: int, index: int) -> int | None:
    """The value that a law puts all its mass on, when the density says so in so many words."""
    node = arena.node(density)
    for op in ("real", "ind"):
        if node.op != op:
            return None
        density = node.args[0]
        node = arena.node(density)
    if node.op != "eq" or index not in node.args:
        return None
    other = node.args[1] if node.args[0] == index else node.args[0]
    return None if arena.facts(other).indices else other
