"""Interval rules: random intervals enclose the values at random points, ends round outwards."""

import math
import random
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from mfdsl.compiler.analysis.intervals import (
    REDUCTIONS,
    RULES,
    Interval,
    element,
    point,
    remainder,
    vector,
)
from mfdsl.compiler.ir.interpret import ELEMENTARY

ROUNDS = 150
POSITIVE = ("log", "sqrt")


def drawn(chance: random.Random, *, low: float = -1e9, whole: bool = False) -> tuple[float, float]:
    """Two ends in order: of many sizes, often 0 or whole, sometimes equal."""

    def end() -> float:
        size = chance.choice([0.0, 1e-300, 1e-12, 0.1, 1.0, 3.0, 50.0, 1e6])
        value = chance.uniform(-size, size)
        return float(round(value)) if whole or chance.random() < 0.3 else value

    ends = sorted(max(low, end()) for _ in range(2))
    return (ends[0], ends[0]) if chance.random() < 0.2 else (ends[0], ends[1])


def inside(chance: random.Random, ends: tuple[float, float], *, whole: bool = False) -> float:
    """A point of the interval, often an end of it."""
    if chance.random() < 0.3:
        return chance.choice(ends)
    value = min(max(chance.uniform(*ends), ends[0]), ends[1])
    return float(math.floor(value)) if whole and math.floor(value) >= ends[0] else value


def interval(ends: tuple[float, float]) -> Interval:
    return Interval(np.asarray(ends[0]), np.asarray(ends[1]))


def assert_inside(value: float, found: Interval, what: object) -> None:
    assert not np.isnan(found.lo).any() and not np.isnan(found.hi).any(), what
    assert float(np.min(found.lo)) <= value <= float(np.max(found.hi)), (what, value, found)


UNARY = ["neg", "abs", "exp", "log", "sqrt", "sin", "cos", "tanh", "floor", "ceil", "round"]
BINARY = ["add", "mul", "min", "max", "div", "eq", "ne", "lt", "le"]


@pytest.mark.parametrize("op", UNARY)
def test_functions_of_one_number_are_enclosed(op: str) -> None:
    chance = random.Random(op)
    for _ in range(ROUNDS):
        ends = drawn(chance, low=5e-324 if op in POSITIVE else -1e9)
        if op == "exp":
            ends = (min(ends[0], 700.0), min(ends[1], 700.0))
        found = RULES[op](interval(ends))
        for _ in range(5):
            x = inside(chance, ends)
            assert_inside(ELEMENTARY[op](x), found, (op, ends, x))


@pytest.mark.parametrize("op", BINARY)
def test_functions_of_two_numbers_are_enclosed(op: str) -> None:
    chance = random.Random(op)
    for _ in range(ROUNDS):
        first, second = drawn(chance), drawn(chance)
        found = RULES[op](interval(first), interval(second))
        for _ in range(5):
            x, y = inside(chance, first), inside(chance, second)
            if op == "div" and y == 0:
                continue
            try:
                value = ELEMENTARY[op](x, y)
            except OverflowError:
                continue
            assert_inside(value, found, (op, first, second, x, y))


def test_powers_with_whole_exponents_are_enclosed() -> None:
    chance = random.Random("pow")
    for _ in range(ROUNDS):
        ends, exponent = drawn(chance), chance.randint(-4, 6)
        found = RULES["pow"](interval(ends), point(np.float64(exponent)))
        for _ in range(5):
            x = inside(chance, ends)
            if x or exponent >= 0:
                value = Fraction(x) ** exponent
                assert not np.isnan(found.lo) and not np.isnan(found.hi)
                assert found.lo == -math.inf or Fraction(float(found.lo)) <= value
                assert found.hi == math.inf or value <= Fraction(float(found.hi))


def test_powers_of_positive_bases_are_enclosed() -> None:
    chance = random.Random("power")
    for _ in range(ROUNDS):
        base, exponent = drawn(chance, low=1e-3), sorted(chance.uniform(-3, 3) for _ in range(2))
        ends = (exponent[0], exponent[1])
        found = RULES["pow"](interval(base), interval(ends))
        for _ in range(5):
            x, y = inside(chance, base), inside(chance, ends)
            assert_inside(x**y, found, (base, ends, x, y))


@pytest.mark.parametrize("whole", [False, True])
def test_remainders_are_enclosed(whole: bool) -> None:
    chance = random.Random(int(whole))
    for _ in range(4 * ROUNDS):
        first = drawn(chance, whole=whole)
        second = drawn(chance, whole=whole)
        if chance.random() < 0.7:
            second = (second[1], second[1])
        found = remainder(interval(first), interval(second), integers=whole)
        for _ in range(5):
            x, y = inside(chance, first, whole=whole), inside(chance, second, whole=whole)
            if y and (not whole or (x.is_integer() and y.is_integer())):
                assert_inside(x % y, found, (first, second, x, y))


def test_remainders_near_a_multiple_are_enclosed() -> None:
    step = 0.1
    for k in range(1, 200):
        for below in (math.nextafter(k * step, -1), math.nextafter(k * step, 1e9)):
            found = remainder(
                interval((below - 0.01, below)), point(np.float64(step)), integers=False
            )
            for x in (below - 0.01, below - 0.005, below):
                assert_inside(x % step, found, (k, x))


def test_a_remainder_of_reals_between_whole_numbers_is_no_whole_number() -> None:
    found = remainder(interval((0.0, 1.0)), point(np.float64(1.0)), integers=False)
    assert_inside(0.75, found, "0.75 % 1")


def test_a_remainder_of_unbounded_whole_numbers_stays_below_its_divisor() -> None:
    found = remainder(interval((0.0, 2.0**53)), point(np.float64(4.0)), integers=True)
    assert (float(found.lo), float(found.hi)) == (0.0, 3.0)


def test_a_choice_is_enclosed() -> None:
    chance = random.Random(1)
    for _ in range(ROUNDS):
        condition = chance.choice([(0.0, 0.0), (1.0, 1.0), (0.0, 1.0)])
        first, second = drawn(chance), drawn(chance)
        found = RULES["if"](interval(condition), interval(first), interval(second))
        chosen = first if chance.choice(condition) else second
        assert_inside(inside(chance, chosen), found, (condition, first, second))


@pytest.mark.parametrize("op", ["and", "or", "not"])
def test_logic_is_enclosed(op: str) -> None:
    table: dict[str, Callable[..., bool]] = {
        "and": lambda a, b: a and b,
        "or": lambda a, b: a or b,
        "not": lambda a: not a,
    }
    values = [(0.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
    for a in values:
        for b in values:
            arguments = (a,) if op == "not" else (a, b)
            found = RULES[op](*map(interval, arguments))
            for x in a:
                for y in b:
                    given = (x,) if op == "not" else (x, y)
                    assert_inside(float(table[op](*given)), found, (op, given))


@pytest.mark.parametrize("op", ["sum_over", "prod_over", "min_over", "max_over"])
def test_reductions_are_enclosed(op: str) -> None:
    rules: dict[str, Callable[[list[Fraction]], Fraction]] = {
        "sum_over": lambda v: sum(v, Fraction(0)),
        "prod_over": math.prod,
        "min_over": min,
        "max_over": max,
    }
    chance = random.Random(op)
    for _ in range(ROUNDS):
        ends = [drawn(chance) for _ in range(chance.randint(1, 7))]
        lo, hi = (np.array([e[k] for e in ends]) for k in (0, 1))
        found = REDUCTIONS[op](lo, hi, 0)
        value = rules[op]([Fraction(inside(chance, e)) for e in ends])
        assert Fraction(float(found.lo[0])) <= value <= Fraction(float(found.hi[0])), (op, ends)


def test_a_sum_that_overflows_both_ways_is_everything() -> None:
    ends = np.array([1e308, 1e308, -1e308, -1e308])
    found = REDUCTIONS["sum_over"](ends, ends, 0)
    assert_inside(0.0, found, "overflow")


def test_an_element_at_any_position_is_enclosed() -> None:
    array = vector([interval((0.0, 1.0)), interval((3.0, 4.0)), interval((-2.0, -1.0))])
    anywhere = element([array, interval((0.0, 2.0))])
    assert (float(anywhere.lo), float(anywhere.hi)) == (-2.0, 4.0)
    second = element([array, point(np.float64(1.0))])
    assert (float(second.lo), float(second.hi)) == (3.0, 4.0)


@pytest.mark.parametrize("op", ["add", "mul", "div"])
def test_ends_round_outwards_against_exact_arithmetic(op: str) -> None:
    exact: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
        "add": lambda a, b: a + b,
        "mul": lambda a, b: a * b,
        "div": lambda a, b: a / b,
    }
    chance = random.Random(op)
    for _ in range(4 * ROUNDS):
        x, y = (chance.uniform(-1, 1) * 10.0 ** chance.randint(-40, 40) for _ in range(2))
        found = RULES[op](point(np.float64(x)), point(np.float64(y)))
        lo, hi = Fraction(float(found.lo)), Fraction(float(found.hi))
        value = exact[op](Fraction(x), Fraction(y))
        assert lo <= value <= hi
        assert hi - lo <= 4 * Fraction(math.ulp(float(value)))


@pytest.mark.parametrize(("op", "x", "y"), [("add", 0.5, 0.25), ("mul", 3.0, 0.5), ("div", 1, 4)])
def test_what_is_not_rounded_does_not_grow(op: str, x: float, y: float) -> None:
    found = RULES[op](point(np.float64(x)), point(np.float64(y)))
    assert float(found.lo) == float(found.hi) == ELEMENTARY[op](x, y)


@pytest.mark.parametrize(
    ("op", "ends", "low", "high"),
    [
        ("exp", (-3.0, 0.0), 0.0, 1.0),
        ("log", (1.0, 4.0), 0.0, 2.0),
        ("sqrt", (0.0, 4.0), 0.0, 2.0),
        ("tanh", (-90.0, 0.0), -1.0, 0.0),
        ("sin", (0.0, 99.0), -1.0, 1.0),
        ("cos", (0.0, 0.5), 0.5, 1.0),
    ],
)
def test_well_known_bounds_are_kept(
    op: str, ends: tuple[float, float], low: float, high: float
) -> None:
    found = RULES[op](interval(ends))
    assert low <= float(found.lo) and float(found.hi) <= high
