"""Means inside of means, weights of files, features that stand still: nothing false is proved."""

import json
from pathlib import Path

import pytest

import mfdsl
from mfdsl.cli import run
from mfdsl.compiler.analysis.questions import answers
from mfdsl.compiler.driver import compile_file, compile_text
from mfdsl.compiler.ir.model import Model

REAL = """model nested
objective nash
horizon 2
population pp as mu {{
  state x : real in [0, 1] ~ uniform
  action a : int in 0..1
  let m = mean(q.x for q in pp)
  x' = x
  reward r = {reward}
}}
"""
# A reward, and the slope in W1 between two laws of a few members (worked out by hand).
NESTED = {
    "mean((q.x - mean(p.x for p in pp))^2 for q in pp)": 1.71,
    "mean((q.x - m)^2 for q in pp)": 1.71,
    "mean((q.x - m) * q.x for q in pp)": 1.71,
    "mean(mean((q.x - p.x)^2 for p in pp) for q in pp)": 3.42,
    "mean(abs(q.x - m) for q in pp)": 0.9,
}


@pytest.mark.parametrize("reward", NESTED)
def test_members_stand_still_where_those_inside_of_them_move(reward: str) -> None:
    """From 0.9 at 0 and 0.1 at 1 the tenth moves to 0.9: 0.01 in W1, the variance by 0.0171."""
    model = compile_text(REAL.format(reward=reward)).require_model()
    (found,) = answers(model, "lipschitz(reward, mu)")
    assert found.upper is None or found.upper >= NESTED[reward]


FINITE = """model still
objective nash
horizon 2
population pp as mu {{
  state x : int in 0..{last} ~ uniform
  action a : int in 0..1
  x' = {move}
  reward r = {reward}
}}
"""


def model_of(reward: str, last: int = 1, move: str = "a") -> Model:
    return compile_text(FINITE.format(reward=reward, last=last, move=move)).require_model()


def test_features_that_are_constant_are_not_strict() -> None:
    """cos(2 pi x) is 1 at whole numbers, so that the reward is -1 everywhere."""
    model = model_of("-cos(2*pi*x) * mean(cos(2*pi*q.x) for q in pp)")
    (strict,) = answers(model, "strictly_monotone(reward, mu)")
    (skew,) = answers(model, "skew_affine(reward, mu)")
    assert strict.verdict != "proved"
    assert skew.verdict != "refuted"


def test_one_kind_of_members_is_no_error(tmp_path: Path) -> None:
    spec = tmp_path / "one.mfg"
    spec.write_text(FINITE.format(reward="-mu[x = x]^2", last=0, move="x"))
    report = mfdsl.check(spec)
    found = {c.claim: c.verdict for c in report.certificates}
    assert found["monotone"] == "proved"


BESIDE = "z * mean(q.x * mean(ind(s.x == q.x) for s in pp) for q in pp)"


@pytest.mark.parametrize("whole_box", [False, True])
def test_a_mean_inside_of_a_mean_beside_a_real_number(whole_box: bool) -> None:
    """The reward is z m^2, where m is the mass at 1: its slope is 2 in m, and 1 in l1."""
    text = FINITE.format(reward=BESIDE, last=1, move="x")
    if whole_box:
        text = text.replace("objective", "param z : real in [0, 1] = 0.5\nobjective")
    else:
        text = text.replace("  action", "  state z : real in [0, 1] ~ uniform\n  z' = z\n  action")
    model = compile_text(text).require_model()
    (found,) = answers(model, "lipschitz(reward, mu)", whole_box=whole_box)
    assert found.upper is not None and 1.0 <= found.upper
    assert (found.lower or 0.0) <= 1.0 + 1e-9


def test_weights_that_no_row_has_refute_nothing(tmp_path: Path) -> None:
    """No mean with weights of the file is above 0.5, so that the next state is always 0."""
    (tmp_path / "w.csv").write_text("0,1,0.5,0\n1,0,0,0\n0,2,0,-1\n0.5,0.5,0.5,0.5\n")
    spec = tmp_path / "game.mfg"
    chance = "clip(max(mean(w[q] * q.x for q in pp) - 1.5, 0), 0, 1)"
    text = FINITE.format(reward="a", last=1, move="x").replace(
        "x' = x", f'weights w from "w.csv"\n  x\' ~ mix {{ {chance} -> 1, else -> 0 }}'
    )
    spec.write_text(text)
    model = compile_file(spec).require_model()
    (found,) = answers(model, "independent(dynamics, mu)")
    assert found.verdict != "refuted"
    (found,) = answers(model, "lipschitz(dynamics, mu)")
    assert not found.lower


CHANGES = (("lower", 1e300), ("witness", {"law": "nonsense"}), ("assumptions", ["x in [0, 1]"]))


@pytest.mark.parametrize(("field", "value"), CHANGES)
def test_changed_proofs_of_rules_do_not_hold(field: str, value: object, tmp_path: Path) -> None:
    spec, file = tmp_path / "game.mfg", tmp_path / "game.proof"
    spec.write_text(FINITE.format(reward="mu[x = x]", last=1, move="a"))
    assert run(["check", str(spec), "--keep-proof", str(file), "-q"]) == 0
    assert run(["recheck", str(spec), str(file), "-q"]) == 0
    proof = json.loads(file.read_text())
    changed = [c for c in proof["claims"] if c["certificate"]["claim"] == "monotone"]
    assert [c["certificate"]["verdict"] for c in changed] == ["refuted"]
    changed[0]["certificate"][field] = value
    file.write_text(json.dumps(proof))
    assert run(["recheck", str(spec), str(file), "-q"]) == 1
