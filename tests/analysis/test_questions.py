"""Questions of all kinds: their answers, those of `require`, and what is said of bad ones."""

import pytest

import mfdsl
from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.questions import EXAMPLES, KINDS, QuestionError, answers
from mfdsl.compiler.diagnostics import CompileError
from mfdsl.compiler.driver import compile_text
from mfdsl.compiler.ir.model import Model

RING = """
model ring
param k : real in [0, 2] = 1
objective nash
horizon 3
{claim}
population person as mu {{
  trait theta : int in 0..1 ~ mix {{ 0.5 -> 1, else -> 0 }}
  state x : int mod 4 ~ uniform
  action a : int in 0..1
  x' ~ mix {{ 0.25 -> x + a, else -> x }}
  reward near = -k * mu[x]
  reward own = theta * 0.5
  observe x, t
}}
"""


def ring(claim: str = "") -> Model:
    return compile_text(RING.format(claim=claim)).require_model()


def one(question: str, *, whole_box: bool = False) -> Certificate:
    (found,) = answers(ring(), question, 2.0, whole_box=whole_box)
    return found


@pytest.mark.parametrize(
    ("question", "verdict"),
    [
        ("monotone(reward, mu)", "proved"),
        ("strictly_monotone(reward, mu)", "proved"),
        ("monotone_on_flows(reward, person)", "proved"),
        ("potential(reward, mu)", "proved"),
        ("concave_potential(reward, mu)", "proved"),
        ("skew_affine(reward, mu)", "refuted"),
        ("independent(reward, mu)", "refuted"),
        ("independent(own, mu)", "proved"),
        ("independent(dynamics, mu)", "proved"),
        ("person: independent(dynamics, mu)", "proved"),
        ("linear_quadratic(person)", "refuted"),
        ("linear_quadratic()", "refuted"),
        ("invariant(x = x + 1)", "proved"),
        ("invariant(a = 1 - a)", "refuted"),
        ("normalised(x)", "proved"),
        ("lipschitz(reward, mu)", "proved"),
        ("asymmetry(dynamics)", "proved"),
        ("range(reward)", "proved"),
    ],
)
def test_each_kind_has_its_answer(question: str, verdict: str) -> None:
    for found in answers(ring(), question, 2.0):
        assert found.verdict == verdict, found.detail


def test_numbers() -> None:
    slope, apart, reach = (
        one(q) for q in ("lipschitz(reward, mu)", "asymmetry(reward)", "range(reward)")
    )
    assert slope.upper == pytest.approx(0.5, rel=2e-3)
    assert (apart.lower, apart.upper) == pytest.approx((0.25, 0.25), abs=1e-9)
    assert (reach.lower, reach.upper) == pytest.approx((-1.0, 0.5), abs=1e-6)
    masses = answers(ring(), "normalised(dynamics)", 2.0)
    assert [c.subject for c in masses] == ["x of person", "x of person", "theta of person"]
    assert all(c.verdict == "proved" and c.lower is not None for c in masses)
    for name in ("sis", "beach_bar", "asymmetric_sis", "crowd"):
        laws = answers(mfdsl.load(name).model, "normalised(dynamics)", 2.0)
        assert laws and all(c.verdict == "proved" for c in laws), name


def test_whole_boxes() -> None:
    wide = one("range(reward)", whole_box=True)
    assert (wide.lower, wide.upper) == pytest.approx((-2.0, 0.5), abs=1e-6)
    assert wide.assumptions == ("k in [0, 2]",)
    assert one("monotone(reward, mu)", whole_box=True).verdict == "proved"
    strict = one("strictly_monotone(reward, mu)", whole_box=True)
    assert strict.verdict == "refuted" and strict.witness is not None
    assert strict.witness["k"] == 0.0


@pytest.mark.parametrize(
    "claim",
    [
        "monotone(reward, mu)",
        "monotone_on_flows(reward, mu)",
        "potential(reward, mu)",
        "linear_quadratic(person)",
        "independent(dynamics, mu)",
        "asymmetry(reward)",
        "invariant(x = x + 1)",
        "invariant(x = x + 3, theta = theta)",
        "invariant(x = -x, a = 1 - a)",
        "invariant(x = rem(x + 2, 4))",
    ],
)
def test_a_question_and_a_requirement_agree(claim: str) -> None:
    inside = claim.startswith("invariant")
    text = RING.format(claim="" if inside else f"require {claim}")
    if inside:
        text = text.replace("  observe", f"  require {claim}\n  observe")
    required = compile_text(text)
    (asked,) = answers(ring(), claim, 2.0)
    assert required.ok == (asked.verdict == "proved")
    name = claim.partition("(")[0]
    found = [c for c in required.certificates if c.claim.startswith((name, f"dynamics_{name}"))]
    assert {c.verdict for c in found} <= {asked.verdict}
    assert found or not required.ok


@pytest.mark.parametrize(
    ("question", "message", "hint"),
    [
        (
            "monotne(reward, mu)",
            "nothing to ask for\n  monotne(reward, mu)\n  ^^^^^^^",
            "monotone(",
        ),
        ("monotone(reward, nu)", "not `reward` and `nu`", "monotone(reward, mu)"),
        ("monotone(reward)", "asks about two names, reward and a law", "monotone(reward, mu)"),
        ("lipschitz(reward mu)", "missing operator", "reward"),
        ("lipschitz(rewrad, mu)", "knows no `rewrad`", "did you mean `reward`?"),
        ("lipschitz(reward, mu) <= 5", "has no bound", "require"),
        ("reward in [0, 1]", "has no bound", "require"),
        ("monotone(", "never closed", ")"),
        ("nothing", "cannot read", "lipschitz(reward, mu)"),
        ("", "cannot read", "known"),
        ("bus: monotone(reward, mu)", "no player `bus`", "person"),
        ("linear_quadratic(bus)", "no player `bus`", "person"),
        ("invariant(y = x)", "meaning", "values"),
        ("invariant(x = y + 1)", "no `y`\n  invariant(x = y + 1)\n                ^", "images"),
        ("invariant(x = exp(x))", "not known in a question", "images"),
        ("invariant(x = if x == 0 then 1 else x)", "two joint values", "own values"),
        ("invariant(x)", "images", "invariant("),
        ("normalised(a)", "knows no `a`", "dynamics"),
        ("range(dynamics)", "knows no `dynamics`", "reward"),
        ("asymmetry(nothing)", "knows no `nothing`", "near"),
        ("existence(mu)", "asks about nothing", "existence()"),
    ],
)
def test_bad_questions_are_told_apart(question: str, message: str, hint: str) -> None:
    with pytest.raises(QuestionError) as caught:
        answers(ring(), question)
    assert message in str(caught.value)
    assert hint in caught.value.hint


@pytest.mark.parametrize("question", ["lipschitz(near, y)", "lipschitz(dynamics, y)"])
def test_variables_that_nothing_reads_move_nothing(question: str) -> None:
    still = RING.replace("  action", "  state y : real in [0, 1] ~ uniform\n  y' = 0.5\n  action")
    text = still.replace("[x]", "[x = x]").format(claim="require lipschitz(reward, y) <= 0")
    (found,) = answers(compile_text(text).require_model(), question)
    assert (found.verdict, found.upper) == ("proved", 0.0)


def test_every_kind_has_an_example() -> None:
    assert set(EXAMPLES) == set(KINDS)


def test_games_of_several_players() -> None:
    model = mfdsl.load("predator_prey").model
    with pytest.raises(QuestionError, match="whose"):
        answers(model, "range(reward)")
    name = model.populations[0].name
    assert answers(model, f"{name}: range(reward)", 1.0)[0].verdict == "proved"


def test_what_is_paid_at_the_end_is_asked_about_by_its_word() -> None:
    text = (
        "model ends\nobjective nash\nhorizon 2\npopulation p as mu {\n  state x : bool = true\n"
        "  action a : bool\n  x' = a\n  reward r = 0\n  final reward f = mu[x]\n"
        "  require lipschitz(final, mu) <= 0.5\n}\n"
    )
    (found,) = answers(mfdsl.load(text=text).model, "lipschitz(final, mu)")
    assert found.verdict == "proved" and found.upper == pytest.approx(0.5)
    with pytest.raises(CompileError, match="MFG501"):
        mfdsl.load(text=text.replace("<= 0.5", "<= 0.4"))


MANY = """
model producers
objective nash
horizon 20
environment weather {
  state sun : int in 0..2 = 1
  noise e : int in -1..1 ~ uniform
  sun' = clip(sun + e)
}
population producer {
  state cap : int in 0..5 = 1
  state fuel : int in 0..5 = 3
  action burn : int in 0..5
  let out = cap * weather.sun / 2 + min(burn, fuel)
  cap' = cap
  fuel' = fuel
  reward sales = 2 * (5 - t / 20) * (1 + 0.2 * (3 - mean(q.out for q in producer))) * out
}
"""


def test_all_members_are_gone_through_where_they_and_oneself_are_too_many() -> None:
    """Moving a law by 1 in l1 from 10 to 0 moves the price by 2 * 5 * .2 * 5, times 10 at t = 0."""
    model = compile_text(MANY).require_model()
    (found,) = answers(model, "lipschitz(reward, producer)", 4.0)
    assert found.verdict == "proved"
    assert found.lower is not None and found.upper is not None
    assert 99.9 <= found.lower <= found.upper <= 100.1
