"""`mfdsl reproduce`: the list, the tables of a short run, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from mfdsl import load
from mfdsl.cli.failure import FINE, USAGE
from mfdsl.experiments import PAPERS, Experiment
from mfdsl.reproducing import _measured, experiments_of
from mfdsl.runtime.learning.table import LEARNERS
from mfdsl.settings import METHODS, resolve

ALL = [experiment for experiments in PAPERS.values() for experiment in experiments]


def test_without_a_paper_all_experiments_are_listed(mfdsl: Any) -> None:
    outcome = mfdsl("reproduce")
    assert outcome.code == FINE
    for experiment in ALL:
        assert f"--only {experiment.name}" in outcome.out
    papers = mfdsl("reproduce", "--json").json["papers"]
    assert {name: len(found) for name, found in papers.items()} == {
        name: len(found) for name, found in PAPERS.items()
    }
    assert set(papers) >= {"mf_ppo", "m3fc", "gd_mfrl"}


@pytest.mark.parametrize("experiment", ALL, ids=lambda experiment: experiment.name)
def test_an_experiment_has_options_that_its_learner_knows(experiment: Experiment) -> None:
    game = load(experiment.spec, params=dict(experiment.params))
    objective = LEARNERS[experiment.solver].objective if experiment.solver in LEARNERS else "nash"
    assert experiment.solver in METHODS and game.model.objective == objective
    for course in experiment.courses.values():
        resolve(game.model, experiment.solver, options={**experiment.options, **course.options})
    small, paper = experiment.courses["small"], experiment.courses["paper"]
    assert small.iterations * small.seeds < paper.iterations * paper.seeds
    for place in experiment.places:
        if place.params:
            load(experiment.spec, params={**game.parameters, **place.params})


def test_a_short_run_writes_both_tables(mfdsl: Any, tmp_path: Path) -> None:
    asked = ("reproduce", "mf_ppo", "--only", "lq1b-path", "--scale", "0.1", "-o", "found")
    outcome = mfdsl(*asked, "--json")
    assert outcome.code == FINE, outcome.err
    table = json.loads((tmp_path / "found" / "mf_ppo.json").read_text())
    assert {k: v for k, v in outcome.json.items() if k not in ("schema", "ok")} == table
    (result,) = table["results"]
    assert result["status"] == "max_iterations" and result["iterations"] == 10
    assert result["environment_steps"] == 10 * 16 * 10  # iterations, games, the horizon
    places = {found["agents"]: found for found in result["measured"]}
    assert set(places) == {10, 50, 1000}
    # nobody does better than the optimum, and ten iterations leave at most ten times its cost
    for found in places.values():
        assert found["games"] == 20
        assert 10 * found["reference"] < found["mean"] < found["reference"]
    page = (tmp_path / "found" / "mf_ppo.md").read_text()
    assert page.count("| lq1b-path | 0 | N = ") == 3 and "(the least cost)" in page
    again = mfdsl("simulate", "--policy", result["run"], "--agents", "10", "--json")
    assert again.code == FINE and again.json["agents"] == 10


def test_networks_are_measured_at_other_parameters() -> None:
    """The networks of a run of 15 agents, among 30 agents in a larger world."""
    from mfdsl import solve

    (experiment,) = experiments_of("mf_ppo", ["navigation"])
    game = load("navigation")
    few = {"games": 2, "evaluate_games": 2, "nearest": 5}
    learned = solve(game, "mf_ppo", iterations=1, options=few)
    found = _measured(game, learned, experiment.places[1], 2)  # type: ignore[arg-type]
    assert experiment.places[1].params == {"n": 30, "half": 3.0}
    assert found.games == 2 and -700 < found.mean < -250


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("mfppo",), "paper"),
        (("mf_ppo", "--only", "lq1"), "experiment of mf_ppo"),
        (("mf_ppo", "--scale", "-1"), "scale"),
    ],
)
def test_what_does_not_exist_is_refused(mfdsl: Any, given: tuple[str, ...], message: str) -> None:
    outcome = mfdsl("reproduce", *given)
    assert outcome.code == USAGE and message in outcome.err
