"""SARIF of checks: certificates as results, and what the format demands of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from mfdsl.compiler.analysis.certificate import Certificate, Verdict
from mfdsl.sarif import outcome

CROWDED = "  require lipschitz(reward, mu) <= 0.25\n  agents 100"
KINDS = {"pass", "fail", "open", "informational", "review", "notApplicable"}
LEVELS = {"none", "note", "warning", "error"}


def checked(mfdsl: Any, spec: Path, code: int = 0) -> dict[str, Any]:
    """The log of a check, which has the shape that SARIF 2.1.0 wants."""
    assert mfdsl("check", spec, "--sarif", "rooms.sarif").code == code
    log: dict[str, Any] = json.loads(Path("rooms.sarif").read_text())
    assert log["version"] == "2.1.0" and len(log["runs"]) == 1
    run = log["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in LEVELS and result.get("kind", "fail") in KINDS
        assert result.get("kind", "fail") == "fail" or result["level"] == "none"
        assert result["message"]["text"]
        for location in result["locations"]:
            assert "uri" in location["physicalLocation"]["artifactLocation"]
    return log


def result_of(log: dict[str, Any], claim: str) -> dict[str, Any]:
    found = log["runs"][0]["results"]
    (result,) = [r for r in found if r.get("properties", {}).get("claim") == claim]
    return dict(result)


def test_what_is_proved_passes(mfdsl: Any, spec: Path) -> None:
    result = result_of(checked(mfdsl, spec), "lipschitz(reward, mu)")
    assert (result["kind"], result["level"]) == ("pass", "none")
    assert result["ruleId"] == "certificate/lipschitz"
    assert result["properties"]["upper"] == pytest.approx(0.5)
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "rooms.mfg"
    assert place["region"]["startLine"] == 17  # the term that is steepest


def test_what_is_required_and_refuted_is_an_error(mfdsl: Any, spec: Path) -> None:
    text = Path(spec).read_text()
    Path(spec).write_text(text.replace("  agents 100", CROWDED))
    log = checked(mfdsl, spec, code=1)
    result = result_of(log, "lipschitz(reward, mu) <= 0.25")
    assert (result["kind"], result["level"]) == ("fail", "error")
    assert result["properties"]["required"] is True
    assert result["properties"]["witness"]["moving"]
    assert "witness: " in result["message"]["text"]
    diagnostics = [r for r in log["runs"][0]["results"] if r["ruleId"] == "MFG501"]
    assert len(diagnostics) == 1 and diagnostics[0]["level"] == "error"


def test_a_jump_is_placed_with_its_help(mfdsl: Any, spec: Path) -> None:
    text = Path(spec).read_text().replace("c_crowd * mu[x]", "if mu[x] > 0.5 then 1 else 0")
    Path(spec).write_text(
        text.replace("  agents 100", "  require lipschitz(reward, mu)\n  agents 100")
    )
    result = result_of(checked(mfdsl, spec, code=1), "lipschitz(reward, mu)")
    assert (result["kind"], result["level"]) == ("fail", "error")
    assert "jumps" in result["message"]["text"] and "help: " in result["message"]["text"]
    assert result["properties"]["fix"]
    assert result["locations"][0]["physicalLocation"]["region"]["startLine"] == 17


def test_the_format_of_the_screen_has_certificates_too(mfdsl: Any, spec: Path) -> None:
    printed = json.loads(mfdsl("check", spec, "--format", "sarif").out)
    written = checked(mfdsl, spec)
    names = [[r["ruleId"] for r in log["runs"][0]["results"]] for log in (printed, written)]
    assert names[0] == names[1] and "certificate/monotone" in names[0]


def test_results_have_names_that_stay(mfdsl: Any, spec: Path) -> None:
    """A result is the same one after the spec was edited elsewhere."""
    before = result_of(checked(mfdsl, spec), "lipschitz(reward, mu)")
    Path(spec).write_text("# a comment\n" + Path(spec).read_text())
    after = result_of(checked(mfdsl, spec), "lipschitz(reward, mu)")
    assert before["partialFingerprints"] == after["partialFingerprints"]
    assert before["locations"] != after["locations"]
    prints = [
        r["partialFingerprints"]["claim/v1"]
        for r in checked(mfdsl, spec)["runs"][0]["results"]
        if "partialFingerprints" in r
    ]
    assert len(set(prints)) == len(prints)


@pytest.mark.parametrize(
    ("verdict", "required", "expected"),
    [
        ("proved", True, ("pass", "none")),
        ("tested", False, ("pass", "none")),
        ("refuted", True, ("fail", "error")),
        ("refuted", False, ("informational", "none")),
        ("unknown", True, ("fail", "warning")),
        ("unknown", False, ("open", "none")),
    ],
)
def test_kinds_follow_from_verdicts(
    verdict: Verdict, required: bool, expected: tuple[str, str]
) -> None:
    certificate = Certificate(claim="monotone", subject="reward", verdict=verdict)
    assert outcome(certificate, required=required) == expected


def test_a_file_that_cannot_be_written_is_said(mfdsl: Any, spec: Path) -> None:
    outcome = mfdsl("check", spec, "--sarif", "nowhere/rooms.sarif")
    assert outcome.code == 2 and "cannot write `nowhere/rooms.sarif`" in outcome.err
