"""Constants, parameters, tables and ends of ranges stand for the decimals that were written."""

import random
from fractions import Fraction

import pytest

from mfdsl.compiler.analysis.questions import answers
from mfdsl.compiler.driver import compile_text
from mfdsl.compiler.ir.fold import carried, decimal
from mfdsl.compiler.ir.model import Model

SPEC = """model cancel
objective nash
horizon 3
param big   : real in [0, 1e18] = {big}
param table : real[2] = [{big}, 1]
population people {{
  state x : int in 0..1 ~ uniform
  state y : real in [0, 0.3] ~ uniform
  action a : int in 0..1
  let m = mean(q.x for q in people)
  x' = a
  y' = y
  reward r = {reward}
}}
"""


def model_of(reward: str, big: str = "1") -> Model:
    done = compile_text(SPEC.format(reward=reward, big=big))
    assert done.model is not None, [d.message for d in done.diagnostics]
    return done.model


def ends(model: Model, question: str) -> tuple[Fraction, Fraction]:
    (found,) = answers(model, question)
    assert found.lower is not None and found.upper is not None
    return Fraction(found.lower), Fraction(found.upper)


WRITTEN = (
    ("{0} * m - {1} * m", "1"),
    ("big * m - {1} * m", "{0}"),
    ("table[0] * m - {1} * m", "{0}"),
    ("table[x] * m - ind(x == 0) * {1} * m - ind(x == 1) * m", "{0}"),
    ("log(exp({0} * m)) - {1} * m", "1"),
)


@pytest.mark.parametrize(("reward", "big"), WRITTEN)
def test_what_is_left_when_decimals_cancel_is_enclosed(reward: str, big: str) -> None:
    chance = random.Random(reward)
    for _ in range(6):
        digits = chance.randint(1, 12) if "exp" not in reward else 2
        first = f"{chance.randint(1, 10**digits)}.{chance.randint(1, 10**4):04d}"
        second = f"{int(Fraction(first))}.0"
        model = model_of(reward.format(first, second), big.format(first, second))
        slope = (Fraction(first) - Fraction(second)) / 2
        low, high = ends(model, "lipschitz(reward, people)")
        assert low <= slope <= high
        assert high - low <= slope / 500 + Fraction(first) / 10**13


def test_a_claim_that_only_doubles_meet_is_not_proved() -> None:
    """The double next to 1000000.1 is 2e-11 below it, half of that in the slope."""
    short = Fraction("0.05") - Fraction(1, 10**11)
    assert Fraction(1000000.1) < Fraction("1000000.1") - Fraction(2, 10**11)
    _, high = ends(model_of("1000000.1 * m - 1000000 * m"), "lipschitz(reward, people)")
    assert high >= Fraction("0.05") > short


def test_the_end_of_a_range_is_the_decimal() -> None:
    text = "1e17 * (y - 0.3) + m"
    (found,) = answers(model_of(text), "range(reward)")
    assert found.upper is not None and 1 <= found.upper <= 33


def test_equal_decimals_cancel_and_meet_the_ends_of_ranges() -> None:
    """Neither is below 0 anywhere, so both have roots."""
    for reward in ("sqrt(0.3 - y) + m", "sqrt(0.3 * x + 0.1 * m - 0.1 * m)"):
        assert model_of(reward).name == "cancel"


@pytest.mark.parametrize(
    "text", ["0.50000000000000000001", "0.1000000000000000000001", "123456789.250000000000000001"]
)
def test_a_float_of_few_digits_stands_for_itself_only(text: str) -> None:
    exact = Fraction(text)
    assert decimal(carried(exact)) is None
    assert abs(Fraction(carried(exact)) - exact) <= Fraction(2.0**-52) * exact
    low, high = ends(model_of(f"1e20 * ({text} * m - {float(exact)!r} * m)"), "range(reward)")
    assert low <= 10**20 * (exact - Fraction(repr(float(exact)))) <= high


def test_most_floats_are_the_nearest() -> None:
    chance = random.Random(0)
    for _ in range(1000):
        short = Fraction(chance.randint(1, 10**6), 10 ** chance.randint(0, 9))
        assert carried(short) == float(short)
    assert carried(Fraction(1, 3)) == 1 / 3
    assert carried(Fraction(0)) == 0.0
    assert carried(Fraction(1, 10**400)) > 0
