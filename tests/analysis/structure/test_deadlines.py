"""Deadlines count processor time: neither a busy machine nor a halted one changes verdicts."""

import itertools
import time
from pathlib import Path

import pytest

from mfdsl.compiler.analysis.structure import structure_certificates
from mfdsl.compiler.driver import compile_file

SPECS = Path(__file__).resolve().parents[3] / "specs"


@pytest.mark.parametrize("name", ["beach_bar", "rock_paper_scissors", "mfglib_beach_bar"])
def test_a_clock_on_the_wall_that_runs_away_changes_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the process stood still for a quarter of an hour between any two of its looks."""
    model = compile_file(SPECS / f"{name}.mfg").require_model()
    wanted = {(c.claim, c.subject): (c.verdict, c.detail) for c in structure_certificates(model)}
    away = itertools.count(0.0, 1000.0)
    for clock in ("perf_counter", "monotonic", "time"):
        monkeypatch.setattr(time, clock, lambda: next(away))
    found = {(c.claim, c.subject): (c.verdict, c.detail) for c in structure_certificates(model)}
    assert found == wanted
    assert not any("no time" in (detail or "") for _, detail in found.values())
