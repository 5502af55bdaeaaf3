"""Coarse correlated equilibria on the command line."""

from pathlib import Path
from typing import Any

import numpy


def test_a_mixture_is_found_played_and_kept(mfdsl: Any, tmp_path: Path) -> None:
    arguments = ("correlate", "rock_paper_scissors", "--iterations", 40, "--out", tmp_path)
    outcome = mfdsl(*arguments)
    assert outcome.code == 0 and "coarse gap" in outcome.out and "(exact)" in outcome.out
    found = mfdsl(*arguments, "--agents", 500, "--games", 8, "--json").json
    assert found["coarse_gap"] <= 1e-6 and sum(found["played"]["drawn"]) == 8
    with numpy.load(found["file"]) as arrays:
        assert len(arrays["policies"]) == len(arrays["weights"]) == len(found["weights"])


def test_moves_that_read_the_law_are_refused(mfdsl: Any) -> None:
    outcome = mfdsl("correlate", "sis")
    assert outcome.code != 0 and "moves do not read the law" in outcome.err
