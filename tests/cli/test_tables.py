"""Solving and playing games whose tables stand for something else: from the command line."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mfdsl
from mfdsl.compiler.tabular.grids import Bins
from mfdsl.runtime.solution import Solution

GRID = """
model slope
horizon 4
objective nash
population p {
  state  x : real in [-1, 1] ~ uniform
  action a : real in [-0.5, 0.5]
  noise  e : real ~ normal(0, std = 0.1)
  x' = clip(x + a + e)
  reward low  = -x^2
  cost   push = a^2
  observe x, t
  agents 200
}
"""


def run_in(out: Path) -> Path:
    (folder,) = out.iterdir()
    return folder


def test_several_populations_from_solve_to_simulate(mfdsl: Any, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    solved = mfdsl("solve", "predator_prey", "--iterations", "60", "-o", out, "--json")
    assert solved.code == 0
    found = json.loads(solved.out)
    gaps = found["exploitability"]["per_population"]
    assert set(gaps) == {"animal[rock]", "animal[paper]", "animal[scissors]"}
    assert found["exploitability"]["value"] == pytest.approx(sum(gaps.values()))
    assert found["exploitability"]["kind"] == "exact"
    assert found["tables"]["states"] == {"animal": 3, "x": 25}
    record = tmp_path / "all.npz"
    flags = ("--policy", run_in(out), "--record", record, "--trace", "animal[paper][1]", "--json")
    played = json.loads(mfdsl("simulate", *flags).out)
    total = sum(r["mean"] for r in played["returns"].values())
    assert total == pytest.approx(found["value"], rel=0.02)
    assert played["run"] == str(run_in(out))
    with np.load(record) as arrays:
        assert arrays["animal[rock].x"].shape == (11, 1, 1000)


def test_grids_from_solve_to_simulate_and_on(mfdsl: Any, tmp_path: Path) -> None:
    spec, out = tmp_path / "slope.mfg", tmp_path / "runs"
    spec.write_text(GRID)
    flags = ("--opt", "bins=21", "--opt", "bins.x=31", "--iterations", "20", "-o", out)
    solved = mfdsl("solve", spec, *flags, "--solver", "omd", "--tol", "0", "--json")
    found = json.loads(solved.out)
    assert found["exploitability"]["kind"] == "estimate"
    assert found["refined"]["points"] == {"x": 61, "a": 41}
    assert found["refined"]["value"] == pytest.approx(found["value"], abs=0.1)
    assert found["tables"]["notes"] == [
        "p.x on 31 points",
        "p.a on 21 points",
        "p.e at 8 Gauss points",
    ]
    played = json.loads(mfdsl("simulate", "--policy", run_in(out), "--batch", "20", "--json").out)
    assert played["returns"]["p"]["mean"] == pytest.approx(found["value"], abs=0.05)
    again = mfdsl("solve", "--resume", run_in(out), "--iterations", "25", "--json")
    assert json.loads(again.out)["iterations"] == 25


def test_a_run_on_grids_is_a_table_of_the_places_of_its_points(mfdsl: Any, tmp_path: Path) -> None:
    spec, out = tmp_path / "slope.mfg", tmp_path / "runs"
    spec.write_text(GRID)
    mfdsl("solve", spec, "--opt", "bins=5", "--solver", "omd", "--iterations", "2", "-o", out)
    assert mfdsl("table", run_in(out), "-o", "flow.csv").code == 0
    head, *rows = (line.split(",") for line in Path("flow.csv").read_text().splitlines())
    assert head == ["t", "x", "share"]
    assert [float(x) for t, x, _ in rows if t == "0"] == [-1, -0.5, 0, 0.5, 1]
    assert sum(float(share) for t, _, share in rows if t == "2") == pytest.approx(1)


def test_a_run_without_tables_says_so(mfdsl: Any, tmp_path: Path) -> None:
    assert mfdsl("solve", "lq_game", "-o", tmp_path / "runs").code == 0
    outcome = mfdsl("table", run_in(tmp_path / "runs"), "-o", "flow.csv")
    assert outcome.code == 2 and "a run of riccati, which makes no tables" in outcome.err


def test_a_run_whose_files_were_changed_is_no_table(mfdsl: Any, tmp_path: Path) -> None:
    for name in ("sis", "crowd_1d"):
        mfdsl("solve", name, "--solver", "omd", "--iterations", "1", "-o", tmp_path / name)
    run, other = (run_in(tmp_path / name) for name in ("sis", "crowd_1d"))
    (run / "flow.npz").write_bytes((other / "flow.npz").read_bytes())
    assert "numbers a stage" in mfdsl("table", run, "-o", "flow.csv").err
    np.savez(run / "flow.npz", laws=np.array(["a", "b"]))
    assert "flow.npz is damaged" in mfdsl("table", run, "-o", "flow.csv").err
    (run / "flow.npz").unlink()
    assert "damaged" not in mfdsl("table", run, "-o", "flow.csv").err
    spec = run / "spec.mfg"
    spec.write_text(spec.read_text().replace("= 0.81 ", "= 0.82 ", 1))
    refused = mfdsl("simulate", "--policy", run).err
    assert "another version of the game" in refused and "changed after the run" in refused


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ((), "`x` is continuous"),
        (("--opt", "bins=1"), "`bins = 1`"),
        (("--opt", "bins=2.5"), "whole number of points"),
        (("--opt", "bins=many"), "whole number of points"),
        (("--opt", "bins.z=5"), "unknown continuous variable `z`"),
        (("--opt", "bins=100000"), "states on tables, which take"),
        (("--opt", "low.x=-3"), "`low.x = -3` lies outside of the domain"),
        (("--opt", "low.x=much"), "the end of a grid is a number"),
        (("--opt", "bins=5", "--opt", "low.x=0.5", "--opt", "high.x=0.25"), "begins at 0.5"),
        (("--opt", "high=3"), "unknown continuous variable"),
    ],
)
def test_bad_grids_are_refused(
    mfdsl: Any, tmp_path: Path, flags: tuple[str, ...], words: str
) -> None:
    spec = tmp_path / "slope.mfg"
    spec.write_text(GRID)
    result = mfdsl("solve", spec, *flags)
    assert result.code == 2 and words in result.err and "Traceback" not in result.err


def test_a_block_may_ask_for_grids(mfdsl: Any, tmp_path: Path) -> None:
    spec = tmp_path / "slope.mfg"
    spec.write_text(GRID + "\nsolver { method = omd  iterations = 3  bins = 11 }\n")
    assert mfdsl("check", spec).code == 0
    solved = mfdsl("solve", spec, "-o", tmp_path / "runs", "--json")
    assert json.loads(solved.out)["tables"]["states"] == {"x": 11}
    spec.write_text(GRID + "\nsolver { method = omd  bins = 1 }\n")
    result = mfdsl("check", spec)
    assert result.code == 1 and "`bins` is a whole number from 2, not 1" in result.err + result.out


def test_laws_of_other_games_are_not_counted(mfdsl: Any, tmp_path: Path) -> None:
    for spec in ("predator_prey", "navigation"):
        result = mfdsl("simulate", spec, "-o", tmp_path / "laws")
        assert result.code == 2 and "Traceback" not in result.err


def test_the_python_verbs_play_tables_names_and_functions() -> None:
    game = mfdsl.load(text=GRID)
    solution = mfdsl.solve(game, iterations=20, options={"bins": 21})
    tabled = mfdsl.simulate(game, solution.policy, batch=20)
    still = mfdsl.simulate(game, "still", batch=20)
    centred = mfdsl.simulate(
        game, lambda t, seen: {"p": {"a": (-0.4 * seen["p"]["x"]).clamp(-0.5, 0.5)}}, batch=20
    )
    returns = [r.returns["p"].mean for r in (tabled, still, centred)]
    assert returns[0] > returns[2] > returns[1]
    other = mfdsl.solve("left_right", iterations=1).policy
    with pytest.raises(mfdsl.UsageError, match="another game"):
        mfdsl.simulate("predator_prey", other)


def test_ends_of_grids_for_variables_without_bounds(mfdsl: Any, tmp_path: Path) -> None:
    refused = mfdsl("solve", "lq_game", "--opt", "bins=21")
    assert refused.code == 2 and "`--opt low.x=-5 --opt high.x=5`" in refused.err
    ends = ("low.x=-3", "high.x=6", "low.a=-3", "high.a=2", "bins.x=61", "bins.a=31")
    flags = [part for end in ends for part in ("--opt", end)]
    out = tmp_path / "runs"
    flags += ["--solver", "fixed_point", "--iterations", "8"]  # which end at the equilibrium
    solved = mfdsl("solve", "lq_game", *flags, "-o", out, "--json")
    found = json.loads(solved.out)
    closed_form = 7.23724785513  # the Riccati equations without ends and grids
    assert -found["value"] == pytest.approx(closed_form, rel=0.03)
    refined = -found["refined"]["value"]
    assert closed_form < refined < -found["value"]  # the error of the grid falls
    played = json.loads(mfdsl("simulate", "--policy", run_in(out), "--batch", "50", "--json").out)
    assert -played["returns"]["agent"]["mean"] == pytest.approx(closed_form, rel=0.03)


def test_a_policy_on_a_grid_is_read_by_values() -> None:
    solution = mfdsl.solve(mfdsl.load(text=GRID), iterations=20, options={"bins": 21})
    assert solution.policy.at(0, x=0.5).equal(solution.policy.at(0, x=0.52))
    assert not solution.policy.at(0, x=0.5).equal(solution.policy.at(0, x=-0.5))
    with pytest.raises(ValueError, match=r"x lies in \[-1, 1\], not 2"):
        solution.policy.at(0, x=2.0)


def test_a_policy_on_other_points_than_those_of_the_block_is_played_on_its_own(
    tmp_path: Path,
) -> None:
    """Its axes say how fine its grids are, whatever the spec asks for."""
    spec = tmp_path / "slope.mfg"
    spec.write_text(GRID + "solver { bins = 5 }")
    game = mfdsl.load(spec)
    assert game.bins == Bins(5)
    for points in (5, 7):
        solution = mfdsl.solve(game, "omd", options={"bins": points}, iterations=2)
        assert isinstance(solution, Solution) and solution.policy.probs.shape[2] == points
        played = mfdsl.simulate(game, solution.policy, agents=20, batch=2)
        assert math.isfinite(played.returns["p"].mean)
