"""`mfdsl simulate`: returns of N agents, by the uniform policy and by that of a run."""

import json
from pathlib import Path
from typing import Any

import numpy
import pytest


def test_json_keeps_the_contract(mfdsl: Any, spec: Path) -> None:
    found = mfdsl("simulate", spec, "--agents", 50, "--batch", 3, "--json").json
    assert set(found) == {
        "schema",
        "spec",
        "agents",
        "batch",
        "steps",
        "returns",
        "by",
        "agent_steps_per_second",
        "run",
    }
    assert (found["agents"], found["batch"], found["steps"]) == (50, 3, 4)
    assert set(found["returns"]) == {"walker"}
    assert set(found["returns"]["walker"]) == {"mean", "std_error"}


def test_agents_of_a_run_earn_what_the_solve_computed(mfdsl: Any, spec: Path) -> None:
    solved = mfdsl("solve", spec, "--iterations", 100, "--json").json
    found = mfdsl("simulate", "--policy", solved["run"], "--agents", 20000, "--json").json
    measured = found["returns"]["walker"]
    assert found["run"] == solved["run"]
    assert measured["mean"] == pytest.approx(solved["value"], abs=5 * measured["std_error"])


def test_agents_of_a_run_are_shown_and_recorded(mfdsl: Any, spec: Path) -> None:
    run = mfdsl("solve", spec, "--iterations", 1, "--json").json["run"]
    flags = ("--agents", 5, "--trace", "walker[4]", "--record", "all.npz")
    outcome = mfdsl("simulate", "--policy", run, *flags)
    assert outcome.code == 0 and "walker[4].reward" in outcome.out
    with numpy.load("all.npz") as record:
        assert record["walker.reward"].shape == (4, 1, 5)
    outcome = mfdsl("simulate", "--policy", Path(run).parent)
    assert outcome.code == 2 and f"{run}, in it, is one" in outcome.err


def test_the_same_seed_gives_the_same_returns(mfdsl: Any, spec: Path) -> None:
    def once(seed: int) -> Any:
        return mfdsl("simulate", spec, "--agents", 20, "--seed", seed, "--json").json["returns"]

    assert once(1) == once(1)
    assert once(1) != once(2)


def test_a_folder_gets_the_laws_over_time(mfdsl: Any, spec: Path) -> None:
    outcome = mfdsl("simulate", spec, "--agents", 30, "-o", "played")
    assert outcome.code == 0
    assert "written   played/" in outcome.out
    laws = numpy.load("played/laws.npz")["laws"]
    assert laws.shape == (1, 5, 3)
    assert laws.sum(-1) == pytest.approx(numpy.ones((1, 5)))
    assert json.loads(Path("played/simulation.json").read_text())["agents"] == 30


def test_what_else_lies_in_the_folder_stays(mfdsl: Any, spec: Path) -> None:
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("kept")
    assert mfdsl("simulate", spec, "--agents", 5, "-o", "mine").code == 0
    assert mfdsl("simulate", spec, "--agents", 6, "-o", "mine").code == 0
    assert json.loads(Path("mine/simulation.json").read_text())["agents"] == 6
    outcome = mfdsl("simulate", spec, "--agents", 5, "-o", "mine/notes.txt")
    assert outcome.code == 2 and "it is a file, not a folder" in outcome.err
    assert Path("mine/notes.txt").read_text() == "kept"


def test_agents_default_to_what_the_spec_says(mfdsl: Any, spec: Path) -> None:
    assert mfdsl("simulate", spec, "--json").json["agents"] == 100


def test_numbers_that_are_no_probabilities_are_not_played(mfdsl: Any, spec: Path) -> None:
    flags = ("--solver", "omd", "--opt", "learning_rate=1e308", "--iterations", "5", "-o", "runs")
    solved = mfdsl("solve", spec, *flags)
    assert solved.code == 1
    (run,) = Path("runs").iterdir()
    for verb in (("simulate", "--policy", run), ("validate", run)):
        outcome = mfdsl(*verb)
        assert outcome.code == 2 and "not all of it is probabilities" in outcome.err


def test_an_option_beyond_the_precision_is_refused(mfdsl: Any, spec: Path) -> None:
    flags = ("--solver", "omd", "--opt", "learning_rate=1e308", "--sweep", "c_crowd=1,2")
    outcome = mfdsl("solve", spec, *flags, "--dtype", "float32")
    assert outcome.code == 2 and "an option of omd is too large for float32" in outcome.err


@pytest.mark.parametrize(
    ("rate", "temperature", "dtype"), [(1e308, 1e-309, "float64"), (1e38, 1e-39, "float32")]
)
def test_after_values_that_are_not_finite_the_next_command_helps(
    mfdsl: Any, spec: Path, rate: float, temperature: float, dtype: str
) -> None:
    """A shorter step, or double precision, in place of a policy that cannot be played."""
    options = ("--opt", f"learning_rate={rate}", "--opt", f"temperature={temperature}")
    head = ("solve", spec, "--set", "c_crowd=2", "--solver", "pmd", "--iterations", 2)
    solved = mfdsl(*head, *options, "--dtype", dtype)
    assert solved.code == 1
    (line,) = (line for line in solved.out.split("\n") if line.startswith("next "))
    words = line.split()[2:]
    assert words[:4] == ["solve", str(spec), "--set", "c_crowd=2"]
    assert mfdsl(*words, "--iterations", 2).code == 0
