"""The part of `mfdsl solve` that hands a batch to an array of jobs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mfdsl.batches import Batch
from mfdsl.cli.console import Console
from mfdsl.cli.failure import FAILED, FINE
from mfdsl.cli.request import Request
from mfdsl.cluster import Array, Place, Submitted, jobs_for, read_sbatch, script, submit
from mfdsl.errors import UsageError

if TYPE_CHECKING:
    from mfdsl.named_tables import NamedTable


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line says about jobs; without a place and a dry run there are none."""

    place: Place | None
    jobs: int | None
    sbatch: Sequence[str]
    dry_run: bool

    def check(self) -> bool:
        """Whether there are jobs at all.

        Raises:
            UsageError: something is said about jobs that there are not.
        """
        if self.place is None and not self.dry_run:
            if self.jobs is not None or self.sbatch:
                raise UsageError(
                    "`--jobs` and `--sbatch` are for arrays of jobs",
                    "with `--cluster slurm`, `--cluster local` or `--dry-run`",
                )
            return False
        if self.place == "local" and (self.sbatch or self.dry_run):
            raise UsageError("`--sbatch` and `--dry-run` are for SLURM", "`--cluster slurm`")
        return True


def start(console: Console, request: Request, wanted: Wanted, batch: Batch, name: str) -> int:
    """Print the script of the array, or submit its jobs; those of this machine are waited for."""
    if batch.size == 1:
        raise UsageError(
            "an array of jobs solves a batch, and there is one game only",
            "give --sweep, --seeds or several --params",
        )
    batch.bounds()
    place = wanted.place or "slurm"
    jobs = jobs_for(batch.size, wanted.jobs, place)
    settings = read_sbatch(wanted.sbatch)
    array = Array(name, tuple(request.words()), jobs, request.out, settings)
    if wanted.dry_run:
        text = script(array)
        console.result(text.rstrip("\n"))
        console.json_object({"script": text, "jobs": jobs, "games": batch.size})
        return FINE
    submitted = submit(array, place)
    console.fields([("jobs", f"{jobs:,} for {batch.size:,} games, on {place}")])
    if place == "local":
        return _gathered(console, submitted)
    console.result(f"submitted {submitted.names[0]} to {submitted.names[-1]}")
    console.fields([("folder", f"{submitted.folder}/")])
    gather = f"mfdsl table {submitted.folder}/runs/* --part games -o games.csv"
    console.fields([("next", gather)])
    console.json_object(_json(submitted, batch, []))
    return FINE


def _gathered(console: Console, submitted: Submitted) -> int:
    """Wait for the jobs and write one table of all their games."""
    from mfdsl.gathering import games_of_runs
    from mfdsl.named_tables import write_table

    faults, runs = submitted.wait(), submitted.runs()
    for fault in faults:
        console.result(f"failed    {fault}")
    rows = 0
    if runs:
        table = games_of_runs(runs)
        rows = len(table.rows)
        write_table(table, submitted.folder / "games.csv")
        _show(console, table)
        console.fields([("written", f"{submitted.folder}/games.csv, {rows:,} games")])
    entries: dict[str, Any] = {"runs": [str(run) for run in runs], "failed": faults}
    console.json_object({"folder": str(submitted.folder), "games": rows, **entries})
    return FAILED if faults else FINE


def _show(console: Console, table: "NamedTable") -> None:
    """The rows of the table."""
    shown = [
        tuple(c if isinstance(c, str) else format(c, ".6g") for c in row) for row in table.rows
    ]
    console.table(table.columns, shown)


def _json(submitted: Submitted, batch: Batch, runs: Sequence[str]) -> dict[str, Any]:
    return {
        "folder": str(submitted.folder),
        "jobs": submitted.names,
        "games": batch.size,
        "runs": list(runs),
    }
