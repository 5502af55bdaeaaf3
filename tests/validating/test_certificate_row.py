"""The certificate among N agents as a check: simulated gains that lie above it are bugs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mfdsl import solve
from mfdsl.game import load
from mfdsl.runtime.evaluate import Evaluation, build_view
from mfdsl.validating import certificate_row as checked
from mfdsl.validating.certificate_row import certificate_row, half_width
from mfdsl.validating.certified import FinitePopulation
from mfdsl.validating.finite_population import finite_population_report
from mfdsl.validating.gains import Gain
from mfdsl.validating.trial import trial_of
from mfdsl.validating.validate import permutation_row, validate
from tests.validating.injected import SIS, with_agents

STEP = """\
model step
objective nash
horizon 1
enum Side { left, right }
population person as mu {
  state  x : Side ~ uniform
  action a : Side
  x' = a
  reward taste = ind(a == right)
  cost   crowd = 0.1 * mu[x]
  agents 100
}
"""


def lowered(report: FinitePopulation, by: float) -> FinitePopulation:
    """The report with a certificate that is too small."""
    players = [
        replace(a, sizes=tuple(replace(s, worst=s.worst - by) for s in a.sizes))
        for a in report.players
    ]
    return replace(report, players=tuple(players))


def test_a_simulated_gain_stays_below() -> None:
    row, exceeded, report = certificate_row(trial_of(load(text=STEP), agents=(10, 100)), [])
    assert row.verdict == "passed" and not exceeded and report is not None
    (among,) = report.players
    assert among.simulated is not None and among.simulated.mean == pytest.approx(0.5, abs=0.1)
    assert among.sizes[-1].worst == pytest.approx(0.5, abs=0.01)  # even play loses half a unit
    assert "symmetry  EXACT" in row.table


def test_a_wrong_certificate_is_found_with_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def wrong(*args: Any) -> FinitePopulation:
        return lowered(finite_population_report(*args), 0.6)

    monkeypatch.setattr(checked, "finite_population_report", wrong)
    game = load(text=STEP)
    solve(game, iterations=1, out=tmp_path)
    (run,) = [p for p in tmp_path.iterdir() if p.is_dir()]
    trial = trial_of(run, policy="uniform", agents=(10, 100), seconds=3)
    gains = [Gain("person", n, 20_000, 0.5, 0.004, {}) for n in (10, 100)]
    row, exceeded, _ = certificate_row(trial, gains)
    assert row.verdict == "failed" and row.detail.startswith("MFG904")
    assert {e.claim for e in exceeded} == {"gain among 10 agents", "gain among 100 agents"}
    assert all(0.3 < e.found < 0.5 and e.bound < e.found for e in exceeded)
    monkeypatch.setattr("mfdsl.validating.validate.gain_row", lambda t, e, u: (row, tuple(gains)))
    found = validate(trial)
    assert not found.ok and found.reproduction is not None
    document = json.loads(found.reproduction.read_text())
    assert document["code"] == "MFG904" and "person" in document["files"]["spec.mfg"]
    assert document["exceeded"][0]["values"]["games"] == 20_000


def test_few_games_prove_nothing_about_a_certificate() -> None:
    assert half_width(0.0, 1, 1.0) == float("inf")
    assert half_width(0.0, 10, 1.0) > 1
    assert 0 < half_width(0.004, 20_000, 2.0) < 0.1


def test_what_has_no_certificate_says_why() -> None:
    for name, word in (("stationary_sis", "finite horizons"), ("taxi", "no tables")):
        row, exceeded, report = certificate_row(trial_of(f"specs/{name}.mfg"), [])
        assert row.verdict == "not applicable" and word in row.detail
        assert not exceeded and report is None


def test_the_least_number_of_agents_is_printed() -> None:
    trial = trial_of("specs/left_right.mfg", agents=(10,), gain=0.3)
    row, _, report = certificate_row(trial, [])
    assert report is not None
    least = report.players[0].least
    assert least is not None and f"for a gain of at most 0.3: N = {least:,}" in row.table


def test_each_population_has_a_certificate() -> None:
    """In the limit it is the exploitability of that population."""
    game = load("specs/predator_prey.mfg", params={"T": 2})
    even = build_view(game.program).uniform()
    report = finite_population_report(game, even, [10, 10**6, 10**12])
    assert [a.player for a in report.players] == list(game.program.populations)
    exact = Evaluation(build_view(game.program), even).exploitability.per_population
    for among in report.players:
        assert among.sizes[-1].limit[0] == pytest.approx(exact[among.player])
        assert among.sizes[-1].worst == pytest.approx(exact[among.player], abs=1e-2)
        assert among.simulated is not None
        low = among.simulated.mean - 4 * among.simulated.std_error
        assert low <= among.sizes[0].worst


def test_a_failed_permutation_prints_a_table() -> None:
    """Agent 0 is paid more than the others: swapping two agents shows it."""
    game = with_agents(
        SIS,
        lambda text: text.replace(
            "after, terms = _play(p, t, s, a, z)",
            "after, terms = _play(p, t, s, a, z)\n"
            "    bonus = (torch.arange(s.person.h.shape[1]) == 0) * 1.0\n"
            '    terms["person"]["infected"] = terms["person"]["infected"] + bonus',
        ),
    )
    row = permutation_row(trial_of(game))
    assert row.verdict == "failed"
    assert "swap" in row.detail
    lines = row.table.splitlines()
    assert lines[0].startswith("swapping agents 0 and")
    assert any("before" in line and "after" in line and "expected" in line for line in lines)
    assert any(line.startswith("reward") for line in lines)
