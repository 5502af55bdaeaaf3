"""What does not depend on the law, by its text, by algebra, or shown by two laws."""

import pytest

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.questions import QuestionError, answers
from mfdsl.compiler.analysis.structure import structure_certificates
from mfdsl.compiler.analysis.structure.existence import existence
from mfdsl.compiler.analysis.structure.independent import (
    independent_value,
    nodes_of,
)
from mfdsl.compiler.analysis.structure.independent_moves import independent_dynamics
from mfdsl.compiler.analysis.subjects import reward_subject
from mfdsl.compiler.driver import compile_text
from tests.analysis.structure.games import certificate, copies_of, line, model_of

TEXT = """model moves
objective nash
horizon 3
population person as mu {
  state  x : int in 0..2 ~ uniform
  action a : int in 0..2
  x' ~ STEP
  reward r = x
}
"""


def of_reward(reward: str) -> Certificate:
    model = line(reward, 5)
    node = model.populations[0].rewards[0].node
    return independent_value(model, copies_of(model), "reward", [node])


REWARDS = [
    ("x", "proved"),
    ("0 * mu[x] + x", "proved"),
    ("mu[x] - mu[x] + x", "proved"),
    ("(1 + mu[x])^2 - mu[x]^2 - 2 * mu[x]", "proved"),
    ("sum(mu[k] for k in 0..4)", "proved"),
    ("mu[x]", "refuted"),
    ("exp(-mean(y.x for y in person))", "refuted"),
    ("if x == 4 then mu[0] else 0", "refuted"),
]


@pytest.mark.parametrize(("reward", "verdict"), REWARDS)
def test_rewards_have_their_verdicts(reward: str, verdict: str) -> None:
    found = of_reward(reward)
    assert found.claim == "independent(reward, mu)"
    if reward.startswith("sum("):  # true, but the masses are written out as they are
        assert found.verdict in ("proved", "unknown")
        return
    assert found.verdict == verdict
    if verdict == "refuted":
        assert found.witness is not None and found.culprit is not None
        assert found.witness["value"] != found.witness["other value"]


STEPS = [
    ("mix { 0.5 -> a, else -> x }", "proved"),
    ("mix { 0.5 * mu[x] -> a, else -> x }", "refuted"),
    ("mix { 0.5 * mu[x] -> x, else -> x }", "proved"),
    ("mix { 0.5 * (mu[x] - mu[x]) -> a, else -> x }", "proved"),
]


NOISES = """model lottery
objective nash
horizon 3
population person as mu {
  state  x : int in 0..2 ~ uniform
  action a : int in 0..2
  noise  e : bool ~ bernoulli(mu[x])
  noise  f : bool ~ if e then bernoulli(0.3) else bernoulli(0.6)
  noise  g : bool ~ bernoulli(0.5)
  x' = if NOISE then a else x
  reward r = ind(e)
}
"""


@pytest.mark.parametrize(("noise", "verdict"), [("g", "proved"), ("f", "refuted")])
def test_only_noises_that_next_states_depend_on_move_them(noise: str, verdict: str) -> None:
    """A lottery that is paid and moves nobody: flows are a fixed polytope, on which pay rises."""
    model = model_of(NOISES.replace("NOISE", noise))
    assert independent_dynamics(model, copies_of(model)).verdict == verdict
    on_flows = certificate(model, "monotone_on_flows")
    assert on_flows.verdict == ("refuted" if verdict == "proved" else "unknown")


def test_any_population_whose_moves_differ_refutes() -> None:
    """The first one reads a law in vain, where no two laws differ."""
    first = TEXT.replace("STEP", "mix { min(1, 2 + mu[x]) -> a, else -> x }")
    second = TEXT.split("population")[1].replace("person as mu", "other as nu")
    model = model_of(first + "population" + second.replace("STEP", "mix { nu[x] -> a, else -> x }"))
    found = independent_dynamics(model, copies_of(model))
    assert found.verdict == "refuted" and "law of other" in (found.witness or {})


@pytest.mark.parametrize(("step", "verdict"), STEPS)
def test_dynamics_have_their_verdicts(step: str, verdict: str) -> None:
    model = model_of(TEXT.replace("STEP", step))
    found = independent_dynamics(model, copies_of(model))
    assert found.verdict == verdict
    whole = certificate(model, "independent")
    assert whole.verdict == verdict


def test_a_noise_that_a_law_shifts_moves_the_next_state() -> None:
    text = """model drift
objective nash
horizon 3
population agent {
  state  x : real ~ normal(0, std = 1)
  action u : real
  noise  e : real ~ normal(0, std = 1)
  x' = x + u + PULL * mean(q.x for q in agent) + e
  reward r = -u^2
}
"""
    for pull, verdict in (("0.5", "refuted"), ("0", "proved")):
        model = model_of(text.replace("PULL", pull))
        assert independent_dynamics(model, copies_of(model)).verdict == verdict


EXISTENCE = [
    ("-mu[x]", "proved", None),
    ("-log(mu[x] + 0.1)", "proved", None),
    ("abs(mu[x] - 0.5)", "proved", None),
    ("if mu[x] < 0.5 then mu[x] else 0.5", "proved", None),
    ("sqrt(mu[x])", "proved", None),
    ("mu[x]^0.3 * (1 - mu[x])^0.7", "proved", None),
    ("if x > 0 then sqrt(mu[x]) else -exp(mu[x])", "proved", None),
    ("sqrt(mu[x]) / (0.1 + mu[x]^0.5)", "proved", None),
    ("sqrt(ind(mu[x] < 0.5))", "unknown", "continuity"),
    ("if mu[x] < 0.5 then sqrt(mu[x]) else 0.7", "unknown", "continuity"),
    ("floor(2 * sqrt(mu[x]))", "unknown", "continuity"),
    ("ind(mu[x] < 0.5)", "unknown", "continuity"),
    ("floor(3 * mu[x])", "unknown", "continuity"),
    ("if mu[x] < 0.5 then mu[x] else 0.7", "unknown", "continuity"),
]


@pytest.mark.parametrize(("reward", "verdict", "reason"), EXISTENCE)
def test_existence_needs_continuity(reward: str, verdict: str, reason: str | None) -> None:
    model = line(reward)
    found = existence(model, copies_of(model), 5.0)
    assert (found.verdict, found.reason) == (verdict, reason), found.detail
    assert (found.culprit is None) == (verdict == "proved")


def test_existence_says_what_the_theorem_lacks() -> None:
    for text, word in (
        (TEXT.replace("x : int in 0..2 ~ uniform", "x : real ~ normal(0, std = 1)"), "`x`"),
        (TEXT.replace("  reward r = x", "  reward r = x\n  observe t"), "do not see `x`"),
    ):
        model = model_of(text.replace("~ STEP", "= x" if "real" in text else "= a"))
        found = existence(model, copies_of(model), 1.0)
        assert found.verdict == "unknown" and found.detail is not None and word in found.detail


def test_noises_that_a_law_draws_make_rewards_depend_on_it() -> None:
    text = """model fares
objective nash
horizon 3
population driver {
  state  x : int in 0..2 ~ uniform
  action a : int in 0..2
  noise  picks : bool ~ bernoulli(CHANCE)
  x' = a
  reward fare = x * ind(picks)
}
"""
    model = model_of(text.replace("CHANCE", "0.5 * mean(q.x for q in driver) / 2"))
    found = {c.claim: c.verdict for c in structure_certificates(model, 5.0)}
    # the mean of the fare is x m / 4: the slopes of m^2 / 8, and higher where more mass is
    assert found["independent"] == "refuted" and found["monotone"] == "refuted"
    assert found["potential"] == "proved" and found["skew_affine"] == "refuted"
    player = model.populations[0]
    subject = reward_subject(model, player)
    copies = copies_of(model)
    nodes = nodes_of(model, copies, subject)
    assert independent_value(model, copies, "fare", nodes, player=player).verdict == "refuted"
    raw = [term.node for term in subject.terms]
    assert independent_value(model, copies, "fare", raw, player=player).verdict == "unknown"
    calm = model_of(text.replace("CHANCE", "0.5"))
    assert certificate(calm, "monotone").verdict == "proved"


def test_what_a_fair_coin_takes_back_is_no_dependence() -> None:
    text = TEXT.replace("  reward r = x", "  noise e : bool ~ bernoulli(0.5)\n  reward r = REWARD")
    text = text.replace("~ STEP", "= a").replace("REWARD", "if e then mu[x] else -mu[x]")
    found = {c.claim: c.verdict for c in structure_certificates(model_of(text), 5.0)}
    assert found["independent"] == "proved" and found["monotone"] == "proved"
    uneven = model_of(text.replace("0.5", "0.25"))
    found = {c.claim: c.verdict for c in structure_certificates(uneven, 5.0)}
    assert found["independent"] == "refuted" and found["monotone"] == "proved"
    crowding = model_of(text.replace("0.5", "0.75"))
    assert certificate(crowding, "monotone").verdict == "refuted"


ENDLESS = """model endless
objective nash
horizon KIND
discount 0.9
population p as mu {
  state x : bool ~ bernoulli(1)
  action a : bool LEGAL
  x' = x and a
  reward r = REWARD
  OBSERVE
}
"""
LURE = (
    "if t == 1 and x and a then 1 else"
    " (if t == 0 and a then -2 * prob(q.x and q.a for q in p) else 0)"
)


@pytest.mark.parametrize(
    ("kind", "reward", "legal", "observe", "verdict"),
    [
        ("infinite", LURE, "", "observe x", "unknown"),
        ("infinite", LURE, "", "observe x, t", "proved"),
        ("infinite", LURE, "", "", "proved"),
        ("infinite", "-mu[x]", "", "observe x", "unknown"),
        ("infinite", "ind(x) * t / (1 + t)", "", "observe x", "unknown"),
        ("infinite", "ind(x)", "where x or t > 1 or a", "observe x", "unknown"),
        ("infinite", "ind(x)", "", "observe x", "proved"),
    ],
)
def test_policies_without_t_are_a_restriction_where_stages_differ(
    kind: str, reward: str, legal: str, observe: str, verdict: str
) -> None:
    """LURE: where all act with chance p, acting with chance s is worth s (0.9 s - 2 p): p = 0
    calls for s = 1, and p above 0 has less than s = 0.
    """
    text = ENDLESS.replace("KIND", kind).replace("REWARD", reward).replace("OBSERVE", observe)
    model = model_of(text.replace("LEGAL", legal))
    found = existence(model, copies_of(model), 5.0)
    assert found.verdict == verdict, found.detail
    if verdict == "unknown":
        assert found.detail is not None and "do not see `t`" in found.detail


MASKED = """model masked
objective nash
horizon 3
population p as mu {
  state x : int in 0..2 ~ uniform
  action a : bool where LEGAL
  x' ~ STEP
  reward r = REWARD
}
"""


@pytest.mark.parametrize(
    ("legal", "value", "verdict"),
    [
        ("not a", "prob(q.a for q in p)", "unknown"),
        ("not a or x == 1", "prob(q.a and q.x == 0 for q in p)", "unknown"),
        ("not a or x == 1", "prob(q.a and q.x == 1 for q in p)", "refuted"),
        ("not a or x == 1", "prob(q.a for q in p)", "refuted"),
        ("true", "prob(q.a for q in p)", "refuted"),
    ],
)
def test_laws_that_refute_have_legal_members_only(legal: str, value: str, verdict: str) -> None:
    """What nobody may do has no mass."""
    text = MASKED.replace("LEGAL", legal)
    paid = model_of(text.replace("STEP", "mix { 1 -> x }").replace("REWARD", value))
    moving = text.replace("STEP", f"mix {{ 0.5 * {value} -> 0, else -> x }}")
    assert certificate(paid, "independent").verdict == verdict
    found = certificate(model_of(moving.replace("REWARD", "0")), "dynamics_independent_of_mu")
    assert found.verdict == verdict
    (swapped,) = answers(paid, "invariant(x = 2 - x)", 5.0)
    assert swapped.verdict != "refuted" or verdict == "refuted"


TWO = """model two
objective nash
horizon 3
environment e {
  state z : bool ~ bernoulli(0.5)
  noise n : int in 0..1 ~ mix { prob(q.x for q in p) -> 1, else -> 0 }
  z' = z
}
population p as mu {
  state x : bool ~ bernoulli(0.5)
  action a : bool
  x' = HIS
  reward r = PAID
}
population w as nu {
  state y : bool ~ bernoulli(0.5)
  action b : bool
  y' ~ bernoulli(HERS)
  reward s = 0
}
"""
ASKED = [
    ("p: independent(reward, mu)", "a", "prob(u.y for u in w)", "0.5", "proved"),
    ("p: independent(reward, nu)", "a", "prob(u.y for u in w)", "0.5", "refuted"),
    ("p: independent(reward, w)", "a", "mu[x] + prob(u.y for u in w)", "0.5", "refuted"),
    ("p: independent(reward, p)", "a", "mu[x] * prob(u.y for u in w)", "0.5", "refuted"),
    ("p: independent(reward, mu)", "a", "e.n", "0.5", "refuted"),
    ("p: independent(reward, nu)", "a", "e.n", "0.5", "proved"),
    ("p: independent(dynamics, mu)", "a", "0", "prob(u.b for u in w)", "proved"),
    ("w: independent(dynamics, mu)", "a", "0", "prob(u.b for u in w)", "proved"),
    ("w: independent(dynamics, nu)", "a", "0", "prob(u.b for u in w)", "refuted"),
    ("w: independent(dynamics, mu)", "a", "0", "prob(q.x for q in p)", "refuted"),
    ("p: independent(dynamics, mu)", "e.n == 1", "0", "0.5", "unknown"),
    ("p: independent(dynamics, nu)", "e.n == 1", "0", "0.5", "proved"),
]


@pytest.mark.parametrize(("question", "his", "paid", "hers", "verdict"), ASKED)
def test_whose_moves_and_which_law_are_asked_about(
    question: str, his: str, paid: str, hers: str, verdict: str
) -> None:
    text = TWO.replace("HIS", his).replace("PAID", paid).replace("HERS", hers)
    (found,) = answers(model_of(text), question, 5.0)
    assert found.verdict == verdict, found.detail
    assert found.claim == question.partition(": ")[2]
    whose, _, claim = question.partition(": ")
    block = "  reward r" if whose == "p" else "  reward s"
    required = compile_text(text.replace(block, f"  require {claim}\n{block}"))
    assert required.ok == (verdict == "proved")


def test_laws_that_nobody_has_are_refused() -> None:
    text = TWO.replace("HIS", "a").replace("PAID", "0").replace("HERS", "0.5")
    with pytest.raises(QuestionError, match="no population has the law `foo`"):
        answers(model_of(text), "p: independent(dynamics, foo)", 1.0)
    wrong = compile_text(
        text.replace("  reward r", "  require independent(reward, foo)\n  reward r")
    )
    assert not wrong.ok and "unknown name `foo`" in wrong.diagnostics[0].message


def test_what_a_noise_of_others_never_is_refutes_nothing() -> None:
    text = TWO.replace("prob(q.x for q in p) -> 1", "0 -> 1").replace("PAID", "0")
    text = text.replace("HERS", "0.5").replace(
        "HIS", "a and (e.n == 0 or prob(q.x for q in p) > 0.5)"
    )
    (found,) = answers(model_of(text), "p: independent(dynamics, mu)", 5.0)
    assert found.verdict == "unknown"
