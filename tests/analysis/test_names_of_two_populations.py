"""Populations whose variables have the same names and other types: each is asked about its own."""

from math import pi

import pytest

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.questions import answers
from mfdsl.compiler.driver import compile_text

FINITE = """model namesakes
objective nash
horizon 3
population a as mu {
  state x : bool ~ bernoulli(0.5)
  action u : bool
  noise e : bool ~ bernoulli(0.3)
  x' = x != e
  reward r = ind(e and u)
}
population b as nu {
  state x : int in 0..5 ~ uniform
  action u : int in 0..3
  let m = prob(q.x for q in a)
  noise e : int in 0..4 ~ mix { 0.9 * m -> 4, else -> 1 }
  x' = e
  reward r = 7 * x + 10 * e + 3 * u
}
"""
REAL = """model namesakes
objective nash
horizon 3
population a as mu {
  state x : real in [0, 1] ~ uniform
  trait z : real in [0, 1] ~ uniform
  action u : real in [0, 1]
  x' = clip(x + 0.1 * u)
  reward r = x * x + u * u + z * z
}
population b as nu {
  state x : real in [0, 10] ~ uniform
  trait z : real in [-20, 5] ~ uniform
  action u : real in [-10, 10]
  x' = clip(x + 0.1 * u)
  reward r = x * x - u * u + z * z
}
"""
NOISY = """model namesakes
objective nash
horizon 3
population b as nu {
  state y : real in [0, 1] ~ uniform
  action v : int in 0..1
  noise e : real ~ uniform([0, 1])
  y' = clip(y + 0.1 * e)
  reward r = y
}
population p as mu {
  state x : real in [-100, 100] ~ uniform
  action u : int in 0..1
  noise e : real ~ normal(0, std = 1)
  x' = clip(x + 5 * e * mean(q.y for q in b))
  reward r = x
}
"""
CONSTANTS = {
    # The noise is 4 with chance 0.9 m, else 1: the mean reward moves by 27 m, its law by 1.8 m.
    (FINITE, "b: lipschitz(reward, mu)"): 13.5,
    (FINITE, "b: lipschitz(dynamics, mu)"): 0.9,
    (FINITE, "b: lipschitz(reward, x)"): 7.0,
    (FINITE, "b: lipschitz(reward, u)"): 3.0,
    (REAL, "b: lipschitz(reward, x)"): 20.0,
    (REAL, "b: lipschitz(reward, u)"): 20.0,
    (REAL, "b: lipschitz(reward, z)"): 40.0,
    (REAL, "b: lipschitz(dynamics, x)"): 1.0,
    (REAL, "b: lipschitz(dynamics, u)"): 0.1,
}


def ask(text: str, question: str) -> Certificate:
    """The first certificate that answers a question."""
    return answers(compile_text(text).require_model(), question, seconds=0.5)[0]


@pytest.mark.parametrize("text, question", CONSTANTS)
def test_constants_are_those_of_own_variables(text: str, question: str) -> None:
    found = ask(text, question)
    assert found.verdict == "proved" and found.lower is not None and found.upper is not None
    constant = CONSTANTS[text, question]
    assert found.lower <= constant <= found.upper <= 1.5 * constant and found.lower > 0


def test_laws_of_own_noises_have_mass_one() -> None:
    found = ask(FINITE, "b: normalised(e)")
    assert found.verdict == "proved" and found.upper == 1.0


def test_witnesses_are_laws_that_others_may_have() -> None:
    found = ask(FINITE, "b: independent(reward, mu)")
    assert found.verdict == "refuted" and found.witness is not None
    for name in ("value", "other value"):
        assert 0 <= float(found.witness[name]) <= 84
    for name in ("law of a", "other law of a"):
        values = {part.rpartition("x = ")[2] for part in str(found.witness[name]).split("; ")}
        assert values <= {"0", "1"}


KINDS = """model namesakes
objective nash
horizon 2
enum Two { P, Q }
population a as mu {
  state x : Two ~ uniform
  action u : bool
  x' = x
  reward r = prob(q.x == Two.P for q in a) * prob(q.x == 4 for q in b)
}
population b as nu {
  state x : int in 0..5 ~ uniform
  action u : bool
  x' = x
  reward r = 0
}
"""


def test_members_of_laws_are_named_by_their_own_values() -> None:
    found = ask(KINDS, "a: lipschitz(reward, mu)")
    assert found.witness is not None
    assert {"P", "Q"} >= set(str(found.witness["moving"]).split(" to "))
    assert "4" in str(found.witness["law of b"])


def test_a_noise_is_that_of_its_own_law() -> None:
    found = ask(NOISY, "p: lipschitz(dynamics, nu)")  # 5 E|e| where nothing is clipped
    assert found.verdict == "proved" and found.upper == pytest.approx(5 * (2 / pi) ** 0.5)


RISING = """model namesakes
objective nash
horizon 2
population a as mu {
  state x : int in 1..3 ~ uniform
  action u : bool
  x' = x
  reward r = -mu[x = x]
}
population b as nu {
  state x : int in 0..1 ~ uniform
  action u : int in 0..1
  let m = mean(q.u + 0.6 * q.x for q in b)
  x' = x
  reward r = (max(0, x - 1) - u - 0.6 * x) * m * (1.2 - tanh(m))
}
"""


def test_rewards_are_compared_at_own_values() -> None:
    """m (1.2 - tanh(m)) rises, so rewards fall; where x were 2, as in `a`, they would not."""
    assert ask(RISING, "monotone(reward, mu)").verdict in ("unknown", "proved")
