"""`mfdsl solve`: the screen, the JSON contract, the run folder, sweeps and resumption."""

import json
from pathlib import Path
from typing import Any

import pytest

import mfdsl as package


def test_the_screen_ends_with_an_exploitability_and_the_files(mfdsl: Any, spec: Path) -> None:
    outcome = mfdsl("solve", spec, "--iterations", 200, "--tol", 1e-3)
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[0] == "rooms.mfg   rooms · 3 states x 3 actions · horizon 4 · nash"
    assert lines[1].startswith("checked")
    assert lines[2].startswith("solver    omd, named by the spec")
    (solved,) = [line for line in lines if line.startswith("solved    exploitability ")]
    assert "(exact) after" in solved
    (written,) = [line for line in lines if line.startswith("written   runs/rooms-")]
    run = Path(written.split()[1])
    assert lines[-1] == f"next      mfdsl simulate rooms.mfg --policy {run!s}"
    assert all(path.name in outcome.out for path in run.iterdir())
    assert {path.name for path in run.iterdir()} == {
        "flow.npz",
        "metrics.jsonl",
        "options.json",
        "policy.safetensors",
        "spec.mfg",
        "state.safetensors",
        "summary.json",
        "versions.json",
    }


def test_json_keeps_the_contract_and_is_alone_on_standard_output(mfdsl: Any, spec: Path) -> None:
    outcome = mfdsl("solve", spec, "--iterations", 5, "--json")
    assert outcome.code == 0
    found = outcome.json
    assert set(found) == {
        "schema",
        "spec",
        "solver",
        "options",
        "seed",
        "status",
        "message",
        "iterations",
        "seconds",
        "exploitability",
        "value",
        "history",
        "license",
        "run",
    }
    assert (found["spec"], found["solver"], found["status"]) == (
        "rooms.mfg",
        "omd",
        "max_iterations",
    )
    assert found["options"]["learning_rate"] == 0.5
    assert set(found["exploitability"]) == {"value", "kind", "per_population"}
    assert found["exploitability"]["kind"] == "exact"
    assert set(found["exploitability"]["per_population"]) == {"walker"}
    assert [entry["iteration"] for entry in found["history"]] == [0, 1, 2, 3, 4, 5]
    assert found["history"][-1]["exploitability"] == found["exploitability"]["value"]
    assert set(found["license"]) == {"property", "verdict", "text"}
    assert Path(found["run"], "summary.json").is_file()
    assert "exploitability" in outcome.err


def test_exploitability_falls_and_python_gives_the_same_numbers(mfdsl: Any, spec: Path) -> None:
    found = mfdsl("solve", spec, "--iterations", 50, "--tol", 0, "--json").json
    solution = package.solve(spec, iterations=50, tolerance=0)
    gaps = [entry["exploitability"] for entry in found["history"]]
    assert gaps[-1] < gaps[0] / 10
    assert [record.exploitability for record in solution.history] == gaps


def test_flags_win_over_the_solver_block(mfdsl: Any, spec: Path) -> None:
    found = mfdsl("solve", spec, "--opt", "learning_rate=0.25", "--iterations", 3, "--json").json
    assert found["options"]["learning_rate"] == 0.25
    other = mfdsl("solve", spec, "--solver", "fictitious_play", "--iterations", 3, "--json").json
    assert other["solver"] == "fictitious_play"
    assert "learning_rate" not in other["options"]


def test_a_parameter_changes_the_game(mfdsl: Any, spec: Path) -> None:
    plain = mfdsl("solve", spec, "--iterations", 3, "--json").json
    crowded = mfdsl("solve", spec, "--iterations", 3, "--json", "--set", "c_crowd=3").json
    assert plain["value"] > crowded["value"]


def test_a_sweep_is_one_batch_that_agrees_with_single_runs(mfdsl: Any, spec: Path) -> None:
    found = mfdsl("solve", spec, "--iterations", 5, "--sweep", "c_crowd=0.5:2:3", "--json").json
    assert [game["parameters"]["c_crowd"] for game in found["games"]] == [0.5, 1.25, 2.0]
    for game in found["games"]:
        setting = f"c_crowd={game['parameters']['c_crowd']}"
        single = mfdsl("solve", spec, "--iterations", 5, "--set", setting, "--json").json
        assert game["exploitability"] == pytest.approx(single["exploitability"]["value"], abs=1e-12)
        assert game["value"] == pytest.approx(single["value"], abs=1e-12)
    assert found["exploitability"]["value"] == max(g["exploitability"] for g in found["games"])


def test_a_resumed_run_continues_as_if_it_had_not_stopped(mfdsl: Any, spec: Path) -> None:
    whole = mfdsl("solve", spec, "--iterations", 12, "--tol", 0, "--json").json
    part = mfdsl("solve", spec, "--iterations", 7, "--tol", 0, "--json").json
    rest = mfdsl("solve", "--resume", part["run"], "--iterations", 12, "--json").json
    assert rest["run"] == part["run"]
    assert [entry["iteration"] for entry in rest["history"]] == list(range(13))
    for one, other in zip(whole["history"], rest["history"], strict=True):
        assert one["exploitability"] == pytest.approx(other["exploitability"], abs=1e-14)
    again = json.loads(Path(part["run"], "summary.json").read_text())
    assert again["iterations"] == 12


def test_resuming_a_finished_run_says_what_to_raise(mfdsl: Any, spec: Path) -> None:
    done = mfdsl("solve", spec, "--iterations", 3, "--tol", 0, "--json").json
    outcome = mfdsl("solve", "--resume", done["run"])
    assert outcome.code == 2
    assert "has made all of its 3 iterations" in outcome.err
    assert "--iterations 6" in outcome.err


def test_resuming_a_run_where_nobody_gains_asks_for_nothing_less(mfdsl: Any) -> None:
    done = mfdsl("solve", "nfg_dom", "--solver", "fixed_point", "--tol", 0, "--json").json
    assert done["exploitability"]["value"] <= 0
    outcome = mfdsl("solve", "--resume", done["run"], "--iterations", 50)
    assert outcome.code == 2
    assert "the run has converged to" in outcome.err and "nothing is left" in outcome.err
    assert "--tol" not in outcome.err


def test_python_resumes_a_run_too(spec: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    package.solve(spec, iterations=3, tolerance=0, out="runs")
    (run,) = Path("runs").iterdir()
    solution = package.resume(run, iterations=5)
    assert solution.iterations == 5
    assert len(solution.history) == 6


def test_ctrl_c_saves_the_run_and_says_how_to_go_on(
    mfdsl: Any, spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mfdsl.cli.progress import Course

    report = Course.report

    def press(self: Course, point: Any) -> None:
        report(self, point)
        if point.iteration == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(Course, "report", press)
    outcome = mfdsl("solve", spec, "--tol", 0)
    assert outcome.code == 130
    assert "stopped by the user; continue with --resume" in outcome.out
    run = outcome.out.split("--resume ")[-1].strip()
    monkeypatch.setattr(Course, "report", report)
    assert mfdsl("solve", "--resume", run, "--tol", 0, "--json").json["iterations"] == 20


def test_quiet_prints_the_outcome_only(mfdsl: Any, spec: Path) -> None:
    outcome = mfdsl("solve", spec, "--iterations", 3, "--quiet")
    assert len(outcome.out.splitlines()) == 1
    assert outcome.out.startswith("stopped   exploitability")


def test_float32_is_used_when_asked_for(mfdsl: Any, spec: Path) -> None:
    solution = package.solve(spec, iterations=1, dtype="float32")
    assert str(solution.policy.probs.dtype) == "torch.float32"


def test_tables_that_do_not_fit_are_refused_before_they_are_made(
    mfdsl: Any, spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mfdsl.solving.memory_of", lambda device: 1000)
    outcome = mfdsl("solve", spec)
    assert outcome.code == 2
    assert "not enough memory for 1 game of rooms: its tables need" in outcome.err
    assert "make the state space smaller" in outcome.err
    assert not (spec.parent / "runs").exists()
