"""`mfdsl solve` with many games: their axes, their files, and arrays of jobs."""

import csv
import io
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mfdsl import solve
from mfdsl.batches import Batch
from mfdsl.errors import UsageError
from mfdsl.gathering import table_of_run, table_of_runs

FEW = ("--iterations", 15, "--tol", 0.02)


def write_sets(**values: str) -> None:
    for name, text in values.items():
        Path(f"{name}.toml").write_text(text)


def _rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def alone(mfdsl: Any, spec: Path, *flags: Any) -> Any:
    return mfdsl("solve", spec, *FEW, *flags, "--json").json


def test_points_are_the_product_of_all_axes_and_the_last_varies_fastest() -> None:
    batch = Batch(
        {"b": (1, 2), "opt.rate": (0.5,), "a": (3,)},
        {"x.toml": {"c": 1.0}, "y.toml": {"c": (2.0, 3.0)}},
        (7, 8),
    )
    assert batch.size == 8
    first, second, third = batch.points()[:3]
    assert list(first) == ["params", "b", "opt.rate", "a", "seed"]
    assert first == {"params": "x.toml", "b": 1, "opt.rate": 0.5, "a": 3, "seed": 7}
    assert second == first | {"seed": 8} and third == first | {"b": 2}
    columns, varied = batch.columns(), batch.varied()
    assert columns["c"] == [1.0] * 4 + [(2.0, 3.0)] * 4
    assert columns["b"] == [1, 1, 2, 2] * 2 and columns["a"] == [3] * 8
    assert varied == {"rate": (0.5,) * 8, "seed": (7, 8) * 4}


@pytest.mark.parametrize("shares", [1, 2, 3, 7, 10])
def test_shares_are_the_batch_cut_into_pieces(shares: int) -> None:
    whole = Batch({"a": (1, 2, 3, 4, 5), "b": (0, 1)})
    parts = [Batch(whole.sweep, share=(k, shares)).points() for k in range(shares)]
    assert [point for part in parts for point in part] == list(whole.points())
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_there_are_no_more_shares_than_games() -> None:
    with pytest.raises(UsageError, match="2 games make no 3 shares"):
        Batch({"a": (1, 2)}, share=(0, 3)).points()


def test_parameters_and_options_are_swept_in_one_batch(mfdsl: Any, spec: Path) -> None:
    """Axes in an order that is not that of their names."""
    axes = ("--sweep", "opt.temperature=0.5,1", "--sweep", "c_crowd=1,0.3")
    axes += ("--sweep", "opt.learning_rate=0,0.7")
    found = mfdsl("solve", spec, *FEW, *axes, "--json").json
    assert len(found["games"]) == 8 and len({g["iterations"] for g in found["games"]}) > 1
    assert found["status"] == "max_iterations" and "converged" in found["message"]
    for game in found["games"][1:7:2]:
        point = {**game["options"], **game["parameters"]}
        options = [f"{name}={value}" for name, value in game["options"].items()]
        flags = [word for option in options for word in ("--opt", option)]
        single = alone(mfdsl, spec, "--set", f"c_crowd={point['c_crowd']}", *flags)
        assert game["status"] == single["status"], point
        assert game["iterations"] == single["iterations"]
        assert game["exploitability"] == pytest.approx(single["exploitability"]["value"], abs=1e-9)
        assert game["value"] == pytest.approx(single["value"], abs=1e-9)
    table = table_of_run(Path(found["run"]), "games")
    names = ("opt.temperature", "c_crowd", "opt.learning_rate")
    assert table.columns == (*names, "exploitability", "value", "iterations", "status")
    for row, game in zip(table.rows, found["games"], strict=True):
        places = [game["options"]["temperature"], game["parameters"]["c_crowd"]]
        places.append(game["options"]["learning_rate"])
        figures = [game[name] for name in ("exploitability", "value", "iterations", "status")]
        assert list(row) == places + figures


def test_the_screen_says_how_each_game_ended(mfdsl: Any, spec: Path) -> None:
    outcome = mfdsl("solve", spec, "--iterations", 60, "--tol", 0.1, "--sweep", "c_crowd=0.1,9")
    assert outcome.code == 0, outcome.err
    assert "of 2 games 1 converged, 1 max_iterations: stopped at the iteration limit" in outcome.out
    header = next(line for line in outcome.out.splitlines() if "c_crowd" in line)
    assert header.split() == ["c_crowd", "exploitability", "value", "iterations", "status"]
    rows = [line.split() for line in outcome.out.splitlines() if line.strip().endswith("converged")]
    assert rows[0][0] == "0.1" and rows[0][-1] == "converged"


def test_a_batch_goes_on_with_the_games_in_their_places(mfdsl: Any, spec: Path) -> None:
    axes = ("--sweep", "opt.temperature=2,1", "--sweep", "c_crowd=3,0.3")
    whole = mfdsl("solve", spec, "--iterations", 15, "--tol", 0.02, *axes, "--json").json
    part = mfdsl("solve", spec, "--iterations", 6, "--tol", 0.02, *axes, "--json").json
    rest = mfdsl("solve", "--resume", part["run"], "--iterations", 15, "--json").json
    for one, other in zip(whole["games"], rest["games"], strict=True):
        assert one["options"] == other["options"] and one["parameters"] == other["parameters"]
        assert one["iterations"] == other["iterations"] and one["status"] == other["status"]
        assert one["exploitability"] == pytest.approx(other["exploitability"], abs=1e-10)


def test_parameter_files_are_one_batch_together_with_a_sweep(mfdsl: Any, spec: Path) -> None:
    write_sets(z="c_crowd = 2\nn = 4", a="n = 4")
    both = ("--params", "z.toml", "--params", "a.toml")
    found = mfdsl("solve", spec, *FEW, *both, "--sweep", "opt.temperature=1,0.7", "--json").json
    assert [game["params"] for game in found["games"]] == ["z.toml"] * 2 + ["a.toml"] * 2
    for game in found["games"][1::2]:
        flags = (
            "--params",
            game["params"],
            "--opt",
            f"temperature={game['options']['temperature']}",
        )
        single = alone(mfdsl, spec, *flags)
        assert game["exploitability"] == pytest.approx(single["exploitability"]["value"], abs=1e-9)
        assert game["iterations"] == single["iterations"]
    again = mfdsl("solve", "--resume", found["run"], "--iterations", 20, "--json").json
    assert [game["params"] for game in again["games"]] == [g["params"] for g in found["games"]]
    pattern = mfdsl("solve", spec, *FEW, "--params", "*.toml", "--json").json
    assert [game["params"] for game in pattern["games"]] == ["a.toml", "z.toml"]


def test_arrays_of_parameter_files_are_a_batch(mfdsl: Any) -> None:
    path = Path("places.mfg")
    path.write_text(
        """
        model places
        param gain : real[2, 3] in [-5, 5] = [[0, 0, 0], [0, 0, 0]]
        objective nash
        horizon 3
        population one as mu {
          state x : int in 0..2 ~ uniform
          action a : int in 0..1
          x' = min(x + a, 2)
          reward found = gain[a, x] - mu[x]
        }
        """
    )
    write_sets(one="gain = [[1, 2, 3], [4, 0, 1]]", two="gain = [[0, 1, 0], [2, 0, 3]]")
    found = mfdsl("solve", path, "--solver", "omd", "--params", "*.toml", *FEW, "--json")
    assert found.code == 0, found.err
    for game in found.json["games"]:
        single = alone(mfdsl, path, "--solver", "omd", "--params", game["params"])
        assert game["exploitability"] == pytest.approx(single["exploitability"]["value"], abs=1e-9)


def test_each_parameter_file_is_held_to_what_the_spec_requires(mfdsl: Any, spec: Path) -> None:
    spec.write_text(spec.read_text().replace("reward in [-10, 1]", "reward in [-2, 1]"))
    write_sets(low="c_crowd = 1", high="c_crowd = 5")
    outcome = mfdsl("solve", spec, "--params", "low.toml", "--params", "high.toml")
    assert outcome.code == 1 and "at the values of high.toml" in outcome.err


def test_seeds_are_one_batch_where_the_solver_draws(mfdsl: Any, spec: Path) -> None:
    flags = ("--solver", "mf_pso", "--opt", "particles=5", "--iterations", 3)
    found = mfdsl("solve", spec, *flags, "--seed", 4, "--seeds", 3, "--json").json
    assert [game["seed"] for game in found["games"]] == [4, 5, 6]
    gaps = [game["exploitability"] for game in found["games"]]
    assert len(set(gaps)) == 3
    for seed, gap in zip((4, 5, 6), gaps, strict=True):
        single = mfdsl("solve", spec, *flags, "--seed", seed, "--json").json
        assert gap == pytest.approx(single["exploitability"]["value"], abs=1e-12)
    nothing = mfdsl("solve", spec, "--seeds", 3, "--iterations", 2)
    assert "draws nothing" in nothing.out and nothing.code == 0


def test_a_batch_from_python(mfdsl: Any, spec: Path) -> None:
    sweep = {"c_crowd": (0.3, 1.0), "opt.temperature": (1.0, 2.0)}
    found = solve(spec, sweep=sweep, iterations=10, tolerance=0.02)
    (batch, screen) = (found.endings, mfdsl)  # type: ignore[union-attr]
    flags = ("--sweep", "c_crowd=0.3,1", "--sweep", "opt.temperature=1,2")
    same = screen("solve", spec, *flags, "--iterations", 10, "--tol", 0.02, "--json").json
    assert [ending.iterations for ending in batch] == [g["iterations"] for g in same["games"]]
    drawn = solve(spec, "mf_pso", options={"particles": 4}, iterations=1, seeds=2)
    assert len(drawn.endings) == 2  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--sweep", "opt.lerning_rate=1,2"), "did you mean `learning_rate`?"),
        (("--sweep", "opt.temperature=1,0"), "option `temperature = 0` of omd"),
        (("--solver", "pmd", "--sweep", "opt.temperature=1,2"), "no option may vary"),
        (
            ("--solver", "fixed_point", "--sweep", "opt.ties=1,2"),
            "option `ties = 1` of fixed_point",
        ),
        (("--sweep", "opt.learning_rate=a,b"), "`a` is not a number"),
        (("--sweep", "opt.learning_rate=0.1,0.1"), "`opt.learning_rate` is 0.1 more than once"),
        (("--params", "a.toml", "--params", "same.toml"), "the parameter files say the same"),
        (("--params", "nothing*.toml"), "matches no file"),
        (("--params", "a.toml", "--params", "a.toml"), "is there twice"),
        (("--params", "a.toml", "--params", "big.toml"), "`n` fixes sizes"),
        (("--params", "?.toml", "--sweep", "c_crowd=1,2"), "differs between parameter files"),
        (("--share", "0/2"), "1 games make no 2 shares"),
        (("--sweep", "c_crowd=1,2", "--share", "2/2"), "is not K/N with K from 0 to N - 1"),
        (("--jobs", "2"), "are for arrays of jobs"),
        (("--dry-run",), "there is one game only"),
        (("--sweep", "c_crowd=1,2", "--dry-run", "--jobs", "3"), "2 games make no 3 jobs"),
        (("--sweep", "c_crowd=1,2", "--dry-run", "--sbatch", "time"), "not of the form key=value"),
        (("--sweep", "c_crowd=1,2", "--dry-run", "--sbatch", "array=3"), "set by the array"),
        (("--sweep", "c_crwd=1,2", "--dry-run"), "did you mean `c_crowd`?"),
        (("--sweep", "c_crowd=1,2", "--cluster", "local", "--sbatch", "time=3"), "are for SLURM"),
    ],
)
def test_what_is_no_batch_is_refused(
    mfdsl: Any, spec: Path, flags: tuple[str, ...], message: str
) -> None:
    write_sets(a="c_crowd = 2", b="c_crowd = 3", big="n = 5", same="c_crowd = 2")
    outcome = mfdsl("solve", spec, "--iterations", 2, *flags)
    assert outcome.code == 2, outcome.out
    assert message in outcome.err and "internal error" not in outcome.err
    assert not Path("runs").exists()


def test_a_dry_run_prints_a_script_that_solves_the_share_of_its_index(
    mfdsl: Any, spec: Path
) -> None:
    spec = spec.rename("our rooms.mfg")
    axes = ("--sweep", "c_crowd=0.3,1,2", "--sweep", "opt.temperature=1,2")
    flags = (*axes, *FEW, "--jobs", 4, "--sbatch", "time=30", "--sbatch", "mem_per_cpu=2G")
    outcome = mfdsl("solve", spec, *flags, "--dry-run")
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[0] == "#!/bin/bash"
    for line in ("--array=0-3", "--time=30", "--mem-per-cpu=2G", "--output=rooms-%A_%a.out"):
        assert f"#SBATCH {line}" in lines
    Path("job.sh").write_text(outcome.out)
    assert subprocess.run(["bash", "-n", "job.sh"], check=False).returncode == 0
    environment = {"SLURM_ARRAY_TASK_ID": "2", "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["bash", "job.sh"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (run,) = Path("runs/rooms-array").iterdir()
    whole = mfdsl("solve", spec, *axes, *FEW, "--json").json
    game = whole["games"][3]
    (row,) = table_of_run(run, "games").rows
    assert row[:2] == (game["parameters"]["c_crowd"], game["options"]["temperature"])
    assert row[2] == pytest.approx(game["exploitability"], abs=1e-9)


def test_the_runs_of_shares_are_one_table(mfdsl: Any, spec: Path) -> None:
    axes = ("--sweep", "c_crowd=0.3,1,2", "--sweep", "opt.temperature=1,2")
    whole = mfdsl("solve", spec, *axes, *FEW, "--json").json
    runs = [
        mfdsl("solve", spec, *axes, *FEW, "--share", f"{k}/4", "--json").json["run"]
        for k in range(4)
    ]
    outcome = mfdsl("table", *runs, "--part", "games", "-o", "games.csv")
    assert outcome.code == 0, outcome.err
    rows = _rows(Path("games.csv"))
    assert len(rows) == 6 and [row["run"] for row in rows[:1]] == [Path(runs[0]).name]
    for row, game in zip(rows, whole["games"], strict=True):
        assert float(row["c_crowd"]) == game["parameters"]["c_crowd"]
        assert float(row["opt.temperature"]) == game["options"]["temperature"]
        assert float(row["exploitability"]) == pytest.approx(game["exploitability"], abs=1e-9)
        assert (int(row["iterations"]), row["status"]) == (game["iterations"], game["status"])
    flow = table_of_runs(runs, "flow")
    assert flow.columns == ("run", "c_crowd", "opt.temperature", "t", "x", "share")
    assert len(flow.rows) == 6 * 5 * 3
    assert mfdsl("table", *runs, "-o", "flow.npz").code == 0
    with np.load("flow.npz") as arrays:
        assert arrays["share"].sum() == pytest.approx(6 * 5)


def test_runs_that_differ_are_told_apart_and_unfinished_ones_are_named(
    mfdsl: Any, spec: Path
) -> None:
    low = mfdsl("solve", spec, "--iterations", 2, "--json").json["run"]
    high = mfdsl("solve", spec, "--iterations", 2, "--set", "c_crowd=2", "--json").json["run"]
    (Path(low) / "summary.json").unlink()
    table = table_of_runs([Path(high), Path(low)], "games")
    figures = ("exploitability", "value", "iterations", "status")
    assert table.columns == ("run", "c_crowd", *figures)
    assert [(row[1], row[-1]) for row in table.rows] == [(2, "max_iterations"), ("", "unfinished")]
    other = mfdsl("solve", "sis", "--set", "T=3", "--iterations", 1, "--json").json["run"]
    outcome = mfdsl("table", low, other, "-o", "x.csv", "--part", "games")
    assert outcome.code == 2 and "one table has the runs of one game" in outcome.err


def test_an_array_on_this_machine_ends_with_one_table(mfdsl: Any, spec: Path) -> None:
    pytest.importorskip("submitit")
    axes = ("--sweep", "c_crowd=0.3,1,2")
    found = mfdsl("solve", spec, *axes, *FEW, "--cluster", "local", "--jobs", 2, "--json")
    assert found.code == 0, found.err
    assert found.json["games"] == 3 and len(found.json["runs"]) == 2 and not found.json["failed"]
    rows = _rows(Path(found.json["folder"]) / "games.csv")
    whole = mfdsl("solve", spec, *axes, *FEW, "--json").json["games"]
    assert [float(row["c_crowd"]) for row in rows] == [0.3, 1, 2]
    for row, game in zip(rows, whole, strict=True):
        assert float(row["exploitability"]) == pytest.approx(game["exploitability"], abs=1e-9)


def test_an_array_without_submitit_or_slurm_says_what_to_do(
    mfdsl: Any, spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ("solve", spec, "--sweep", "c_crowd=1,2", "--cluster", "slurm")
    monkeypatch.setenv("PATH", "")
    if __import__("importlib.util").util.find_spec("submitit"):
        outcome = mfdsl(*flags)
        assert outcome.code == 2 and "cannot hand jobs to slurm" in outcome.err
        assert list(Path("runs").iterdir()) == []
    monkeypatch.setattr("mfdsl.cluster.find_spec", lambda name: None)
    outcome = mfdsl(*flags)
    assert outcome.code == 2 and "pip install 'mfdsl[slurm]'" in outcome.err


def test_a_share_that_is_one_game_suits_every_solver(mfdsl: Any) -> None:
    """Those that draw jointly, whose options are one for all, and that learn from agents."""
    axes = ("--sweep", "c_home=0.4,0.5", "--seeds", 2, "--share", "3/4")
    flags = ("--set", "T=4", "--opt", "agents=20", "--iterations", 2, "--json")
    found = mfdsl("solve", "sis", "--solver", "symm_pmd", *axes, *flags).json
    single = mfdsl(
        "solve", "sis", "--solver", "symm_pmd", "--set", "c_home=0.5", "--seed", 1, *flags
    )
    assert found["exploitability"]["value"] == single.json["exploitability"]["value"]
    assert found["games"][0]["seed"] == 1 and found["seed"] == 1
    together = mfdsl("solve", "sis", "--solver", "symm_pmd", *axes[:-2], *flags)
    assert together.code == 2 and "learns from the agents of one game" in together.err
