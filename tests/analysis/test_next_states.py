"""Constants of dynamics in own variables and with moving noises, against enumeration by hand."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest

import mfdsl
from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.questions import answers


def ask(text: str, question: str, seconds: float = 1.0) -> Certificate:
    (found,) = answers(mfdsl.load(text=text).model, question, seconds=seconds)
    return found


def brackets(found: Certificate, true: float, gap: float = 2e-3) -> bool:
    assert found.lower is not None and found.upper is not None
    return true * (1 - gap) <= found.lower <= true + 1e-9 <= found.upper * (1 + gap) + 2e-9


CHAIN = """
model chain
param p : real in [0, 1] = 0.3
objective nash
horizon 3
population walker as mu {{
  state x : int in 0..{last}{periodic} ~ uniform
  action a : {action}
  noise e : int in -1..1 ~ mix {{ p * (x + 1) / {size} -> 1, {left} -> -1, else -> 0 }}
  x' = {next}
  reward r = (x - 1)^2 * mean(ind(q.x == 1) + 0.5 for q in walker)
}}
"""


def laws(size: int, next_state: Callable[[int, int, int], int], left: float) -> np.ndarray:
    """Rows of the chain at action 0 and 1, [action, state, next state]."""
    found = np.zeros((2, size, size))
    for a, x in itertools.product(range(2), range(size)):
        right = 0.3 * (x + 1) / size
        for e, mass in ((1, right), (-1, left), (0, 1 - right - left)):
            found[a, x, next_state(x, a, e)] += mass
    return found


def test_a_chain_in_its_state_and_action_is_the_enumeration() -> None:
    size = 6
    text = CHAIN.format(
        last=size - 1,
        periodic="",
        size=size,
        left=0.2,
        action="int in 0..1",
        next="clip(x + a * e)",
    )
    kernel = laws(size, lambda x, a, e: min(max(x + a * e, 0), size - 1), 0.2)
    in_state = max(np.abs(kernel[:, x] - kernel[:, x + 1]).sum(-1).max() for x in range(size - 1))
    in_action = np.abs(kernel[0] - kernel[1]).sum(-1).max()
    assert brackets(ask(text, "lipschitz(dynamics, x)"), in_state, 1e-9)
    assert brackets(ask(text, "lipschitz(dynamics, a)"), in_action, 1e-9)


def test_on_a_ring_the_last_value_is_beside_the_first() -> None:
    """The mass of a step to the right is 0.3 (x + 1) / 5, whatever x is then: 0 and 4 are the
    neighbours that differ most."""
    text = CHAIN.format(
        last=4, periodic="", size=5, left=0.2, action="int in 0..1", next="x"
    ).replace("state x : int in 0..4", "state x : int mod 5")
    text = text.replace("x' = x", "y' = e").replace(
        "  action", "  state y : int in -1..1 ~ uniform\n  action"
    )
    text = text.replace("y' = e", "x' = 0\n  y' = e")
    assert brackets(ask(text, "lipschitz(dynamics, x)"), 2 * 0.3 * 4 / 5, 1e-9)


PROTECTED = """
model sick
objective nash
horizon 3
population person as mu {
  state h : int in 0..1 ~ uniform
  action a : int in 0..2
  noise e : int in 0..1 ~ mix {
    (if h == 0 then 0.8 * mu[1]^2 * (1 - a / 2) else 0.7) -> 1, else -> 0
  }
  h' = e
  reward r = h * mu[1]
}
"""


def test_pairs_are_compared_beside_all_laws() -> None:
    """Masses of sickness 0.8 m^2 (1 - a / 2) and 0.7 are furthest apart at m = 0: 2 * 0.7; actions
    differ by 0.4 m^2 a step, at most at m = 1."""
    assert brackets(ask(PROTECTED, "lipschitz(dynamics, h)"), 1.4)
    assert brackets(ask(PROTECTED, "lipschitz(dynamics, a)"), 0.8)
    assert brackets(ask(PROTECTED, "lipschitz(r, h)"), 1.0)
    found = ask(PROTECTED, "lipschitz(dynamics, a)")
    assert found.norm == "|.| -> l1" and found.witness is not None
    assert found.witness["a"] in ("0 and 1", "1 and 2")


def test_no_two_laws_are_further_than_two_apart() -> None:
    found = ask(PROTECTED.replace("h' = e", "h' = h"), "lipschitz(dynamics, h)")
    assert found.verdict == "proved" and found.upper == 2.0
    assert found.lower == pytest.approx(2.0, abs=1e-9)


REAL = """
model mixed
objective nash
horizon 3
population p as mu {
  state h : int in 0..2 ~ uniform
  trait z : real in [0, 2] ~ uniform
  action u : real in [0, 1]
  noise k : int in 0..2 ~ mix { 0.25 * u * z -> 1, 0.25 * u^2 -> 2, else -> 0 }
  h' = NEXT
  reward r = u
}
"""


def test_masses_in_real_variables_against_their_derivatives() -> None:
    """l1 norms of the derivatives (u z / 4, u^2 / 4, rest): in u at most (z + 2 u) / 2 = 2, in z
    u / 2; both of them where 1 and 2 are the same next state are the same."""
    text = REAL.replace("NEXT", "k")
    assert brackets(ask(text, "lipschitz(dynamics, u)"), 2.0)
    assert brackets(ask(text, "lipschitz(dynamics, z)"), 0.5)
    joint = REAL.replace("NEXT", "min(k, 1)").replace("0.25 * u^2 -> 2", "0.5 - 0.25 * u * z -> 2")
    found = ask(joint, "lipschitz(dynamics, u)")  # the mass of h = 1 is 1/2, whatever u is
    assert found.upper == pytest.approx(0.0, abs=1e-9)


COUPLED = """
model coupled
objective nash
horizon 3
population p as mu {
  state h : int in 0..1 ~ uniform
  state x : real in [0, 1] ~ uniform
  action a : int in 0..1
  noise k : int in 0..1 ~ mix { 0.5 * prob(q.h == 1 for q in p) -> 1, else -> 0 }
  h' = k
  x' = clip(0.5 * x + 0.3 * k, 0, 1)
  reward r = x
}
"""


def test_noise_whose_law_moves_beside_real_states() -> None:
    """The masses of k move by 1/2 in l1, half of which is 1 + 0.3 apart at most."""
    found = ask(COUPLED, "lipschitz(dynamics, mu)")
    assert found.verdict == "proved" and found.upper is not None
    assert 0.325 * (1 - 1e-9) <= found.upper <= 0.325 * 1.002
    assert "synchronous coupling" in found.method


SCALED = """
model scaled
objective nash
horizon 3
population p as mu {
  state x : real in [-1, 1] ~ uniform
  action a : int in 0..1
  noise e : real ~ normal(0.5 * mean(q.x for q in p), std = 0.5 + 0.25 * mean(q.x for q in p))
  x' = clip(0.5 * x + e, -1, 1)
  reward r = x
}
"""


def test_location_and_scale_that_move() -> None:
    """|change of the mean| + E|xi| |change of the deviation|, with E|xi| = sqrt(2 / pi)."""
    found = ask(SCALED, "lipschitz(dynamics, mu)")
    true = 0.5 + 0.25 * math.sqrt(2 / math.pi)
    assert found.verdict == "proved" and found.upper is not None
    assert true <= found.upper <= true * (1 + 1e-6)
    assert ask(SCALED, "lipschitz(dynamics, x)").upper == pytest.approx(0.5, rel=1e-6)


def test_the_same_noise_bounds_from_above_only() -> None:
    """x xi with xi of either sign has the same law for x and -x, whatever a coupling says; and
    noise smooths a step, which a coupling with the same noise does not see."""
    flipped = SCALED.replace("clip(0.5 * x + e, -1, 1)", "clip(x * sin(6 * e), -1, 1)")
    found = ask(flipped, "lipschitz(dynamics, x)")
    assert found.lower == 0.0 and found.upper is not None and found.upper >= 1.0
    step = SCALED.replace("clip(0.5 * x + e, -1, 1)", "if x + e > 0 then 1 else 0")
    assert ask(step, "lipschitz(dynamics, x)").verdict == "unknown"


PRIZE = """
model prize
objective nash
horizon 3
population player as mu {
  trait b : int in 0..1 ~ uniform
  state x : int in 0..2 ~ uniform
  action a : int in 0..2
  noise e : bool ~ bernoulli(b * mu[x = x])
  x' = a
  reward r = ind(e)
  observe x, t
}
"""


@pytest.mark.parametrize("question", ["lipschitz(dynamics, x)", "asymmetry(dynamics)"])
def test_a_noise_that_is_only_paid_moves_nobody(question: str) -> None:
    found = ask(PRIZE, question)
    assert found.verdict == "proved" and found.upper is not None and found.upper <= 1e-9
