"""Semidefinite matrices: exactly over fractions, or with a proof from floating point.

The exact test is symmetric elimination: a matrix without positive pivots, and with zero rows where
a pivot is zero, is negative semidefinite (Golub and Van Loan, Matrix Computations, 4.2). The
floating-point test is a Cholesky factorisation of a shifted matrix (Rump, Verification of positive
definiteness, BIT 2006): when it succeeds, rounding cannot have hidden a wrong sign.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from mfdsl.compiler.analysis.counted import count
from mfdsl.compiler.analysis.intervals import Array

Exact = Sequence[Sequence[Fraction]]
Sign = Literal["zero", "negative", "definite", "indefinite"]
EPS = 2.0**-53
AN_ENTRY = 9  # steps of an entry of a form on tangent vectors
A_FACTOR = 40  # those of a Cholesky factor


@dataclass(frozen=True)
class Signed:
    """What v' M v can be: 0 always, at most 0, below 0 for v not 0, or above 0 for some v."""

    sign: Sign
    direction: tuple[float, ...] | None = None


def projected(matrix: Exact, groups: Sequence[int] | None = None) -> list[list[Fraction]]:
    """The symmetric part of a matrix on vectors that sum to 0 within each group.

    The basis is e_i - e_n with n the last of the group of i, in the order of the others. `groups`
    numbers the group of each row; None is one group.
    """
    return _part(matrix, groups if groups is not None else [0] * len(matrix), 1)


def skew_part(matrix: Exact, groups: Sequence[int]) -> list[list[Fraction]]:
    """The antisymmetric part on the same vectors."""
    return _part(matrix, groups, -1)


def _part(matrix: Exact, groups: Sequence[int], sign: int) -> list[list[Fraction]]:
    """Half of the form and `sign` times its transpose on differences of two in a group."""
    pairs = tangent_pairs(groups)
    count(AN_ENTRY * len(pairs) ** 2)
    found = []
    for i, n in pairs:
        row = []
        for j, m in pairs:
            there = matrix[i][j] - matrix[i][m] - matrix[n][j] + matrix[n][m]
            back = matrix[j][i] - matrix[m][i] - matrix[j][n] + matrix[m][n]
            row.append((there + sign * back) / 2)
        found.append(row)
    return found


def tangent_pairs(groups: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs (i, n) of the basis e_i - e_n, n the last row of the group of i."""
    last = {group: k for k, group in enumerate(groups)}
    return [(k, last[group]) for k, group in enumerate(groups) if last[group] != k]


def sign_of(matrix: Exact) -> Signed:
    """The sign of a symmetric matrix of fractions, by elimination."""
    rows = [list(row) for row in matrix]
    if all(entry == 0 for row in rows for entry in row):
        return Signed("zero")
    definite = True
    for k in range(len(rows)):
        pivot = rows[k][k]
        if pivot > 0 or (pivot == 0 and any(rows[k][j] for j in range(k + 1, len(rows)))):
            return Signed("indefinite", _rising(matrix))
        if pivot == 0:
            definite = False
            continue
        for i in range(k + 1, len(rows)):
            factor = rows[i][k] / pivot
            if factor:
                count(2 * (len(rows) - i))
                for j in range(i, len(rows)):
                    rows[i][j] -= factor * rows[k][j]
                    rows[j][i] = rows[i][j]
    return Signed("definite" if definite else "negative")


def _rising(matrix: Exact) -> tuple[float, ...] | None:
    """A direction in which the form is positive: an eigenvector of the largest eigenvalue."""
    values, vectors = np.linalg.eigh(np.array(matrix, dtype=np.float64))
    return tuple(vectors[:, -1].tolist()) if values[-1] > 0 else None


def proved_negative(middle: Array, radius: Array) -> bool:
    """Whether all symmetric matrices within `radius` of `middle`, entry by entry, are definite.

    They are if the middle is by more than the radii add up to, or if the matrix is that has the
    worst of the diagonal and of sizes beside it: |v|' C |v| bounds v' M v from above.
    """
    if not (np.isfinite(middle).all() and np.isfinite(radius).all()):
        return False
    if _is_negative(middle, radius):
        return True
    worst = _worst_sizes(middle, radius)
    return bool(np.diag(worst).max() < 0) and _is_negative(worst)


def _worst_sizes(middle: Array, radius: Array) -> Array:
    """The comparison matrix: largest diagonal, largest sizes beside it, rounded outwards."""
    most = (np.abs(middle) + radius) * (1 + 4 * EPS)
    ends = middle + radius
    np.fill_diagonal(most, np.diag(ends + 4 * EPS * np.abs(ends)))
    return most


def _is_negative(middle: Array, radius: Array | None = None) -> bool:
    count(A_FACTOR)
    size = len(middle)
    spread = 0.0 if radius is None else float(radius.sum(1).max()) * (1 + 2 * size * EPS)
    trace = float(np.abs(np.diag(middle)).sum())
    shift = spread + 4 * (size + 4) * EPS * (trace + spread) + 1e-300
    try:
        np.linalg.cholesky(-middle - shift * np.eye(size))
    except np.linalg.LinAlgError:
        return False
    return True
