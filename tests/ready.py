"""Command lines in processes of their own, forked from one that has imported what a check loads.

Starting Python and its imports takes longer than most commands on small specs. The process that
forks has run no command, so a command finds what it finds in a new process. Linux alone.
"""

import gc
import importlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BUSY = 10  # times its processor time that a command may take on a busy machine
LATE = (  # modules that `mfdsl check` loads when it needs them
    "mfdsl.cli.check",
    "mfdsl.api",
    "mfdsl.sarif",
    "mfdsl.compiler.analysis.proofs.archive",
    "mfdsl.compiler.analysis.regularity",
    "mfdsl.compiler.analysis.structure.contraction",
    "mfdsl.compiler.analysis.structure.existence",
    "mfdsl.compiler.analysis.asymmetry.asymmetry",
)


@dataclass(frozen=True)
class Outcome:
    """Exit code, both streams, one after the other, and the peak of resident memory in KiB."""

    code: int
    text: str
    peak: int


class Ready:
    """The process that forks; `ran` has one command line run by a child of it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from tests.ready import serve; serve()"],
            env=os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ran(self, arguments: list[str], folder: Path, *, seconds: float, space: int) -> Outcome:
        """A command line in a folder, with so many bytes of addresses.

        Raises:
            TimeoutError: when it takes more than `seconds` of the processor, or waits; it dies.
            RuntimeError: when it ends by a signal, or by an error that nobody caught.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        order = {"arguments": arguments, "folder": str(folder), "seconds": seconds, "space": space}
        print(json.dumps(order), file=self._process.stdin, flush=True)
        found = json.loads(self._process.stdout.readline())
        if found["code"] is None:
            raise TimeoutError(f"mfdsl {' '.join(arguments)} took longer than {seconds} s")
        if found["peak"] is None:
            raise RuntimeError(f"exit code {found['code']} before its end: {found['text'][-2000:]}")
        return Outcome(**found)

    def close(self) -> None:
        """End it."""
        self._process.communicate(timeout=10)


def serve() -> None:
    """Import, then answer orders until there are no more; each is carried out by a child."""
    for name in LATE:
        importlib.import_module(name)
    importlib.import_module("mfdsl.compiler.syntax.grammar").grammar()  # as good as imported
    gc.freeze()  # or each child looks for cycles there when it ends
    orders, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for line in orders:
        order = json.loads(line)
        with tempfile.TemporaryFile() as text, tempfile.TemporaryFile() as peak:
            child = os.fork()
            if not child:
                _carry_out(order, text.fileno(), peak.fileno())
            code = _ended(child, order["seconds"])
            text.seek(0)
            peak.seek(0)
            most = peak.read()
            found = {
                "code": code,
                "text": text.read().decode(),
                "peak": int(most) if most else None,
            }
        print(json.dumps(found), file=answers, flush=True)


def _carry_out(order: dict[str, Any], text: int, peak: int) -> None:
    """Run a command line and exit as `python -m mfdsl` does."""
    from mfdsl.cli import run

    os.dup2(text, 1)
    os.dup2(text, 2)
    os.chdir(order["folder"])
    resource.setrlimit(resource.RLIMIT_AS, (order["space"], order["space"]))
    resource.setrlimit(resource.RLIMIT_CPU, (order["seconds"], order["seconds"] + 1))
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here on
    code = run(order["arguments"])
    with open("/proc/self/status") as status:
        most = next(line for line in status if line.startswith("VmHWM"))
    os.write(peak, most.split()[1].encode())
    sys.exit(code)


def _ended(child: int, seconds: float) -> int | None:
    """The exit code of a child, minus the signal that ended it, None if it had to be killed."""
    handle = os.pidfd_open(child)
    late = not select.select([handle], [], [], BUSY * seconds)[0]
    os.close(handle)
    if late:
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return None if late or code == -signal.SIGXCPU else code
