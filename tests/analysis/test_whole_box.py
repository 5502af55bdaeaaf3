"""Claims over a box say nothing of values that were not looked at, or that no game may have."""

from fractions import Fraction
from pathlib import Path

import pytest

import mfdsl
from mfdsl.compiler.analysis.assumed import meets, undecided
from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.opened import bound, box_of
from mfdsl.compiler.analysis.questions import answers
from mfdsl.compiler.analysis.regularity import regularity
from mfdsl.compiler.ir.model import Model

GAME = """model boxed
objective nash
horizon 2
{parameters}
population p as mu {{
  state x : int in 0..2 ~ uniform
  action a : bool
  x' = x
  reward r = {reward}
}}
"""
ONE = "param k : real in [0, 1] = 0.2"
TWO = f"{ONE}\nparam l : real in [0, 1] = 0.2"


def game(parameters: str, reward: str) -> str:
    return GAME.format(parameters=parameters, reward=reward)


def boxed(parameters: str, reward: str) -> Model:
    return mfdsl.load(text=game(parameters, reward)).model


def over(model: Model, question: str) -> Certificate:
    (found,) = answers(model, question, seconds=0.5, whole_box=True)
    return found


@pytest.mark.parametrize(
    ("parameter", "reward"),
    [
        ("param k : real[3] in [0, 1] = [0, 0, 0]", "k[x] * mu[x]"),  # fails at [1, 1, 1]
        ("param k : int in 0..3 = 0", "k * mu[x]"),
        ("param k : bool = false", "if k then mu[x] else 0"),
        ("param k : real = 0", "k * mu[x]"),
    ],
)
def test_a_parameter_that_does_not_range_leaves_claims_open(parameter: str, reward: str) -> None:
    model = boxed(parameter, reward)
    assert over(model, "independent(reward, mu)").verdict == "unknown"
    for claim in ("monotone(reward, mu)", "range(reward)"):
        found = over(model, claim)
        assert (found.verdict, found.reason) == ("unknown", "unsupported"), claim
        assert (found.lower, found.upper) == (None, None)
        assert found.detail is not None and "`k`" in found.detail
    slope = over(model, "lipschitz(reward, mu)")
    assert (slope.verdict, slope.lower, slope.upper) == ("unknown", 0.0, None)
    assert over(model, "lipschitz(dynamics, mu)").verdict == "proved"  # reads no `k`


def test_everything_without_being_asked_is_left_open_too() -> None:
    model = boxed("param k : real[3] in [0, 1] = [0, 0, 0]", "k[x] * mu[x]")
    found = {c.claim: c.verdict for c in regularity(model, whole_box=True)}
    assert found["monotone"] == found["lipschitz(reward, mu)"] == "unknown"
    assert {c.claim: c.verdict for c in regularity(model)}["monotone"] == "proved"


def test_agents_that_differ_by_an_array() -> None:
    text = game("param k : real[2] in [0, 1] = [0, 0]", "k[0] * u")
    text = text.replace("  state", "  trait u : real in [0, 1] ~ uniform\n  state", 1)
    model = mfdsl.load(text=text.replace("  reward", "  observe x, t\n  reward")).model
    (as_bound,) = answers(model, "asymmetry(reward)", seconds=0.5)
    assert (as_bound.verdict, as_bound.upper) == ("proved", pytest.approx(0.0, abs=1e-9))
    found = over(model, "asymmetry(reward)")
    assert (found.verdict, found.upper) == ("unknown", None)  # 0.5 at k[0] = 1


def test_values_of_one_parameter_that_nothing_else_has() -> None:
    model = boxed("param k : real[3] in [0, 1] = [1, 1, 1]", "k[x] * mu[x]")
    assert over(model, "monotone(reward, mu)").verdict == "refuted"  # as bound


def test_what_is_assumed_of_one_parameter_narrows_its_range() -> None:
    """It fails at k = 1, where there is no game."""
    found = over(boxed(f"{ONE}\nassume k <= 0.5", "-mu[x] * (0.5 - k)"), "monotone(reward, mu)")
    assert (found.verdict, found.assumptions) == ("proved", ("k in [0, 0.5]",))
    wider = boxed(f"{ONE}\nassume k <= 0.6", "-mu[x] * (0.5 - k)")
    refuted = over(wider, "monotone(reward, mu)")
    assert refuted.verdict == "refuted" and refuted.witness is not None
    assert refuted.witness["k"] == 0.6
    linear = over(wider, "linear_quadratic(p)")
    assert linear.verdict == "refuted"  # all of the range that is left is assumed


@pytest.mark.parametrize(
    "condition",
    ["k + l <= 0.5", "k < 0.5 and l < 0.1 + k", "not k > 0.5", "k / l <= 1", "k * k <= 0.25"],
)
def test_a_witness_must_meet_what_is_assumed(condition: str) -> None:
    """Games with k = 1 do not exist: what fails or is attained there says nothing."""
    model = boxed(f"{TWO}\nassume {condition}", "-mu[x] * (0.5 - k)")
    assert over(model, "monotone(reward, mu)").verdict != "refuted"
    model = boxed(f"{TWO}\nassume {condition}", "mu[x] * k + 0 * l")
    slope = over(model, "lipschitz(reward, mu)")
    assert slope.verdict == "proved"
    assert slope.lower is not None and slope.upper is not None
    assert slope.lower <= 0.25 <= slope.upper + 1e-9  # the largest slope of a game, half of k


def test_a_witness_that_meets_what_is_assumed_refutes() -> None:
    model = boxed(f"{TWO}\nassume k + l <= 1.5", "mu[x] * (k - 0.1) * (1 - l)")
    found = over(model, "monotone(reward, mu)")
    assert found.verdict == "refuted" and found.witness is not None
    values = {name: float(found.witness[name]) for name in ("k", "l")}
    assert sum(values.values()) <= 1.5
    (there,) = answers(bound(model, values), "monotone(reward, mu)", seconds=0.5)
    assert there.verdict == "refuted"


def test_what_fails_as_bound_is_refuted_there() -> None:
    """The corner that is looked at first, l = 1, is none of a game; k = l = 0.2 is one."""
    model = boxed(f"{TWO}\nassume k + l <= 0.5", "-mu[x] * (0.1 - k - l)")
    found = over(model, "monotone(reward, mu)")
    assert found.verdict == "refuted" and found.witness is not None
    assert (found.witness["k"], found.witness["l"]) == (0.2, 0.2)
    assert found.assumptions == ("k in [0, 1]", "l in [0, 1]")
    assert {c.claim: c.verdict for c in regularity(model, whole_box=True)}["monotone"] == "refuted"


def test_an_assumption_with_other_names_cannot_be_checked() -> None:
    model = boxed(f"{ONE}\nlet h = 2 * k\nassume h <= 1", "-mu[x] * (0.5 - k)")
    found = over(model, "monotone(reward, mu)")
    assert (found.verdict, found.reason) == ("unknown", "unsupported")
    assert found.detail is not None and "assume" in found.detail


def test_conditions_are_decided_exactly() -> None:
    text = f"{TWO}\nassume k + l <= 0.3 + 0.1  # as bound\nassume (k ^ 2\n  < 0.5 # or so\n  )"
    model = boxed(text, "mu[x] * (k + l)")
    assert model.assumes == ("k + l <= 0.3 + 0.1", "(k ^ 2 < 0.5 )")
    tenth = Fraction(1, 10)
    assert meets(model, {"k": tenth, "l": 3 * tenth})
    assert not meets(model, {"k": tenth, "l": 3 * tenth + Fraction(1, 10**30)})
    assert not meets(model, {"k": 8 * tenth, "l": -5 * tenth})
    assert undecided(model, box_of(model).keys()) == model.assumes


def test_chains_narrow_both_ends() -> None:
    model = boxed(f"{TWO}\nassume 0.1 <= k <= 1 / 4 and (l >= 0.05)", "mu[x] * (k + l)")
    assert box_of(model) == {"k": (0.1, 0.25), "l": (0.05, 1.0)}
    assert undecided(model, box_of(model).keys()) == ()


@pytest.mark.parametrize(
    ("parameters", "reward"),
    [
        (f"{TWO}\nassume k + l <= 0.5", "-mu[x] * (0.5 - k - l)"),
        (f"{TWO}\nassume k <= 0.5", "-mu[x] * (0.5 - k)"),  # nobody reads l
        (f"{ONE}\nparam j : real[3] in [0, 1] = [0.1, 0.2, 0.3]", "(k + j[x]) * mu[x]"),
    ],
)
def test_what_is_left_is_kept_in_proofs(parameters: str, reward: str, tmp_path: Path) -> None:
    spec, proof = tmp_path / "boxed.mfg", tmp_path / "boxed.proof"
    spec.write_text(game(parameters, reward) + "require lipschitz(reward, mu) <= 2\n")
    report = mfdsl.check(spec, whole_box=True, keep_proof=proof)
    assert report.ok
    again = mfdsl.recheck(spec, proof)
    assert again.ok, again.screen()
    assert sum(r.certificate.claim.startswith("lipschitz") for r in again.rows) == 2


def test_parameters_that_were_folded_into_the_game_are_assumed() -> None:
    """At another discount flows contract from another temperature on."""
    text = game(f"{ONE}\nparam g : real in [0, 0.9] = 0.2\nparam n : int in 1..9 = 2", "-k * mu[x]")
    text = text.replace("horizon 2", "horizon n\ndiscount g")
    model = mfdsl.load(text=text).model
    (found,) = [c for c in regularity(model, whole_box=True) if c.claim == "contraction"]
    assert found.verdict == "proved"
    assert found.assumptions == ("k in [0, 1]", "g = 0.2", "n = 2")
    assert over(model, "monotone(reward, mu)").assumptions == found.assumptions
    fixed = mfdsl.load(text=text.replace("[0, 0.9]", "[0.2, 0.2]")).model
    assert over(fixed, "monotone(reward, mu)").assumptions == ("k in [0, 1]", "n = 2")
