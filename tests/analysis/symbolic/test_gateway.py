"""The worker: killed, overrun, out of memory, forked; nothing is lost, nothing hangs."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from mfdsl.compiler.analysis.counted import counted
from mfdsl.compiler.analysis.symbolic import gateway
from mfdsl.compiler.analysis.symbolic.derivatives import shown
from mfdsl.compiler.analysis.symbolic.expressions import Program, TooLargeError, program
from mfdsl.compiler.analysis.symbolic.identities import divides, is_zero
from tests.analysis.symbolic.algebra import Algebra

SLACK = 3.0  # seconds that a busy machine may need beyond a limit


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Answers that other tests have cached would hide the worker."""
    monkeypatch.setattr(gateway._gateway, "cache", {})
    yield


def exponential_law(factor: int = 1) -> Program:
    a = Algebra()
    x, y = a.mul(a.n(factor), a.x("x")), a.x("y")
    both = a.op("exp", a.add(x, y))
    terms, (root,) = a.terms(a.minus(both, a.mul(a.op("exp", x), a.op("exp", y))))
    return program(terms, (root,))


def endless(first: int = 1) -> Program:
    """A sum of quotients whose common denominator is far too large for divisors in common."""
    a = Algebra()
    x = [a.x(f"x{k}") for k in range(10)]
    below = [a.add(p, a.mul(q, q), a.n(first + k)) for k, (p, q) in enumerate(pairwise(x))]
    terms, (root,) = a.terms(a.add(*(a.op("div", a.n(1), b) for b in below)))
    return program(terms, (root,))


def large_power() -> Program:
    """A power of a sum that is far too large to multiply out."""
    a = Algebra()
    whole = a.op("pow", a.add(*(a.x(f"x{k}") for k in range(9))), a.n(60))
    terms, (root,) = a.terms(a.add(whole, a.n(1)))
    return program(terms, (root,))


def worker_id() -> int:
    assert gateway._gateway.worker is not None
    return gateway._gateway.worker.process.pid


def test_the_worker_starts_at_the_first_question_and_stays() -> None:
    gateway.stop()
    assert gateway._gateway.worker is None
    assert gateway.ask("zero", exponential_law()).value is True
    first = worker_id()
    assert gateway.ask("show", exponential_law()).value is not None
    assert worker_id() == first


def test_the_parent_never_imports_sympy() -> None:
    code = (
        "import sys\n"
        "from mfdsl.compiler.analysis.symbolic import bernstein, derivatives, gateway, identities\n"
        "from mfdsl.compiler.analysis.symbolic.expressions import Program\n"
        "steps = (('symbol', 0), ('neg', 0), ('add', 0, 1))\n"
        "assert gateway.ask('zero', Program(steps, (0,), (2,))).value is True\n"
        "assert 'sympy' not in sys.modules and 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)


def test_a_job_over_its_limit_ends_and_the_next_one_is_answered() -> None:
    gateway.ask("zero", exponential_law())
    before, started = worker_id(), time.monotonic()
    answer = gateway.ask("zero", endless(), seconds=0.5)
    assert time.monotonic() - started < gateway._most_time(0.5) + SLACK
    assert (answer.value, answer.reason) == (None, "budget")
    assert answer.detail == "no answer within 500,000 calls of sympy"
    assert gateway.ask("zero", exponential_law(2)).value is True
    assert worker_id() != before


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs signals to stop a process")
def test_a_worker_that_waits_for_a_processor_keeps_its_time() -> None:
    """It stands still for longer than its limit, as on a busy machine, and answers then."""
    gateway.ask("zero", exponential_law())
    before = worker_id()
    os.kill(before, signal.SIGSTOP)
    timer = threading.Timer(1.0, os.kill, (before, signal.SIGCONT))
    timer.start()
    assert gateway.ask("zero", exponential_law(3), seconds=0.5).value is True
    timer.join()
    assert worker_id() == before


def test_what_jobs_cost_is_counted_also_when_they_are_remembered() -> None:
    gateway.ask("zero", exponential_law())
    before, began = gateway.spent(), counted()
    assert gateway.ask("zero", endless(), seconds=0.3).reason == "budget"
    assert counted() - began >= 0.3
    assert gateway.spent() > before
    assert gateway.ask("zero", endless(), seconds=0.3).reason == "budget"
    assert counted() - began >= 0.6


def test_a_job_costs_the_same_whatever_was_asked_before() -> None:
    def cost() -> float:
        began = counted()
        assert gateway.ask("zero", exponential_law()).value is True
        return counted() - began

    gateway.stop()
    first = cost()
    for factor in (2, 3):
        gateway.ask("zero", exponential_law(factor))
    gateway._gateway.cache.clear()
    assert cost() == pytest.approx(first)


def test_what_is_too_large_to_multiply_out_is_not_begun() -> None:
    before = gateway.spent()
    assert gateway.ask("zero", large_power()).reason == "budget"
    assert gateway.spent() - before < 0.5


def test_a_worker_killed_while_idle_is_replaced() -> None:
    gateway.ask("zero", exponential_law())
    worker = gateway._gateway.worker
    assert worker is not None
    worker.process.kill()
    assert gateway.ask("zero", exponential_law(2)).value is True
    assert gateway._gateway.worker is not worker


def test_a_worker_killed_in_the_middle_of_a_job_loses_nothing() -> None:
    gateway.ask("zero", exponential_law())
    worker = gateway._gateway.worker
    assert worker is not None
    timer = threading.Timer(0.3, worker.process.kill)
    timer.start()
    answer = gateway.ask("zero", endless(), seconds=1.0)
    timer.join()
    assert worker.process.returncode not in (None, 0)
    assert answer.reason == "budget"  # a second worker was asked, and ran to its limit
    assert gateway.ask("zero", exponential_law(2)).value is True


def test_a_worker_that_dies_each_time_is_no_information(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway.stop()
    found = []

    def dying(line: str, seconds: float) -> None:
        found.append(line)

    monkeypatch.setattr(gateway, "_answered", dying)
    answer = gateway.ask("zero", exponential_law())
    assert (answer.value, answer.reason) == (None, "worker")
    assert len(found) == 2
    assert gateway._gateway.cache == {}


def test_a_worker_that_cannot_start_is_no_information(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    gateway.stop()
    with monkeypatch.context() as patch:
        patch.setattr(gateway, "WORKER", f"{tmp_path}/nowhere.py")
        for _ in range(gateway.MAX_FAILED_STARTS + 1):
            answer = gateway.ask("zero", exponential_law())
            assert (answer.value, answer.reason) == (None, "worker")
    gateway._gateway.failed_starts = 0
    assert gateway.ask("zero", exponential_law()).value is True


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers of processor time")
def test_a_loop_that_hears_no_handler_overruns_its_limit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As one in C does: the timer that nobody handles ends the process."""
    deaf = tmp_path / "deaf.py"
    deaf.write_text(
        f"import sys\nsys.path.append({str(gateway.WORKER.parent)!r})\nimport signal, worker\n"
        "worker._late = signal.SIG_IGN\nworker.SLACK = 0.1\nworker.main(1 << 30)\n"
    )
    gateway.stop()
    with monkeypatch.context() as patch:
        patch.setattr(gateway, "WORKER", deaf)
        patch.setattr(gateway, "CALLS", 10**9)
        patch.setattr(gateway, "LONGEST", 0.0)
        answer = gateway.ask("zero", endless(61), seconds=0.2)
    assert (answer.value, answer.reason) == (None, "budget")
    assert answer.detail == "time ran out: no answer within 0.5 s"
    assert gateway.ask("zero", exponential_law(5)).value is True


def test_equal_questions_are_asked_once() -> None:
    first = gateway.ask("zero", exponential_law())
    gateway.stop()
    assert gateway.ask("zero", exponential_law()) is first
    assert gateway._gateway.worker is None
    assert gateway.ask("zero", endless(), seconds=0.2).reason == "budget"
    gateway.stop()
    assert gateway.ask("zero", endless(), seconds=0.2).reason == "budget"
    assert gateway._gateway.worker is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a limit on memory")
def test_a_job_beyond_its_memory_says_so() -> None:
    job = large_power()
    line = {
        "question": "show",
        "steps": job.steps,
        "roots": job.roots,
        "names": [[f"s{k}", "s"] for k in range(len(job.symbols))],
        "calls": 10**9,
        "seconds": 60,
        "wall": 60,
    }
    done = subprocess.run(
        [sys.executable, "-P", str(gateway.WORKER), str(300 << 20)],
        input=json.dumps(line) + "\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    replies = [json.loads(reply) for reply in done.stdout.splitlines()]
    assert [{k: v for k, v in r.items() if k in ("answer", "error")} for r in replies] == [
        {"answer": "ready"},
        {"error": "memory"},
    ]


def test_a_worker_ends_itself_when_nobody_ends_it() -> None:
    """Its parent is gone while it computes: some time on the wall, and it is gone too."""
    job = endless()
    line = {
        "question": "zero",
        "steps": job.steps,
        "roots": job.roots,
        "names": [[f"s{k}", "s"] for k in range(len(job.symbols))],
        "calls": 10**9,
        "seconds": 0,
        "wall": 1,
    }
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-P", str(gateway.WORKER), str(1 << 30)],
        input=json.dumps(line) + "\n",
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode != 0
    assert done.stdout.splitlines() == ['{"answer": "ready"}']
    assert time.monotonic() - started < 10 + SLACK


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_starts_a_worker_of_its_own() -> None:
    gateway.ask("zero", exponential_law())
    ours = worker_id()
    child = os.fork()
    if child == 0:
        good = gateway._gateway.worker is None
        try:
            good = good and gateway.ask("zero", exponential_law(2)).value is True
            good = good and worker_id() != ours
            gateway.stop()
        finally:
            os._exit(0 if good else 1)
    _, status = os.waitpid(child, 0)
    assert status == 0
    assert worker_id() == ours
    assert gateway.ask("zero", exponential_law(3)).value is True


def test_symbols_and_operations_have_limits() -> None:
    a = Algebra()
    leaves = [a.op("exp", a.x(f"x{k}")) for k in range(21)]
    terms, (root,) = a.terms(a.mul(*leaves))
    with pytest.raises(TooLargeError, match="21 free symbols"):
        program(terms, (root,))
    x = a.x("x")
    e = x
    for _ in range(1001):
        e = a.op("exp", a.op("neg", e))
    terms, (root,) = a.terms(e)
    with pytest.raises(TooLargeError, match="2,002 operations"):
        program(terms, (root,))


HOSTILE_LIMIT = 0.2  # counted seconds


def towers(a: Algebra) -> int:
    e = a.x("x")
    for k in range(13):
        e = a.op("exp" if k % 2 else "log", a.add(e, a.n("1.1")))
    return a.minus(a.mul(e, e, e), e)


def power_tower(a: Algebra) -> int:
    nine = a.n(9)
    return a.minus(a.mul(a.x("x"), a.op("pow", nine, a.op("pow", nine, nine))), a.x("y"))


def nested_extremes(a: Algebra) -> int:
    e = a.x("x")
    for k in range(12):
        e = a.op("max", e, a.op("abs", a.minus(e, a.n(k))))
    return a.minus(e, a.x("y"))


def composed(a: Algebra) -> int:
    e = a.x("x")
    for _ in range(6):
        e = a.op("div", a.add(a.op("exp", e), e), a.add(a.n(2), a.mul(e, e), a.op("exp", e)))
    return a.minus(e, a.x("y"))


def squares(a: Algebra) -> int:
    e = a.x("x")
    for _ in range(40):
        e = a.add(a.mul(e, e), a.x("y"))
    return e


def constant_tower(a: Algebra) -> int:
    e = a.n("1.5")
    for _ in range(8):
        e = a.op("exp", e)
    return a.minus(e, a.op("exp", e))


def choices(a: Algebra) -> int:
    parts = [
        a.op("if", a.op("lt", a.x(f"x{k}"), a.n("0.5")), a.x("x"), a.x("y")) for k in range(12)
    ]
    return a.minus(a.mul(*parts), a.op("exp", a.mul(*parts)))


@pytest.mark.parametrize(
    "hostile",
    [towers, power_tower, nested_extremes, composed, squares, constant_tower, choices],
)
def test_hostile_expressions_end_in_time(hostile: object) -> None:
    """Not one of them is 0, so "proved" would be wrong; each question ends within its limit."""
    a = Algebra()
    assert callable(hostile)
    terms, (root, x) = a.terms(hostile(a), a.x("x"))
    started = time.monotonic()
    assert is_zero(terms, root, seconds=HOSTILE_LIMIT).holds in (False, None)
    assert divides(terms, x, root, seconds=HOSTILE_LIMIT).divides is None
    shown(terms, root, seconds=HOSTILE_LIMIT)
    assert time.monotonic() - started < 3 * gateway._most_time(HOSTILE_LIMIT) + 2 * SLACK
    assert gateway.ask("zero", exponential_law(4)).value is True
