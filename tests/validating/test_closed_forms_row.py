"""Simulated costs of an exact solution: what is left out is said."""

from dataclasses import replace
from pathlib import Path

import pytest

from mfdsl import load, solve
from mfdsl.validating.closed_forms import costs_row
from mfdsl.validating.outcome import Trial
from mfdsl.validating.trial import trial_of
from tests.validating.test_validate import soon


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    runs: Path = tmp_path_factory.mktemp("runs")
    solve(load("lq_game", params={"T": 3}), "riccati", out=runs)
    (run,) = runs.iterdir()
    return replace(trial_of(run), games=64)


def test_numbers_that_do_not_fit_into_memory_are_named(trial: Trial) -> None:
    row = costs_row(replace(trial, agents=(10, 10**13)), soon(5))
    assert row.verdict == "passed" and row.detail.endswith("not played among 10,000,000,000,000")


def test_the_reason_is_memory_and_not_time_where_nothing_was_played(trial: Trial) -> None:
    row = costs_row(replace(trial, agents=(10**13,)), soon(5))
    assert row.verdict == "not applicable" and "the machine has" in row.detail
