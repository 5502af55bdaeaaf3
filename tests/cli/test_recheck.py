"""`mfdsl check --keep-proof` and `mfdsl recheck`: exit codes, messages, JSON."""

import json
from pathlib import Path
from typing import Any

import pytest

import mfdsl


@pytest.fixture
def proof(mfdsl: Any, spec: Path) -> Path:
    outcome = mfdsl("check", spec, "--keep-proof", "rooms.proof")
    assert outcome.code == 0
    return Path("rooms.proof")


def test_a_proof_holds_again(mfdsl: Any, spec: Path, proof: Path) -> None:
    outcome = mfdsl("recheck", spec, proof)
    assert outcome.code == 0 and outcome.err == ""
    assert "lipschitz(reward, mu)" in outcome.out and "holds (" in outcome.out
    assert outcome.out.strip().split("\n")[-1].startswith("ok: ")


def test_rows_are_in_the_json(mfdsl: Any, spec: Path, proof: Path) -> None:
    found = mfdsl("recheck", spec, proof, "--json").json
    assert found["ok"] is True and found["spec"] == "rooms.mfg"
    rows = {row["claim"]: row for row in found["certificates"]}
    assert rows["lipschitz(reward, mu)"]["ok"] and rows["lipschitz(reward, mu)"]["why"] is None
    assert rows["lipschitz(reward, mu)"]["upper"] == pytest.approx(0.5)
    assert rows["monotone"]["verdict"] == "proved" and rows["monotone"]["ok"]


def test_quiet_says_nothing(mfdsl: Any, spec: Path, proof: Path) -> None:
    outcome = mfdsl("recheck", spec, proof, "--quiet")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")


def test_a_tampered_proof_fails(mfdsl: Any, spec: Path, proof: Path) -> None:
    data = json.loads(proof.read_text())
    claim = next(c for c in data["claims"] if c["certificate"]["claim"] == "lipschitz(reward, mu)")
    claim["certificate"].update(upper=0.4, lower=0.3)
    proof.write_text(json.dumps(data))
    outcome = mfdsl("recheck", spec, proof)
    assert outcome.code == 1
    assert "does not hold: the bound from above is" in outcome.out
    assert "failed: 1 of" in outcome.out
    assert mfdsl("recheck", spec, proof, "--json").json["ok"] is False


def test_a_verdict_that_no_rule_gives_fails(mfdsl: Any, spec: Path, proof: Path) -> None:
    data = json.loads(proof.read_text())
    claim = next(c for c in data["claims"] if c["certificate"]["claim"] == "linear_quadratic")
    claim["certificate"]["verdict"] = "proved"
    proof.write_text(json.dumps(data))
    outcome = mfdsl("recheck", spec, proof)
    assert outcome.code == 1 and "it is refuted, not proved" in outcome.out


def test_a_changed_spec_is_another_model(mfdsl: Any, spec: Path, proof: Path) -> None:
    Path(spec).write_text(Path(spec).read_text().replace("c_crowd * mu[x]", "c_crowd * mu[x]^2"))
    outcome = mfdsl("recheck", spec, proof)
    assert outcome.code == 2
    assert "error: the proof is of another model than `rooms`" in outcome.err
    assert "have changed" in outcome.err


def test_words_and_places_may_change(mfdsl: Any, spec: Path, proof: Path) -> None:
    Path(spec).write_text("# a comment\n" + Path(spec).read_text().replace("Everybody", "All"))
    assert mfdsl("recheck", spec, proof).code == 0


def test_other_parameters_are_another_model(mfdsl: Any, spec: Path) -> None:
    assert mfdsl("check", spec, "--set", "c_crowd=2", "--keep-proof", "two.proof").code == 0
    assert mfdsl("recheck", spec, "two.proof").code == 0  # those of the proof by default
    assert mfdsl("recheck", spec, "two.proof", "--set", "c_crowd=3").code == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no proof"),
        ("{}", "is no proof: version: field required"),
        ('{"format": 2}', "is no proof: format"),
        ("[1, 2]", "is no proof"),
        ("\x00", "is no proof"),
    ],
)
def test_what_is_no_proof_is_said(mfdsl: Any, spec: Path, text: str, message: str) -> None:
    Path("bad.proof").write_text(text)
    outcome = mfdsl("recheck", spec, "bad.proof")
    assert outcome.code == 2 and message in outcome.err and "--keep-proof FILE" in outcome.err


def test_a_missing_file_is_said(mfdsl: Any, spec: Path) -> None:
    outcome = mfdsl("recheck", spec, "nothing.proof")
    assert outcome.code == 2
    assert "cannot read `nothing.proof`: no such file" in outcome.err


def test_a_spec_with_errors_is_not_rechecked(mfdsl: Any, spec: Path, proof: Path) -> None:
    Path(spec).write_text(Path(spec).read_text().replace("c_crowd *", "c_cowd *"))
    outcome = mfdsl("recheck", spec, proof)
    assert outcome.code == 1 and "MFG101" in outcome.err


def test_a_spec_that_fails_leaves_no_proof(mfdsl: Any, spec: Path) -> None:
    Path(spec).write_text(Path(spec).read_text().replace("[-10, 1]", "[-10, -5]"))
    assert mfdsl("check", spec, "--keep-proof", "rooms.proof").code == 1
    assert not Path("rooms.proof").exists()


def test_proofs_are_of_one_spec(mfdsl: Any, spec: Path) -> None:
    outcome = mfdsl("check", spec, spec, "--keep-proof", "rooms.proof")
    assert outcome.code == 2 and "the proof of one spec" in outcome.err


def test_a_file_that_cannot_be_written_is_said(mfdsl: Any, spec: Path) -> None:
    outcome = mfdsl("check", spec, "--keep-proof", "nowhere/rooms.proof")
    assert outcome.code == 2 and "cannot write `nowhere/rooms.proof`" in outcome.err


def test_required_constants_are_checked_in_balls(mfdsl: Any, spec: Path) -> None:
    pytest.importorskip("flint")
    text = Path(spec).read_text()
    claim = "  require lipschitz(reward, mu) <= 0.5\n  agents 100"
    Path(spec).write_text(text.replace("  agents 100", claim))
    found = mfdsl("check", spec, "--json").json["certificates"]
    (required,) = [c for c in found if c["claim"] == "lipschitz(reward, mu) <= 0.5"]
    assert (required["verdict"], required["rigor"]) == ("proved", "balls")
    assert mfdsl("check", spec, "--keep-proof", "rooms.proof").code == 0
    assert mfdsl("recheck", spec, "rooms.proof").code == 0


def test_answers_to_questions_are_kept(mfdsl: Any, spec: Path) -> None:
    question = "lipschitz(crowd, mu)"
    assert mfdsl("check", spec, "--ask", question, "--keep-proof", "one.proof").code == 0
    rows = mfdsl("recheck", spec, "one.proof", "--json").json["certificates"]
    assert any(row["claim"] == question and row["ok"] for row in rows)


def test_whole_boxes_are_kept(mfdsl: Any, spec: Path) -> None:
    assert mfdsl("check", spec, "--whole-box", "--keep-proof", "box.proof").code == 0
    found = mfdsl("recheck", spec, "box.proof", "--json").json
    (row,) = [r for r in found["certificates"] if r["claim"] == "lipschitz(reward, mu)"]
    assert row["ok"] and row["upper"] == pytest.approx(5.0)


def test_the_verb_in_python(mfdsl: Any, spec: Path, proof: Path) -> None:
    from mfdsl import api

    found = api.recheck(spec, proof)
    assert found.ok and len(found.rows) > 5


def test_the_verb_is_public() -> None:
    assert mfdsl.recheck.__module__ == "mfdsl.api"


def test_what_is_decided_at_the_bound_values_is_told_apart_over_the_box(
    mfdsl: Any, spec: Path
) -> None:
    """As on the screen of the check: ranges and what is required never range over the box."""
    checked = mfdsl("check", spec, "--whole-box", "--keep-proof", "box.proof").out
    told = mfdsl("recheck", spec, "box.proof").out
    for claim in ("symmetry", "range"):
        (before,) = (line for line in checked.split("\n") if line.split()[:1] == [claim])
        (again,) = (line for line in told.split("\n") if line.split()[:1] == [claim])
        assert "proved as bound" in before and "proved as bound" in again
    rows = mfdsl("recheck", spec, "box.proof", "--json").json["certificates"]
    assert {row["claim"] for row in rows if row["as_bound"]} >= {"symmetry", "range"}
    assert not any(row["as_bound"] for row in rows if row["claim"] == "lipschitz(reward, mu)")
    assert mfdsl("check", spec, "--keep-proof", "here.proof").code == 0
    assert "as bound" not in mfdsl("recheck", spec, "here.proof").out


def test_what_is_required_holds_as_bound_beside_the_same_over_the_box(
    mfdsl: Any, spec: Path
) -> None:
    more = "require lipschitz(reward, mu) <= 1\n  require monotone(reward, mu)\n  require reward"
    spec.write_text(spec.read_text().replace("require reward", more))
    assert mfdsl("check", spec, "--whole-box", "--keep-proof", "box.proof").code == 0
    outcome = mfdsl("recheck", spec, "box.proof", "--json")
    assert outcome.code == 0
    found = {(row["claim"], row["as_bound"]) for row in outcome.json["certificates"]}
    assert found >= {("lipschitz(reward, mu) <= 1", True), ("lipschitz(reward, mu)", False)}
    assert found >= {("monotone", True), ("monotone", False)}
