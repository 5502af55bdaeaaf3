"""What a moving line at a terminal says beside the iteration."""

import pytest

from mfdsl.cli import progress
from mfdsl.cli.console import Console
from mfdsl.cli.progress import Course
from mfdsl.runtime.solution import Record


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.5, ""),
        (20.0, ", 20 s each, at most 5:30 h left"),
        (1.5, ", 1.5 s each, at most 0:24 h left"),
    ],
)
def test_slow_iterations_say_how_long_they_take(
    seconds: float, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: clock[0])
    course = Course(Console(False, True), 1000)
    course.report(Record(5, 1.0, 0.0))
    assert course.pace(Record(5, 1.0, 0.0)) == ""
    clock[0] += 5 * seconds
    course.report(Record(10, 0.5, 0.0))
    assert course.pace(Record(10, 0.5, 0.0)) == text
