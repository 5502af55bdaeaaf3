"""Every atom against balls of 200 bits: enclosed by the library and by balls, and balls sharper."""

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mfdsl.compiler.analysis import balls
from mfdsl.compiler.analysis.intervals import LIBRARY, RULES, Interval, logistic, norm, point

flint = pytest.importorskip("flint")

Ball = Any
ROUNDS = 300
ONE: dict[str, Callable[[Ball], Ball]] = {
    "exp": lambda x: x.exp(),
    "log": lambda x: x.log(),
    "sqrt": lambda x: x.sqrt(),
    "tanh": lambda x: x.tanh(),
    "sin": lambda x: x.sin(),
    "cos": lambda x: x.cos(),
    "softplus": lambda x: (1 + x.exp()).log(),
    "logistic": lambda x: 1 / (1 + (-x).exp()),
    "neg": lambda x: -x,
    "abs": abs,
}
TWO: dict[str, Callable[[Ball, Ball], Ball]] = {
    "add": lambda x, y: x + y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "pow": lambda x, y: x**y,
    "atan2": lambda y, x: flint.arb.atan2(y, x),
    "min": lambda x, y: min(x, y),
    "max": lambda x, y: max(x, y),
}
RANGE = {"exp": (-745.0, 709.0), "log": (0.0, 1e300), "sqrt": (0.0, 1e300), "tanh": (-30.0, 30.0)}
RANGE |= {"softplus": (-300.0, 700.0), "logistic": (-300.0, 300.0)}


def rule(op: str) -> Callable[..., Interval]:
    return logistic if op == "logistic" else RULES[op]


def number(chance: random.Random, low: float, high: float) -> float:
    """A number of any size in a range, sometimes whole or near a multiple of half pi."""
    kind = chance.random()
    if kind < 0.3:
        value = chance.uniform(-1, 1) * 10.0 ** chance.randint(-12, 3)
    elif kind < 0.4:
        value = chance.randint(-20, 20) * math.pi / 2
    elif kind < 0.5:
        value = float(chance.randint(-4, 4))
    else:
        value = chance.uniform(max(low, -50.0), min(high, 50.0))
    return min(max(value, low), high)


def holds(found: Interval, ball: Ball) -> bool:
    """Whether the exact value, known to 200 bits, surely or almost surely lies inside."""
    lo, hi = flint.arb(float(found.lo)), flint.arb(float(found.hi))
    return not (ball < lo) and not (ball > hi)


def checked(op: str, exact: Ball, *ends: float) -> None:
    arguments = [point(np.float64(end)) for end in ends]
    wide = rule(op)(*arguments)
    with balls.rigorous() as there:
        assert there
        sharp = rule(op)(*arguments)
    assert holds(wide, exact), (op, ends, wide, exact)
    assert holds(sharp, exact), (op, ends, sharp, exact)
    assert wide.lo <= sharp.lo and sharp.hi <= wide.hi, (op, ends, wide, sharp)
    ulp = math.ulp(max(abs(float(sharp.lo)), abs(float(sharp.hi))))
    assert float(sharp.hi) - float(sharp.lo) <= 4 * ulp, (op, ends, sharp)


@pytest.mark.parametrize("op", ONE)
def test_functions_of_one_number(op: str) -> None:
    chance, (low, high) = random.Random(op), RANGE.get(op, (-1e300, 1e300))
    with flint.ctx.workprec(200):
        for _ in range(ROUNDS):
            x = number(chance, low, high)
            if not (op == "log" and x == 0):
                checked(op, ONE[op](flint.arb(x)), x)


@pytest.mark.parametrize("op", TWO)
def test_functions_of_two_numbers(op: str) -> None:
    chance = random.Random(op)
    with flint.ctx.workprec(200):
        for _ in range(ROUNDS):
            x = number(chance, 1e-6 if op == "pow" else -1e6, 1e6)
            y = number(chance, -8.0, 8.0) if op in ("pow", "atan2") else number(chance, -1e6, 1e6)
            away = op == "div" and y == 0
            cut = op == "atan2" and (y == 0 or x == 0)  # the rule covers both sides of the cut
            if not away and not cut:
                checked(op, TWO[op](flint.arb(x), flint.arb(y)), x, y)


def test_all_functions_of_the_library_have_balls() -> None:
    assert LIBRARY.keys() == balls.FUNCTIONS.keys()


@pytest.mark.parametrize("name", LIBRARY)
def test_ends_of_balls_are_neighbours(name: str) -> None:
    """One of both ends is the value rounded down and one rounded up: nothing lies between."""
    chance = random.Random(name)
    for _ in range(100):
        ends = [number(chance, 0.01, 20.0) for _ in range(2 if name in ("pow", "atan2") else 1)]
        parts = [np.asarray(end) for end in ends]
        lo, hi = (float(balls.rounded(name, down, *parts)) for down in (True, False))
        assert hi in (lo, math.nextafter(lo, math.inf)), (name, ends)


def test_values_at_the_ends_of_the_line() -> None:
    everything = Interval(np.asarray(-np.inf), np.asarray(np.inf))
    expected = {"exp": (0, np.inf), "tanh": (-1, 1), "softplus": (0, np.inf), "sin": (-1, 1)}
    with balls.rigorous():
        for op, (lo, hi) in expected.items():
            found = RULES[op](everything)
            assert (float(found.lo), float(found.hi)) == (lo, hi)
        found = RULES["log"](Interval(np.asarray(0.0), np.asarray(1.0)))
        assert (float(found.lo), float(found.hi)) == (-np.inf, 0.0)
        found = RULES["exp"](Interval(np.asarray(800.0), np.asarray(1e300)))
        assert float(found.lo) >= 0 and float(found.hi) == np.inf


def test_norms_are_enclosed() -> None:
    chance = random.Random("norm")
    with flint.ctx.workprec(200):
        for _ in range(100):
            x, count = number(chance, -1e6, 1e6), chance.randint(1, 9)
            found = norm(point(np.float64(x)), count)
            assert holds(found, abs(flint.arb(x)) * flint.arb(count).sqrt())


@pytest.mark.parametrize("asked", [False, True])
def test_powers_and_roots_are_exact_at_nothing(asked: bool) -> None:
    """What touches 0 must not cross it."""
    nothing, some = point(np.float64(0.0)), Interval(np.asarray(0.0), np.asarray(0.25))
    with balls.rigorous() if asked else np.errstate():
        for exponent in (0.5, 1.0, 1.5, 2.0, 3.0, 7.0):
            power = point(np.float64(exponent))
            assert RULES["pow"](nothing, power) == Interval(np.float64(0), np.float64(0))
            assert float(RULES["pow"](some, power).lo) == 0.0
        assert RULES["pow"](point(np.float64(-1.0)), point(np.float64(3.0))).hi == -1.0
        assert RULES["pow"](nothing, nothing) == Interval(np.float64(1), np.float64(1))
        assert RULES["sqrt"](nothing) == Interval(np.float64(0), np.float64(0))
        assert float(RULES["sqrt"](some).lo) == 0.0


def test_powers_of_both_signs_are_enclosed() -> None:
    both = Interval(np.asarray(-2.0), np.asarray(1.0))
    found = RULES["pow"](both, point(np.float64(3.0)))
    assert found.lo <= -8 and found.hi >= 1
    found = RULES["pow"](both, point(np.float64(4.0)))
    assert found.lo == 0 and found.hi >= 16


def test_balls_are_asked_for_inside_only() -> None:
    assert not balls.asked()
    with balls.rigorous():
        assert balls.asked()
    assert not balls.asked()


def test_without_the_package_ends_are_those_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balls, "available", lambda: False)
    with balls.rigorous() as there:
        assert not there and not balls.asked()
        found = RULES["exp"](point(np.float64(0.3)))
    wide = RULES["exp"](point(np.float64(0.3)))
    assert (found.lo, found.hi) == (wide.lo, wide.hi)
