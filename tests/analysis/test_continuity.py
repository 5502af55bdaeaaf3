"""Jumps are proved or ruled out where branches meet, at edges of the domain and over members."""

import pytest

import mfdsl
from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.questions import answers

SPEC = """
model faces
objective nash
horizon 3
population p as mu {{
  state x : int in 0..2 ~ uniform
  action a : int in 0..1
  {noise}
  x' = {next}
  reward r = {reward}
}}
"""


def ask(
    reward: str,
    question: str = "lipschitz(r, mu)",
    *,
    noise: str = "",
    next: str = "x",
    seconds: float = 1.0,
) -> Certificate:
    text = SPEC.format(reward=reward, noise=noise, next=next)
    (found,) = answers(mfdsl.load(text=text).model, question, seconds=seconds)
    return found


@pytest.mark.parametrize(
    "reward, constant",
    [
        ("if mu[x] > 0 then min(1, 0.2 / mu[x]) else 1", 2.5),
        ("if mu[0] > 0 then 1 - exp(-mu[0]) else 0", 0.5),
        ("if mu[0] < 0.3 then mu[0] else 0.3", 0.5),
        ("if mu[0] * mu[1] < 0.1 then mu[0] * mu[1] else 0.1", 0.5),
        ("if mu[0] > 0.5 then mu[0]^2 else 0.5 * mu[0]", 1.0),
    ],
)
def test_branches_that_meet_have_the_constant_of_the_steeper(reward: str, constant: float) -> None:
    found = ask(reward)
    assert found.verdict == "proved"
    assert found.upper == pytest.approx(constant, rel=2e-3)


@pytest.mark.parametrize(
    "reward, gap",
    [
        ("if mu[0] > 0.5 then 1 else 0", 1.0),
        ("if mu[0] > 0.5 then 1 else 0.9999999", 1e-7),
        ("if mu[0] > 0 then mu[0] + 0.5 else 0", 0.5),
        ("if mu[0] + mu[1] > 0 then mu[0] / (mu[0] + mu[1]) else 0", 1.0),
        ("round(3 * mu[0] + 0.1)", 1.0),
        ("max(q.x for q in p)", 2.0),
        ("0.1 * max(abs(q.x - x) for q in p)", 0.2),
        ("min(q.x^2 - q.x for q in p)", 2.0),
    ],
)
def test_jumps_are_proved_with_their_gap_and_place(reward: str, gap: float) -> None:
    found = ask(reward)
    assert found.verdict == "refuted" and found.upper is None
    assert found.detail is not None and found.detail.startswith("jumps by")
    assert found.witness is not None and "law of p" in found.witness
    assert found.witness["change"] == pytest.approx(gap, rel=1e-2)
    assert float(found.witness["distance"]) < 1e-9
    assert found.culprit is not None and found.fix is not None


def test_a_pole_behind_a_condition_is_refuted() -> None:
    found = ask("if mu[0] > 0 then mu[0] * log(mu[0]) else 0")
    assert found.verdict == "refuted" and found.detail is not None and "`log`" in found.detail


@pytest.mark.parametrize("seconds", [0.005, 0.01, 0.02, 0.03])
def test_a_pole_beside_a_jump_of_another_mean_is_answered(seconds: float) -> None:
    """Nothing but the condition reads that mean, and it stands still where a branch is chosen. How
    many boxes are looked at decides which of the reasons is found.
    """
    jump = "(if mean(q.x for q in p) > 0.7 then a else 0) + sqrt(mu[x = 2])"
    turn = "\n  reward s = 0.1 * atan2(mu[x = 0] - 0.5, mu[x = 1] - 0.5)"
    found = ask(jump + turn, "lipschitz(reward, mu)", seconds=seconds)
    assert found.verdict in ("refuted", "unknown") and found.upper is None


def test_masses_that_jump_between_equal_next_states_are_no_jump() -> None:
    coin = "noise e : bool ~ bernoulli(if mu[0] > 0.5 then 1 else 0)"
    same = ask("0", "lipschitz(dynamics, mu)", noise=coin, next="x")
    assert same.verdict != "refuted"
    other = ask("0", "lipschitz(dynamics, mu)", noise=coin, next="if e then 1 else 0")
    assert other.verdict == "refuted"
    assert other.witness is not None and other.witness["change"] == pytest.approx(2.0)


def test_an_extreme_of_equal_values_stands_still() -> None:
    assert ask("max(q.x * 0 + 1 for q in p)").upper == 0.0


RING = """
model ring
objective nash
horizon 3
population p as mu {
  state x : real mod [-2, 2] ~ uniform
  action a : real in [-1, 1]
  x' = x + 0.1 * a
  reward near  = dist(x, 0.5)
  reward bump  = mean(exp(-2 * dist(x, q.x)) for q in p)
  reward way   = displacement(x, 0.5)
  reward floor = displacement(x, 0.5) / (abs(displacement(x, 0.5)) + 0.01)
                 * max(0, 1 - dist(x, 0.5))
}
"""


@pytest.mark.parametrize(
    "question, constant",
    [
        ("lipschitz(near, x)", 1.0),
        ("lipschitz(bump, mu)", 2.0),
        ("lipschitz(bump, x)", 2.0),
        ("lipschitz(floor, x)", 100.0),
    ],
)
def test_distances_on_a_ring_do_not_jump(question: str, constant: float) -> None:
    (found,) = answers(mfdsl.load(text=RING).model, question, seconds=2.0)
    assert found.verdict == "proved" and found.upper is not None and found.lower is not None
    assert constant * (1 - 1e-9) <= found.upper <= constant * 1.02
    assert found.lower <= constant * (1 + 1e-9)


def test_the_way_around_a_ring_jumps() -> None:
    (found,) = answers(mfdsl.load(text=RING).model, "lipschitz(way, x)", seconds=1.0)
    assert found.verdict == "refuted" and found.witness is not None
    assert found.witness["change"] == pytest.approx(4.0, rel=1e-6)
    assert " and " in str(found.witness["x"])  # both points
