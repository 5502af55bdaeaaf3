"""A run as a report and a citation read it: its game, its options, and what it found."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mfdsl.errors import unknown
from mfdsl.records import RunOptions, explained, open_run, read_options
from mfdsl.runtime.learning.table import LEARNERS, LearnerRow
from mfdsl.runtime.solvers.riccati.table import EXACT, ExactRow
from mfdsl.runtime.solvers.table import SOLVERS, Row
from mfdsl.simulating import game_of_run

if TYPE_CHECKING:
    from mfdsl.game import Game
    from mfdsl.runtime.runs import RunFolder


@dataclass(frozen=True)
class ReadRun:
    """A run folder and what it says of itself; `summary` is empty for one that did not end."""

    folder: "RunFolder"
    options: RunOptions
    game: "Game"
    summary: dict[str, Any]

    @classmethod
    def open(cls, path: Path) -> "ReadRun":
        """The run in a folder.

        Raises:
            UsageError: the folder is no run, or is damaged.
        """
        folder = open_run(path)
        options = read_options(folder)
        if options.solver not in (known := [*SOLVERS, *LEARNERS, *EXACT]):
            raise unknown("solver", options.solver, known)
        with explained():
            ended = (folder.path / "summary.json").is_file()
            summary = folder.summary if ended else {}
        return cls(folder, options, game_of_run(None, folder), summary)

    @property
    def row(self) -> Row | LearnerRow | ExactRow:
        """The solver in its table."""
        name = self.options.solver
        return SOLVERS.get(name) or LEARNERS.get(name) or EXACT[name]

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        """The reports in the order of iterations."""
        with explained():
            return self.folder.lines("metrics.jsonl")

    @property
    def versions(self) -> dict[str, Any]:
        """The versions that the run was made with."""
        with explained():
            return self.folder.made_with

    @property
    def points(self) -> tuple[dict[str, Any], ...]:
        """The games of the batch by their places on its axes; one empty place for one game."""
        return self.options.batch.points()
