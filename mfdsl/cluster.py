"""Arrays of jobs on a cluster: each job solves a share of a batch by `mfdsl solve ... --share K/N`.

A script for `sbatch` needs nothing installed beside mfdsl; submitit (extra `slurm`) hands the same
shares to SLURM from Python, or to processes of this machine.
"""

import os
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mfdsl.errors import UsageError
from mfdsl.files import reason

if TYPE_CHECKING:
    from submitit import Job

Place = Literal["slurm", "local"]

MOST_JOBS = 1000  # SLURM takes arrays of 1,001 unless it is told otherwise
RUNS = "runs"
LOGS = "logs"


@dataclass(frozen=True)
class Array:
    """`jobs` jobs that share a batch of the game `name`.

    `arguments` are the words of `mfdsl solve` without its share and its folder; `settings` go to
    `sbatch` as they are (`time`, `partition`, ...). Folders are made in `out`.
    """

    name: str
    arguments: tuple[str, ...]
    jobs: int
    out: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    def command(self, k: int, folder: Path) -> list[str]:
        """The words after `mfdsl` of the k-th job, whose run is put into the folder."""
        return [*self.arguments, "--share", f"{k}/{self.jobs}", "--out", str(folder)]


def jobs_for(games: int, wanted: int | None, place: Place) -> int:
    """How many jobs to make: one for each game up to 1,000, or for each processor of this machine.

    Raises:
        UsageError: more jobs are wanted than there are games.
    """
    if wanted is not None and wanted > games:
        raise UsageError(f"{games:,} games make no {wanted:,} jobs", f"--jobs {games} at most")
    usual = MOST_JOBS if place == "slurm" else os.cpu_count() or 1
    return wanted or min(games, usual)


def read_sbatch(settings: Sequence[str]) -> dict[str, str]:
    """`key=value` settings of `sbatch`.

    Raises:
        UsageError: one has no `=`, or its key is none.
    """
    found = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        plain = key.replace("-", "").replace("_", "").isalnum()
        if not equals or not plain or not value.strip() or not value.isprintable():
            raise UsageError(
                f"`--sbatch {setting}` is not of the form key=value", "write --sbatch time=30"
            )
        key = key.strip().replace("_", "-")
        if key in ("array", "output", "job-name"):
            raise UsageError(f"`--sbatch {key}` is set by the array itself")
        found[key] = value.strip()
    return found


def script(array: Array) -> str:
    """The array as a script for `sbatch`; by hand it runs one share for a given index."""
    words = shlex.join([sys.executable, "-m", "mfdsl", *array.arguments])
    lines = [
        "#!/bin/bash",
        f"#SBATCH --job-name={array.name}",
        f"#SBATCH --array=0-{array.jobs - 1}",
        f"#SBATCH --output={array.name}-%A_%a.out",
        *(f"#SBATCH --{key}={value}" for key, value in array.settings.items()),
        "# One share by hand: SLURM_ARRAY_TASK_ID=0 bash FILE",
        '# All in one table: mfdsl table "$out"/* --part games -o games.csv',
        "set -euo pipefail",
        f"out={shlex.quote(str(array.out / array.name))}-${{SLURM_ARRAY_JOB_ID:-array}}",
        f'exec {words} --share "$SLURM_ARRAY_TASK_ID/{array.jobs}" --out "$out"',
    ]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Submitted:
    """Jobs that were handed over; runs go to `folder`/runs, what they print to `folder`/logs."""

    folder: Path
    jobs: "tuple[Job[int], ...]"

    @property
    def names(self) -> list[str]:
        """The numbers of the jobs."""
        return [job.job_id for job in self.jobs]

    def wait(self) -> list[str]:
        """Wait for all jobs; what went wrong with those that failed, by their numbers."""
        faults = []
        for job in self.jobs:
            error = job.exception()
            if error is not None:
                lines = str(error).strip().splitlines()
                faults.append(f"job {job.job_id}: {lines[-1] if lines else type(error).__name__}")
        return faults

    def runs(self) -> list[Path]:
        """The folders of all runs that were begun, in the order of their shares."""
        from mfdsl.records import open_run, read_options

        place = self.folder / RUNS
        folders = [path for path in place.iterdir() if not path.name.startswith(".")]
        return sorted(folders, key=lambda path: read_options(open_run(path)).share)


def submit(array: Array, place: Place) -> Submitted:
    """Hand the shares to SLURM, or to processes of this machine.

    Raises:
        UsageError: submitit is not installed, there is no SLURM here, or the folder cannot be
            written.
    """
    if find_spec("submitit") is None:
        raise UsageError(
            "arrays of jobs need submitit",
            "`pip install 'mfdsl[slurm]'`, or `--dry-run` for a plain script",
        )
    import submitit

    folder = _new_folder(array)
    try:
        executor = submitit.AutoExecutor(folder=folder / LOGS, cluster=place)
    except RuntimeError as error:
        folder.rmdir()
        raise UsageError(
            f"cannot hand jobs to {place}: {error}",
            "`--cluster local` takes processes of this machine, `--dry-run` prints a script",
        ) from None
    executor.update_parameters(name=array.name)
    if place == "slurm" and array.settings:
        executor.update_parameters(slurm_additional_parameters=dict(array.settings))
    commands = [array.command(k, folder / RUNS) for k in range(array.jobs)]
    return Submitted(folder, tuple(executor.map_array(run_share, commands)))


def run_share(arguments: Sequence[str]) -> int:
    """One job: an `mfdsl` command of its own, so that the job fails when the command does.

    Raises:
        RuntimeError: the command ended with an error.
    """
    from mfdsl.cli import run

    code = run(arguments)
    if code != 0:
        raise RuntimeError(f"`mfdsl {shlex.join(arguments)}` ended with {code}")
    return code


def _new_folder(array: Array) -> Path:
    try:
        array.out.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{array.name}-array-", dir=array.out))
        folder.chmod(0o755)
    except OSError as error:
        raise UsageError(f"cannot write `{array.out}`: {reason(error)}") from None
    return folder
