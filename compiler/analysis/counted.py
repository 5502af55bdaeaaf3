"""A clock that counts steps in the place of time, so that verdicts are the same on every machine.

What analyses do in numbers is counted where it is done: intervals and their entries, terms of
polynomials, nodes that are built, numbers in decimals, calls of sympy. Budgets and deadlines are in
seconds of this clock, each of which takes about a second of a core of today. A slow or a busy
machine comes to the same verdicts, later.
"""

import threading

STEPS = 1_000_000  # of one second
LOOK = 10  # steps of a look at the clock, so that a loop that counts nothing else ends, too


class _Taken(threading.local):
    """The steps of this thread so far."""

    steps: int = 0


_taken = _Taken()


def count(steps: int) -> None:
    """Note that so many steps were taken."""
    _taken.steps += steps


def counted() -> float:
    """Seconds of this clock since the thread began."""
    return _taken.steps / STEPS


def late(deadline: float) -> bool:
    """Whether a deadline, in seconds of this clock, has passed."""
    _taken.steps += LOOK
    return counted() > deadline
