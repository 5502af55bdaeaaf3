"""Random expressions, each with a function that says its value in plain arithmetic.

The function works on numpy arrays of samples, and on single numbers of mpmath with 60 digits. It
shares nothing with the engine: laws are lists of members with weights, means are sums over them.
Constants are dyadic, so that both see the same numbers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np

from mfdsl.compiler.ir.types import Type
from tests.analysis.slopes.spec import Spec, ints, reals

Member = Mapping[str, Any]
Value = Callable[["World"], Any]

NUMPY: Any = SimpleNamespace(
    number=float,
    where=np.where,
    exp=np.exp,
    log=np.log,
    sqrt=np.sqrt,
    sin=np.sin,
    cos=np.cos,
    tanh=np.tanh,
    floor=np.floor,
    round=np.round,
    atan2=np.arctan2,
    min=np.minimum,
    max=np.maximum,
    softplus=lambda v: np.logaddexp(0.0, v),
    both=np.logical_and,
)


def sixty_digits() -> Any:
    """The same functions on numbers of mpmath."""
    import mpmath

    mpmath.mp.dps = 60
    return SimpleNamespace(
        number=mpmath.mpf,
        where=lambda c, a, b: a if c else b,
        exp=mpmath.exp,
        log=mpmath.log,
        sqrt=mpmath.sqrt,
        sin=mpmath.sin,
        cos=mpmath.cos,
        tanh=mpmath.tanh,
        floor=mpmath.floor,
        round=mpmath.nint,
        atan2=mpmath.atan2,
        min=min,
        max=max,
        softplus=lambda v: mpmath.log(1 + mpmath.exp(v)),
        both=lambda a, b: bool(a and b),
    )


@dataclass(frozen=True)
class World:
    """What variables are: own ones, members with weights by population, bound members, indices."""

    lib: Any
    own: Mapping[str, Any]
    laws: Mapping[str, Sequence[tuple[Member, Any]]]
    peers: Mapping[int, Member] = field(default_factory=dict)
    indices: Mapping[int, int] = field(default_factory=dict)
    time: int = 0
    undefined: list[Any] = field(default_factory=list)  # where a mean had no members to be of


@dataclass(frozen=True)
class Expression:
    """A node and what it means."""

    node: int
    value: Value


@dataclass(frozen=True)
class Shape:
    """What random expressions are about: kinds of members, and whether they also have a place."""

    kinds: int = 3
    flags: bool = False
    place: bool = False
    second: bool = False
    own_real: bool = True
    wild: float = 0.1  # how often something jumps or has a pole


@dataclass
class Generator:
    """Draws expressions of one spec."""

    random: np.random.Generator
    shape: Shape
    spec: Spec = field(default_factory=Spec)
    depth: int = 0
    bound: tuple[tuple[int, str], ...] = ()
    indices: tuple[int, ...] = ()

    def chance(self, share: float) -> bool:
        return bool(self.random.random() < share)

    def pick(self, choices: Sequence[Any]) -> Any:
        return choices[int(self.random.integers(len(choices)))]

    def kind_type(self) -> Type:
        return ints(self.shape.kinds)

    def constant(self) -> Expression:
        value = Fraction(int(self.random.integers(-24, 25)), self.pick((4, 8, 16)))
        return self.number(value)

    def number(self, value: Fraction | float) -> Expression:
        exact = Fraction(value)
        return Expression(self.spec.r(exact), lambda w: w.lib.number(float(exact)))

    def apply(self, op: str, rule: Callable[..., Any], *args: Expression) -> Expression:
        node = self.spec.op(op, *(a.node for a in args))
        return Expression(node, lambda w: rule(w.lib, *(a.value(w) for a in args)))

    def real(self, size: int) -> Expression:
        """A real expression of about that many operators."""
        if size <= 0:
            return self.leaf()
        wild = self.chance(self.shape.wild)
        choices = WILD if wild else TAME
        return getattr(self, f"make_{self.pick(choices)}")(size - 1)

    def leaf(self) -> Expression:
        choices = ["constant", "mass", "mean_leaf", "mass"]
        if self.shape.own_real:
            choices += ["own_place"]
        choices += ["own_kind", "parameter", "time"]
        if self.bound:
            choices += ["peer", "peer", "peer"]
        if self.indices:
            choices += ["index"]
        choice = self.pick(choices)
        return self.constant() if choice == "constant" else getattr(self, f"leaf_{choice}")()

    def leaf_own_place(self) -> Expression:
        node = self.spec.own("z", reals(-1, 1))
        return Expression(node, lambda w: w.own["z"])

    def own_kind(self) -> tuple[int, Value]:
        return self.spec.own("y", self.kind_type()), lambda w: w.own["y"]

    def leaf_own_kind(self) -> Expression:
        node, value = self.own_kind()
        return Expression(self.spec.op("real", node), lambda w: w.lib.number(1) * value(w))

    def leaf_parameter(self) -> Expression:
        name = self.pick(("p", "r"))
        number = {"p": 0.75, "r": -1.5}[name]
        self.spec.parameters[name] = np.asarray(number)
        return Expression(
            self.spec.b.add("param", (), name, reals(None, None)), lambda w: w.lib.number(number)
        )

    def leaf_time(self) -> Expression:
        node = self.spec.b.add("time", (), None, Type(kind="int"))
        eighth = self.number(Fraction(1, 8))
        scaled = self.spec.op("mul", self.spec.op("real", node), eighth.node)
        return Expression(scaled, lambda w: w.lib.number(w.time) / 8)

    def leaf_index(self) -> Expression:
        depth = self.pick(self.indices)
        node = self.spec.b.add("index", (), depth, ints(3))
        return Expression(self.spec.op("real", node), lambda w: w.lib.number(w.indices[depth]))

    def leaf_peer(self) -> Expression:
        depth, population = self.pick(self.bound)
        if self.shape.place and self.chance(0.6):
            node = self.spec.peer("s", reals(0, 1) if population == "mu" else reals(0, 2), depth)
            return Expression(node, lambda w: w.peers[depth]["s"])
        kind, value = self.peer_kind(depth)
        return Expression(self.spec.op("real", kind), lambda w: w.lib.number(1) * value(w))

    def peer_kind(self, depth: int) -> tuple[int, Value]:
        return self.spec.peer("x", self.kind_type(), depth), lambda w: w.peers[depth]["x"]

    def leaf_mass(self) -> Expression:
        return self.make_mean(0, mass=True)

    def leaf_mean_leaf(self) -> Expression:
        return self.make_mean(0)

    def make_mean(self, size: int, mass: bool = False) -> Expression:
        """The mean of a body over a population, nested at most twice."""
        if len(self.bound) >= 2:
            return self.constant()
        depth = self.depth
        population = "nu" if self.shape.second and self.chance(0.3) else "mu"
        outside = self.bound
        self.depth, self.bound = depth + 1, (*outside, (depth, population))
        guard = None if mass or self.chance(0.8) else self.condition_on_kind(depth)
        body = self.indicator(depth) if mass else self.real(min(size, 2))
        self.depth, self.bound = depth, outside
        if guard is None:
            node = self.spec.mean(body.node, depth, population)
        else:
            node = self.spec.mean_if(body.node, guard.node, depth, population)

        def value(w: World) -> Any:
            top: Any = w.lib.number(0)
            below: Any = w.lib.number(0)
            for member, weight in w.laws[population]:
                inside = replace(w, peers={**w.peers, depth: member})
                share = weight
                if guard is not None:
                    share = w.lib.where(guard.value(inside), weight, w.lib.number(0))
                top = top + share * body.value(inside)
                below = below + share
            if guard is None:
                return top
            w.undefined.append(below == 0)
            return top / below

        return Expression(node, value)

    def condition_on_kind(self, depth: int) -> Expression:
        node, value = self.peer_kind(depth)
        if self.chance(0.5):
            own, mine = self.own_kind()
            return Expression(self.spec.op("le", node, own), lambda w: value(w) <= mine(w))
        limit = int(self.random.integers(self.shape.kinds))
        return Expression(self.spec.op("le", self.spec.i(limit), node), lambda w: limit <= value(w))

    def indicator(self, depth: int) -> Expression:
        node, value = self.peer_kind(depth)
        if self.chance(0.5):
            own, mine = self.own_kind()
            condition = self.spec.op("eq", node, own)
            return Expression(
                self.spec.ind(condition),
                lambda w: w.lib.where(value(w) == mine(w), w.lib.number(1), w.lib.number(0)),
            )
        k = int(self.random.integers(self.shape.kinds))
        condition = self.spec.op("eq", node, self.spec.i(k))
        return Expression(
            self.spec.ind(condition),
            lambda w: w.lib.where(value(w) == k, w.lib.number(1), w.lib.number(0)),
        )

    def make_sum(self, size: int) -> Expression:
        """A reduction over an index."""
        if len(self.indices) >= 1:
            return self.make_add(size)
        depth, op = self.depth, self.pick(("sum_over", "max_over", "min_over", "prod_over"))
        self.depth, self.indices = depth + 1, (*self.indices, depth)
        body = self.real(min(size, 2))
        self.depth, self.indices = depth, self.indices[:-1]
        leaf = self.spec.b.add("index", (), depth, ints(3))
        node = self.spec.op(op, body.node, leaf, attr=depth)

        def value(w: World) -> Any:
            found = None
            for i in range(3):
                part = body.value(replace(w, indices={**w.indices, depth: i}))
                if found is None:
                    found = part
                elif op == "sum_over":
                    found = found + part
                elif op == "prod_over":
                    found = found * part
                else:
                    found = (w.lib.max if op == "max_over" else w.lib.min)(found, part)
            return found

        return Expression(node, value)

    def halves(self, size: int) -> tuple[Expression, Expression]:
        left = int(self.random.integers(size + 1))
        return self.real(left), self.real(size - left)

    def make_add(self, size: int) -> Expression:
        return self.apply("add", lambda lib, a, b: a + b, *self.halves(size))

    def make_sub(self, size: int) -> Expression:
        a, b = self.halves(size)
        return self.apply("add", lambda lib, u, v: u + v, a, self.apply("neg", _neg, b))

    def make_mul(self, size: int) -> Expression:
        return self.apply("mul", lambda lib, a, b: a * b, *self.halves(size))

    def make_square(self, size: int) -> Expression:
        a = self.real(size)
        return self.apply("mul", lambda lib, u, v: u * v, a, a)

    def positive(self, size: int) -> Expression:
        """Something at least an eighth."""
        a = self.apply("abs", lambda lib, v: abs(v), self.real(size))
        return self.apply("add", lambda lib, u, v: u + v, a, self.number(Fraction(1, 8)))

    def make_div(self, size: int) -> Expression:
        left = int(self.random.integers(size + 1))
        return self.apply(
            "div", lambda lib, a, b: a / b, self.real(left), self.positive(size - left)
        )

    def make_pow(self, size: int) -> Expression:
        exponent = self.number(self.pick((0.5, 1.5, 2, 2.5, 3, -1, -0.5)))
        return self.apply("pow", lambda lib, a, b: a**b, self.positive(size), exponent)

    def make_power(self, size: int) -> Expression:
        exponent = self.number(self.pick((2, 3, 4)))
        bounded = self.make_tanh(size)
        return self.apply("pow", lambda lib, a, b: a ** int(np.max(float(b))), bounded, exponent)

    def make_exponent(self, size: int) -> Expression:
        left = int(self.random.integers(size + 1))
        return self.apply(
            "pow", lambda lib, a, b: a**b, self.positive(left), self.make_tanh(size - left)
        )

    def make_exp(self, size: int) -> Expression:
        return self.apply("exp", lambda lib, a: lib.exp(a), self.make_tanh(size))

    def make_log(self, size: int) -> Expression:
        return self.apply("log", lambda lib, a: lib.log(a), self.positive(size))

    def make_sqrt(self, size: int) -> Expression:
        return self.apply("sqrt", lambda lib, a: lib.sqrt(a), self.positive(size))

    def make_sin(self, size: int) -> Expression:
        return self.apply("sin", lambda lib, a: lib.sin(a), self.real(size))

    def make_cos(self, size: int) -> Expression:
        return self.apply("cos", lambda lib, a: lib.cos(a), self.real(size))

    def make_tanh(self, size: int) -> Expression:
        return self.apply("tanh", lambda lib, a: lib.tanh(a), self.real(size))

    def make_softplus(self, size: int) -> Expression:
        return self.apply("softplus", lambda lib, a: lib.softplus(a), self.real(size))

    def make_abs(self, size: int) -> Expression:
        return self.apply("abs", lambda lib, a: abs(a), self.real(size))

    def make_min(self, size: int) -> Expression:
        return self.apply("min", lambda lib, a, b: lib.min(a, b), *self.halves(size))

    def make_max(self, size: int) -> Expression:
        return self.apply("max", lambda lib, a, b: lib.max(a, b), *self.halves(size))

    def make_logistic(self, size: int) -> Expression:
        one = self.number(1)
        grown = self.apply("exp", lambda lib, a: lib.exp(a), self.real(size))
        below = self.apply("add", lambda lib, a, b: a + b, one, grown)
        return self.apply("div", lambda lib, a, b: a / b, one, below)

    def make_crossing(self, size: int) -> Expression:
        """Something whose slope turns where a mean crosses a number between 0 and 1."""
        level = self.number(Fraction(int(self.random.integers(1, 8)), 8))
        mean = self.make_mean(min(size, 1), mass=self.chance(0.7))
        apart = self.apply("add", lambda lib, u, v: u + v, mean, self.apply("neg", _neg, level))
        choice = self.pick(("abs", "square", "logistic", "max", "min"))
        if choice == "abs":
            return self.apply("abs", lambda lib, a: abs(a), apart)
        if choice == "square":
            return self.apply("pow", lambda lib, a, b: a * a, apart, self.number(2))
        if choice == "logistic":
            steep = self.apply("mul", lambda lib, a, b: a * b, self.number(-8), apart)
            one = self.number(1)
            grown = self.apply("exp", lambda lib, a: lib.exp(a), steep)
            below = self.apply("add", lambda lib, a, b: a + b, one, grown)
            return self.apply("div", lambda lib, a, b: a / b, one, below)
        rule = {"max": lambda lib, a, b: lib.max(a, b), "min": lambda lib, a, b: lib.min(a, b)}
        return self.apply(choice, rule[choice], apart, self.number(0))

    def make_softmax(self, size: int) -> Expression:
        parts = [
            self.apply("exp", lambda lib, a: lib.exp(a), self.real(size // 2)) for _ in range(3)
        ]
        below = self.apply("add", lambda lib, a, b, c: a + b + c, *parts)
        return self.apply("div", lambda lib, a, b: a / b, parts[0], below)

    def make_list(self, size: int) -> Expression:
        """An entry of a list at the own value, the inner product or the length of lists."""
        parts = [self.real(size // 2) for _ in range(self.shape.kinds)]
        vector_type = Type(kind="real", dims=(self.shape.kinds,))
        row = self.spec.op("vector", *(p.node for p in parts), type=vector_type)
        choice = self.pick(("element", "norm", "dot"))
        if choice == "norm":
            return Expression(
                self.spec.op("norm", row),
                lambda w: w.lib.sqrt(sum(p.value(w) * p.value(w) for p in parts)),
            )
        if choice == "dot":
            return Expression(
                self.spec.op("dot", row, row), lambda w: sum(p.value(w) ** 2 for p in parts)
            )
        place, at = self.own_kind()

        def chosen(w: World) -> Any:
            found = parts[0].value(w)
            for k, part in enumerate(parts[1:], 1):
                found = w.lib.where(at(w) == k, part.value(w), found)
            return found

        return Expression(self.spec.op("element", row, place), chosen)

    def make_guarded(self, size: int) -> Expression:
        """A choice by own values: nothing jumps in a law."""
        own, mine = self.own_kind()
        limit = int(self.random.integers(self.shape.kinds))
        condition = self.spec.op("le", own, self.spec.i(limit))
        a, b = self.halves(size)
        return Expression(
            self.spec.op("if", condition, a.node, b.node),
            lambda w: w.lib.where(mine(w) <= limit, a.value(w), b.value(w)),
        )

    def make_ramp(self, size: int) -> Expression:
        """A choice whose branches meet: where a < b then a else b, plus a smooth part."""
        a, b = self.halves(size)
        return Expression(
            self.spec.op("if", self.spec.op("lt", a.node, b.node), a.node, b.node),
            lambda w: w.lib.min(a.value(w), b.value(w)),
        )

    def make_choice(self, size: int) -> Expression:
        a, b = self.halves(size // 2)
        c, d = self.halves(size // 2)
        op = self.pick(("lt", "le"))
        return Expression(
            self.spec.op("if", self.spec.op(op, a.node, b.node), c.node, d.node),
            lambda w: w.lib.where(
                a.value(w) < b.value(w) if op == "lt" else a.value(w) <= b.value(w),
                c.value(w),
                d.value(w),
            ),
        )

    def make_count(self, size: int) -> Expression:
        a, b = self.halves(size)
        return Expression(
            self.spec.ind(self.spec.op("lt", a.node, b.node)),
            lambda w: w.lib.where(a.value(w) < b.value(w), w.lib.number(1), w.lib.number(0)),
        )

    def make_floor(self, size: int) -> Expression:
        a = self.real(size)
        op = self.pick(("floor", "round"))
        return Expression(
            self.spec.op("real", self.spec.op(op, a.node)),
            lambda w: (w.lib.floor if op == "floor" else w.lib.round)(a.value(w)),
        )

    def make_rem(self, size: int) -> Expression:
        one = self.number(self.pick((1, 0.5, 2)))
        return self.apply("rem", lambda lib, a, b: a - b * lib.floor(a / b), self.real(size), one)

    def make_angle(self, size: int) -> Expression:
        return self.apply("atan2", lambda lib, a, b: lib.atan2(a, b), *self.halves(size))

    def make_pole(self, size: int) -> Expression:
        mass = self.leaf_mass()
        choice = self.pick(("sqrt", "log", "xlogx", "pow"))
        if choice == "pow":
            exponent = self.number(0.75)
            return self.apply("pow", lambda lib, a, b: a**b, mass, exponent)
        if choice == "xlogx":
            grown = self.apply("log", lambda lib, a: lib.log(a), mass)
            product = self.apply("mul", lambda lib, a, b: a * b, mass, grown)

            def value(w: World) -> Any:
                w.undefined.append(mass.value(w) == 0)
                return product.value(w)

            return Expression(product.node, value)
        rule = {"sqrt": lambda lib, a: lib.sqrt(a), "log": lambda lib, a: lib.log(a)}[choice]
        return self.apply(choice, rule, mass)

    def make_shielded(self, size: int) -> Expression:
        """A quotient with a pole that a minimum cuts off."""
        whole = self.apply("div", lambda lib, a, b: a / b, self.number(0.25), self.leaf_mass())
        return self.apply("min", lambda lib, a, b: lib.min(a, b), self.number(1), whole)


def _neg(lib: Any, a: Any) -> Any:
    return -a


TAME = (
    "add sub mul square div pow power exponent exp log sqrt sin cos tanh softplus abs min max"
    " logistic softmax list guarded ramp mean mean sum add mul crossing crossing crossing crossing"
).split()
WILD = "choice count floor rem angle pole shielded".split()
