"""`mfdsl solve --start`: at the policy of a run or at a drawn one, kept in the run and resumed."""

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

import mfdsl as package
from mfdsl.records import job_of_run, open_run, read_options

HANDS = Path(__file__).parents[2] / "bench" / "specs" / "rps_stationary.mfg"
FEW = ("--iterations", "4", "--tol", "0")


def history(run: Path) -> list[float]:
    return [
        json.loads(line)["exploitability"]
        for line in (run / "metrics.jsonl").read_text().splitlines()
    ]


def run_in(folder: str) -> Path:
    (run,) = Path(folder).iterdir()
    return run


@pytest.mark.parametrize("start", [None, "random"])
def test_tables_are_built_once(start: str | None, monkeypatch: Any) -> None:
    from mfdsl.runtime.views import finite

    built, build = [], finite.build_tables
    monkeypatch.setattr(finite, "build_tables", lambda *a: built.append(a) or build(*a))
    package.solve("sis", "omd", start=start, iterations=3, tolerance=0.0)
    assert len(built) == 1


def test_a_run_begins_where_another_one_ended(mfdsl: Any, spec: Path) -> None:
    assert mfdsl("solve", spec, *FEW, "-o", "first").code == 0
    first = run_in("first")
    outcome = mfdsl("solve", spec, *FEW, "--start", first, "-o", "second")
    assert outcome.code == 0 and f"start     the policy of {first}" in outcome.out
    second = run_in("second")
    assert history(second)[0] == pytest.approx(history(first)[-1], rel=1e-9)
    begun = load_file(second / "start.safetensors")["probs"]
    assert begun.equal(load_file(first / "policy.safetensors")["probs"])
    assert json.loads((second / "options.json").read_text())["start"] == str(first)
    assert json.loads((first / "options.json").read_text())["start"] is None


def test_resuming_goes_on_as_if_the_run_had_not_stopped(mfdsl: Any, spec: Path) -> None:
    head = ("solve", spec, "--start", "random", "--seed", 3, "--tol", 0)
    assert mfdsl(*head, "--iterations", 8, "-o", "whole").code == 0
    assert mfdsl(*head, "--iterations", 3, "-o", "part").code == 0
    assert mfdsl("solve", "--resume", run_in("part"), "--iterations", 8).code == 0
    assert history(run_in("part")) == pytest.approx(history(run_in("whole")), rel=1e-9)
    part, whole = (json.loads((run_in(f) / "options.json").read_text()) for f in ("part", "whole"))
    assert list(part.items()) == list(whole.items())  # so `mfdsl report` tells how to repeat it


def test_the_seed_says_which_policy_is_drawn(mfdsl: Any, spec: Path) -> None:
    for seed, folder in ((1, "a"), (1, "b"), (2, "c")):
        head = ("solve", spec, *FEW, "--start", "random", "--seed", seed)
        assert mfdsl(*head, "-o", folder).code == 0
    first, again, other = (history(run_in(folder)) for folder in "abc")
    assert first == again and first[0] != other[0]
    found = package.solve(package.load(spec), start="random", seed=1, iterations=4, tolerance=0.0)
    assert found.history[0].exploitability == pytest.approx(first[0], rel=1e-12)


def test_a_batch_begins_at_one_drawn_policy_or_at_those_of_a_batch(mfdsl: Any, spec: Path) -> None:
    sweep = ("--sweep", "c_crowd=0.5,1,2")
    assert mfdsl("solve", spec, *FEW, *sweep, "--start", "random", "-o", "drawn").code == 0
    drawn = run_in("drawn")
    begun = load_file(drawn / "start.safetensors")["probs"]
    assert all(policy.equal(begun[0]) for policy in begun)
    outcome = mfdsl("solve", spec, *FEW, *sweep, "--start", drawn, "-o", "on", "--json")
    gaps = [game["exploitability"] for game in outcome.json["games"]]
    assert len(gaps) == 3 and history(run_in("on"))[0] == pytest.approx(history(drawn)[-1])
    outcome = mfdsl("solve", spec, *FEW, "--start", drawn)
    assert outcome.code == 2 and "is 3 policies, one for each game of a batch" in outcome.err


def test_each_seed_of_a_batch_begins_where_it_begins_alone(mfdsl: Any, spec: Path) -> None:
    """So does each value of a sweep with it; solvers with options that vary and without."""
    game = package.load(spec)
    for solver in ("omd", "pmd"):
        few = {"iterations": 4, "tolerance": 0.0, "start": "random"}
        found = package.solve(game, solver, seed=3, seeds=2, **few)  # type: ignore[call-overload]
        alone = [package.solve(game, solver, seed=seed, **few) for seed in (3, 4)]  # type: ignore[call-overload]
        assert list(found.exploitability.per_game) == pytest.approx(
            [single.exploitability.value for single in alone], rel=1e-9
        )
    head = ("solve", spec, "--start", "random", "--seed", 3, "--seeds", 2, "--tol", 0)
    sweep = ("--sweep", "c_crowd=0.5,1")
    assert mfdsl(*head, *sweep, "--iterations", 2, "-o", "part").code == 0
    begun = load_file(run_in("part") / "start.safetensors")["probs"]
    assert begun[0].equal(begun[2]) and begun[1].equal(begun[3]) and not begun[0].equal(begun[1])
    found = mfdsl("solve", "--resume", run_in("part"), "--iterations", 4, "--json").json
    assert [game["seed"] for game in found["games"]] == [3, 4, 3, 4]
    whole = mfdsl(*head, *sweep, "--iterations", 4, "-o", "whole", "--json").json
    assert found["games"] == whole["games"]
    with pytest.raises(package.UsageError, match="omd draws nothing, so all seeds make the same"):
        package.solve(game, "omd", seeds=2)


def test_a_run_at_other_parameters_begins_a_solve_and_keeps_no_proof(
    mfdsl: Any, spec: Path
) -> None:
    assert mfdsl("solve", spec, *FEW, "--set", "c_crowd=2", "-o", "two").code == 0
    head = ("solve", spec, *FEW, "--solver", "mirror_prox", "-o", "on")
    assert mfdsl(*head, "--start", run_in("two")).code == 0
    folder = open_run(run_in("on"))
    game = package.load(spec)
    assert job_of_run(game, folder, read_options(folder), device="cpu").license.verdict != "proved"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--start", "nowhere"), "nowhere is not a run folder: there is no such folder"),
        (("--start", "first", "--set", "n=4"), "is over x (3 values), and this game has x (4"),
        (("--start", "random", "--solver", "mf_pso"), "mf_pso does not begin from a policy"),
        (("--start", "random", "--solver", "ppo_nash"), "ppo_nash does not begin from a policy"),
        (("--resume", "first", "--start", "random"), "a resumed run keeps its parameters"),
        (("--resume", "first", "--seed", "3"), "a resumed run keeps its parameters"),
        (("--resume", "first", "--dtype", "float32"), "a resumed run keeps its parameters"),
        (("--resume", "first", "--out", "elsewhere"), "a resumed run keeps its parameters"),
        (("--start", "random", "--seeds", f"{10**20}"), "seeds, the limit is 100,000"),
    ],
)
def test_a_start_that_does_not_fit_is_refused_in_words(
    mfdsl: Any, spec: Path, flags: tuple[str, ...], words: str
) -> None:
    assert mfdsl("solve", spec, "--iterations", 1, "-o", "runs").code == 0
    run_in("runs").rename("first")
    outcome = mfdsl("solve", *(() if "--resume" in flags else (spec,)), *flags)
    assert outcome.code == 2 and words in outcome.err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"share": [0, 0]}, "options.json is damaged: share: K of N shares"),
        ({"sweep": {"c_crowd": []}}, "options.json is damaged: sweep: `c_crowd` has no values"),
        ({"sweep": {"c_crowd": [1, 2]}}, "does not tell of the 2 games of options.json"),
        ({"solver": "bogus"}, "unknown solver `bogus`"),
    ],
)
def test_a_run_whose_options_were_changed_is_told_by_those_who_read_it(
    mfdsl: Any, spec: Path, changes: dict[str, Any], words: str
) -> None:
    assert mfdsl("solve", spec, *FEW, "-o", "runs").code == 0
    run = run_in("runs")
    options = run / "options.json"
    options.write_text(json.dumps(json.loads(options.read_text()) | changes))
    outcome = mfdsl("report", run)
    assert outcome.code == 2 and words in outcome.err
    if "sweep" in changes:
        again = mfdsl("table", run, "-o", "games.csv", "--part", "games")
        assert again.code == 2 and words in again.err


def test_a_run_of_another_game_is_refused(mfdsl: Any, spec: Path) -> None:
    assert mfdsl("solve", spec, "--iterations", 1, "-o", "first").code == 0
    outcome = mfdsl("solve", "left_right", "--start", run_in("first"))
    assert outcome.code == 2 and "is a run of `rooms`, and this is `left_right`" in outcome.err


def test_the_plan_and_the_jobs_know_the_start(mfdsl: Any, spec: Path) -> None:
    found = mfdsl("solve", spec, "--start", "random", "--explain-plan", "--json").json
    assert found["plan"]["start"] == "random"
    head = ("solve", spec, "--start", "random", "--seeds", 2, "--dry-run")
    assert "--start random" in mfdsl(*head).out


@pytest.mark.parametrize("seed", [0, 2])
def test_auto_solves_rock_paper_scissors_without_end_from_a_drawn_policy(
    mfdsl: Any, seed: int
) -> None:
    """Best responses go round, and with them every solver that was tried before but one."""
    head = ("solve", HANDS, "--solver", "auto", "--start", "random", "--seed", seed)
    found = mfdsl(*head, "--tol", "1e-3", "--json").json
    assert found["status"] == "converged" and found["exploitability"]["value"] <= 1e-3
    assert found["solver"] == "prior_descent"
    assert history(Path(found["run"]))[0] > 1
