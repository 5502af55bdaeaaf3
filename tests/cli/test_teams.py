"""Teams and planners on the command line: values, gaps and refusals."""

import json
from pathlib import Path
from typing import Any

import pytest

TEAM = """
model spread
objective team
horizon 4
param push : real in [0, 2] = 0.1

population walker as mu {
  state  x : int in 0..2 = 0
  action a : int in -1..1
  x' = clip(x + a)
  cost crowd = mu[x]
  cost move  = push * abs(a)
}
"""
PAID = """
model paid
objective team
horizon 2
environment sky {
  state y : bool = false
  y' = y
  reward shine = ind(y)
}
population walker {
  state  x : bool = false
  action a : bool
  x' = a
  reward here = ind(x)
}
"""


@pytest.fixture
def team(tmp_path: Path) -> Path:
    path = tmp_path / "spread.mfg"
    path.write_text(TEAM)
    return path


def test_a_team_with_tables_is_solved_with_a_certified_gap(mfdsl: Any, team: Path) -> None:
    outcome = mfdsl("solve", team, "--tol", "1e-8")
    assert outcome.code == 0
    assert "social_gradient, a team with small tables" in outcome.out
    assert "its gap is certified" in outcome.out and "gap to the optimum at most" in outcome.out
    found = mfdsl("solve", team, "--tol", "1e-8", "--json").json
    social = found["social"]
    assert social["certified"] and social["gap"][0] <= 1e-8
    assert social["optimum_at_most"][0] == social["value"][0] + social["gap"][0]
    assert found["value"] == social["value"][0] == found["history"][-1]["value"][0]


def test_what_is_not_concave_ends_at_a_stationary_point(mfdsl: Any, team: Path) -> None:
    team.write_text(TEAM.replace("cost crowd", "reward crowd"))
    outcome = mfdsl("solve", team)
    assert "it may end at a local optimum" in outcome.out and "gain to first order" in outcome.out
    found = mfdsl("solve", team, "--json").json
    assert found["social"]["certified"] is False and found["social"]["optimum_at_most"] is None


def test_a_run_of_a_team_goes_on_and_is_played(mfdsl: Any, team: Path) -> None:
    first = mfdsl("solve", team, "--iterations", 3, "--tol", 0, "--json").json
    more = mfdsl("solve", "--resume", first["run"], "--iterations", 6, "--json").json
    whole = mfdsl("solve", team, "--iterations", 6, "--tol", 0, "--json").json
    assert more["value"] == whole["value"] and len(more["history"]) == 7
    lines = (Path(more["run"]) / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["value"] for line in lines] == [r["value"] for r in more["history"]]
    played = mfdsl("simulate", team, "--policy", more["run"], "--agents", 20000, "--json").json
    assert played["returns"]["walker"]["mean"] == pytest.approx(more["value"], abs=0.02)


def test_a_start_that_is_the_optimum_is_saved(mfdsl: Any) -> None:
    found = mfdsl("solve", "pigou", "--solver", "social_gradient", "--json").json
    assert found["iterations"] == 0 and found["value"] == -0.75
    assert (Path(found["run"]) / "state.safetensors").is_file()


def test_sweeps_of_teams_have_a_row_for_each_game(mfdsl: Any, team: Path) -> None:
    found = mfdsl("solve", team, "--sweep", "push=0.1,0.5,2", "--json").json
    values = [game["value"] for game in found["games"]]
    assert values == sorted(values, reverse=True) and len(values) == 3
    assert found["social"]["certified"] is False  # the proof is for the values of the spec


def test_equilibria_of_teams_are_refused(mfdsl: Any, team: Path) -> None:
    outcome = mfdsl("solve", team, "--solver", "omd")
    assert outcome.code != 0
    assert "the players of spread are a team" in outcome.err
    assert "--solver social_gradient" in outcome.err


def test_paid_environments_and_stationary_horizons_are_refused(mfdsl: Any, tmp_path: Path) -> None:
    (tmp_path / "paid.mfg").write_text(PAID)
    outcome = mfdsl("solve", tmp_path / "paid.mfg", "--solver", "social_gradient")
    assert outcome.code != 0 and "paid by sky" in outcome.err
    outcome = mfdsl("solve", "stationary_sis", "--solver", "social_gradient")
    assert outcome.code != 0 and "stationary horizon" in outcome.err


def test_the_list_of_solvers_knows_planners(mfdsl: Any, team: Path) -> None:
    found = mfdsl("solvers", team, "--json").json
    applies = {entry["solver"]: entry["applies"] for entry in found["solvers"]}
    assert applies.pop("social_gradient") == "licensed" and set(applies.values()) == {"no"}
    assert found["chosen"]["solver"] == "social_gradient"


def test_a_planned_run_of_a_game_is_validated_as_one(mfdsl: Any) -> None:
    run = mfdsl("solve", "left_right", "--solver", "social_gradient", "--json").json["run"]
    rows = mfdsl("validate", run, "--seconds", 2, "--agents", "20", "--json").json["checks"]
    (found,) = [row for row in rows if row["name"] == "exploitability"]
    assert found["verdict"] == "passed" and "marginal rewards" in found["detail"]
