"""Decimal intervals hold the true value: against 100 digits of mpmath, and on exact numbers."""

import random
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import mpmath
import pytest

from mfdsl.compiler.analysis.symbolic import decimals
from mfdsl.compiler.analysis.symbolic.decimals import Range, UndefinedError, enclosed

SEVEN_THIRDS = enclosed(Fraction(7, 3))
CASES: list[tuple[Callable[[Range], Range], str, Callable[[Any], Any]]] = [
    (decimals.exponential, "any", mpmath.exp),
    (decimals.logarithm, "positive", mpmath.log),
    (decimals.root, "positive", mpmath.sqrt),
    (decimals.sine, "any", mpmath.sin),
    (decimals.cosine, "any", mpmath.cos),
    (decimals.hyperbolic_tangent, "any", mpmath.tanh),
    (decimals.softplus, "any", lambda v: mpmath.log(1 + mpmath.exp(v))),
    (
        lambda a: decimals.power(a, enclosed(Fraction(7, 3))),
        "positive",
        lambda v: v ** (mpmath.mpf(7) / 3),
    ),
    (lambda a: decimals.power(a, enclosed(Fraction(-3))), "positive", lambda v: v**-3),
]


def true(value: Any) -> Decimal:
    return Decimal(mpmath.nstr(value, 90))


@pytest.mark.parametrize("case", range(len(CASES)))
def test_functions_enclose_the_true_value_tightly(case: int) -> None:
    rule, domain, truth = CASES[case]
    chance = random.Random(case)
    with mpmath.workdps(110):
        for _ in range(40):
            value = Fraction(chance.randint(-30_000, 30_000), 977)
            if domain == "positive":
                value = abs(value) + Fraction(1, 10**6)
            lo, hi = rule(enclosed(value))
            expected = true(truth(mpmath.mpf(value.numerator) / value.denominator))
            assert lo <= expected <= hi
            assert Fraction(hi) - Fraction(lo) < abs(Fraction(expected)) / 10**35 + Fraction(
                1, 10**40
            )


@pytest.mark.parametrize("case", range(len(CASES)))
def test_functions_of_wide_intervals_hold_the_values_inside(case: int) -> None:
    rule, domain, truth = CASES[case]
    chance = random.Random(case)
    with mpmath.workdps(60):
        for _ in range(20):
            ends = sorted(Fraction(chance.randint(-300, 300), 97) for _ in range(2))
            if domain == "positive":
                ends = sorted(abs(e) + 1 for e in ends)
            lo, hi = rule((enclosed(ends[0])[0], enclosed(ends[1])[1]))
            for k in range(5):
                at = ends[0] + (ends[1] - ends[0]) * k / 4
                inside = true(truth(mpmath.mpf(at.numerator) / at.denominator))
                slack = Fraction(1, 10**40)
                assert Fraction(lo) - slack <= Fraction(inside) <= Fraction(hi) + slack


def test_arithmetic_holds_the_exact_result() -> None:
    chance = random.Random(1)
    for _ in range(200):
        a, b = (Fraction(chance.randint(-999, 999), chance.randint(1, 999)) for _ in range(2))
        pair = enclosed(a), enclosed(b)
        results = [
            (decimals.add(*pair), a + b),
            (decimals.multiply(*pair), a * b),
            (decimals.absolute(pair[0]), abs(a)),
            (decimals.neg(pair[0]), -a),
            (decimals.power(pair[0], enclosed(Fraction(4))), a**4),
        ]
        if b:
            results.append((decimals.divide(*pair), a / b))
        for (lo, hi), exact in results:
            assert Fraction(lo) <= exact <= Fraction(hi)


def test_what_is_undefined_or_too_large_has_no_value() -> None:
    one, none = enclosed(Fraction(1)), enclosed(Fraction(0))
    for attempt in (
        lambda: decimals.divide(one, none),
        lambda: decimals.logarithm(none),
        lambda: decimals.root(enclosed(Fraction(-1))),
        lambda: decimals.power(enclosed(Fraction(2)), enclosed(Fraction(10**9))),
        lambda: decimals.sine(enclosed(Fraction(10**8))),
        lambda: decimals.remainder(enclosed(Fraction(1, 3)), one),
    ):
        with pytest.raises(UndefinedError):
            attempt()


def test_comparisons_say_both_where_they_cannot_tell() -> None:
    wide = (Decimal(0), Decimal(1))
    half = enclosed(Fraction(1, 2))
    assert decimals.less(wide, half, strict=True) == (0, 1)
    assert decimals.less(half, half, strict=True) == (0, 0)
    assert decimals.less(half, half, strict=False) == (1, 1)
    assert decimals.equal(half, half) == (1, 1)
    assert decimals.equal(wide, half) == (0, 1)
    assert decimals.equal(wide, enclosed(Fraction(2))) == (0, 0)
    assert decimals.remainder(enclosed(Fraction(-7)), enclosed(Fraction(3))) == (2, 2)
