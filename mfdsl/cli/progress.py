"""How a solve shows its course: rows at round iterations, and a moving line on a terminal."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from mfdsl.cli.console import Console

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

STEPS = (1, 2, 5)
SLOW = 1.0  # seconds of an iteration from which on people want to know how many are left


class Point(Protocol):
    """What a report of progress carries."""

    @property
    def iteration(self) -> int:
        """Steps made so far."""

    @property
    def exploitability(self) -> float:
        """Gain of the best response, in the worst game of the batch."""


class Course:
    """Prints the row of an iteration when it is round, and of the last one in any case."""

    def __init__(self, console: Console, iterations: int) -> None:
        self.console, self.iterations = console, iterations
        self.last: Point | None = None
        self.shown = -1
        self.bar: tuple[Progress, TaskID] | None = None
        self.began = (0, 0.0)  # the first iteration that was reported, and when

    def report(self, point: Point) -> None:
        """Take note of one evaluation."""
        if self.last is None:
            self.console.line("  iteration   exploitability")
            self.began = point.iteration, time.perf_counter()
        self.last = point
        if is_round(point.iteration):
            self._row(point)
        if self.bar is not None:
            progress, task = self.bar
            text = f"exploitability {point.exploitability:.3g}{self.pace(point)}"
            progress.update(task, completed=point.iteration, description=text)

    def finish(self) -> None:
        """Print the last evaluation unless it stands there already."""
        if self.last is not None and self.last.iteration != self.shown:
            self._row(self.last)

    def pace(self, point: Point) -> str:
        """What an iteration takes, and how long all may take that are left, where that is long."""
        first, began = self.began
        if point.iteration == first:
            return ""
        each = (time.perf_counter() - began) / (point.iteration - first)
        if each < SLOW:
            return ""
        left = int(each * max(0, self.iterations - point.iteration))
        return f", {each:.3g} s each, at most {left // 3600}:{left // 60 % 60:02} h left"

    def _row(self, point: Point) -> None:
        self.shown = point.iteration
        self.console.line(f"  {point.iteration:>9,}   {point.exploitability:>14.6g}")


def is_round(iteration: int) -> bool:
    """True for 0, 1, 2, 5, 10, 20, 50, 100, ..."""
    if iteration == 0:
        return True
    power = 10 ** int(math.log10(iteration))
    return any(iteration == step * power for step in (*STEPS, 10))


@contextmanager
def course(console: Console, iterations: int) -> Iterator[Course]:
    """A course whose moving line, on a terminal, is gone at the end."""
    shown = Course(console, iterations)
    if not console.live:
        yield shown
        shown.finish()
        return
    with moving_line() as progress:
        shown.bar = progress, progress.add_task("", total=iterations)
        yield shown
    shown.finish()


@contextmanager
def searches(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """Who is told what runs now, how many runs are done and how many there are at most.

    Shown on a terminal only.
    """
    if not console.live:
        yield lambda name, done, most: None
        return
    with moving_line() as progress:
        task = progress.add_task("", total=None)
        yield lambda name, done, most: progress.update(
            task, completed=done, total=most, description=name
        )


@contextmanager
def writing(console: Console) -> Iterator[Callable[[str, int], None] | None]:
    """Who is told of the files of a run as they are written, None where there is no terminal."""
    if not console.live:
        yield None
        return
    with moving_line() as progress:
        task = progress.add_task("writing", total=None)
        yield lambda name, size: progress.update(
            task, description=f"writing {name}, {size / 2**20:.0f} MiB"
        )


@contextmanager
def moving_line() -> Iterator["Progress"]:
    """A line at a terminal that says how far something is, and is gone at the end."""
    from rich.console import Console as Terminal
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn as Elapsed,
    )

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), Elapsed())
    terminal = Terminal(stderr=True)
    together = sys.stdout.isatty()
    with Progress(*columns, console=terminal, transient=True, redirect_stdout=together) as progress:
        yield progress
