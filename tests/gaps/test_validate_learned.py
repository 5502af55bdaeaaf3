"""Rows of `validate` about learned runs of games: exploitability with its kind, gains among N."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

import mfdsl
from mfdsl.validating.gains import Gain, evaluated, exploitability_row as of_tables
from mfdsl.validating.learned import exploitability_row, worst_type
from mfdsl.validating.outcome import Row
from mfdsl.validating.trial import trial_of
from mfdsl.validating.validate import checks

CONVERGENCE = "convergence"  # that check takes all the time there is
QUICK = {"games": 4, "agents": 20, "evaluate_games": 4, "hidden": 8}


def solved(text: str, out: Path, **options: Any) -> Path:
    game = mfdsl.load(text=text)
    mfdsl.solve(game, "ppo_nash", iterations=3, options={**QUICK, **options}, out=out)
    (run,) = (path for path in out.iterdir() if path.is_dir())
    return run


ENOUGH = time.perf_counter() + 1e6  # no check has an eye on the clock
ITERATIONS = 12


@pytest.fixture(autouse=True)
def few_iterations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mfdsl.validating.learned.MOST", ITERATIONS)


def rows(run: Path) -> dict[str, Row]:
    """The rows about networks and equilibria."""
    trial = trial_of(run, agents=(10, 40), games=64)
    found: dict[str, Row] = {}
    for check in checks(trial, lambda report: None)[8:]:
        if CONVERGENCE not in check.run.__qualname__:
            outcome = check.run(ENOUGH)
            row = outcome[0] if isinstance(outcome, tuple) else outcome
            found[row.name] = row
    return found


def changed(run: Path, **entries: Any) -> None:
    """Another exploitability in the summary."""
    path = run / "summary.json"
    summary = json.loads(path.read_text())
    summary["exploitability"] |= entries
    path.write_text(json.dumps(summary))


FINITE = """
model walkers
objective nash
horizon 4
population person {
  state  x : int in 0..4 = 0
  action a : int in -1..1
  noise  e : real ~ uniform([0, 1])
  let m = mean(p.x for p in person)
  x' = clip(x + (if e < 0.7 then a else 0), 0, 4)
  reward spread = abs(x - m) - 0.2 * abs(a)
}
"""


def test_networks_of_games_with_tables_are_judged_as_tables_are(tmp_path: Path) -> None:
    run = solved(FINITE, tmp_path)
    found = rows(run)
    assert found["policy"].verdict == "passed"
    assert found["exploitability"].verdict == "passed"
    assert "(exact)" in found["exploitability"].detail
    figures = found["exploitability"].figures
    assert figures["again"] == pytest.approx(figures["saved"], abs=1e-4)
    assert found["gain among N"].verdict in ("passed", "not applicable")
    assert found["gain among N"].figures["limits"]["person"] == pytest.approx(figures["again"])
    assert found["bound among N"].verdict == "passed"
    changed(run, value=figures["saved"] + 0.01)
    trial = trial_of(run)
    assert of_tables(trial, evaluated(trial)).verdict == "failed"


def test_networks_that_read_laws_are_judged_by_learned_responses(tmp_path: Path) -> None:
    """Their exploitability is exact as well; among N an agent plays what it has learned."""
    text = FINITE.replace("action a", "trait  k : int in 1..2 ~ uniform\n  action a")
    text = text.replace("= abs(x - m)", "= k * abs(x - m)")
    text = text.replace("}\n", "  observe x, t, law(person)\n}\n")
    run = solved(text, tmp_path)
    found = rows(run)
    assert found["exploitability"].verdict == "passed"
    assert "(exact)" in found["exploitability"].detail
    gains = found["gain among N"]
    assert gains.verdict == "passed"
    assert "worst type" in gains.detail
    assert "lower_bound" in gains.detail
    best = max(gains.figures["gains"], key=lambda entry: entry["gain"])
    assert set(best["types"]) == {"k = 1", "k = 2"}
    exact = found["exploitability"].figures["again"]
    assert best["gain"] > 0.5 * exact
    assert found["bound among N"].verdict == "not applicable"
    changed(run, value=exact + 0.01)
    assert exploitability_row(trial_of(run), ENOUGH).verdict == "failed"


REAL = """
model gathering
objective nash
horizon 3
population person {
  state  x : real ~ normal(1, std = 1)
  action a : real in [-1, 1]
  x' = x + a
  reward near = -(x - 0.5 * mean(p.x for p in person))^2 - 0.1 * a^2
}
"""


def test_lower_bounds_are_learned_once_more(tmp_path: Path) -> None:
    run = solved(REAL, tmp_path, gap="learned", evaluate_agents=40)
    summary = json.loads((run / "summary.json").read_text())["exploitability"]
    assert summary["kind"] == "lower_bound"
    assert summary["std_error"] > 0
    assert len(summary["responses"][0]["quarters"]) == 4
    found = exploitability_row(trial_of(run), ENOUGH)
    assert found.verdict == "passed"
    assert "lower_bound" in found.detail
    low = {**summary["responses"][0], "gain": summary["value"] / 100}
    changed(run, value=summary["value"] / 100, responses=[low], std_error=0.0)
    found = exploitability_row(trial_of(run), ENOUGH)
    assert found.verdict == "failed"
    assert "far too low" in found.detail


def test_the_worst_type_is_that_which_gains_most() -> None:
    one = Gain("person", 10, 8, 0.5, 0.1, {"k = 1": (0.2, 0.1), "k = 2": (0.9, 0.2)})
    two = Gain("person", 40, 8, 0.4, 0.1, {"k = 1": (0.3, 0.1), "k = 2": (0.5, float("nan"))})
    assert worst_type([one, two]) == ("k = 2", 0.9, 0.2)
    assert worst_type([Gain("person", 10, 8, 0.5, 0.1, {})]) is None
