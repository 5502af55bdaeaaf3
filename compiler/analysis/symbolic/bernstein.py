"""The maximum of a polynomial on a simplex or a box, by Bernstein coefficients and bisection.

The coefficients bound the polynomial on their cell and are its values at the corners; halving an
edge by de Casteljau's rule gives the coefficients of both halves. Branch and bound on them
converges (Garloff 1985 for boxes; Leroy 2012, Reliable Computing 17, for simplices). Coefficients
are integers over one power of two, so everything is exact.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import combinations, pairwise, product
from math import comb, factorial, lcm, prod

from mfdsl.compiler.analysis.certificate import ContradictionError
from mfdsl.compiler.analysis.counted import count
from mfdsl.compiler.analysis.symbolic.expressions import TooLargeError
from mfdsl.compiler.analysis.symbolic.polynomials import Polynomial, scale

MAX_COEFFICIENTS = 5_000
MAX_CELLS = 20_000
TOLERANCE = Fraction(1, 1000)

Point = tuple[Fraction, ...]
Corners = tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Leaf:
    """A cell of the final partition with a bound on it: all vertices of a simplex, or the lowest
    and the highest corner of a box.
    """

    corners: Corners
    upper: Fraction


@dataclass(frozen=True, slots=True)
class Maximum:
    """The maximum lies between `lower`, the value at `witness`, and `upper`.

    `leaves` cover the domain, and no bound of a leaf is above `upper`; `cells` were looked at.
    """

    lower: Fraction
    upper: Fraction
    witness: Point
    leaves: tuple[Leaf, ...]
    cells: int

    def __post_init__(self) -> None:
        if self.upper < self.lower:
            raise ContradictionError(f"the value {self.lower} is above the bound {self.upper}")


@dataclass(frozen=True, slots=True)
class _Cell:
    """Coefficients `values / (denominator * 2**shift)` on the cell with these corners."""

    corners: Corners
    values: tuple[int, ...]
    shift: int


@dataclass(frozen=True, slots=True)
class _Shape:
    """How coefficients lie: `ends` are places of values at corners, with the corner each.

    `halves(corners)` chooses the edge and gives the corners of both halves and the fibres along
    the edge; `degree` bounds the length of a fibre.
    """

    denominator: int
    degree: int
    ends: tuple[int, ...]
    corner: Callable[[Corners, int], Point]
    halves: Callable[[_Cell], tuple[Corners, Corners, Sequence[Sequence[int]]]]


def maximum_on_simplex(
    polynomial: Polynomial, *, tolerance: Fraction = TOLERANCE, cells: int = MAX_CELLS
) -> Maximum:
    """The maximum where all variables are at least 0 and add up to 1.

    Ends when `upper - lower` is at most `tolerance` times the larger of their sizes, or after
    `cells` cells. Raises TooLargeError beyond MAX_COEFFICIENTS coefficients, ValueError without
    variables.
    """
    count, degree = len(polynomial.variables), max(polynomial.degree, 1)
    if not count:
        raise ValueError("a simplex has at least one coordinate")
    if comb(count + degree - 1, degree) > MAX_COEFFICIENTS:
        raise TooLargeError(f"degree {degree} in {count} variables on a simplex")
    order = exponents_of(count, degree)
    coefficients = simplex_coefficients(polynomial, order, degree)
    vertices = tuple(tuple(Fraction(int(i == k)) for i in range(count)) for k in range(count))
    place = {exponents: k for k, exponents in enumerate(order)}
    ends = tuple(place[tuple(degree * int(i == k) for i in range(count))] for k in range(count))

    @cache
    def fibres(edge: tuple[int, int]) -> list[list[int]]:
        return simplex_fibres(order, place, edge)

    def halves(cell: _Cell) -> tuple[Corners, Corners, Sequence[Sequence[int]]]:
        i, j = max(combinations(range(count), 2), key=lambda e: _length(cell.corners, e))
        middle = tuple((a + b) / 2 for a, b in zip(cell.corners[i], cell.corners[j], strict=True))
        first, second = list(cell.corners), list(cell.corners)
        first[j], second[i] = middle, middle
        return tuple(first), tuple(second), fibres((i, j))

    denominator, values = _over_one_denominator(coefficients)
    shape = _Shape(denominator, degree, ends, lambda corners, k: corners[k], halves)
    return _search(_Cell(vertices, values, 0), shape, tolerance, cells if count > 1 else 0)


def maximum_on_box(
    polynomial: Polynomial,
    box: Sequence[tuple[Fraction, Fraction]],
    *,
    tolerance: Fraction = TOLERANCE,
    cells: int = MAX_CELLS,
) -> Maximum:
    """The maximum where each variable, in order, lies in its interval of `box`.

    Ends and raises as `maximum_on_simplex`.
    """
    if not box or len(box) != len(polynomial.variables):
        raise ValueError(f"{len(polynomial.variables)} variables on a box of {len(box)} sides")
    degrees = [polynomial.degree_in(v) for v in polynomial.variables]
    sizes = [d + 1 for d in degrees]
    if prod(sizes) > MAX_COEFFICIENTS:
        raise TooLargeError(f"degrees {degrees} on a box")
    denominator, values = _over_one_denominator(_box_coefficients(polynomial, box, degrees))
    corner_places = list(product((0, 1), repeat=len(box)))
    ends = tuple(
        _flat([d * c for d, c in zip(degrees, where, strict=True)], sizes)
        for where in corner_places
    )

    def corner(corners: Corners, k: int) -> Point:
        return tuple(corners[c][axis] for axis, c in enumerate(corner_places[k]))

    @cache
    def fibres(axis: int) -> list[list[int]]:
        return _box_fibres(sizes, axis)

    def halves(cell: _Cell) -> tuple[Corners, Corners, Sequence[Sequence[int]]]:
        axis = max(range(len(box)), key=lambda a: _variation(cell.values, fibres(a)))
        low, high = cell.corners
        middle = (low[axis] + high[axis]) / 2
        first = (*high[:axis], middle, *high[axis + 1 :])
        second = (*low[:axis], middle, *low[axis + 1 :])
        return (low, first), (second, high), fibres(axis)

    whole = tuple(lo for lo, _ in box), tuple(hi for _, hi in box)
    shape = _Shape(denominator, max(degrees), ends, corner, halves)
    return _search(_Cell(whole, values, 0), shape, tolerance, cells if max(degrees) else 0)


def minimum(found: Maximum) -> tuple[Fraction, Fraction]:
    """The bounds of a minimum from those of the maximum of the negative."""
    return -found.upper, -found.lower


def negative(polynomial: Polynomial) -> Polynomial:
    """The polynomial whose maximum is minus the minimum."""
    return scale(polynomial, -1)


def _search(root: _Cell, shape: _Shape, tolerance: Fraction, budget: int) -> Maximum:
    """Best-first branch and bound. Every cell that is not halved ends as a leaf."""
    lower, witness = _best_corner(root, shape)
    upper = _bound(root, shape)
    queue = [(-upper, 0, root)]
    cells = 1
    while cells < budget:
        upper = -queue[0][0]
        if upper - lower <= tolerance * max(abs(upper), abs(lower)):
            break
        _, _, cell = heapq.heappop(queue)
        for half in _halved(cell, shape):
            value, where = _best_corner(half, shape)
            if value > lower:
                lower, witness = value, where
            heapq.heappush(queue, (-_bound(half, shape), cells, half))
            cells += 1
    leaves = tuple(Leaf(cell.corners, -negated) for negated, _, cell in queue)
    return Maximum(lower, max(leaf.upper for leaf in leaves), witness, leaves, cells)


def _bound(cell: _Cell, shape: _Shape) -> Fraction:
    return Fraction(max(cell.values), shape.denominator << cell.shift)


def _best_corner(cell: _Cell, shape: _Shape) -> tuple[Fraction, Point]:
    best = max(range(len(shape.ends)), key=lambda k: cell.values[shape.ends[k]])
    value = Fraction(cell.values[shape.ends[best]], shape.denominator << cell.shift)
    return value, shape.corner(cell.corners, best)


def _halved(cell: _Cell, shape: _Shape) -> Iterator[_Cell]:
    """Both halves by de Casteljau's rule; the shift makes all its averages whole numbers."""
    first, second, fibres = shape.halves(cell)
    left, right = list(cell.values), list(cell.values)
    count(len(left))
    for fibre in fibres:
        row = [cell.values[k] << shape.degree for k in fibre]
        last = len(fibre) - 1
        for step in range(last + 1):
            left[fibre[step]] = row[0]
            right[fibre[last - step]] = row[-1]
            row = [(a + b) >> 1 for a, b in pairwise(row)]
    yield _Cell(first, tuple(left), cell.shift + shape.degree)
    yield _Cell(second, tuple(right), cell.shift + shape.degree)


def _over_one_denominator(values: Sequence[Fraction]) -> tuple[int, tuple[int, ...]]:
    denominator = lcm(*(v.denominator for v in values))
    return denominator, tuple(int(v * denominator) for v in values)


def exponents_of(count: int, degree: int) -> list[tuple[int, ...]]:
    """All exponents of `count` variables that add up to `degree`."""
    if count == 1:
        return [(degree,)]
    return [
        (first, *rest)
        for first in range(degree, -1, -1)
        for rest in exponents_of(count - 1, degree - first)
    ]


def _multinomial(exponents: Sequence[int]) -> int:
    return factorial(sum(exponents)) // prod(map(factorial, exponents))


def simplex_coefficients(
    polynomial: Polynomial, order: Sequence[tuple[int, ...]], degree: int
) -> list[Fraction]:
    """Coefficients of the polynomial made homogeneous by powers of the sum of all variables."""
    found = dict.fromkeys(order, Fraction(0))
    for exponents, coefficient in polynomial.terms.items():
        for more in exponents_of(len(exponents), degree - sum(exponents)):
            whole = tuple(map(int.__add__, exponents, more))
            found[whole] += coefficient * _multinomial(more)
    return [found[e] / _multinomial(e) for e in order]


def simplex_fibres(
    order: Sequence[tuple[int, ...]], place: dict[tuple[int, ...], int], edge: tuple[int, int]
) -> list[list[int]]:
    """Places of coefficients that differ along an edge only, from its first end to its second."""
    i, j = edge
    found = []
    for exponents in order:
        if exponents[j]:
            continue
        length, moved = exponents[i], list(exponents)
        fibre = []
        for step in range(length + 1):
            moved[i], moved[j] = length - step, step
            fibre.append(place[tuple(moved)])
        found.append(fibre)
    return found


def _length(corners: Corners, edge: tuple[int, int]) -> Fraction:
    """The squared length of an edge."""
    i, j = edge
    return sum(
        ((a - b) ** 2 for a, b in zip(corners[i], corners[j], strict=True)), start=Fraction(0)
    )


def _flat(place: Sequence[int], sizes: Sequence[int]) -> int:
    found = 0
    for position, size in zip(place, sizes, strict=True):
        found = found * size + position
    return found


def _box_fibres(sizes: Sequence[int], axis: int) -> list[list[int]]:
    """Places of coefficients that differ along one axis only."""
    others = [range(s) if k != axis else range(1) for k, s in enumerate(sizes)]
    found = []
    for place in product(*others):
        moved = list(place)
        fibre = []
        for step in range(sizes[axis]):
            moved[axis] = step
            fibre.append(_flat(moved, sizes))
        found.append(fibre)
    return found


def _box_coefficients(
    polynomial: Polynomial, box: Sequence[tuple[Fraction, Fraction]], degrees: Sequence[int]
) -> list[Fraction]:
    """Tensor Bernstein coefficients, one axis after the other."""
    sizes = [d + 1 for d in degrees]
    values = [Fraction(0)] * prod(sizes)
    for exponents, coefficient in polynomial.terms.items():
        values[_flat(exponents, sizes)] = coefficient
    for axis, ((lo, hi), degree) in enumerate(zip(box, degrees, strict=True)):
        for fibre in _box_fibres(sizes, axis):
            line = _line_coefficients([values[k] for k in fibre], lo, hi, degree)
            for k, value in zip(fibre, line, strict=True):
                values[k] = value
    return values


def _line_coefficients(
    powers: Sequence[Fraction], lo: Fraction, hi: Fraction, degree: int
) -> list[Fraction]:
    """Bernstein coefficients on [lo, hi] of a polynomial given by its power coefficients."""
    moved = [
        sum((powers[k] * comb(k, j) * lo ** (k - j) for k in range(j, degree + 1)), Fraction(0))
        * (hi - lo) ** j
        for j in range(degree + 1)
    ]
    return [
        sum((Fraction(comb(i, j), comb(degree, j)) * moved[j] for j in range(i + 1)), Fraction(0))
        for i in range(degree + 1)
    ]


def _variation(values: Sequence[int], fibres: Sequence[Sequence[int]]) -> int:
    """The largest step between neighbours along the fibres."""
    steps = (abs(values[a] - values[b]) for f in fibres for a, b in pairwise(f))
    return max(steps, default=0)
