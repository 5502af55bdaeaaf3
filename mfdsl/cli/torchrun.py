"""`mfdsl solve` in several processes under torchrun: how they meet, and what is said of a loss."""

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from mfdsl import processes
from mfdsl.cli.console import Console
from mfdsl.cli.failure import FAILED, USAGE
from mfdsl.cli.solved import finish
from mfdsl.errors import UsageError

if TYPE_CHECKING:
    from mfdsl.runtime.distributed.group import Group
    from mfdsl.runtime.runs import RunFolder
    from mfdsl.solving import Job


def finish_together(console: Console, job: "Job", opened: Callable[[], "RunFolder"]) -> int:
    """`finish` with others; the first process opens the folder of the run.

    A process that is gone ends the run with exit code 1, and one of those who are left says so.
    """
    from mfdsl.runtime.distributed.group import Group, LostRank
    from mfdsl.runtime.distributed.meeting import flagged
    from mfdsl.shared_job import Company, check_job

    check_job(job, processes.count())
    folder = None
    with flagged() as flag:
        try:
            group = Group.join(job.device)
            company = Company(group, flag)
            job = company.agreed(job)
            folder = _folder(group, opened)
            if folder is None:
                return USAGE
            code = finish(console, job, folder, company)
            group.of_first(code)  # nobody leaves while the first one writes
            group.leave()
            return code
        except LostRank as loss:
            if loss.speaker:
                processes.aloud(str(loss), _resumption(folder))
            _leave()
        except UsageError as error:
            if processes.rank() > 0:
                processes.aloud(f"process {processes.rank()}: {error.message}", error.hint)
            raise


def _folder(group: "Group", opened: Callable[[], "RunFolder"]) -> "RunFolder | None":
    """The folder at all processes; None at the others where the first one could not open it."""
    from mfdsl.runtime.runs import RunFolder

    if not group.first:
        path = group.of_first(None)
        return None if path is None else RunFolder(path)
    try:
        folder = opened()
    except BaseException:
        group.of_first(None)
        raise
    group.of_first(folder.path)
    return folder


def _resumption(folder: "RunFolder | None") -> str | None:
    """What to do after a loss: go on where the last checkpoint is, if there is one."""
    if folder is None:
        return None
    if not (folder.path / "state.safetensors").is_file():
        return f"nothing was saved yet in {folder.path}: start again"
    history = folder.history()
    made = f" after iteration {history[-1].iteration:,}" if history else ""
    return f"`mfdsl solve --resume {folder.path}` goes on{made}, with as many processes as you like"


def _leave() -> NoReturn:
    """End at once: connections to a process that is gone cannot be closed in order."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(FAILED)
