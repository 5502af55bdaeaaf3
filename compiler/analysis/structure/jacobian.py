"""How the rewards of all kinds of members move with the masses of all kinds: the matrix J.

J[x, y] is the slope of the reward at x in the mass of y. Where it is the same at all laws it is
known exactly, or up to irrational constants in small intervals of fractions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from mfdsl.compiler.analysis.intervals import Array
from mfdsl.compiler.analysis.structure.masses import InMasses
from mfdsl.compiler.analysis.structure.matrices import (
    Signed,
    projected,
    proved_negative,
    sign_of,
    skew_part,
)
from mfdsl.compiler.analysis.symbolic.evaluation import Point, value_at
from mfdsl.compiler.analysis.symbolic.polynomials import Polynomial, polynomials
from mfdsl.compiler.analysis.symbolic.terms import Terms, product
from mfdsl.compiler.ir.walk import reachable

MAX_EXACT = 40  # rows of a matrix that is eliminated in fractions

Rows = list[list[Fraction]]


@dataclass(frozen=True)
class Constant:
    """A slope matrix that is the same at all laws, entries between `lo` and `hi`."""

    lo: Rows
    hi: Rows
    groups: list[int]

    @property
    def exact(self) -> bool:
        """Whether every entry is one fraction."""
        return self.lo == self.hi

    def sign(self) -> Signed | None:
        """What v' J v can be for v that sum to 0; None where that is not decided."""
        if self.exact:
            matrix = projected(self.lo, self.groups)
            quiet = not any(any(row) for row in matrix)
            if quiet or len(matrix) <= MAX_EXACT:
                return sign_of(matrix)
        middle, radius = self._floats()
        if proved_negative(middle, radius):
            return Signed("definite")
        values, vectors = np.linalg.eigh(middle)
        if len(values) and values[-1] > float(radius.sum(1).max(initial=0.0)):
            return Signed("indefinite", tuple(vectors[:, -1].tolist()))
        return None

    def _floats(self) -> tuple[Array, Array]:
        """The projected symmetric matrix as floats, and how far off they may be."""
        lo, hi = (projected(rows, self.groups) for rows in (self.lo, self.hi))
        size = max((abs(e) for rows in (self.lo, self.hi) for row in rows for e in row), default=0)
        width = max(
            (
                b - a
                for one, other in zip(self.lo, self.hi, strict=True)
                for a, b in zip(one, other, strict=True)
            ),
            default=Fraction(0),
        )
        middle = (np.array(lo, dtype=np.float64) + np.array(hi, dtype=np.float64)) / 2
        off = 8 * float(width) + 2.0**-50 * float(size)
        return middle, np.full(middle.shape, off)

    def is_symmetric(self) -> bool | None:
        """Whether v' J w = w' J v for v, w that sum to 0; None where that is not decided."""
        if not self.exact:
            return None
        return not any(any(row) for row in skew_part(self.lo, self.groups))


def sign_along(matrix: Constant, basis: Rows) -> Signed | None:
    """What v' J v can be for v in the span of some rows; None where that is not decided."""
    if matrix.exact and len(basis) <= MAX_EXACT:
        return sign_of(along(matrix.lo, basis))
    rows = np.array(basis, dtype=np.float64).reshape(len(basis), len(matrix.lo))
    lo, hi = (np.array(m, dtype=np.float64) for m in (matrix.lo, matrix.hi))
    middle, radius = (lo + hi) / 4 + (lo + hi).T / 4, (hi - lo) / 2
    size = np.abs(rows) @ (np.abs(middle) + radius) @ np.abs(rows).T
    spread = np.abs(rows) @ ((radius + radius.T) / 2) @ np.abs(rows).T
    rounding = 2.0**-50 * (len(matrix.lo) + 8)
    whole = rows @ middle @ rows.T
    return Signed("definite") if proved_negative(whole, spread + rounding * size) else None


def along(matrix: Rows, basis: Rows) -> Rows:
    """The symmetric part of a matrix of fractions on the span of some rows."""
    sparse = [[(k, v) for k, v in enumerate(row) if v] for row in basis]
    found = [[Fraction(0)] * len(basis) for _ in basis]
    for i, one in enumerate(sparse):
        for j, other in enumerate(sparse[: i + 1]):
            value = sum(
                (a * b * (matrix[k][m] + matrix[m][k]) for k, a in one for m, b in other),
                Fraction(0),
            )
            found[i][j] = found[j][i] = value / 2
    return found


def constant_slopes(game: InMasses) -> Constant | None:
    """The slope matrix, None where it varies with the law, time or a common state.

    Raises:
        TooLargeError: a reward is too long when it is multiplied out.
        UndefinedError: an entry has no certified value.
    """
    found = polynomials(game.terms, game.rewards, opaque=True, variables=game.masses)
    assert found is not None
    masses = set(game.masses)
    if not found:
        return None
    lo, hi = [], []
    moving = {v for v in found[0].variables if _reads_law(game.terms, v)}
    for reward in found:
        row = _row(game.terms, reward, game.masses, masses, moving)
        if row is None:
            return None
        lo.append([a for a, _ in row])
        hi.append([b for _, b in row])
    return Constant(lo, hi, game.groups)


def _reads_law(terms: Terms, variable: int) -> bool:
    return any(terms.nodes[i].op.startswith("mean") for i in reachable(terms.nodes, [variable]))


def _row(
    terms: Terms,
    reward: Polynomial,
    order: Sequence[int],
    masses: set[int],
    moving: set[int],
) -> list[tuple[Fraction, Fraction]] | None:
    entries = {mass: (Fraction(0), Fraction(0)) for mass in order}
    for exponents, coefficient in reward.terms.items():
        used = [(v, e) for v, e in zip(reward.variables, exponents, strict=True) if e]
        law = [(v, e) for v, e in used if v in moving]
        if not law:
            continue
        if len(law) > 1 or law[0][1] > 1 or law[0][0] not in masses:
            return None
        rest = [v for v, e in used if v not in moving for _ in range(e)]
        if any(not terms.nodes[i].args and _varies(terms, i) for i in reachable(terms.nodes, rest)):
            return None
        lo = hi = coefficient
        if rest:
            factor = product(terms, (terms.builder.const(coefficient), *rest))
            low, high = value_at(terms, factor, Point({}))
            lo, hi = Fraction(low), Fraction(high)
        a, b = entries[law[0][0]]
        entries[law[0][0]] = (a + lo, b + hi)
    return [entries[mass] for mass in order]


def _varies(terms: Terms, leaf: int) -> bool:
    return terms.nodes[leaf].op not in ("const", "array")


def entry_terms(game: InMasses) -> list[list[int]]:
    """The slope matrix as terms, for rewards that are smooth in the masses.

    Raises:
        UnsupportedError: an operator has no slope.
    """
    from mfdsl.compiler.analysis.symbolic.differentiation import partial

    return [[partial(game.terms, r, m) for m in game.masses] for r in game.rewards]
