"""`mfdsl check`, `fmt`, `fix` and `explain`."""

import json
from pathlib import Path
from typing import Any

import pytest

from mfdsl.compiler.codes import CODES


def test_a_good_spec_is_summed_up_and_exits_with_0(mfdsl: Any, spec: Path) -> None:
    outcome = mfdsl("check", spec)
    assert outcome.code == 0
    first, *_, last = outcome.out.splitlines()
    assert first == "rooms: population walker (3 states x 3 actions), nash, horizon 4"
    assert last == "ok: 0 errors"
    assert outcome.err == ""


def test_a_wrong_spec_is_shown_with_its_place_and_exits_with_1(mfdsl: Any, spec: Path) -> None:
    spec.write_text(spec.read_text().replace("c_crowd * mu", "c_crwd * mu"))
    outcome = mfdsl("check", spec)
    assert outcome.code == 1
    assert "error[MFG101]" in outcome.err
    assert "rooms.mfg:17:" in outcome.err
    assert "did you mean `c_crowd`" in outcome.err
    assert outcome.out.splitlines()[-1] == "failed: 1 error"


def test_json_is_one_object_that_keeps_the_contract(mfdsl: Any, spec: Path) -> None:
    spec.write_text(spec.read_text().replace("c_crowd * mu", "c_crwd * mu"))
    outcome = mfdsl("check", spec, "--json")
    assert outcome.code == 1
    found = outcome.json
    assert found["schema"] == 1
    assert (found["spec"], found["ok"], found["model"]) == ("rooms.mfg", False, None)
    (diagnostic,) = found["diagnostics"]
    assert set(diagnostic) == {"code", "severity", "message", "labels", "notes", "helps"}
    (label,) = [label for label in diagnostic["labels"] if label["primary"]]
    assert label["file"] == "rooms.mfg"
    assert set(label["start"]) == {"line", "col", "offset"}
    text = spec.read_bytes()[label["start"]["offset"] : label["end"]["offset"]]
    assert text == b"c_crwd"


def test_json_of_a_good_spec_names_the_model_and_certificates(mfdsl: Any, spec: Path) -> None:
    found = mfdsl("check", spec, "--json").json
    assert found["ok"]
    assert found["model"] == {
        "name": "rooms",
        "players": [{"kind": "population", "name": "walker", "states": 3, "actions": 3}],
        "states": 3,
        "actions": 3,
        "horizon": 4,
        "discount": 1.0,
        "objective": "nash",
    }
    assert found["certificates"]
    for certificate in found["certificates"]:
        assert set(certificate) == {
            "claim",
            "subject",
            "source",
            "verdict",
            "lower",
            "upper",
            "norm",
            "method",
            "rigor",
            "reason",
            "detail",
            "shares",
            "culprit",
            "fix",
            "assumptions",
            "obligations",
            "boxes",
            "witness",
            "seconds",
        }


def test_several_specs_give_one_object_and_the_worst_exit_code(mfdsl: Any, spec: Path) -> None:
    Path("wrong.mfg").write_text("model wrong\nhorizon 3\n")
    outcome = mfdsl("check", spec, "wrong.mfg", "--json")
    assert outcome.code == 1
    assert [entry["ok"] for entry in outcome.json["specs"]] == [True, False]


def test_sarif_and_github_formats_name_the_code_and_the_line(mfdsl: Any, spec: Path) -> None:
    spec.write_text(spec.read_text().replace("c_crowd * mu", "c_crwd * mu"))
    sarif = json.loads(mfdsl("check", spec, "--format", "sarif").out)
    (result,) = sarif["runs"][0]["results"]
    assert result["ruleId"] == "MFG101"
    github = mfdsl("check", spec, "--format", "github").out
    assert github.startswith("::error file=rooms.mfg,line=17,")


def test_a_require_that_fails_exits_with_1(mfdsl: Any, spec: Path) -> None:
    assert mfdsl("check", spec, "--set", "c_crowd=5").code == 0
    spec.write_text(spec.read_text().replace("[-10, 1]", "[-2, 1]"))
    assert mfdsl("check", spec).code == 0
    outcome = mfdsl("check", spec, "--set", "c_crowd=5")
    assert outcome.code == 1
    assert "is not in [-2, 1]" in outcome.err and "can be -5" in outcome.err


@pytest.mark.parametrize("stage", ["ast", "ir"])
def test_a_stage_of_the_compiler_can_be_dumped(mfdsl: Any, spec: Path, stage: str) -> None:
    outcome = mfdsl("check", spec, "--dump", stage)
    assert outcome.code == 0
    assert "walker" in outcome.out


def test_a_shipped_game_is_known_by_its_name(mfdsl: Any) -> None:
    assert mfdsl("check", "sis").code == 0


def test_fmt_writes_the_canonical_layout_once(mfdsl: Any, spec: Path) -> None:
    text = spec.read_text()
    spec.write_text(text.replace("  reward place = x / n", "reward place=x/n"))
    assert mfdsl("fmt", spec, "--check").code == 1
    assert mfdsl("fmt", spec, "--diff").out.count("+  reward place = x / n") == 1
    assert mfdsl("fmt", spec).code == 0
    assert spec.read_text() == text
    assert mfdsl("fmt", spec, "--check").code == 0


def test_fmt_leaves_a_spec_with_syntax_errors_alone(mfdsl: Any, spec: Path) -> None:
    damaged = spec.read_text().replace("objective nash", "objective nash {")
    spec.write_text(damaged)
    outcome = mfdsl("fmt", spec)
    assert outcome.code == 1
    assert "error[MFG0" in outcome.err
    assert spec.read_text() == damaged


def test_fix_applies_the_helps_and_the_spec_then_passes(mfdsl: Any, spec: Path) -> None:
    text = spec.read_text().replace("c_crowd * mu[x]", "c_crowd * mu[x]^2")
    spec.write_text(text.replace("^", "**"))
    preview = mfdsl("fix", spec, "--diff")
    assert "+  cost   crowd = c_crowd * mu[x]^2" in preview.out
    assert spec.read_text() != text
    outcome = mfdsl("fix", spec)
    assert outcome.code == 0
    assert spec.read_text() == text


def test_fix_counts_from_behind_the_mark_of_the_encoding(mfdsl: Any, spec: Path) -> None:
    text = spec.read_text()
    spec.write_bytes(b"\xef\xbb\xbf" + text.replace("clip(", "clipp(").encode())
    assert mfdsl("fix", spec).code == 0
    assert spec.read_text() == text


def test_what_is_required_is_about_bound_values_also_beside_the_whole_box(
    mfdsl: Any, spec: Path
) -> None:
    spec.write_text(
        "model slope\nparam c : real in [0, 2] = 1\nobjective nash\nhorizon 2\n"
        "population p as mu {\n  state x : int in 0..1 ~ uniform\n  action a : int in 0..1\n"
        "  x' = a\n  reward r = -c * mu[x]\n  require lipschitz(reward, mu) <= 0.6\n}\n"
    )
    outcome = mfdsl("check", spec, "--whole-box", "--ask", "lipschitz(reward, mu)")
    required, asked = (line for line in outcome.out.splitlines() if "lipschitz" in line)
    assert " = 0.5 " in required and required.endswith("proved as bound")
    assert " = 1 " in asked and asked.endswith("proved")
    alone = mfdsl("check", spec, "--effort", "none")
    assert "as bound" not in alone.out


def test_fix_prints_what_it_cannot_mend(mfdsl: Any, spec: Path) -> None:
    spec.write_text(spec.read_text().replace("horizon 4\n", ""))
    outcome = mfdsl("fix", spec)
    assert outcome.code == 1
    assert "error[MFG111]" in outcome.err


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_explained(mfdsl: Any, code: str) -> None:
    outcome = mfdsl("explain", code.lower())
    assert outcome.code == 0
    assert outcome.out.startswith(f"# {code}")


def test_an_unknown_code_is_answered_with_the_nearest(mfdsl: Any) -> None:
    outcome = mfdsl("explain", "MFG310")
    assert outcome.code == 2
    assert "unknown code `MFG310`" in outcome.err


def test_constants_have_the_names_of_the_literature(mfdsl: Any) -> None:
    asked = ("lipschitz(dynamics, mu)", "lipschitz(reward, h)", "lipschitz(dynamics, a)")
    flags = [part for claim in asked for part in ("--ask", claim)]
    outcome = mfdsl("check", "sis", "--explain", *flags)
    assert outcome.code == 0
    for name in ("K_mu", "L_s", "K_a"):
        assert f"known as {name} in the literature" in outcome.out
