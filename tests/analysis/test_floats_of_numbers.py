"""Every number lies in the interval around the float that stands for it."""

import random
from fractions import Fraction
from math import inf, nextafter

import numpy as np
import pytest

from mfdsl.compiler.analysis.written import is_short, written
from mfdsl.compiler.ir.fold import carried, decimal, read_float


def around(value: float) -> tuple[Fraction, Fraction]:
    found = written(np.float64(value))
    return Fraction(float(found.lo)), Fraction(float(found.hi))


def numbers() -> list[Fraction]:
    """Numbers between neighbours of floats of few digits, where roundings are easily misread."""
    chance = random.Random(3)
    found = [Fraction("4000000000.10000001"), Fraction("3.0000009536743164")]
    for _ in range(4000):
        power = chance.randint(-60, 60)
        bits = chance.choice((1, 8, 20, 24, 53))
        near = float(chance.randint(1, 2**bits)) * 2.0**power
        share = Fraction(chance.randint(0, 64), 64)
        found.append(Fraction(near) + share * (Fraction(nextafter(near, inf)) - Fraction(near)))
        digits = chance.randint(1, 20)
        found.append(Fraction(chance.randint(1, 10**digits), 10 ** chance.randint(0, 20)))
    return [sign * number for number in found for sign in (1, -1)]


def test_the_float_that_carries_a_number_encloses_it() -> None:
    for exact in numbers():
        value = carried(exact)
        low, high = around(value)
        assert low <= exact <= high
        assert decimal(value) in (None, exact)
        if is_short(np.float64(value)):
            assert Fraction(value) == exact
        assert abs(Fraction(value) - exact) <= Fraction(float(np.spacing(abs(value))))


def test_floats_that_are_taken_for_exact_have_few_digits() -> None:
    chance = random.Random(4)
    for _ in range(4000):
        value = chance.randint(-(2**40), 2**40) / 2.0 ** chance.randint(0, 30)
        if is_short(np.float64(value)):
            assert decimal(value) == Fraction(value)


@pytest.mark.parametrize(
    "text",
    ["0.1", "1e-3", " 2.5 ", "1.000000000000000056e-01", "3.0000000000000002", "-7", "1e300"],
)
def test_numbers_are_read_as_they_are_written(text: str) -> None:
    low, high = around(read_float(text))
    assert low <= Fraction(text.strip()) <= high
    assert read_float(text) == pytest.approx(float(text), rel=1e-15)


def test_what_is_no_number_is_not_read() -> None:
    assert read_float("inf") == inf
    assert read_float("1e-400") == 0.0
    with pytest.raises(ValueError, match="could not convert"):
        read_float("seven")
