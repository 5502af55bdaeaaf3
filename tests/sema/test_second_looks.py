"""Bounds that ranges alone miss: shown exactly or by a search, broken at a law, or left open."""

import random

import numpy as np
import pytest

from mfdsl.compiler.analysis.questions import answers
from mfdsl.compiler.driver import Compilation, compile_text

SPEC = """model looked_at
objective nash
horizon 3
enum Health {{ I, S, R }}
population people as mu {{
  state h : Health ~ uniform
  state x : real in [0, 1] ~ uniform
  action a : bool
  let m = mu[h = I]
  let s = mu[h = S]
  h' {h}
  x' = {x}
  reward r = {reward}
  final reward end = -mu[h = h] * ind(a0)
  let a0 = x > 0.5
  {more}
}}
"""


def compiled(
    h: str = "= h", x: str = "x", reward: str = "0 * ind(a)", more: str = ""
) -> Compilation:
    return compile_text(SPEC.format(h=h, x=x, reward=reward, more=more))


def said(compilation: Compilation) -> list[tuple[str, str]]:
    found = [d for d in compilation.diagnostics if d.severity == "error"]
    return [(d.code, " / ".join([d.message, d.labels[0].text, *d.notes])) for d in found]


@pytest.mark.parametrize(
    "weights",
    [
        "4 * m * (1 - m) -> I, else -> S",
        "m^2 -> I, 2 * m * (1 - m) -> S, else -> R",
        "m^2 -> I, 2 * m * (1 - m) -> S, (1 - m)^2 -> R",
        "m / (m + s + 0.1) -> I, (s + 0.1) / (m + s + 0.1) -> S",
        "m / (m + s + 0.1) -> I, else -> S",
        "m * exp(-2 * m) -> I, 1 - m -> R, else -> S",
        "m^2 + s^2 + 2 * m * s -> I, else -> R",
        "x * (1 - x) * 4 -> I, else -> R",
    ],
)
def test_weights_are_a_law_though_values_occur_twice(weights: str) -> None:
    assert said(compiled(h=f"~ mix {{ {weights} }}")) == []


def test_members_of_a_mean_do_not_hide_the_conditions_on_a_counter() -> None:
    """`w` is 1 and more where it counts down, though pairs of roads and members fill the table."""
    text = """model waiting
    objective nash
    horizon 3
    population driver {{
      state  e : int in 0..29 ~ uniform
      state  w : int in 0..39 = 0
      action a : int in 0..29
      let share = prob(q.e == e and q.a == a for q in driver)
      e' = a
      w' = if w > 0 then w - {step} else clip(floor(40 * share))
      cost delay = ind(w > 0)
    }}
    """
    assert said(compile_text(text.format(step=1))) == []
    ((code, why),) = said(compile_text(text.format(step=2)))
    assert code == "MFG303" and "can be -1" in why and "w = 1" in why


def test_conditions_on_the_path_count() -> None:
    """The weight is 1 at m = 1/2 and negative below .146 and above .854."""
    weights = "mix { 8 * m * (1 - m) - 1 -> I, else -> S }"
    assert said(compiled(h=f"~ if m > 0.2 and m < 0.8 then {weights} else S")) == []
    ((code, _),) = said(compiled(h=f"~ if m > 0.1 and m < 0.8 then {weights} else S"))
    assert code == "MFG302"


LINE = """model on_a_line
objective nash
horizon 3
population people as mu {{
  state x : int in 0..{last} ~ uniform
  action a : int in 0..1
  x' ~ mix {{ {weight} -> a, else -> x }}
  reward r = -mu[x]
}}
"""


@pytest.mark.parametrize(
    ("last", "weight"),
    [
        (99, "mu[3]^2 + mu[5]^2 + 2 * mu[3] * mu[5]"),
        (2, "mean(q.x^2 for q in people) - mean(q.x for q in people)^2"),
    ],
)
def test_masses_are_those_of_one_law(last: int, weight: str) -> None:
    """A variance is not negative, and two masses are at most 1 together."""
    assert said(compile_text(LINE.format(last=last, weight=weight))) == []
    assert said(compile_text(LINE.format(last=last, weight=f"1.01 * ({weight})"))) != []


def test_weights_that_are_too_large_are_shown_at_a_law() -> None:
    ((code, text),) = said(compiled(h="~ mix { 5 * m * (1 - m) -> I, else -> S }"))
    assert code == "MFG301"
    assert "up to 1.25" in text and "`people` is 50% I, 50% S" in text
    ((code, text),) = said(compiled(h="~ mix { m^2 -> I, m * (1 - m) -> S, (1 - m)^2 -> R }"))
    assert code == "MFG301" and "between 0.75 and 1" in text


def test_the_certificate_says_how() -> None:
    found = compiled(h="~ mix { 4 * m * (1 - m) -> I, else -> S }")
    (law,) = [c for c in found.certificates if c.claim == "normalised"]
    assert "where these do not tell, Bernstein coefficients" in law.method
    (plain,) = [c for c in compiled().certificates if c.claim == "normalised"]
    assert not any("do not tell" in method for method in plain.method)


@pytest.mark.parametrize("x", ["3.7 * x * (1 - x)", "(x - m)^2 * (1 - x) / 2"])
def test_next_values_stay_inside(x: str) -> None:
    assert said(compiled(x=x)) == []


@pytest.mark.parametrize("x", ["m * x + (1 - m) * s", "4 * x * (1 - x)"])
def test_next_values_that_meet_an_end_may_be_rounded_out(x: str) -> None:
    ((code, text),) = said(compiled(x=x))
    assert code == "MFG303" and "may be rounded out of its domain" in text
    assert said(compiled(x=f"clip({x})")) == []


def test_roots_and_logarithms_keep_away_from_rounding() -> None:
    variance = "mean(q.x^2 for q in people) - mean(q.x for q in people)^2"
    assert "MFG304" in [code for code, _ in said(compiled(reward=f"sqrt({variance})"))]
    spread = "mean(ind(q.h == I) for q in people) - m^2"
    ((_, text),) = said(compiled(reward=f"sqrt({spread})"))
    assert "may be rounded below 0" in text
    assert said(compiled(reward="log(1 - m * (1 - m)) / (0.3 - m * (1 - m))")) == []


def test_a_bound_is_met_by_decimals() -> None:
    """In floating point 0.1 + 0.2 and 1 + 0.2 lie between other floats than 0.3 and 1.2."""
    paid = "-ind(h == I) - 0.2 * ind(a) - 0.1 * ind(h == I)"
    assert said(compiled(reward=paid, more="require reward in [-1.3, 0]")) == []
    ((code, text),) = said(compiled(reward=paid, more="require reward in [-1.29, 0]"))
    assert code == "MFG511" and "h = I, a = true" in text


def test_ranges_are_as_narrow_as_claimed() -> None:
    reward = "m * (1 - m)"
    assert said(compiled(reward=reward, more="require reward in [0, 0.25]")) == []
    ((code, text),) = said(compiled(reward=reward, more="require reward in [0, 0.2]"))
    assert code == "MFG511" and "can be 0.25" in text and "50% I" in text
    ((code, text),) = said(compiled(reward="m * exp(1 - m)", more="require reward in [0, 1]"))
    assert code == "MFG509" and "[0, 1.0000" in text


@pytest.mark.parametrize(
    ("more", "reward"),
    [
        ("noise e : int in 0..3 ~ mix { 0.5 -> 0, else -> 1 }", "m * e"),
        ("trait k : int in 0..3 ~ mix { 0.5 -> 0, else -> 1 }", "m * k"),
        ("action b : int in 0..3 where b <= 1", "m * b"),
    ],
)
def test_what_cannot_occur_refutes_nothing(more: str, reward: str) -> None:
    claim = f"{more}\n  require reward in [0, 1]"
    ((code, text),) = said(compiled(reward=reward, more=claim))
    assert code == "MFG509" and "[0, 3]" in text


def expression(draw: random.Random, depth: int) -> str:
    if depth == 0:
        return draw.choice(["m", "s", "x", "(1 - m)", "0.5", "2", "(m + s)"])
    one, other = expression(draw, depth - 1), expression(draw, depth - 1)
    shapes = ["({} + {})", "({} - {})", "({}) * ({})", "min({}, {})", "({}) / (0.2 + ({})^2)"]
    return draw.choice([*shapes, "({}) * exp(-({}))"]).format(one, other)


@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_shown_that_a_sample_breaks(seed: int) -> None:
    draw, chance = random.Random(seed), np.random.default_rng(seed)
    text = expression(draw, 3)
    laws = np.vstack([np.eye(3), chance.dirichlet([0.4] * 3, 2000)])
    reals = np.concatenate([[0, 1, 0.5], chance.random(len(laws) - 3)])
    where = {"m": laws[:, 0], "s": laws[:, 1], "x": reals, "exp": np.exp, "min": np.minimum}
    values = np.broadcast_to(eval(text.replace("^", "**"), where), len(laws))
    low, high = float(values.min()), float(values.max())
    wide = 0.02 * (1 + high - low)
    claim = "require r in [{!r}, {!r}]"
    tight = compiled(reward=text, more=claim.format(low - wide, high - wide / 20))
    assert said(tight) != []
    loose = compiled(reward=text, more=claim.format(low - 5 * wide, high + 5 * wide))
    assert "MFG511" not in [code for code, _ in said(loose)]


PRICES = """model prices
objective nash
horizon 3
population firm {{
  state y : int in {low}..{low} + 3 ~ uniform
  action a : int in {low}..{low} + 3
  let spread = mean(q.y^2 for q in firm) - mean(q.y for q in firm)^2
  y' = a
  reward r = -sqrt(spread + 0.0001)
}}
"""


def test_what_large_numbers_lose_by_rounding_is_no_proof() -> None:
    """Floats make -1.2e-4 of the variance of 1000001 and, with chance 1e-8, 1000002."""
    assert said(compile_text(PRICES.format(low=10))) == []
    ((code, text),) = said(compile_text(PRICES.format(low=1_000_000)))
    assert code == "MFG304" and "may be rounded below 0" in text
    lost = "1e5 * (m + x)^2 - 1e5 * m^2 - 1e5 * x^2 - 2e5 * m * x"
    found = said(compiled(h=f"~ mix {{ {lost} + m -> I, else -> S }}"))
    assert [code for code, _ in found] == ["MFG301", "MFG302"]
    assert "may be rounded to more than 1" in found[0][1]


OTHERS = LINE.replace("{weight} -> a, else -> x", "{weights}").replace("-mu[x]", "{reward}")


@pytest.mark.parametrize(
    ("weights", "reward"),
    [
        ("prob(q.x == 0 for q in others(people)) -> 0, mu[1] -> 1, else -> 2", "0"),
        (
            "prob(q.x < 1 for q in others(people)) -> 0,"
            " prob(q.x >= 1 for q in others(people)) -> 1",
            "0",
        ),
        ("0.5 -> a, else -> x", "log(mean(q.x + 1 for q in others(people)))"),
        ("0.5 -> a, else -> x", "1 / (0.5 + mu[0] - prob(q.x == 0 for q in others(people)))"),
    ],
)
def test_the_others_are_not_the_whole_law_of_some_agents(weights: str, reward: str) -> None:
    """With two agents one is 0, who reads 0 of the other, and 1/2 of all; one alone reads 0."""
    text = OTHERS.format(last=2, weights=weights, reward=reward)
    (code,) = {code for code, _ in said(compile_text(text))}
    assert code in ("MFG301", "MFG304")


def test_ranges_over_others_stay_open() -> None:
    reward = "prob(q.x == 0 for q in others(people)) + mu[1]\n  require reward in [0, 1]"
    text = OTHERS.format(last=2, weights="0.5 -> a, else -> x", reward=reward)
    ((code, found),) = said(compile_text(text))
    assert code == "MFG509" and "[0, 2]" in found


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ("log(1e-7 + (m + s) * 1e12 - 1e12 * m - 1e12 * s)", "may be rounded to 0"),
        ("1 / (1e-7 + (m + s) * 1e12 - 1e12 * m - 1e12 * s)", "may be rounded to 0"),
        ("1 / (1e-12 + m - m * s + s * m)", "may be rounded to 0"),
        ("sqrt((m + s) * 3 - 3 * m - 3 * s)", "may be rounded below 0"),
    ],
)
def test_what_cancels_exactly_leaves_room_for_floats(value: str, left: str) -> None:
    ((code, text),) = said(compiled(reward=value))
    assert code == "MFG304" and left in text


@pytest.mark.parametrize(
    "value",
    ["log(0.001 + (m + s) * 3 - 3 * m - 3 * s)", "1 / (1.5 - m - s)", "log(1.1 - m - s)"],
)
def test_what_cancels_among_small_numbers_is_no_error(value: str) -> None:
    assert said(compiled(reward=value)) == []


def test_a_divisor_that_is_0_is_not_called_rounded() -> None:
    ((_, text),) = said(compiled(reward="1 / (m * s)"))
    assert "can be 0" in text and "rounded" not in text


def test_a_claim_is_about_what_floats_make_of_it() -> None:
    """The reward is 0, and floats make up to 1e-4 of it."""
    reward = "1e12 * (m + s) - 1e12 * m - 1e12 * s"
    ((code, text),) = said(compiled(reward=reward, more="require reward in [0, 0]"))
    assert code == "MFG509" and "rounding may move it" in text
    assert said(compiled(reward=reward, more="require reward in [-10, 10]")) == []
    (claimed,) = [c for c in compiled(reward=reward).certificates if c.claim == "range"]
    assert claimed.lower is not None and claimed.lower < -1e-4


def test_a_refuted_claim_says_that_the_game_need_not_come_there() -> None:
    """All agents are well for good, but claims are about all laws."""
    ((code, text),) = said(compiled(reward="4 * m * (1 - m)", more="require reward in [0, 0.9]"))
    assert code == "MFG511" and "whether or not the game comes to these" in text


def test_an_agent_alone_has_nobody_to_average_over() -> None:
    """Its reward is 1, though the mean of the others is at least 1 wherever there are some."""
    model = compiled(reward="1 + mean(q.x + 1 for q in others(people))").require_model()
    (found,) = answers(model, "range(reward)", seconds=0.1)
    assert (found.verdict, found.lower) == ("proved", pytest.approx(1.0))
