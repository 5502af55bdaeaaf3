"""Constants of what goes with the source by detours: finite states beside real ones, noises of
others, illegal actions, rings.
"""

import pytest

import mfdsl
from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.questions import answers

HEAD = "model detours\nobjective nash\nhorizon 2\n"


def ask(text: str, question: str) -> Certificate:
    (found,) = answers(mfdsl.load(text=HEAD + text).model, question, seconds=0.5)
    return found


BESIDE = """population p as mu {{
  state x : int in 0..2 ~ uniform
  state u : bool ~ bernoulli(0.5)
  state z : real in [0, 1] ~ uniform
  action a : bool
  x' = {next}
  u' = u
  z' = z
  reward r = 0
}}
"""


@pytest.mark.parametrize("next_state", ["x", "if u then 0 else x"])
@pytest.mark.parametrize("source", ["x", "u"])
def test_finite_states_count_beside_real_ones(next_state: str, source: str) -> None:
    """One that is kept is 1 away where it was 1 away."""
    found = ask(BESIDE.format(next=next_state), f"lipschitz(dynamics, {source})")
    assert found.upper == 1.0 and found.verdict == "proved"


MEMBERS = """population p as mu {{
  state x : bool ~ bernoulli(0.5)
  action a : bool
  let m = prob(q.a for q in p)
  noise n : bool ~ bernoulli({chance})
  let k = ind(n)
  x' = a
  reward r = {reward}
}}
"""


@pytest.mark.parametrize(
    "chance, reward, verdict",
    [
        # the mean of k is min(1, 8 m), of slope 4
        ("min(1, 8 * m)", "mean(q.k for q in p)", "unknown"),
        # always 3, and always 0
        ("0.3", "10 * mean(q.k for q in p)", "proved"),
        ("0.3", "if mean(q.k for q in p) > 0.5 then 1 else 0", "unknown"),
    ],
)
def test_noises_of_members_go_with_their_chances(chance: str, reward: str, verdict: str) -> None:
    found = ask(MEMBERS.format(chance=chance, reward=reward), "lipschitz(reward, mu)")
    assert found.verdict == verdict and not found.lower


def test_chances_of_another_population_reach_those_who_read_its_noises() -> None:
    found = ask(
        """population p as mu {
  state x : bool ~ bernoulli(0.5)
  action a : bool
  noise n : bool ~ bernoulli(prob(q.y for q in w))
  let k = ind(n)
  x' = a
  reward r = 0
}
population w as nu {
  state y : bool ~ bernoulli(0.5)
  action b : bool
  y' = b
  reward s = mean(q.k for q in p) * ind(y)
}
""",
        "w: lipschitz(reward, nu)",
    )
    assert found.verdict == "unknown" and not found.lower


def test_a_common_noise_that_a_law_draws_moves_next_states() -> None:
    text = """environment e {
  state z : bool ~ bernoulli(0.5)
  noise n : int in 0..1 ~ mix { prob(q.x == 1 for q in p) -> 1, else -> 0 }
  z' = z
}
population p as mu {
  state x : int in 0..1 ~ uniform
  action a : int in 0..1
  x' = e.n
  reward r = e.n * 5
}
"""
    assert ask(text, "p: lipschitz(dynamics, mu)").verdict == "unknown"
    assert ask(text, "p: lipschitz(reward, mu)").upper == pytest.approx(2.5)


MASKED = """population p as mu {{
  state x : int in 0..2 ~ uniform
  action a : bool where {legal}
  x' = x
  reward r = {reward}
}}
"""


@pytest.mark.parametrize(
    "legal, reward",
    [
        ("not a", "prob(q.a for q in p)"),
        ("not a or x == 1", "if prob(q.a and q.x == 2 for q in p) > 0.5 then 1 else 0"),
    ],
)
def test_slopes_at_illegal_actions_are_no_evidence(legal: str, reward: str) -> None:
    found = ask(MASKED.format(legal=legal, reward=reward), "lipschitz(reward, mu)")
    assert found.verdict != "refuted" and not found.lower


RING = """population p as mu {{
  state x : real mod [0, 1] = 0
  state u : bool ~ bernoulli(0.5)
  action a : bool
  x' = {next}
  u' = u
  reward r = 0
}}
"""


@pytest.mark.parametrize(
    "next_state, source, verdict, upper",
    [
        ("floor(3 * x) + x", "x", "unknown", None),
        ("rem(3 * mean(ind(q.u) for q in p), 1) + 0.4 * x", "mu", "unknown", None),
        ("x + 3 * mean(ind(q.u) for q in p)", "mu", "proved", 1.5),
    ],
)
def test_a_whole_turn_is_no_jump(
    next_state: str, source: str, verdict: str, upper: float | None
) -> None:
    found = ask(RING.format(next=next_state), f"lipschitz(dynamics, {source})")
    assert found.verdict == verdict
    assert found.upper is None if upper is None else found.upper == pytest.approx(upper)


def test_a_jump_that_is_no_whole_turn_refutes() -> None:
    text = RING.format(next="x + (if prob(q.u for q in p) > 0.5 then 0.3 else 0)")
    assert ask(text, "lipschitz(dynamics, mu)").verdict == "refuted"


TWO = """population p as mu {
  state x : bool ~ bernoulli(0.5)
  action a : bool
  noise n : bool ~ bernoulli(prob(q.x for q in p))
  x' = a
  reward r = ind(n)
}
population w as nu {
  state y : bool ~ bernoulli(0.5)
  action b : bool
  noise n : bool ~ bernoulli(0.5 * prob(q.y for q in w))
  y' = b
  reward s = ind(n)
}
"""


@pytest.mark.parametrize(
    "question, true",
    [
        ("p: lipschitz(reward, mu)", 0.5),
        ("w: lipschitz(reward, nu)", 0.25),
        ("p: lipschitz(reward, nu)", 0.0),
        ("w: lipschitz(reward, mu)", 0.0),
    ],
)
def test_populations_have_noises_of_their_own_by_the_same_name(question: str, true: float) -> None:
    found = ask(TWO, question)
    assert found.verdict == "proved" and found.upper == pytest.approx(true, abs=1e-9)
