"""Standard laws as finitely many points with weights.

Gauss rules (Golub and Welsch 1969) for the draws of each step: exact for polynomials up to degree
2 n - 1. Midpoints in probability for laws at t = 0, which are split between points of a grid.
"""

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfdsl.compiler.tabular.frames import NoTables

Law = Sequence[str | float]
Rule = tuple[NDArray[np.float64], NDArray[np.float64]]


def gauss(law: Law, count: int) -> Rule:
    """`count` points and weights (sum 1) of a standard law.

    Raises:
        NoTables: the law is not one of single numbers.
    """
    kind, *shape = law
    k = np.arange(1, count, dtype=float)
    diagonal: NDArray[Any]
    if kind == "normal":
        diagonal, beside = np.zeros(count), np.sqrt(k)
    elif kind == "uniform":
        diagonal, beside = np.full(count, 0.5), k / (2 * np.sqrt(4 * k**2 - 1))
    elif kind in ("exponential", "gamma"):
        a = float(shape[0]) - 1 if kind == "gamma" else 0.0
        diagonal, beside = 2 * np.arange(count) + 1 + a, np.sqrt(k * (k + a))
    elif kind == "beta":
        diagonal, beside = _jacobi(float(shape[1]) - 1, float(shape[0]) - 1, count)
    else:
        raise NoTables(f"the law `{kind}` has no points to stand for it")
    points, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1))
    weights = vectors[0] ** 2
    return points, weights / weights.sum()


def _jacobi(a: float, b: float, count: int) -> Rule:
    """The recurrence of the Jacobi polynomials for (1 - x)^a (1 + x)^b, moved to [0, 1]."""
    n = np.arange(count, dtype=float)
    total = 2 * n + a + b
    with np.errstate(invalid="ignore", divide="ignore"):
        diagonal = (b * b - a * a) / (total * (total + 2))
        squares = 4 * n * (n + a) * (n + b) * (n + a + b) / (total**2 * (total**2 - 1))
    diagonal[0] = (b - a) / (a + b + 2)
    if count > 1:
        squares[1] = 4 * (1 + a) * (1 + b) / ((2 + a + b) ** 2 * (3 + a + b))
    return (diagonal + 1) / 2, np.sqrt(squares[1:]) / 2


def midpoints(law: Law, count: int) -> NDArray[np.float64]:
    """`count` equally likely points of a standard law.

    Raises:
        NoTables: the law has no inverse that is known here.
    """
    u = (np.arange(count) + 0.5) / count
    match law[0]:
        case "uniform":
            return u
        case "normal":
            inverse = NormalDist().inv_cdf
            return np.array([inverse(float(v)) for v in u])
        case "exponential":
            return -np.log1p(-u)
    raise NoTables(f"a law `{law[0]}` at t = 0 is not put on a grid")
