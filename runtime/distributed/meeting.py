"""What the processes of a run tell each other after each iteration.

One row from each: whether its games have ended, whether somebody pressed Ctrl-C there, whether a
checkpoint is due, and how far it has come. So all stop at the same iteration, checkpoints are of
one iteration, and a process that is gone is missed at once.
"""

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

import torch

from mfdsl.runtime.distributed.group import Group
from mfdsl.runtime.solution import Record
from mfdsl.runtime.solvers.course import Course

SOONEST = 2.0  # seconds from one checkpoint to the next, at least
PART = 0.05  # of the time goes into checkpoints, at most


@dataclass
class Flag:
    """Whether the process was asked to stop."""

    up: bool = False


@contextmanager
def flagged() -> Iterator[Flag]:
    """Ctrl-C and SIGTERM raise a flag: an exchange must not be left in the middle."""
    flag = Flag()

    def lift(number: int, frame: FrameType | None) -> None:
        flag.up = True

    before = {number: signal.signal(number, lift) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass
class Meeting:
    """`report` is told how far all have come, `keep` writes a checkpoint: both on all processes."""

    group: Group
    flag: Flag
    report: Callable[[Record], None]
    keep: Callable[[Course], None]
    kept: float = field(default_factory=time.monotonic)
    pause: float = SOONEST
    course: Course | None = None
    seen: dict[int, list[tuple[int, float]]] = field(default_factory=dict)
    reported: int = -1
    over: bool = False

    def watch(self, course: Course) -> bool:
        """Meet after an iteration; says whether to stop."""
        self.course = course
        return self._met(course, ended=not course.running)

    def wait(self) -> None:
        """Meet until the others have ended as well."""
        while not self.over:
            assert self.course is not None
            self._met(self.course, ended=True)

    def _met(self, course: Course, *, ended: bool) -> bool:
        due = self.group.first and time.monotonic() - self.kept >= self.pause
        last = course.history[-1]
        row = [ended, self.flag.up, due, last.iteration, last.exploitability]
        rows = self.group.from_all(
            torch.tensor([float(v) for v in row], dtype=torch.float64, device=self.group.device)
        )
        endings, flags, dues, iterations, gaps = (
            list(column) for column in zip(*(r.tolist() for r in rows), strict=True)
        )
        self.over = all(endings)
        for rank, (iteration, gap) in enumerate(zip(iterations, gaps, strict=True)):
            self.seen.setdefault(rank, []).append((int(iteration), gap))
        going = [i for i, end in zip(iterations, endings, strict=True) if not end]
        self._report(int(min(going, default=max(iterations))), last.seconds)
        if any(dues) and not self.over:
            began = time.monotonic()
            self.keep(course)
            self.kept = time.monotonic()
            self.pause = max(SOONEST, (self.kept - began) / PART)
        return any(flags)

    def _report(self, reached: int, seconds: float) -> None:
        """Tell of the iterations that nobody is behind any more."""
        news = {i for rows in self.seen.values() for i, _ in rows if self.reported < i <= reached}
        for iteration in sorted(news):
            gaps = [_gap_at(rows, iteration) for rows in self.seen.values()]
            self.report(Record(iteration, worst_of(gaps), seconds))
        self.reported = max(self.reported, reached)
        for rank, rows in self.seen.items():
            past = [row for row in rows if row[0] <= reached]
            self.seen[rank] = [*past[-1:], *(row for row in rows if row[0] > reached)]


def _gap_at(rows: list[tuple[int, float]], iteration: int) -> float:
    """The gap at an iteration, or where the games of a process ended before it."""
    return next((gap for i, gap in reversed(rows) if i <= iteration), math.nan)


def worst_of(gaps: list[float]) -> float:
    """The greatest of those that are numbers, nan where none is."""
    found = [gap for gap in gaps if math.isfinite(gap)]
    return max(found) if found else gaps[0]
