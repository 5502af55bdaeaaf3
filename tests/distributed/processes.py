"""Starts the processes of a group as torchrun does: by the variables of the environment."""

import multiprocessing
import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

WAIT = 120.0  # seconds after which a process is taken for stuck
PROJECT = "mfdsl.shared_job", "mfdsl.cli", "mfdsl.blame", "mfdsl.refining", "mfdsl.outcomes"


def begin(count: int, work: Callable[..., Any], *arguments: Any) -> list[BaseProcess]:
    """So many processes that do this work, each with its rank."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, *PROJECT])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = []
    for rank in range(count):
        named = {"RANK": rank, "WORLD_SIZE": count, "LOCAL_RANK": rank, "MASTER_PORT": port}
        values = {name: str(value) for name, value in named.items()}
        values["MASTER_ADDR"] = "127.0.0.1"
        process = context.Process(target=_in_rank, args=(values, work, *arguments))
        process.start()
        made.append(process)
    return made


def ended(processes: Sequence[BaseProcess]) -> list[int | None]:
    """The exit codes when all have ended."""
    for process in processes:
        process.join(WAIT)
    codes = [process.exitcode for process in processes]
    for process in processes:
        if process.is_alive():
            process.kill()
    return codes


def until(condition: Callable[[], bool]) -> bool:
    """Whether something has come true in time."""
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def command(arguments: Sequence[str]) -> int:
    """A command line; each process has a file `screen.<rank>` for both of its streams."""
    from mfdsl.cli import run

    with Path(f"screen.{os.environ['RANK']}").open("w") as screen:
        sys.stdout = sys.stderr = sys.__stderr__ = screen
        return run(list(arguments))


def _in_rank(values: dict[str, str], work: Callable[..., Any], *arguments: Any) -> None:
    os.environ.update(values)
    torch.set_num_threads(1)
    code = work(*arguments)
    os._exit(code if isinstance(code, int) else 0)
