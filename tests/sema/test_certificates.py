"""Certificates say how far what is proved reaches."""

import pytest

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
    [("choose(y in 0..2, weight = w[y])", 1e-9), ("mix { 0.3 -> a, else -> x }", 0.0)],
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
