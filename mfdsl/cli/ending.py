"""How a screen ends: the files that were written, and the command to type next.

Names with spaces are quoted in commands, for a shell.
"""

from pathlib import Path
from shlex import join
from textwrap import wrap

from mfdsl.cli.console import WIDTH, Console


def show_files(console: Console, folder: Path) -> None:
    """The folder that was written, and what is in it."""
    files = "  ".join(sorted(path.name for path in folder.iterdir()))
    console.fields([("written", f"{folder}/"), *(("", line) for line in wrap(files, WIDTH))])


def solve_command(spec: str | Path) -> str:
    """Solve a spec."""
    return join(["mfdsl", "solve", str(spec)])


def resume_command(spec: str | Path, run: Path, iterations: int | None = None) -> str:
    """Go on with a run, to another number of iterations if one is given."""
    limit = [] if iterations is None else ["--iterations", str(iterations)]
    return join(["mfdsl", "solve", str(spec), "--resume", str(run), *limit])


def play_command(spec: str | Path, run: Path, batch: int | None = None) -> str:
    """Play the policy of a run, in a batch of games if their number is given."""
    games = [] if batch is None else ["--batch", str(batch)]
    return join(["mfdsl", "simulate", str(spec), "--policy", str(run), *games])


def games_command(run: Path) -> str:
    """Write what was found for each game of a batch."""
    return join(["mfdsl", "table", str(run), "--part", "games", "-o", "games.csv"])
