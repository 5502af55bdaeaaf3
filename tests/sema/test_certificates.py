"""Certificates say how far what is proved reaches."""

import pytest

from mfdsl.compiler.analysis.questions import answers
from mfdsl.compiler.driver import compile_text

MODEL = """model drift

objective nash
horizon 3

param w : real[3] in [0, 1] = [0.2, 0.3, {last}]

population p as mu {{
  state  x : int in 0..2 ~ uniform
  action a : int in 0..2
  x' ~ {law}
  reward r = -mu[x] * (a + w[0])
}}
"""


@pytest.mark.parametrize(
    ("law", "slack"),
    [
        ("choose(y in 0..2, weight = w[y])", 1e-9),
        ("mix { 0.3 -> a, else -> x }", 0.0),
        ("mix { 0.5 -> 0, 0.3 -> 1, 0.2 -> 2 }", 0.0),
        ("mix { 0.3333333333 -> 0, 0.3333333333 -> 1, 0.3333333333 -> 2 }", 1e-9),
    ],
)
def test_laws_that_only_their_sum_normalises_are_certified_within_a_tolerance(
    law: str, slack: float
) -> None:
    found = compile_text(MODEL.format(last=0.5, law=law))
    assert found.ok
    (claim,) = (c for c in found.certificates if c.claim == "normalised")
    assert (claim.lower, claim.upper) == (1 - slack, 1 + slack)


@pytest.mark.parametrize(("last", "ok"), [(0.5 + 5e-10, True), (0.5 + 2e-9, False)])
def test_the_tolerance_is_what_the_certificate_says(last: float, ok: bool) -> None:
    text = MODEL.format(last=repr(last), law="choose(y in 0..2, weight = w[y])")
    assert compile_text(text).ok is ok


@pytest.mark.parametrize(
    ("reward", "ends"),
    [
        ("x * t", (0.0, None)),
        ("x * min(t, 5)", (0.0, 10.0)),
        ("x * rem(t, 3)", (0.0, 4.0)),
        ("sin(t)", (-1.0, 1.0)),
    ],
)
def test_ranges_of_endless_games_hold_at_every_stage(
    reward: str, ends: tuple[float, float | None]
) -> None:
    text = MODEL.format(last=0.5, law="mix { 0.3 -> a, else -> x }")
    text = text.replace("horizon 3", "horizon infinite\ndiscount 0.9")
    found = compile_text(text.replace("-mu[x] * (a + w[0])", reward))
    (claim,) = (c for c in found.certificates if c.claim == "range")
    assert (claim.lower, claim.upper) == pytest.approx(ends)
    assert claim.verdict == ("unknown" if ends[1] is None else "proved")
    (asked,) = answers(found.require_model(), "range(reward)", seconds=0.1)
    assert asked.verdict == claim.verdict
