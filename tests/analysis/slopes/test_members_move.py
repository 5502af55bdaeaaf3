"""Laws over members that differ in real variables, in finite ones, or in both: no bound is below a
slope that was worked out by hand.
"""

import pytest

from mfdsl.compiler.analysis.questions import answers
from mfdsl.compiler.driver import compile_text

CHANCE = """model chances
objective nash
horizon 2
population a as mu {{
  state x : {type} ~ uniform
  action u : bool
  x' ~ {law}
  reward r = 0
}}
population b as nu {{
  state s : real in [0, 1] ~ uniform
  action v : bool
  let m = mean(q.s for q in b)
  s' = s
  reward r = 0
}}
"""
LAWS = {
    "bernoulli(mean(q.s for q in b))": ("bool", 2.0),
    "mix { 0.4 * mean(q.s for q in b) -> 0, 0.6 * mean(q.s for q in b) -> 1, else -> 2 }": (
        "int in 0..2",
        2.0,
    ),
    "mix { 0.3 * mean(q.s for q in b) -> 0, 0.3 - 0.3 * mean(q.s for q in b) -> 1, else -> 2 }": (
        "int in 0..2",
        0.6,
    ),
}


@pytest.mark.parametrize("law", LAWS)
def test_laws_of_finite_states_are_compared_in_l1(law: str) -> None:
    """Not in the Euclidean norm of their masses, which is less."""
    type_, slope = LAWS[law]
    text = CHANCE.format(type=type_, law=law)
    (found,) = answers(compile_text(text).require_model(), "a: lipschitz(dynamics, nu)")
    assert found.norm == "W1 -> l1" and found.verdict == "proved"
    assert found.lower is not None and found.upper is not None
    assert found.lower <= slope <= found.upper <= slope * 1.002


CLOUD = """model cloud
objective nash
horizon 2
population a as mu {
  state p : real[2] in [0, 1] ~ uniform
  state x : bool ~ bernoulli(0.5)
  action u : bool
  let h = p + 3 * ind(x)
  x' = x
  p' = p
  reward r = w2(a.h, [[0, 0], [0, 0]])
}
"""


def test_transport_moves_with_finite_variables_of_members() -> None:
    """From (1, 1) to (4, 4) the squared distance grows from 2 to 32, and x is 1 away."""
    (found,) = answers(compile_text(CLOUD).require_model(), "lipschitz(reward, mu)", 0.3)
    assert found.norm == "W1" and found.upper is not None and 30 <= found.upper < 33
