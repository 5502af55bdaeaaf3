"""Budgets count steps: neither a busy machine nor a halted one changes verdicts."""

import itertools
import time
from pathlib import Path

import pytest

from mfdsl.compiler.analysis.counted import STEPS, count, counted, late
from mfdsl.compiler.analysis.regularity import regularity
from mfdsl.compiler.driver import compile_file

SPECS = Path(__file__).resolve().parents[3] / "specs"
CLOCKS = ("perf_counter", "monotonic", "time", "thread_time", "process_time")


@pytest.mark.parametrize("name", ["rock_paper_scissors", "openspiel_predator_prey"])
def test_clocks_that_run_away_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a quarter of an hour passed between any two looks at a clock, on the wall or of the
    processor: all certificates are the same, bounds, boxes, witnesses and reasons.
    """
    model = compile_file(SPECS / f"{name}.mfg").require_model()
    began = counted()
    wanted, cost = regularity(model), counted() - began
    away = itertools.count(0.0, 1000.0)
    for clock in CLOCKS:
        monkeypatch.setattr(time, clock, lambda: next(away))
    began = counted()
    found = regularity(model)
    assert counted() - began == pytest.approx(cost)
    without = {"seconds", "obligations"}
    assert [c.model_dump(exclude=without) for c in found] == [
        c.model_dump(exclude=without) for c in wanted
    ]


def test_a_deadline_comes_with_the_steps() -> None:
    deadline = counted() + 1.0
    assert not late(deadline)
    count(STEPS)
    assert late(deadline)
