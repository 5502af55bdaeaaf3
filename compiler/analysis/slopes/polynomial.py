"""The Lipschitz constant of a polynomial of a law in l1, by Bernstein coefficients.

On a simplex the coefficients of a polynomial bound it, so that the largest span of the coefficients
of all partial derivatives bounds twice the constant; halving an edge by de Casteljau's rule gives
those of both halves (Leroy 2012, Reliable Computing 17). They see how terms cancel, which intervals
do not, and cells are parts of the simplex, all of which are laws. Coefficients are exact at the
start but for numbers that are known within bounds only, as decimals are; these bounds are a second
polynomial. Every halving rounds. The bounds account for both.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, reduce
from itertools import combinations
from math import comb

import numpy as np

from mfdsl.compiler.analysis.counted import count, counted, late
from mfdsl.compiler.analysis.intervals import Array, Interval
from mfdsl.compiler.analysis.slopes.domain import STILL, Space, members, table_columns
from mfdsl.compiler.analysis.slopes.forward import Forward, Rows
from mfdsl.compiler.analysis.slopes.tape import Tape, Unsupported
from mfdsl.compiler.analysis.symbolic import polynomials
from mfdsl.compiler.analysis.symbolic.bernstein import (
    exponents_of,
    simplex_coefficients,
    simplex_fibres,
)
from mfdsl.compiler.analysis.symbolic.expressions import TooLargeError
from mfdsl.compiler.analysis.symbolic.polynomials import Polynomial

HALVED, ENTRIES_A_STEP = 500, 10  # steps of a batch of cells, and of their entries
ENTRIES_KEPT = 50  # of cells that wait, in a step
MAX_KINDS = 10
MAX_DEGREE = 8
MAX_COEFFICIENTS = 2_000
MAX_ROWS = 16  # points of the grid, a polynomial each
BATCH = 512  # cells that are halved at once
UNIT = 2.0**-52
ONE = Fraction(1)
WIDE = Fraction(1, 10**9)  # a number between ends further apart is no constant


@dataclass(frozen=True)
class Cells:
    """Simplices by their vertices [cells, vertices, coordinates], coefficients of all partial
    derivatives on them [cells, derivatives, coefficients], how often they were halved [cells].
    """

    vertices: Array
    values: Array
    depth: Array

    def __len__(self) -> int:
        return len(self.vertices)

    def take(self, which: np.ndarray) -> "Cells":
        """Some of the cells."""
        return Cells(self.vertices[which], self.values[which], self.depth[which])


@dataclass(frozen=True)
class Near:
    """A polynomial whose coefficients are off by those of `error` at most, none negative."""

    centre: Polynomial
    error: Polynomial

    @property
    def slack(self) -> float:
        """How far partial derivatives are off at most where all masses are at most 1."""
        slopes = [polynomials.derivative(self.error, y) for y in self.error.variables]
        return float(np.nextafter(max(float(sum(s.terms.values())) for s in slopes), np.inf))


@dataclass(frozen=True)
class HalfSpan:
    """A bound of half the largest difference of two partial derivatives, the largest that cells
    have at a vertex, and how many cells were looked at.
    """

    lower: float
    upper: float
    cells: int


def law_polynomials(tape: Tape, population: str, space: Space) -> list[Near]:
    """The root of a tape at each point of the grid, a polynomial of the masses of all kinds.

    Raises:
        Unsupported: it is none, or a large one, or reads more than the law.
    """
    kinds = members(space)
    rows = int(np.prod(tape.sizes)) if tape.sizes else 1
    if len(tape.roots) != 1 or kinds > MAX_KINDS or rows > MAX_ROWS or kinds < 2:
        raise Unsupported("a polynomial in many masses, or many of them")
    linear = list(tape.statistics)
    # A mean that reads the member of another one is no coordinate, and numbers beside means are.
    own = {s.coordinate for s in linear if s.coordinate is not None and s.mass is None}
    if not len(own) == len(linear) == len(tape.coordinates) or any(
        s.population != population or tape.touched[s.body] for s in linear
    ):
        raise Unsupported("a polynomial of more than the law")
    low, high = table_columns(tape, linear, space)
    if not np.isfinite(low).all() or not np.isfinite(high).all():
        raise Unsupported("a statistic of members without bounds")
    columns = Interval(low, high)
    try:
        return [_polynomial(tape, place, columns, kinds) for place in range(rows)]
    except TooLargeError as error:
        raise Unsupported(str(error)) from None


def _polynomial(tape: Tape, place: int, columns: Interval, kinds: int) -> Near:
    names = tuple(range(kinds))
    at = np.array([np.unravel_index(place, tape.sizes)], dtype=np.int64).reshape(1, -1)
    empty = np.zeros((1, len(tape.coordinates)))
    values = Forward(tape, Rows(at, empty, empty), STILL, None, {})

    @cache
    def made(index: int) -> Near:
        step = tape.steps[index]
        if step.op == "statistic":
            column = Interval(*(end[place, :, step.attr] for end in (columns.lo, columns.hi)))
            masses = [_masses(names, y) for y in names]
            parts = [_times(_constant(names, column, y), masses[y]) for y in names]
            found = _sum(parts)
        elif step.op in ("given", "const"):
            found = _number(names, values.value(index))
        else:
            found = _operation(step.op, [made(a) for a in step.args])
        if found.centre.degree > MAX_DEGREE:
            raise Unsupported("a polynomial of a high degree")
        return found

    return made(tape.roots[0])


def _masses(names: tuple[int, ...], name: int) -> Near:
    return Near(polynomials.variable(names, name), polynomials.constant(names, 0))


def _number(names: tuple[int, ...], value: Interval) -> Near:
    if value.lo.size != 1 or not np.isfinite(value.lo) or not np.isfinite(value.hi):
        raise Unsupported("a number without bounds, or several")
    return _constant(names, Interval(value.lo.reshape(1), value.hi.reshape(1)), 0)


def _constant(names: tuple[int, ...], values: Interval, place: int) -> Near:
    """Any number in one of some intervals."""
    lo, hi = (Fraction(float(end[place])) for end in (values.lo, values.hi))
    if hi - lo > WIDE * max(ONE, abs(lo), abs(hi)):
        raise Unsupported("a number that is not known well")
    return Near(*(polynomials.constant(names, n) for n in ((lo + hi) / 2, (hi - lo) / 2)))


def _sum(parts: Sequence[Near]) -> Near:
    return Near(
        polynomials.add(*(p.centre for p in parts)), polynomials.add(*(p.error for p in parts))
    )


def _times(a: Near, b: Near) -> Near:
    multiply, size = polynomials.multiply, _size
    errors = (
        multiply(size(a.centre), b.error),
        multiply(a.error, size(b.centre)),
        multiply(a.error, b.error),
    )
    return Near(multiply(a.centre, b.centre), polynomials.add(*errors))


def _size(a: Polynomial) -> Polynomial:
    return Polynomial(a.variables, {e: abs(c) for e, c in a.terms.items()})


def _inverse(names: tuple[int, ...], a: Near) -> Near:
    """One over a constant."""
    centre, error = (polynomials.evaluate(p, [0] * len(names)) for p in (a.centre, a.error))
    if abs(centre) <= error:
        raise Unsupported("a quotient by a number that may be 0")
    off = error / (abs(centre) * (abs(centre) - error))
    return Near(polynomials.constant(names, 1 / centre), polynomials.constant(names, off))


def _operation(op: str, args: Sequence[Near]) -> Near:
    if op == "add":
        return _sum(args)
    if op == "neg":
        return Near(polynomials.scale(args[0].centre, -1), args[0].error)
    if op == "real":
        return args[0]
    if op == "mul":
        return reduce(_times, args)
    if op in ("pow", "div") and not args[1].centre.degree:
        names = args[1].centre.variables
        if op == "div":
            return _times(args[0], _inverse(names, args[1]))
        number = polynomials.evaluate(args[1].centre, [0] * len(names))
        exact = number.denominator == 1 and not args[1].error.terms
        if exact and 0 <= number <= MAX_DEGREE:
            one = Near(polynomials.constant(names, 1), polynomials.constant(names, 0))
            return reduce(_times, [args[0]] * int(number), one)
    raise Unsupported(f"`{op}` in a polynomial")


def half_span(
    found: Sequence[Polynomial],
    gap: float,
    seconds: float,
    *,
    slack: float = 0.0,
) -> HalfSpan:
    """Half the largest difference of two partial derivatives over all laws, for the largest of some
    polynomials, all of which are off by `slack` at most. Ends at the relative `gap` to the best
    value, or after `seconds`.

    Raises:
        Unsupported: there would be too many coefficients.
    """
    kinds = len(found[0].variables)
    degree = max(1, *(p.degree - 1 for p in found))
    if kinds * comb(kinds + degree - 1, degree) > MAX_COEFFICIENTS * 2:
        raise Unsupported("too many coefficients")
    order = exponents_of(kinds, degree)
    place = {exponents: k for k, exponents in enumerate(order)}
    ends = [place[tuple(degree * int(i == k) for i in range(kinds))] for k in range(kinds)]
    values = np.array(
        [
            [
                [
                    float(c)
                    for c in simplex_coefficients(polynomials.derivative(p, y), order, degree)
                ]
                for y in range(kinds)
            ]
            for p in found
        ]
    )
    size = float(np.abs(values).max())
    cells = Cells(np.tile(np.eye(kinds), (len(found), 1, 1)), values, np.zeros(len(found)))

    @cache
    def fibres(edge: tuple[int, int]) -> list[np.ndarray]:
        return _by_length(simplex_fibres(order, place, edge))

    def bound(some: Cells) -> Array:
        lost = (some.depth + 1) * (degree + 2) * UNIT * size + slack
        return np.asarray(np.nextafter(np.ptp(some.values, axis=1).max(-1) / 2 + lost, np.inf))

    return _searched(cells, bound, ends, fibres, gap, seconds)


def _searched(
    cells: Cells,
    bound: Callable[[Cells], Array],
    ends: Sequence[int],
    fibres: Callable[[tuple[int, int]], list[np.ndarray]],
    gap: float,
    seconds: float,
) -> HalfSpan:
    """Branch and bound; bounds of cells that are dropped are kept, the answer is their largest."""
    deadline = counted() + seconds
    upper, parked, tried, best = bound(cells), 0.0, len(cells), 0.0
    while len(cells):
        best = max(best, float(np.ptp(cells.values[:, :, list(ends)], axis=1).max() / 2))
        done = upper <= best * (1 + gap)
        if done.any():
            parked = max(parked, float(upper[done].max()))
            cells, upper = cells.take(~done), upper[~done]
        if not len(cells):
            break
        if late(deadline):
            parked = max(parked, float(upper.max()))
            break
        count(len(cells) // 4 + cells.values.size // ENTRIES_KEPT)
        order = np.argsort(-upper, kind="stable")
        top, rest = order[:BATCH], order[BATCH:]
        halves = _halved(cells.take(top), fibres)
        tried += len(halves)
        cells, upper = _joined([cells.take(rest), halves]), np.r_[upper[rest], bound(halves)]
    return HalfSpan(best, parked, tried)


def _halved(cells: Cells, fibres: Callable[[tuple[int, int]], list[np.ndarray]]) -> Cells:
    """Both halves of every cell along its longest edge."""
    edges = list(combinations(range(cells.vertices.shape[1]), 2))
    count(HALVED + cells.values.size // ENTRIES_A_STEP)
    i, j = (np.array([e[k] for e in edges]) for k in (0, 1))
    lengths = ((cells.vertices[:, i] - cells.vertices[:, j]) ** 2).sum(-1)
    longest = lengths.argmax(1)
    return _joined(
        [
            half
            for e in np.unique(longest)
            for half in _split(cells.take(longest == e), edges[e], fibres(edges[e]))
        ]
    )


def _split(cells: Cells, edge: tuple[int, int], fibres: list[np.ndarray]) -> tuple[Cells, Cells]:
    """Both halves along an edge, by de Casteljau's rule."""
    i, j = edge
    middle = (cells.vertices[:, i] + cells.vertices[:, j]) / 2
    corners = cells.vertices.copy(), cells.vertices.copy()
    corners[0][:, j], corners[1][:, i] = middle, middle
    left, right = cells.values.copy(), cells.values.copy()
    for places in fibres:
        row, last = cells.values[:, :, places], places.shape[1] - 1
        for step in range(last + 1):
            left[:, :, places[:, step]] = row[..., 0]
            right[:, :, places[:, last - step]] = row[..., -1]
            row = (row[..., :-1] + row[..., 1:]) / 2
    depth = cells.depth + 1
    return Cells(corners[0], left, depth), Cells(corners[1], right, depth)


def _by_length(fibres: Sequence[Sequence[int]]) -> list[np.ndarray]:
    """Fibres of one length as a table each, [fibres, length]."""
    lengths = sorted({len(f) for f in fibres})
    return [np.array([f for f in fibres if len(f) == n]) for n in lengths]


def _joined(parts: Sequence[Cells]) -> Cells:
    return Cells(
        np.concatenate([p.vertices for p in parts]),
        np.concatenate([p.values for p in parts]),
        np.concatenate([p.depth for p in parts]),
    )
