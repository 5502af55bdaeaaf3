"""Expressions written node by node, and what sympy and plain floats say of the same ones."""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from mfdsl.compiler.analysis.enclosure import Facts
from mfdsl.compiler.analysis.symbolic.terms import Terms, written_out
from mfdsl.compiler.ir.build import Builder
from mfdsl.compiler.ir.types import Type

UNIT = Type(kind="real", lo=0, hi=1)


def ints(lo: int, hi: int) -> Type:
    return Type(kind="int", lo=lo, hi=hi)


@dataclass
class Algebra:
    """Shorthands on a builder; numbers are written as strings or fractions."""

    b: Builder = field(default_factory=Builder)
    parameters: dict[str, Any] = field(default_factory=dict)
    arrays: list[Any] = field(default_factory=list)

    def n(self, value: int | str | Fraction) -> int:
        return self.b.const(Fraction(value))

    def x(self, name: str = "x", type: Type = UNIT) -> int:
        return self.b.add("state", (), name, type)

    def p(self, name: str, value: float, type: Type = UNIT) -> int:
        self.parameters[name] = np.asarray(value)
        return self.b.add("param", (), name, type)

    def peer(self, name: str = "x", type: Type = UNIT, depth: int = 0) -> int:
        return self.b.add("peer_state", (), (depth, name), type)

    def mean(self, body: int, depth: int = 0) -> int:
        return self.b.add("mean", (body,), (depth, "people"))

    def mass(self, value: int, type: Type, depth: int = 0) -> int:
        return self.mean(self.op("eq", self.peer("x", type, depth), value), depth)

    def op(self, name: str, *args: int, attr: Any = None) -> int:
        return self.b.add(name, args, attr)

    def add(self, *parts: int) -> int:
        return self.op("add", *parts)

    def mul(self, *parts: int) -> int:
        return self.op("mul", *parts)

    def minus(self, a: int, b: int) -> int:
        return self.add(a, self.op("neg", b))

    def over(self, op: str, index_type: Type, body: Any, depth: int = 0) -> int:
        leaf = self.b.add("index", (), depth, index_type)
        return self.b.add(op, (body(leaf), leaf), depth)

    @property
    def facts(self) -> Facts:
        return Facts(self.b.nodes, self.b.types, self.parameters, self.arrays, {}, 10)

    def terms(self, *roots: int, bind: bool = False) -> tuple[Terms, tuple[int, ...]]:
        return written_out(self.facts, roots, exact=self.b.exact, bind=bind)


SMOOTH = {"exp": math.exp, "tanh": math.tanh, "sin": math.sin, "cos": math.cos}


def random_term(a: Algebra, chance: random.Random, leaves: list[int], depth: int) -> int:
    """A random smooth expression; arguments of log, sqrt and quotients are kept positive."""
    if depth == 0 or chance.random() < 0.1:
        number = a.n(Fraction(chance.randint(-20, 20), 10))
        return chance.choice([*leaves, *leaves, number])
    inner = [random_term(a, chance, leaves, depth - 1) for _ in range(2)]
    op = chance.choice(["add", "mul", "add", "mul", "neg", "div", "pow", "log", "sqrt", *SMOOTH])
    if op in ("add", "mul"):
        return a.op(op, *inner)
    if op == "div":
        return a.op("div", inner[0], a.add(a.n("1.5"), a.op("sin", inner[1])))
    if op == "pow":
        return a.op("pow", inner[0], a.n(chance.choice([2, 3])))
    if op in ("log", "sqrt"):
        return a.op(op, a.add(a.n("0.1"), a.op("pow", inner[0], a.n(2))))
    return a.op(op, inner[0])


def number_of(terms: Terms, root: int, values: Mapping[int, float]) -> float:
    """The value of smooth terms in floats, by plain recursion."""
    node, exact = terms.nodes[root], terms.builder.exact(root)
    if exact is not None:
        return float(exact)
    if root in values:
        return values[root]
    parts = [number_of(terms, arg, values) for arg in node.args]
    rules: dict[str, Any] = {
        **SMOOTH,
        "add": lambda *v: sum(v),
        "mul": lambda *v: math.prod(v),
        "neg": lambda v: -v,
        "div": lambda v, w: v / w,
        "pow": lambda v, w: v**w,
        "log": math.log,
        "sqrt": math.sqrt,
        "lt": lambda v, w: float(v < w),
        "if": lambda c, v, w: v if c else w,
        "min": min,
        "max": max,
        "abs": abs,
        "softplus": lambda v: math.log1p(math.exp(v)),
        "atan2": math.atan2,
    }
    return float(rules[node.op](*parts))
