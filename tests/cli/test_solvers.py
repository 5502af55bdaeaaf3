"""`mfdsl solvers`: the list, and the decision table on a game."""

from pathlib import Path
from typing import Any

import pytest

from mfdsl.runtime.solvers.table import SOLVERS


def test_without_a_spec_every_solver_is_listed_with_its_options(mfdsl: Any) -> None:
    outcome = mfdsl("solvers")
    assert outcome.code == 0
    for row in SOLVERS.values():
        assert f"{row.name}: {row.summary}" in outcome.out
    found = mfdsl("solvers", "--json").json["solvers"]
    assert [entry["name"] for entry in found] == list(SOLVERS)
    (prox,) = [entry for entry in found if entry["name"] == "mirror_prox"]
    assert [option["name"] for option in prox["options"]] == ["learning_rate", "growth"]


def test_a_game_without_interaction_is_solved_by_one_best_response(mfdsl: Any) -> None:
    outcome = mfdsl("solvers", "no_interaction")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[0].split() == "solver applies iterations to 1e-06 because guarantee".split()
    assert lines[1].split()[:5] == ["fixed_point", "licensed", "1", "independent", "proved"]
    learners = next(k for k, line in enumerate(lines) if line.startswith("learner "))
    refused = [line for line in lines[:learners] if line.split()[1] == "no"]
    (planner,) = [line for line in refused if line.startswith("social_gradient")]
    assert "best for all together, and the objective is nash" in planner
    refused.remove(planner)
    assert any(line.split()[:2] == ["ppo_nash", "heuristic"] for line in lines[learners:])
    (others,) = (line for line in lines if line.startswith("not for games: mf_ppo, m3f_ppo"))
    assert "ppo_nash" not in others
    assert {line.split()[0] for line in refused} >= {"mirror_prox", "frank_wolfe", "mf_omi"}
    assert all("the horizon is stationary" in line for line in refused)


def test_json_has_an_entry_for_each_solver_and_the_choice(mfdsl: Any) -> None:
    found = mfdsl("solvers", "no_interaction", "--tol", "0.5", "--json").json
    assert set(found) == {"schema", "spec", "tolerance", "chosen", "solvers", "exact", "learners"}
    assert found["tolerance"] == 0.5
    assert found["chosen"]["solver"] == "fixed_point"
    entries = {entry["solver"]: entry for entry in found["solvers"]}
    assert set(entries) == set(SOLVERS)
    assert entries["fixed_point"] == {
        "solver": "fixed_point",
        "applies": "licensed",
        "needs": ["independent"],
        "verdict": "proved",
        "because": "independent proved",
        "missing": {},
        "guarantee": "the first best response is an equilibrium",
        "options": {},
        "iterations": 1,
    }
    assert entries["omd"]["because"].endswith("monotone proved, which gives no rate")


@pytest.mark.parametrize(
    ("solver", "reason"),
    [("mirror_prox", "a stationary horizon"), ("frank_wolfe", "a stationary horizon")],
)
def test_a_solver_that_is_not_defined_on_a_game_is_refused(
    mfdsl: Any, solver: str, reason: str
) -> None:
    outcome = mfdsl("solve", "contraction", "--solver", solver)
    assert outcome.code == 2
    assert f"{solver} averages flows over time" in outcome.err and reason in outcome.err
    assert "--solver omd or fictitious_play" in outcome.err


def test_a_solve_prints_and_stores_its_reason(mfdsl: Any, tmp_path: Any) -> None:
    spec = tmp_path / "walk.mfg"
    spec.write_text(
        """\
model walk
objective nash
horizon 3
population walker {
  state  x : int in 0..4 ~ uniform
  action a : int in -1..1
  x' = clip(x + a)
  reward place = x
}
"""
    )
    outcome = mfdsl("solve", spec)
    assert outcome.code == 0, outcome.err
    (line,) = [line for line in outcome.out.splitlines() if line.startswith("solver ")]
    assert "fixed_point, independent proved: at most 1e-06 by iteration 1" in line
    assert "converges for certain" in line
    found = mfdsl("solve", spec, "--json").json
    assert (found["solver"], found["iterations"]) == ("fixed_point", 1)
    assert found["license"]["verdict"] == "proved"
    assert found["license"]["property"] == "independent"
    other = mfdsl("solve", spec, "--solver", "omd", "--iterations", 3, "--json").json
    assert other["license"]["verdict"] == "unknown"
    assert "a heuristic here" in other["license"]["text"]


def test_options_of_pmd_that_make_no_policy_are_refused(mfdsl: Any) -> None:
    flags = ("--solver", "pmd", "--opt", "temperature=2", "--opt", "learning_rate=1")
    outcome = mfdsl("solve", "left_right", *flags)
    assert outcome.code == 2
    assert "learning_rate * temperature must not exceed 1" in outcome.err


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("lq_game", "without --solver: riccati, linear_quadratic proved: exact"),
        (
            "flocking",
            "without --solver: none, `flocking` has no tables: `x` has no bounds "
            "(give it bounds with `in`, or its grid: `--opt low.x=-5 --opt high.x=5`; or "
            "`--solver ppo_nash` learns without tables)",
        ),
    ],
)
def test_what_runs_without_a_name_is_what_a_solve_takes(mfdsl: Any, name: str, last: str) -> None:
    flags = ("--set", "beta=0.5") if name == "flocking" else ()
    assert mfdsl("solvers", name, *flags).out.splitlines()[-1] == last


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--opt", "paths=8"), "structural_pg and gd_mfrl have it: `--solver structural_pg"),
        (("--opt", "paths=8", "--sweep", "c_crowd=1,2"), "`--solver structural_pg --opt paths=8`"),
        (("--solver", "fixed_point", "--opt", "particles=9"), "mf_pso has it: `--solver mf_pso"),
        (("--opt", "learning_rat=1"), "did you mean `learning_rate`?"),
    ],
)
def test_an_option_of_another_solver_is_told_whose_it_is(
    mfdsl: Any, spec: Path, flags: tuple[str, ...], words: str
) -> None:
    outcome = mfdsl("solve", spec, *flags)
    assert outcome.code == 2 and "unknown option of " in outcome.err and words in outcome.err
