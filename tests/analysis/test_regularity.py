"""Constants of shipped games against values derived by hand, claims in specs, and questions.

Those of the M3FC games are in `test_m3fc.py`.
"""

from typing import Any

import pytest

import mfdsl
from mfdsl import api
from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.questions import QuestionError, answers

# Constant of each claim, with where it comes from.
KNOWN = {
    # c / (2 eps) = 1 / (2 * 0.01): the slope of -log(m + eps) at m = 0, half of it in l1
    ("beach_bar", "lipschitz(reward, mu)"): 50.0,
    # an infection of probability 0.81 m moves mass between two states: 2 * 0.81 / 2
    ("sis", "lipschitz(dynamics, mu)"): 0.81,
    ("stationary_sis", "lipschitz(dynamics, mu)"): 0.8,
    # 0.81 with a spread of 10 %
    ("asymmetric_sis", "lipschitz(dynamics, mu)"): 0.891,
    # both groups slow the links that they share, in proportion to their sizes
    ("routing", "flow[cars]: lipschitz(dynamics, flow[cars])"): 0.7,
    ("routing", "flow[cars]: lipschitz(dynamics, flow[vans])"): 0.3,
    # 2 mu_A - ... of the standard game: half the span of one row of payoffs
    ("rps_standard", "lipschitz(reward, mu)"): 1.0,
    ("left_right", "lipschitz(reward, mu)"): 1.0,
    ("two_bars", "lipschitz(reward, mu)"): 2.5,
    ("lq_game", "lipschitz(dynamics, agent)"): 0.1,
}


def ask(name: str, question: str) -> Certificate:
    (found,) = answers(mfdsl.load(name).model, question, seconds=1.5)
    return found


@pytest.mark.parametrize("name, question", KNOWN)
def test_constants_are_those_derived_by_hand(name: str, question: str) -> None:
    found = ask(name, question)
    true = KNOWN[name, question]
    assert found.verdict == "proved"
    assert found.lower is not None and found.upper is not None
    assert found.lower <= true * (1 + 1e-9)
    assert true * (1 - 1e-9) <= found.upper <= true * (1 + 2e-3)


def test_rounding_the_mean_makes_dynamics_jump() -> None:
    found = ask("linear_quadratic", "lipschitz(dynamics, bank)")
    assert found.verdict == "refuted" and found.upper is None


@pytest.mark.parametrize(
    "question, message",
    [
        ("slope(reward, mu)", "cannot read the question"),
        ("lipschitz(reward)", "asks about two names"),
        ("lipschitz(rewards, mu)", "knows no `rewards`"),
        ("lipschitz(reward, nu)", "knows no `nu`"),
        ("fish: lipschitz(reward, mu)", "no player `fish`"),
    ],
)
def test_questions_that_make_no_sense_say_what_would(question: str, message: str) -> None:
    with pytest.raises(QuestionError, match=message) as caught:
        answers(mfdsl.load("beach_bar").model, question)
    assert caught.value.hint


def test_a_report_has_the_constants_of_all_interactions() -> None:
    report = api.check("predator_prey", effort="high")  # whatever else runs on the machine
    claims = [c for c in report.certificates if c.claim.startswith("lipschitz")]
    assert len(claims) == 9  # three populations, each pays for the laws of all three
    assert all(c.verdict == "proved" for c in claims)
    assert not [
        c
        for c in api.check("predator_prey", effort="none").certificates
        if c.claim.startswith("lipschitz")
    ]


SPEC = """
model rooms
param eps : real in [1e-6, 1] = 0.01
objective nash
horizon 4
population walker as mu {{
  state x : int in 0..4 ~ uniform
  action a : int in -1..1
  x' = clip(x + a)
  reward place = x / 4
  cost crowd = log(1 + mu[x] / eps)
  require {claim}
}}
"""


@pytest.mark.parametrize(
    "claim, holds",
    [
        ("lipschitz(reward, mu) <= 50", True),
        ("lipschitz(crowd, mu) <= 50", True),
        ("50 >= lipschitz(reward, mu)", True),
        ("lipschitz(reward, mu) <= 49", False),
        ("lipschitz(dynamics, mu) <= 0", True),
        ("lipschitz(place, x) <= 0.25", True),
        ("lipschitz(place, x) <= 0.2", False),
        ("lipschitz(reward, mu)", True),
    ],
)
def test_requirements_on_slopes_are_decided(claim: str, holds: bool, tmp_path: Any) -> None:
    spec = tmp_path / "rooms.mfg"
    spec.write_text(SPEC.format(claim=claim))
    report = api.check(spec, effort="none")
    assert report.ok is holds
    codes = [d.code for d in report.diagnostics]
    assert codes == [] if holds else codes == ["MFG501"]


def test_the_message_proposes_a_parameter_that_passes(tmp_path: Any) -> None:
    spec = tmp_path / "rooms.mfg"
    spec.write_text(SPEC.format(claim="lipschitz(reward, mu) <= 25"))
    (diagnostic,) = api.check(spec, effort="none").diagnostics
    (proposal,) = [h.text for h in diagnostic.helps if "--set" in h.text]
    value = float(proposal.split("eps=")[1].strip("`"))
    assert value == pytest.approx(0.02, rel=0.05)
    assert api.check(spec, params={"eps": value}, effort="none").ok


def test_a_whole_box_covers_all_values_of_the_parameters() -> None:
    model = mfdsl.load("beach_bar").model
    (found,) = answers(model, "lipschitz(reward, mu)", seconds=1.0, whole_box=True)
    true = 10 / (2 * 1e-6)  # c_crowd / (2 eps) at the ends of their ranges
    assert found.verdict == "proved" and found.upper is not None
    assert true * (1 - 1e-9) <= found.upper <= true * 1.001
    assert "eps in [1e-06, 1]" in found.assumptions
    (dynamics,) = answers(mfdsl.load("sis").model, "lipschitz(dynamics, mu)", whole_box=True)
    assert dynamics.upper == pytest.approx(1.0, rel=2e-3)


BOX = """
model box
param w : real in [0, 10] = 1
param cut : real in [0, 1] = 0.4
objective nash
horizon 3
population p as mu {
  state x : int in 0..2 ~ uniform
  action a : int in 0..1
  noise e : int in 0..1 ~ mix { mu[0] -> 1, else -> 0 }
  x' = if cut > 0.5 then e else 0
  reward r = w * x + a
}
"""


@pytest.mark.parametrize(
    "question, bound, true",
    [("lipschitz(r, x)", 1.0, 10.0), ("lipschitz(dynamics, mu)", 0.0, 1.0)],
)
def test_a_whole_box_reaches_pairs_of_values_and_next_states(
    question: str, bound: float, true: float
) -> None:
    model = mfdsl.load(text=BOX).model
    (now,) = answers(model, question)
    assert now.upper == pytest.approx(bound, abs=1e-9)
    (box,) = answers(model, question, whole_box=True)
    assert box.verdict == "proved" and box.upper is not None
    assert true * (1 - 1e-9) <= box.upper <= true * 1.01


def test_noises_held_fixed_attain_no_slope() -> None:
    """Two coins of opposite use: the law of x' moves at rate 0, whatever each side of them does."""
    noises = "\n".join(
        f"  noise n{k} : int in 0..1 ~ mix {{ 0.5 -> 1, else -> 0 }}" for k in range(6)
    )
    text = BOX.replace(
        "  x' = if cut > 0.5 then e else 0",
        noises + "\n  x' = if n0 + n1 + n2"
        " + n3 + n4 + n5 == 6 then x else (if n0 == 1 then e else 1 - e)",
    )
    (found,) = answers(mfdsl.load(text=text).model, "lipschitz(dynamics, mu)")
    assert found.upper == pytest.approx(1.0, abs=1e-6)
    assert found.lower == 0.0 and found.witness is None
