"""Constants, parameters, tables and ends of ranges stand for the decimals that were written."""

import random
from fractions import Fraction
from pathlib import Path

import pytest

from mfdsl.compiler.analysis.questions import answers
from mfdsl.compiler.driver import Options, compile_file, compile_text
from mfdsl.compiler.ir.fold import carried, decimal, read_float
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


SECONDS = 0.5  # counted


def model_of(reward: str, big: str = "1") -> Model:
    done = compile_text(SPEC.format(reward=reward, big=big))
    assert done.model is not None, [d.message for d in done.diagnostics]
    return done.model


FEW = """model few
objective nash
horizon 3
{parameter}
population people as mu {{
  state x : int in 0..1 ~ uniform
  {state}
  action a : int in 0..1
  x' = a
  reward r = {reward}
}}
"""


def read(text: str, given: dict[str, float]) -> Model:
    done = compile_text(text, options=Options(parameters=given))
    assert done.model is not None, [d.message for d in done.diagnostics]
    return done.model


def verdict(model: Model, question: str) -> str:
    (found,) = answers(model, question, SECONDS)
    return found.verdict


def ends(model: Model, question: str) -> tuple[Fraction, Fraction]:
    (found,) = answers(model, question, SECONDS)
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
    for _ in range(3):
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


def test_equal_decimals_meet_the_ends_of_ranges() -> None:
    """One difference of numbers as they are written keeps its sign in floats."""
    for reward in ("sqrt(0.3 - y) + m", "sqrt(-y + 0.3) + m", "log(1 + y) * sqrt(0.3 - y)"):
        assert model_of(reward).name == "cancel"


def test_sums_that_cancel_may_be_rounded_below_their_end() -> None:
    done = compile_text(SPEC.format(reward="sqrt(0.3 * x + 0.1 * m - 0.1 * m)", big="1"))
    (told,) = (d for d in done.diagnostics if d.severity == "error")
    assert told.message == "`sqrt` of a value that may be rounded below 0"


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


LONG = "3.0000000000000002"  # between 3 and the next float, nearer to 3


@pytest.mark.parametrize(
    ("parameter", "given"),
    [
        (f"param p : real in [0, 10] = {LONG}", {}),
        (f"param p : real in [0, 10] = 1 + {LONG} - 1", {}),
        ("param p : real in [0, 10] = 1", {"p": read_float(LONG)}),
    ],
)
def test_values_keep_all_their_digits(parameter: str, given: dict[str, float]) -> None:
    text = FEW.format(parameter=parameter, state="", reward="1e17 * (p - 3) * x * mu[x = 1]")
    model = read(text, given)
    low, high = ends(model, "lipschitz(reward, mu)")
    assert low <= 10 <= high
    assert verdict(model, "independent(reward, mu)") != "proved"
    assert verdict(model, "monotone(reward, mu)") != "proved"


@pytest.mark.parametrize(
    ("parameter", "state", "value"),
    [
        ("", f"state y : real in [0, {LONG}] = {LONG}", "y"),
        (f"param p : real in [0, {LONG}] = 1", "", "p"),
        (f"param p : real in [0, 10] = 1\nassume p <= {LONG}", "", "p"),
    ],
)
def test_ends_of_ranges_keep_all_their_digits(parameter: str, state: str, value: str) -> None:
    moved = f"{state}\n  y' = y" if state else ""
    reward = f"1e17 * max(0, {value} - 3)"
    model = read(FEW.format(parameter=parameter, state=moved, reward=reward), {})
    (found,) = answers(model, "range(reward)", whole_box=bool(parameter))
    assert found.upper is None or found.upper >= 20


def test_tables_keep_all_their_digits(tmp_path: Path) -> None:
    cells = "1.000000000000000056e-01,2.000000000000000111e-01,2.999999999999999889e-01"
    (tmp_path / "t.csv").write_text(cells)
    parameter = 'param w : real[3] from "t.csv"'
    reward = "1e17 * (w[0] + w[1] - w[2]) * x * mu[x = 1]"
    spec = tmp_path / "game.mfg"
    spec.write_text(FEW.format(parameter=parameter, state="", reward=reward))
    model = compile_file(spec).model
    assert model is not None
    left = sum(map(Fraction, cells.split(",")[:2])) - Fraction(cells.split(",")[2])
    low, high = ends(model, "lipschitz(reward, mu)")
    assert low <= 10**17 * left / 2 <= high
    assert verdict(model, "independent(reward, mu)") != "proved"


def test_a_power_of_two_is_not_the_decimal_beside_it() -> None:
    """2^-20 has 14 digits, and 3 + 2^-20 is the double that is next to the decimal."""
    parameter = "param s : real in [0, 1] = 0.00000095367431640625"
    reward = "1e18 * max(0, (3 + s) - 3.0000009536743164)"
    (found,) = answers(
        read(FEW.format(parameter=parameter, state="", reward=reward), {}), "range(reward)"
    )
    assert found.upper is not None and found.upper >= 6.25


@pytest.mark.parametrize(
    "others",
    [
        "param n : int in 1..9 = 5\nassume p >= n",
        "param n : real = 5\nassume p >= n",
        "param n : real in [0, 10] = 5\nassume p >= n",
    ],
)
def test_a_parameter_that_may_vary_narrows_no_range(others: str) -> None:
    parameter = f"param p : real in [0, 10] = 6\n{others}"
    model = read(FEW.format(parameter=parameter, state="", reward="-(p - 5) * mu[x = x]"), {})
    (found,) = answers(model, "range(reward)", whole_box=True)
    assert found.upper is None or found.upper >= 4
    (found,) = answers(model, "monotone(reward, mu)", whole_box=True)
    assert found.verdict != "proved"


def test_what_stays_between_decimals_is_accepted() -> None:
    spec = """model few
objective nash
horizon 3
param low : real in [0, 5] = 0.1
param top : real in [0, 5] = 0.3
population people as mu {
  state x : int in 0..1 ~ uniform
  state y : real in [0, 0.3] = 0.3
  state z : real in [0, 0.7] ~ uniform([0.1, 0.7])
  state v : real in [-0.7, 0.7] = 0.7
  state w : real in [low, top] = top
  action a : int in 0..1
  x' = a
  y' = 0.3 - y
  z' = min(0.7, z + 0.1)
  v' = -v
  w' = low + (top - low) * (w - low) / (top - low)
  reward r = mu[x = 1] + sqrt(w - low) + log(1 + y / 0.3)
}
"""
    assert read(spec, {}).name == "few"
