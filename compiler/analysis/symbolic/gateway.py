"""The only way to sympy: one child process with limits on calls and memory, and a cache.

The calls of a job are counted, so that every machine gets the same answers (with one version of
Python and of sympy), and taken from what asks. A job that overruns its limit costs its worker, and
the next job starts another. A worker that dies otherwise is replaced once and asked again. Time is
the last resort, for what makes no calls, and far above what the calls need. Whatever fails is "no
information": an answer of None with the reason, never a verdict.
"""

import atexit
import contextlib
import hashlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mfdsl.compiler.analysis.counted import STEPS, count
from mfdsl.compiler.analysis.symbolic.expressions import Program

SECONDS = 2.0  # counted
CALLS = 1_000_000  # of one counted second
FIRST, LONGEST = 0.5, 5.0  # processor seconds, and more for each counted one: the last resort
MEMORY = 1 << 30  # bytes
PATIENCE = 20.0  # times as long on the wall may a job take on a busy machine
OVERRUN = -signal.SIGVTALRM if hasattr(signal, "SIGVTALRM") else None  # how a loop in C ends
START_SECONDS = 30.0  # for the interpreter and the import of sympy, on a busy machine
MAX_FAILED_STARTS = 3
MAX_CACHED = 4096

Question = Literal["zero", "divides", "show"]
WORKER = Path(__file__).with_name("worker.py")


@dataclass(frozen=True, slots=True)
class Answer:
    """What sympy said; `value` None is no information, `reason` and `detail` say why. It cost
    `calls`, which count again when it is remembered: what was asked before changes no verdict.
    """

    value: Any = None
    reason: Literal["budget", "worker"] | None = None
    detail: str | None = None
    calls: int = 0


@dataclass(slots=True)
class _Worker:
    """A running child and the lines that it has written; a None is the end of them."""

    process: subprocess.Popen[str]
    lines: queue.SimpleQueue[str | None]


@dataclass(slots=True)
class _Gateway:
    worker: _Worker | None = None
    failed_starts: int = 0
    spent: float = 0.0
    cache: dict[str, Answer] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


_gateway = _Gateway()
_abandoned: list[_Gateway] = []


def ask(
    question: Question,
    program: Program,
    *,
    names: Sequence[tuple[str, str]] | None = None,
    seconds: float = SECONDS,
) -> Answer:
    """The answer to a question about the roots of a program, within counted `seconds`.

    `names` are text and LaTeX of each symbol. Equal questions are asked once.
    """
    shown = names or [(f"s{k}", f"s_{{{k}}}") for k in range(len(program.symbols))]
    job = {
        "question": question,
        "steps": program.steps,
        "roots": program.roots,
        "names": shown,
        "calls": max(round(seconds * CALLS), 0),
        "seconds": _most_time(seconds),
        "wall": 1.2 * PATIENCE * _most_time(seconds),
    }
    line = json.dumps(job)
    key = hashlib.sha256(line.encode()).hexdigest()
    with _gateway.lock:
        if key not in _gateway.cache:
            answer = _answered(line, seconds)
            if answer is None:  # the worker died of something else: ask a new one, once
                answer = _answered(line, seconds)
            if answer is None:
                return Answer(None, "worker", "the symbolic worker died twice")
            if answer.reason == "worker" and _gateway.worker is None:
                return answer  # it did not start: another time it may
            if len(_gateway.cache) >= MAX_CACHED:
                del _gateway.cache[next(iter(_gateway.cache))]
            _gateway.cache[key] = answer
        answer = _gateway.cache[key]
    count(answer.calls * STEPS // CALLS)
    return answer


def spent() -> float:
    """Processor seconds that the jobs of this process took; those cut off took their limit."""
    return _gateway.spent


def stop() -> None:
    """End the worker, if there is one; the next question starts another."""
    worker, _gateway.worker = _gateway.worker, None
    if worker is None:
        return
    with contextlib.suppress(OSError):  # a pipe to a dead process
        assert worker.process.stdin is not None
        worker.process.stdin.close()
    worker.process.kill()
    worker.process.wait()


def _answered(line: str, seconds: float) -> Answer | None:
    """The answer of the worker, None when it died before it gave one."""
    worker = _started()
    if isinstance(worker, Answer):
        return worker
    try:
        assert worker.process.stdin is not None
        worker.process.stdin.write(line + "\n")
        worker.process.stdin.flush()
        reply = worker.lines.get(timeout=PATIENCE * _most_time(seconds))
    except queue.Empty:
        reply = json.dumps({"error": "late"})
    except OSError:
        reply = None
    if reply is None:
        stop()
        if worker.process.returncode != OVERRUN:
            return None
        reply = json.dumps({"error": "late"})
    parsed = json.loads(reply)
    _gateway.spent += parsed.get("seconds", _most_time(seconds))
    whole = max(round(seconds * CALLS), 0)
    calls = _rounded_up(parsed.get("calls", whole))
    ended = {
        "calls": f"no answer within {whole:,} calls of sympy",
        "late": f"time ran out: no answer within {_most_time(seconds):g} s",
        "memory": f"more than {MEMORY >> 20:,} MiB of memory",
    }
    if parsed.get("error") in ended:
        stop()
        return Answer(None, "budget", ended[parsed["error"]], whole)
    if "error" in parsed:
        return Answer(None, "worker", f"sympy gave up: {parsed['error']}", calls)
    return Answer(parsed["answer"], calls=calls)


def _most_time(seconds: float) -> float:
    """Processor seconds after which a job ends, however few calls it made."""
    return FIRST + LONGEST * max(seconds, 0.0)


def _rounded_up(calls: int) -> int:
    """To three binary digits: what sympy remembers of other jobs saves it some calls."""
    unit = 1 << max(calls.bit_length() - 3, 0)
    return -(-calls // unit) * unit


def _started() -> _Worker | Answer:
    """The running worker of this process, a new one if need be."""
    running = _gateway.worker
    if running is not None and running.process.poll() is None:
        return running
    stop()
    if _gateway.failed_starts >= MAX_FAILED_STARTS:
        return Answer(None, "worker", "the symbolic worker does not start")
    try:
        worker = _spawned()
        reply = worker.lines.get(timeout=START_SECONDS)
    except (OSError, ValueError) as error:
        _gateway.failed_starts += 1
        return Answer(None, "worker", f"the symbolic worker does not start: {error}")
    except queue.Empty:
        reply = None
    _gateway.worker = worker
    ready = {} if reply is None else json.loads(reply)
    if ready.get("answer") == "ready":
        _gateway.failed_starts = 0
        return worker
    _gateway.failed_starts += 1
    stop()
    why = ready.get("error", "it gave no sign of life")
    return Answer(None, "worker", f"the symbolic worker does not start: {why}")


def _spawned() -> _Worker:
    # -P keeps the folder of the script off the path, where its neighbours would hide packages.
    process = subprocess.Popen(
        [sys.executable, "-P", str(WORKER), str(MEMORY)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONIOENCODING": "utf-8"}
        | {"SYMPY_GROUND_TYPES": "python"},  # with others it makes other calls
        encoding="utf-8",
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_collect, args=(process, lines), daemon=True).start()
    return _Worker(process, lines)


def _collect(process: subprocess.Popen[str], lines: queue.SimpleQueue[str | None]) -> None:
    """Pass lines on as they come, then the end; the thread ends with its process."""
    assert process.stdout is not None
    with process.stdout as stream:
        for line in stream:
            lines.put(line)
    lines.put(None)


def _abandon() -> None:
    """After a fork the worker belongs to the parent: keep what is known and start anew."""
    global _gateway
    if _gateway.worker is not None:
        _gateway.worker.process.returncode = 0  # not ours to wait for
    _abandoned.append(_gateway)
    _gateway = _Gateway(cache=dict(_gateway.cache))


atexit.register(stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon)
