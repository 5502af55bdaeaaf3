"""Elementary functions of numbers in ball arithmetic, rounded outwards to doubles.

Arb (Johansson, Arb: efficient arbitrary-precision midpoint-radius interval arithmetic, IEEE
Transactions on Computers 66(8), 2017, arXiv 1611.02831) encloses every result; what it returns is
compared exactly with the doubles around it. It comes with python-flint, which need not be there.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

BITS = 128  # of the balls: results are off by far less than half a unit of a double
KNOWN = 1 << 17  # results that are remembered, since boxes that were split share their ends
_ASKED: ContextVar[bool] = ContextVar("balls", default=False)


def available() -> bool:
    """Whether python-flint is installed."""
    return find_spec("flint") is not None


@contextmanager
def rigorous() -> Iterator[bool]:
    """Ends of elementary functions come from balls inside; without python-flint they stay those of
    the mathematical library, widened. Gives whether they are balls.
    """
    here = available()
    token = _ASKED.set(here)
    try:
        yield here
    finally:
        _ASKED.reset(token)


def asked() -> bool:
    """Whether ends are to come from balls."""
    return _ASKED.get()


def rounded(name: str, down: bool, *ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """The function `name` of finite numbers, the largest double below or the smallest above.

    A result that is a double is itself; nan where the function has no value.
    """
    parts = np.broadcast_arrays(*ends)
    shape = parts[0].shape
    if len(parts) == 1:
        values, back = np.unique(parts[0].reshape(-1), return_inverse=True)
        results = np.array([_ends(name, float(v))[not down] for v in values], dtype=np.float64)
        return np.asarray(results[back].reshape(shape))
    rows = zip(*(p.reshape(-1).tolist() for p in parts), strict=True)
    return np.array([_ends(name, *row)[not down] for row in rows], dtype=np.float64).reshape(shape)


@lru_cache(maxsize=KNOWN)
def _ends(name: str, *values: float) -> tuple[float, float]:
    """Doubles around the function at some numbers; infinite ones where a ball has no ends."""
    from flint import arb, ctx

    with ctx.workprec(BITS):
        ball = FUNCTIONS[name](*map(arb, values))
        if ball.is_nan():
            return math.nan, math.nan
        if not ball.is_finite():
            return -math.inf, math.inf
        return _beside(ball, ball.lower(), -math.inf), _beside(ball, ball.upper(), math.inf)


def _beside(ball: Any, end: Any, towards: float) -> float:
    """The double next to an end of a ball, on its outer side."""
    from flint import arb

    found = float(end)
    while not (arb(found) <= ball if towards < 0 else arb(found) >= ball):
        found = math.nextafter(found, towards)
    return found


def _logistic(x: Any) -> Any:
    if x > 0:
        return 1 / (1 + (-x).exp())
    grown = x.exp()
    return grown / (1 + grown)


def _softplus(x: Any) -> Any:
    return x + (-x).exp().log1p() if x > 0 else x.exp().log1p()


def _turned(y: Any, x: Any) -> Any:
    return type(y).atan2(y, x)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": lambda x: x.exp(),
    "log": lambda x: x.log(),
    "tanh": lambda x: x.tanh(),
    "sin": lambda x: x.sin(),
    "cos": lambda x: x.cos(),
    "softplus": _softplus,
    "logistic": _logistic,
    "pow": lambda x, y: x**y,
    "atan2": _turned,
}
