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


REAL = """population p as mu {{
  state z : real in [0, 1] ~ uniform
  action a : bool
  noise n : {law}
  let k = {value}
  z' = z
  reward r = mean(q.k * q.z for q in p)
}}
"""


@pytest.mark.parametrize(
    "law, value",
    [
        ("bool ~ bernoulli(if z > 0.5 then 1 else 0)", "ind(n)"),  # the mean of z above 1/2 jumps
        ("bool ~ bernoulli(clip(10 * z - 4.5, 0, 1))", "ind(n)"),  # slope 6.5
        ("int in 0..3 ~ dither(3 * z)", "n"),  # the mean of 3 z^2, slope 6
    ],
)
def test_chances_of_members_go_with_their_real_states(law: str, value: str) -> None:
    found = ask(REAL.format(law=law, value=value), "lipschitz(reward, mu)")
    assert found.verdict == "unknown" and found.upper is None


MAJOR = """major M {{
  state y : bool ~ bernoulli(0.5)
  action w : bool where not w or y
  y' = w
  reward s = 0
}}
population p as mu {{
  state x : bool ~ bernoulli(0.5)
  action a : bool
  trait b : bool ~ bernoulli(0.5)
  x' = a
  reward r = {reward} * ind(M.w and not M.y)
  observe x, t
}}
"""


@pytest.mark.parametrize(
    "reward, question",
    [
        ("prob(q.x for q in p)", "p: independent(reward, mu)"),
        ("prob(q.a for q in p) * ind(x)", "potential(reward, mu)"),
        ("prob(q.x == x for q in p)", "monotone(reward, mu)"),
    ],
)
def test_what_a_major_may_not_do_refutes_nothing(reward: str, question: str) -> None:
    """The last factor is 0 at every legal action."""
    assert ask(MAJOR.format(reward=reward), question).verdict != "refuted"


def test_asymmetries_at_illegal_actions_or_free_noises_are_no_evidence() -> None:
    found = ask(MAJOR.format(reward="ind(b)"), "p: asymmetry(reward)")
    assert not found.lower and found.upper == pytest.approx(0.5)
    own = MASKED.format(legal="not a", reward="ind(b) * prob(q.a for q in p)")
    own = own.replace("  action", "  trait b : bool ~ bernoulli(0.5)\n  action", 1)
    own = own.replace("  reward", "  observe x, t\n  reward", 1)
    assert not ask(own, "asymmetry(reward)").lower
    noisy = MEMBERS.format(chance="0.3", reward="ind(b) * mean(q.k for q in p)")
    noisy = noisy.replace("  action", "  trait b : bool ~ bernoulli(0.5)\n  action", 1)
    found = ask(noisy.replace("  reward", "  observe x, t\n  reward", 1), "asymmetry(reward)")
    assert found.verdict == "unknown" and not found.lower
