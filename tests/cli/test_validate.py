"""`mfdsl validate`: rows, JSON, exit codes, the reproduction file, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from mfdsl.validating import validate as validating
from mfdsl.validating.slopes import Claim
from tests.cli.conftest import Command
from tests.cli.test_anarchy import LINE

NAMES = [
    "kernel",
    "interpreter",
    "permutation",
    "invariances",
    "trajectories",
    "mass",
    "ranges",
    "slopes",
    "error against N",
    "exploitability",
    "gain among N",
    "bound among N",
]
QUICK = ("--seconds", "3", "--agents", "10,100")


def test_the_screen_has_a_row_for_each_check(mfdsl: Command, spec: Path) -> None:
    found = mfdsl("validate", spec, *QUICK)
    assert found.code == 0, found.out + found.err
    lines = found.out.splitlines()
    assert lines[0] == f"{spec}: the uniform policy, seed 0"
    rows = [line for line in lines[1:-1] if not line.startswith("    ")]
    assert [line[2:17].rstrip() for line in rows] == NAMES
    assert lines[-1].startswith("ok: ") and " of 12 checks passed" in lines[-1]
    assert any(line.startswith("    symmetry  EXACT") for line in lines)


def test_the_json_is_as_the_docs_say(mfdsl: Command, spec: Path) -> None:
    found = mfdsl("validate", spec, "--json", "--policy", "still", "--seed", "3", *QUICK)
    assert found.code == 0
    entries = found.json
    assert list(entries) == [
        "schema",
        "spec",
        "ok",
        "policy",
        "run",
        "seed",
        "checks",
        "exceeded",
        "reproduction",
        "finite_population",
    ]
    assert entries["ok"] is True and entries["policy"] == "still" and entries["seed"] == 3
    assert entries["run"] is None and entries["exceeded"] == [] and entries["reproduction"] is None
    assert [check["name"] for check in entries["checks"]] == NAMES
    for check in entries["checks"]:
        assert list(check) == ["name", "verdict", "detail", "figures", "seconds"]
        assert check["verdict"] in ("passed", "failed", "not applicable") and check["detail"]
    errors = next(c for c in entries["checks"] if c["name"] == "error against N")["figures"]
    assert [p["agents"] for p in errors["points"]] == [10, 100]
    assert errors["limit"] == "the exact flow" and errors["line"] == -0.35


def test_a_run_is_validated_with_its_policy(mfdsl: Command, spec: Path, tmp_path: Path) -> None:
    assert mfdsl("solve", spec, "-o", "runs", "-q").code == 0
    (run,) = Path("runs").iterdir()
    found = mfdsl("validate", run, "--json", *QUICK)
    assert found.code == 0, found.out
    assert found.json["policy"] == "run" and found.json["run"] == str(run)
    passed = {c["name"] for c in found.json["checks"] if c["verdict"] == "passed"}
    assert passed == {*NAMES} - {"invariances"}
    assert found.json["finite_population"]["players"][0]["player"] == "walker"
    again = mfdsl("validate", spec, "--policy", run, "--json", *QUICK)
    assert again.json["run"] == str(run)
    assert mfdsl("validate", run, "--policy", "still", "--json", *QUICK).json["run"] is None


def test_a_bound_that_is_exceeded_is_a_bug_with_exit_code_3(
    mfdsl: Command, spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = validating.judged_interactions

    def halved(*args: Any) -> tuple[Claim, ...]:
        return tuple(
            Claim(
                c.player,
                c.subject,
                c.source,
                c.certificate.model_copy(update={"upper": 0.5 * (c.certificate.upper or 0.0)}),
            )
            for c in judged(*args)
        )

    monkeypatch.setattr(validating, "judged_interactions", halved)
    found = mfdsl("validate", spec, *QUICK)
    assert found.code == 3
    assert "MFG904: a proved bound was exceeded at run time; this is a bug in mfdsl" in found.err
    assert "failed: slopes" in found.out
    (path,) = tmp_path.glob("mfdsl-bound-*.json")
    document = json.loads(path.read_text())
    assert document["exceeded"][0]["bound"] == pytest.approx(0.25)
    assert document["exceeded"][0]["found"] == pytest.approx(0.5)
    assert "model rooms" in next(iter(document["files"].values()))


def test_a_check_that_fails_gives_exit_code_1(
    mfdsl: Command, spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mfdsl.validating.outcome import Row

    monkeypatch.setattr(validating, "mass_row", lambda *_: Row("mass", "failed", "it leaks"))
    found = mfdsl("validate", spec, "--json", *QUICK)
    assert found.code == 1 and found.json["ok"] is False


def test_ctrl_c_ends_with_a_word(
    mfdsl: Command, spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(validating, "interpreter_row", stopped)
    found = mfdsl("validate", spec, *QUICK)
    assert found.code == 130 and "stopped" in found.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("rooms.mfg", "--agents", "ten"), "no number of agents"),
        (("rooms.mfg", "--agents", "10,,20"), "no number of agents"),
        (("rooms.mfg", "--agents", "0"), "out of range"),
        (("rooms.mfg", "--agents", "1e3"), "no number of agents"),
        (("rooms.mfg", "--games", "0"), "--games"),
        (("rooms.mfg", "--seconds", "-1"), "out of range"),
        (("rooms.mfg", "--policy", "nobody"), "not a run folder"),
        (("nowhere.mfg",), "nowhere"),
        ((".",), "not a run"),
        (("rooms.mfg", "--set", "nothing=1"), "nothing"),
    ],
)
def test_bad_input_is_refused(
    mfdsl: Command, spec: Path, arguments: tuple[str, ...], words: str
) -> None:
    found = mfdsl("validate", *arguments)
    assert found.code == 2 and words in found.err


def test_the_grid_of_the_solver_block_is_read(mfdsl: Any, tmp_path: Path) -> None:
    """The bound of a spec is on its tables, so it needs a grid as `solve` does."""
    spec = tmp_path / "line.mfg"
    spec.write_text(LINE)
    flags = ("--agents", "10", "--seconds", "1", "--json")
    rows = {row["name"]: row for row in mfdsl("validate", spec, *flags).json["checks"]}
    assert rows["bound among N"]["verdict"] == "passed"
    spec.write_text(LINE.replace("solver { bins = 5 }", ""))
    rows = {row["name"]: row for row in mfdsl("validate", spec, *flags).json["checks"]}
    assert rows["bound among N"]["verdict"] == "not applicable"
