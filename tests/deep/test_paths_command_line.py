"""structural_pg along drawn paths on the command line: chosen, resumed, played, scored, refused."""

import json
from pathlib import Path
from typing import Any

import pytest

import mfdsl as package
from mfdsl.paths_or_tables import routed
from mfdsl.runtime.runs import RunFolder
from mfdsl.runtime.solvers.networks import path_course
from mfdsl.settings import resolve
from tests.cli.conftest import mfdsl as mfdsl
from tests.deep.test_along_paths import WALK

FEW = ("hidden=8", "evaluate_paths=3", "futures=3", "batch=200")
SIZES = {
    "mfax_endogenous": ("wealths=12", "incomes=2", "shares=4", "T=6"),
    "mfax_linear_quadratic": ("half=5", "T=6"),
    "mfax_beach_bar": ("n=9", "reach=1", "T=6"),
}
MASKED = WALK.replace("a : int in -1..1", "a : int in -1..1 where x + a >= 0")


def flags_of(spec: str, *more: str) -> list[str]:
    sizes = [part for size in SIZES.get(spec, ()) for part in ("--set", size)]
    given = [part for option in (*FEW, *more) for part in ("--opt", option)]
    return [spec, "--solver", "structural_pg", *sizes, *given]


@pytest.fixture
def walk(mfdsl: Any) -> str:
    Path("walk.mfg").write_text(MASKED)
    return "walk.mfg"


def test_a_game_without_tables_goes_along_paths_and_its_run_is_kept(mfdsl: Any) -> None:
    flags = flags_of("mfax_endogenous")
    whole = mfdsl("solve", *flags, "--iterations", 4, "--json")
    assert whole.code == 0, whole.err
    found = whole.json
    assert found["options"]["paths"] == 8 and found["along"]["states"] == ["economy.log_z"]
    gap = found["exploitability"]
    assert gap["kind"] == "between" and gap["value"] == min(
        gap["between"]["most"], gap["between"]["foreseen"]
    )
    assert gap["between"]["least"] < gap["value"] + 3 * gap["std_error"]
    history = [record["exploitability"] for record in found["history"]]
    assert len(history) == 5 and history[-1] < history[0]

    tabled = mfdsl("table", found["run"], "-o", "flow.csv")
    assert tabled.code == 2 and "a network in place of tables" in tabled.err
    folder = RunFolder.open(Path(found["run"]))
    assert folder.summary["exploitability"] == gap
    assert [line["exploitability"] for line in folder.lines("metrics.jsonl")] == history
    half = mfdsl("solve", *flags, "--iterations", 2, "--json").json["run"]
    again = mfdsl("solve", "--resume", half, "--iterations", 4, "--json")
    assert again.code == 0, again.err
    for name in ("exploitability", "value", "iterations"):
        assert again.json[name] == found[name]
    for name, tensor in folder.state().items():
        assert tensor.equal(RunFolder.open(Path(half)).state()[name])
    refused = mfdsl("solve", "--resume", half, "--iterations", 4)
    assert refused.code == 2 and "all of its 4 iterations" in refused.err


@pytest.mark.parametrize("spec", ["mfax_linear_quadratic", "mfax_beach_bar", "walk.mfg"])
def test_games_with_tables_go_along_paths_when_asked(mfdsl: Any, walk: str, spec: str) -> None:
    tables = mfdsl("solve", *flags_of(spec)[: -2 * len(FEW)], "--iterations", 1, "--json")
    assert tables.code == 0, tables.err
    assert tables.json["exploitability"]["kind"] == "exact" and "along" not in tables.json
    run = mfdsl("solve", *flags_of(spec, "paths=3", "updates=2"), "--iterations", 2, "--json")
    assert run.code == 0, run.err
    assert run.json["exploitability"]["kind"] == "between"
    played = mfdsl("simulate", "--policy", run.json["run"], "--batch", 40, "--json")
    assert played.code == 0, played.err
    (returns,) = played.json["returns"].values()
    assert abs(returns["mean"] - run.json["value"]) < 5 * returns["std_error"] + 0.3


def test_ctrl_c_ends_after_an_iteration_and_the_run_goes_on(
    mfdsl: Any, walk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = flags_of(walk, "paths=3")
    whole = mfdsl("solve", *flags, "--iterations", 4, "--json").json
    step = path_course.advanced

    def pressed(game: Any, policy: Any, config: Any, iteration: int, *more: Any) -> Any:
        if iteration == 2:
            raise KeyboardInterrupt
        return step(game, policy, config, iteration, *more)

    monkeypatch.setattr(path_course, "advanced", pressed)
    stopped = mfdsl("solve", *flags, "--iterations", 4, "--json")
    assert stopped.code == 130 and stopped.json["iterations"] == 2
    assert stopped.json["exploitability"]["kind"] == "upper_bound"
    monkeypatch.setattr(path_course, "advanced", step)
    scored = mfdsl("validate", stopped.json["run"], "--seconds", 1, "--agents", "5", "--json")
    assert scored.code == 0, scored.out
    rest = mfdsl("solve", "--resume", stopped.json["run"], "--json").json
    assert rest["exploitability"] == whole["exploitability"]


def test_runs_are_validated_and_changed_summaries_are_found(mfdsl: Any, walk: str) -> None:
    run = mfdsl("solve", *flags_of(walk, "paths=3"), "--iterations", 1, "--json").json["run"]
    asked = ("validate", run, "--seconds", 6, "--agents", "5,20", "--json")
    found = mfdsl(*asked)
    assert found.code == 0, found.out
    verdicts = {row["name"]: row["verdict"] for row in found.json["checks"]}
    assert verdicts["exploitability"] == verdicts["saved return"] == "passed"
    path = Path(run) / "summary.json"
    summary = json.loads(path.read_text())
    summary["exploitability"]["between"]["least"] += 0.1
    summary["value"] += 0.1
    path.write_text(json.dumps(summary))
    changed = mfdsl(*asked)
    assert changed.code == 1
    verdicts = {row["name"]: row["verdict"] for row in changed.json["checks"]}
    assert verdicts["exploitability"] == verdicts["saved return"] == "failed"


def test_plans_and_lists_say_how_a_game_is_solved(mfdsl: Any) -> None:
    flags = flags_of("mfax_endogenous")
    plan = mfdsl("solve", *flags, "--explain-plan", "--json").json["plan"]
    assert plan["way"] == "paths" and plan["bytes"] > 0
    assert plan["along"] == {
        "states": ["economy.log_z"],
        "seen": ["economy.rent", "economy.wage"],
        "paths": 8,
    }
    assert not Path("runs").exists()
    ways = {"tables": ("sis",), "exact": ("lq_game",), "agents": ("sis", "--solver", "ppo_nash")}
    for way, asked in ways.items():
        outcome = mfdsl("solve", *asked, "--explain-plan", "--json")
        assert outcome.code == 0 and outcome.json["plan"]["way"] == way, outcome.err
    found = mfdsl("solvers", "mfax_endogenous", "--json").json
    applies = {entry["solver"]: entry["applies"] for entry in found["solvers"]}
    assert {name for name, status in applies.items() if status != "no"} == {"structural_pg"}
    assert found["chosen"]["solver"] == "structural_pg"


@pytest.mark.parametrize(
    ("spec", "flags", "message"),
    [
        ("mfax_endogenous", ("--opt", "memory=3"), "`memory` is of the pasts of tables"),
        ("mfax_endogenous", ("--opt", "bins=5"), "leave `bins` out to go along drawn paths"),
        ("mfax_endogenous", ("--opt", "paths=3", "--opt", "bins=5"), "`bins` are of tables"),
        ("sis", ("--opt", "paths=-1"), "option `paths = -1`"),
        ("mfax_endogenous", ("--sweep", "nu=0,0.1"), "`--sweep` is for tables"),
        ("mfax_endogenous", ("--seeds", "2"), "one seed at a time"),
        ("mfax_endogenous", ("--dtype", "float64"), "trains in float32 along paths"),
        ("mfax_endogenous", ("--tensorboard",), "`--tensorboard` is for networks"),
        ("mfax_endogenous", ("--opt", "paths=1000000000"), "not enough memory"),
        ("sis", ("--opt", "futures=3"), "`futures` is of drawn paths, and sis is solved on tables"),
        ("sis", ("--opt", "paths=3"), "it has no common state"),
        ("lq_common_noise", ("--opt", "paths=3"), "`x` of bank is continuous"),
    ],
)
def test_wrong_requests_are_explained(
    mfdsl: Any, spec: str, flags: tuple[str, ...], message: str
) -> None:
    sizes = [part for size in SIZES.get(spec, ()) for part in ("--set", size)]
    asked = ("solve", spec, "--solver", "structural_pg", *sizes, *flags, "--iterations", 1)
    outcome = mfdsl(*asked)
    assert outcome.code == 2, outcome.out
    assert message in outcome.err and "internal error" not in outcome.err


def test_damaged_runs_are_refused(mfdsl: Any, walk: str) -> None:
    run = mfdsl("solve", *flags_of(walk, "paths=2"), "--iterations", 1, "--json").json["run"]
    for name in ("policy", "state"):
        (Path(run) / f"{name}.safetensors").write_bytes(b"nothing")
    played = mfdsl("simulate", "--policy", run)
    assert played.code == 2 and "policy.safetensors is damaged" in played.err
    resumed = mfdsl("solve", "--resume", run, "--iterations", 3)
    assert resumed.code == 2 and "state.safetensors is damaged" in resumed.err
    other = mfdsl("simulate", "sis", "--policy", run)
    assert other.code == 2 and "another game" in other.err


def test_python_has_the_same_road() -> None:
    game = package.load(text=WALK)
    options = {"hidden": 8, "paths": 2, "evaluate_paths": 2, "futures": 2}
    found = package.solve(game, "structural_pg", iterations=1, options=options)
    assert found.exploitability.kind == "between"
    played = package.simulate(game, found, agents=5, batch=4)
    assert played.batch == 4
    settings = resolve(game.model, "structural_pg")
    assert routed(game, settings) == settings  # tables hold
