"""`mfdsl solve` with learners of games: runs go on, play, and say whom they know."""

from pathlib import Path
from typing import Any

import pytest

TASTES = """
model tastes
param mood : real = 0.1
enum Move { one, two, three }
objective nash
horizon 4
population player as mu {
  trait luck : real in [-0.2, 0.2] ~ uniform
  state s : Move ~ uniform
  action a : Move
  s' = a
  reward game = luck + match s {
    one -> mood * (mu[s = three] - mu[s = two]),
    two -> mood * (mu[s = one] - mu[s = three]) + 0.2,
    three -> mood * (mu[s = two] - mu[s = one])
  }
  observe s, t
  agents 400
}
"""
BARS = """
model bars
enum Bar { left, middle, right }
objective nash
horizon 3
population guest as mu {
  state at : Bar = left
  action go : Bar
  at' = go
  reward calm = 1 - mu[at = at] + match at { left -> 0, middle -> 0.1, right -> 0.3 }
  observe at, t
  agents 60
}
"""


@pytest.mark.parametrize("kind", ["symmetric", "individual"])
def test_a_resumed_run_is_the_whole_one(mfdsl: Any, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "bars.mfg"
    path.write_text(BARS)
    given = {"network": kind, "games": 2, "hidden": 8, "evaluate_every": 2, "final_rate": 1}
    flags = [part for k, v in given.items() for part in ("--opt", f"{k}={v}")]
    solve = ("solve", path, "--solver", "ppo_nash", *flags, "--json")
    whole = mfdsl(*solve, "--iterations", 4)
    assert whole.code == 0, whole.err
    half = mfdsl(*solve, "--iterations", 2)
    again = mfdsl("solve", "--resume", half.json["run"], "--iterations", 4, "--json")
    assert again.code == 0, again.err
    assert again.json["exploitability"] == whole.json["exploitability"]
    assert again.json["value"] == whole.json["value"]
    played = mfdsl("simulate", "--policy", whole.json["run"], "--json")
    assert played.code == 0, played.err
    others = mfdsl("simulate", "--policy", whole.json["run"], "--agents", 7, "--json")
    if kind == "symmetric":
        assert others.code == 0, others.err
    else:
        assert others.code == 2 and "cannot play 7" in others.err, others.err
        found = mfdsl("validate", whole.json["run"], "--seconds", 2, "--json")
        assert found.code == 0, found.err
        verdicts = {row["name"]: row["verdict"] for row in found.json["checks"]}
        assert verdicts["saved return"] == verdicts["trajectories"] == "passed"
        assert verdicts["policy"] == verdicts["bound among N"] == "not applicable"


@pytest.mark.parametrize("solver", ["mf_q", "mf_ac"])
def test_mean_field_learners_go_on_and_are_scored(mfdsl: Any, tmp_path: Path, solver: str) -> None:
    path = tmp_path / "bars.mfg"
    path.write_text(BARS)
    given = {"games": 2, "hidden": 8, "evaluate_every": 2, "final_rate": 1, "updates": 2}
    given |= {"first_temperature": 0.1}  # whose fall would depend on the length of the course
    flags = [part for k, v in given.items() for part in ("--opt", f"{k}={v}")]
    solve = ("solve", path, "--solver", solver, *flags, "--json")
    whole = mfdsl(*solve, "--iterations", 4)
    assert whole.code == 0, whole.err
    half = mfdsl(*solve, "--iterations", 2)
    again = mfdsl("solve", "--resume", half.json["run"], "--iterations", 4, "--json")
    assert again.code == 0, again.err
    assert again.json["exploitability"] == whole.json["exploitability"]
    found = mfdsl("validate", whole.json["run"], "--seconds", 2, "--json")
    assert found.code == 0, found.err
    saved = next(r for r in found.json["checks"] if r["name"] == "saved return")
    assert saved["verdict"] == "passed"


def test_learned_values_are_scored_beside_what_is_proved(mfdsl: Any, tmp_path: Path) -> None:
    """More games, smaller errors; a rate where its proof applies, else what it lacks."""
    path = tmp_path / "tastes.mfg"
    path.write_text(TASTES)
    given = {"temperature": 0.05, "learning_rate": 2, "floor": 0, "exploration": 0}
    rows = []
    for more in ({"games": 1}, {"games": 16}, {"games": 1, "floor": 0.01}):
        flags = [part for k, v in (given | more).items() for part in ("--opt", f"{k}={v}")]
        run = mfdsl("solve", path, "--solver", "symm_pmd", "--iterations", 5, *flags, "--json")
        assert run.code == 0, run.err
        found = mfdsl("validate", run.json["run"], "--seconds", 2, "--agents", "400", "--json")
        assert found.code == 0, found.err
        rows.append(next(r for r in found.json["checks"] if r["name"] == "learned values"))
    few, many, mixed = (row["figures"] for row in rows)
    assert all(row["verdict"] == "passed" for row in rows)
    assert many["error"] < 0.5 * few["error"]
    assert few["bias"] == many["bias"] > 0.1  # the lucks of agents, and their number
    assert 0 < many["gain"] and many["divergence"] < few["divergence"]
    assert "gain" not in mixed
    shown = mfdsl("validate", run.json["run"], "--seconds", 2, "--agents", "400")
    assert "no rate: everybody explores" in shown.out and "theorems A and B" in shown.out


def test_a_small_exploitability_ends_the_course(mfdsl: Any) -> None:
    flags = ("--solver", "ppo_nash", "--iterations", 9, "--opt", "agents=20", "--opt", "games=2")
    few = ("--opt", "evaluate_every=2", "--opt", "evaluate_games=2")
    done = mfdsl("solve", "left_right", *flags, *few, "--tol", 100, "--json")
    assert done.code == 0, done.err
    assert done.json["status"] == "converged" and done.json["iterations"] == 2
    assert done.json["exploitability"]["value"] <= 100
    goes_on = mfdsl("solve", "left_right", *flags, *few, "--json")
    assert goes_on.json["status"] == "max_iterations" and goes_on.json["iterations"] == 9
    team = mfdsl("solve", "lq_control", "--solver", "mf_ppo", "--tol", 1)
    assert team.code == 2 and "`--tol` is for exploitability" in team.err
