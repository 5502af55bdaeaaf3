"""Pair terms as sums of products f(own) g(member), so that moments replace pairs.

Sums under powers and products are shifted to the mean of their members before they are multiplied
out: (x - q)^2 becomes (x - m)^2 - 2 (x - m) E[q - m] + E[(q - m)^2], which does not cancel.
"""

from collections.abc import Sequence
from fractions import Fraction

from mfdsl.compiler.backend.particles.arena import Arena
from mfdsl.compiler.ir.types import BOOL, Type

MOST_TERMS = 32
HIGHEST_POWER = 4

Products = dict[tuple[tuple[int, ...], tuple[int, ...]], Fraction]


def expanded(
    arena: Arena, factors: Sequence[int], conditions: Sequence[int], depth: int, population: str
) -> list[tuple[int, int]] | None:
    """(own factor, member's factor) of each product, or None when it is not such a sum.

    Factors of members are values of a member as such.
    """
    expansion = _Expansion(arena, depth, population)
    products: Products | None = {((), ()): Fraction(1)}
    for factor in [*factors, *conditions]:
        products = expansion.times(products, expansion.of(factor, deep=len(factors) > 1))
    if products is None:
        return None
    return [expansion.factors(key, number) for key, number in products.items() if number]


class _Expansion:
    """Multiplies out; None stands for what is no sum of products, or one of too many."""

    def __init__(self, arena: Arena, depth: int, population: str) -> None:
        self.arena = arena
        self.depth = depth
        self.population = population

    def of(self, index: int, *, deep: bool) -> Products | None:
        """The products of a node; `deep` when it stands under a product or a power."""
        arena = self.arena
        if not arena.varies(index, self.depth):
            return self._constant(index)
        if arena.closed(index, self.depth):
            return {((), (arena.member(index, self.depth),)): Fraction(1)}
        node = arena.node(index)
        if node.op == "add":
            return self._sum(self._shifted(node.args) if deep else node.args, deep)
        if node.op == "neg":
            return _scaled(self.of(node.args[0], deep=deep), Fraction(-1))
        if node.op == "mul":
            return self._product([self.of(i, deep=True) for i in node.args])
        if node.op == "pow":
            return self._power(*node.args)
        if node.op == "div":
            return self._quotient(*node.args)
        if node.op == "real":
            return self._real(node.args[0], deep)
        if node.op in ("sin", "cos"):
            return self._wave(node.op, node.args[0])
        if node.op == "and":
            return self._product([self.of(i, deep=True) for i in node.args])
        return None

    def times(self, a: Products | None, b: Products | None) -> Products | None:
        """The product of two sums of products."""
        if a is None or b is None or len(a) * len(b) > MOST_TERMS * 4:
            return None
        result: Products = {}
        for (own, members), x in a.items():
            for (more, others), y in b.items():
                key = (tuple(sorted(own + more)), tuple(sorted(members + others)))
                result[key] = result.get(key, Fraction(0)) + x * y
        return result if len(result) <= MOST_TERMS else None

    def factors(
        self, key: tuple[tuple[int, ...], tuple[int, ...]], number: Fraction
    ) -> tuple[int, int]:
        """The two factors of a product, conditions as such."""
        own, members = key
        return self._multiplied([self.arena.builder.const(number), *own]), self._multiplied(members)

    def _multiplied(self, factors: Sequence[int]) -> int:
        arena = self.arena
        conditions = [i for i in dict.fromkeys(factors) if arena.type_of(i).kind == "bool"]
        numbers = [i for i in factors if arena.type_of(i).kind != "bool"]
        value = arena.add("mul", numbers) if numbers else arena.const(1)
        if not conditions:
            return value
        return arena.add("if", (arena.add("and", conditions, None, BOOL), value, arena.const(0)))

    def _constant(self, index: int) -> Products:
        exact = self.arena.builder.exact(index)
        if exact is not None and self.arena.type_of(index).kind == "real":
            return {((), ()): exact}
        return {((index,), ()): Fraction(1)}

    def _sum(self, args: Sequence[int], deep: bool) -> Products | None:
        result: Products = {}
        for i in args:
            part = self.of(i, deep=deep)
            if part is None:
                return None
            for key, number in part.items():
                result[key] = result.get(key, Fraction(0)) + number
        return result if len(result) <= MOST_TERMS else None

    def _product(self, parts: Sequence[Products | None]) -> Products | None:
        result: Products | None = {((), ()): Fraction(1)}
        for part in parts:
            result = self.times(result, part)
        return result

    def _power(self, base: int, exponent: int) -> Products | None:
        exact = self.arena.builder.exact(exponent)
        if exact is None or exact.denominator != 1 or not 1 <= exact <= HIGHEST_POWER:
            return None
        node = self.arena.node(base)
        if node.op in ("abs", "length") and exact % 2 == 0:
            squares = self._sum([self.arena.add("mul", (i, i)) for i in node.args], True)
            return self._product([squares] * (int(exact) // 2))
        return self._product([self.of(base, deep=True)] * int(exact))

    def _quotient(self, above: int, below: int) -> Products | None:
        arena = self.arena
        if arena.varies(below, self.depth) and not arena.closed(below, self.depth):
            return None
        return self.times(
            self.of(above, deep=True), self.of(arena.add("div", (arena.const(1), below)), deep=True)
        )

    def _real(self, inner: int, deep: bool) -> Products | None:
        """A whole number or a condition as a real: distributed over what it is made of."""
        arena = self.arena
        node = arena.node(inner)
        if node.op == "ind":
            return self.of(node.args[0], deep=deep)
        if node.op not in ("add", "mul", "neg"):
            return None
        return self.of(arena.add(node.op, [arena.add("real", (i,)) for i in node.args]), deep=deep)

    def _wave(self, op: str, angle: int) -> Products | None:
        """Sin and cos of a sum of an own angle and one of a member."""
        arena = self.arena
        own, members, rest = self._parts(arena.node(angle))
        if rest or not own or not members:
            return None
        a, b = arena.add("add", own), arena.add("add", members)
        waves = {name: (arena.add(name, (a,)), arena.add(name, (b,))) for name in ("sin", "cos")}
        pairs = (
            (("sin", "cos"), ("cos", "sin")) if op == "sin" else (("cos", "cos"), ("sin", "sin"))
        )
        sign = Fraction(1 if op == "sin" else -1)
        result: Products = {}
        for (first, second), number in zip(pairs, (Fraction(1), sign), strict=True):
            key = ((waves[first][0],), (arena.member(waves[second][1], self.depth),))
            result[key] = number
        return result

    def _parts(self, node: object) -> tuple[list[int], list[int], list[int]]:
        """The terms of a sum: own ones, those of the member, and mixed ones."""
        own: list[int] = []
        members: list[int] = []
        rest: list[int] = []
        args = node.args if getattr(node, "op", "") == "add" else ()  # type: ignore[attr-defined]
        for i in args:
            if not self.arena.varies(i, self.depth):
                own.append(i)
            elif self.arena.closed(i, self.depth):
                members.append(i)
            else:
                rest.append(i)
        return own, members, rest

    def _shifted(self, args: Sequence[int]) -> Sequence[int]:
        """The terms with the mean of those of the member taken to the own ones."""
        arena = self.arena
        own = [i for i in args if not arena.varies(i, self.depth)]
        members = [i for i in args if arena.closed(i, self.depth)]
        if not own or not members or arena.type_of(members[0]).kind != "real":
            return args
        value = arena.member(arena.add("add", members), self.depth)
        type = Type(kind="real", dims=arena.type_of(value).dims)
        middle = arena.add("mean_of", (value,), self.population, type)
        rest = [i for i in args if i not in own and i not in members]
        there = arena.add("add", (*members, arena.add("neg", (middle,), None, type)), None, type)
        return [arena.add("add", (*own, middle), None, type), there, *rest]


def _scaled(products: Products | None, number: Fraction) -> Products | None:
    if products is None:
        return None
    return {key: value * number for key, value in products.items()}
