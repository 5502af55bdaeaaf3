"""Maxima of polynomials: known ones, dense samples, and the partition that proves the bound."""

from fractions import Fraction as F
from itertools import product
from math import factorial

import numpy as np
import pytest

from mfdsl.compiler.analysis.certificate import ContradictionError
from mfdsl.compiler.analysis.symbolic.bernstein import (
    Leaf,
    Maximum,
    Point,
    maximum_on_box,
    maximum_on_simplex,
    minimum,
    negative,
)
from mfdsl.compiler.analysis.symbolic.expressions import TooLargeError
from mfdsl.compiler.analysis.symbolic.polynomials import Polynomial, evaluate

UNIT = (F(0), F(1))


def cyclic(count: int) -> Polynomial:
    """The sum of q_i ** 5 * q_(i + 1)."""
    terms = {}
    for i in range(count):
        exponents = [0] * count
        exponents[i], exponents[(i + 1) % count] = 5, 1
        terms[tuple(exponents)] = F(1)
    return Polynomial(tuple(range(count)), terms)


def random_polynomial(
    rng: np.random.Generator, count: int, degree: int, *, homogeneous: bool = False
) -> Polynomial:
    choices = [e for e in product(range(degree + 1), repeat=count) if sum(e) <= degree]
    if homogeneous:
        choices = [e for e in choices if sum(e) == degree]
    terms = {e: F(int(rng.integers(-9, 10)), 3) for e in choices}
    return Polynomial(tuple(range(count)), {e: c for e, c in terms.items() if c})


def sampled(polynomial: Polynomial, points: np.ndarray) -> float:
    total = np.zeros(len(points))
    for exponents, coefficient in polynomial.terms.items():
        total += float(coefficient) * np.prod(points ** np.array(exponents), axis=1)
    return float(total.max())


def volume(corners: tuple[Point, ...]) -> F:
    """The volume of a simplex in units of the whole one: the determinant of its vertices."""
    matrix = [list(corner) for corner in corners]
    determinant = F(1)
    for k in range(len(matrix)):
        pivot = next((r for r in range(k, len(matrix)) if matrix[r][k]), None)
        if pivot is None:
            return F(0)
        if pivot != k:
            matrix[k], matrix[pivot] = matrix[pivot], matrix[k]
            determinant = -determinant
        determinant *= matrix[k][k]
        for r in range(k + 1, len(matrix)):
            factor = matrix[r][k] / matrix[k][k]
            matrix[r] = [a - factor * b for a, b in zip(matrix[r], matrix[k], strict=True)]
    return abs(determinant)


@pytest.mark.parametrize(("count", "most"), [(3, 80), (6, 1200)])
def test_the_cyclic_form_is_bracketed_around_its_known_maximum(count: int, most: int) -> None:
    true = F(5**5, 6**6)
    found = maximum_on_simplex(cyclic(count))
    assert found.lower <= true <= found.upper
    assert found.upper - found.lower <= F(1, 1000) * found.upper
    assert found.cells <= most
    assert evaluate(cyclic(count), found.witness) == found.lower
    assert sum(found.witness) == 1
    assert min(found.witness) >= 0


def test_bounds_of_cells_that_are_not_looked_at_again_count() -> None:
    """Stopped early, the bound must still hold: the maximum is inside a cell that was put aside."""
    true = F(5**5, 6**6)
    for cells in (1, 2, 3, 5, 9, 20, 40):
        found = maximum_on_simplex(cyclic(3), cells=cells)
        assert found.lower <= true <= found.upper
        assert found.upper == max(leaf.upper for leaf in found.leaves)


@pytest.mark.parametrize("seed", range(12))
def test_random_cubics_on_the_simplex_hold_against_dense_samples(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = 3 + seed % 3
    polynomial = random_polynomial(rng, count, 3, homogeneous=seed % 2 == 0)
    found = maximum_on_simplex(polynomial, cells=3000)
    best = sampled(polynomial, rng.dirichlet(np.full(count, 0.5), 20_000))
    assert float(found.upper) >= best - 1e-9
    assert float(found.lower) <= float(found.upper)
    assert best <= float(found.lower) + 2e-3 * max(1.0, abs(float(found.upper)))
    assert evaluate(polynomial, found.witness) == found.lower
    low, high = minimum(maximum_on_simplex(negative(polynomial), cells=3000))
    assert low <= high <= found.upper


@pytest.mark.parametrize("seed", range(12))
def test_random_cubics_on_boxes_hold_against_dense_samples(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    count = 1 + seed % 3
    polynomial = random_polynomial(rng, count, 3)
    box = [(F(-1), F(2)), (F(1, 3), F(1)), (F(-2), F(-1, 2))][:count]
    found = maximum_on_box(polynomial, box, cells=3000)
    lows, highs = (np.array([float(side[k]) for side in box]) for k in (0, 1))
    points = lows + (highs - lows) * rng.random((20_000, count))
    points[:2000] = np.where(rng.random((2000, count)) < 0.5, lows, highs)
    best = sampled(polynomial, points)
    assert float(found.upper) >= best - 1e-9
    assert best <= float(found.lower) + 3e-2 * max(1.0, abs(float(found.upper)))
    assert evaluate(polynomial, found.witness) == found.lower
    assert all(lo <= w <= hi for w, (lo, hi) in zip(found.witness, box, strict=True))


def test_leaves_of_a_simplex_fill_it() -> None:
    found = maximum_on_simplex(cyclic(3))
    assert len(found.leaves) > 20
    assert sum(volume(leaf.corners) for leaf in found.leaves) == 1
    for leaf in found.leaves:
        centre = [sum(c) / 3 for c in zip(*leaf.corners, strict=True)]
        assert evaluate(cyclic(3), centre) <= leaf.upper


def test_leaves_of_a_box_fill_it() -> None:
    polynomial = random_polynomial(np.random.default_rng(5), 2, 4)
    found = maximum_on_box(polynomial, [(F(-1), F(1)), (F(0), F(3))], cells=400)
    areas = [(b[0] - a[0]) * (b[1] - a[1]) for a, b in (leaf.corners for leaf in found.leaves)]
    assert sum(areas) == 6


def test_a_bilinear_form_peaks_inside_the_simplex_but_at_a_corner_of_the_box() -> None:
    both = Polynomial((0, 1), {(1, 1): F(1)})
    assert maximum_on_box(both, [UNIT, UNIT]).witness == (1, 1)
    inside = maximum_on_simplex(both)
    assert inside.lower == inside.upper == F(1, 4)
    assert inside.witness == (F(1, 2), F(1, 2))


def test_linear_forms_are_exact_at_once() -> None:
    linear = Polynomial((0, 1, 2), {(1, 0, 0): F(-1), (0, 1, 0): F(1, 3), (0, 0, 0): F(2)})
    found = maximum_on_simplex(linear)
    assert (found.lower, found.upper, found.cells) == (F(7, 3), F(7, 3), 1)
    assert found.witness == (0, 1, 0)


def test_a_maximum_of_0_inside_stays_a_small_positive_bound() -> None:
    square = Polynomial((0,), {(2,): F(-1), (1,): F(2, 3), (0,): F(-1, 9)})
    found = maximum_on_box(square, [UNIT], cells=100)
    assert found.lower <= 0 <= found.upper < F(1, 10**9)


def test_constants_and_single_points() -> None:
    assert maximum_on_simplex(Polynomial((0, 1), {(0, 0): F(7)})).upper == 7
    assert maximum_on_simplex(Polynomial((0,), {(2,): F(3)})).lower == 3
    assert maximum_on_box(Polynomial((0,), {}), [UNIT]).upper == 0


def test_too_many_coefficients_and_no_variables_are_refused() -> None:
    with pytest.raises(TooLargeError, match="degree 9 in 9 variables"):
        maximum_on_simplex(Polynomial(tuple(range(9)), {(1,) * 9: F(1)}))
    with pytest.raises(ValueError, match="at least one coordinate"):
        maximum_on_simplex(Polynomial((), {(): F(1)}))
    with pytest.raises(ValueError, match="1 variables on a box of 0 sides"):
        maximum_on_box(Polynomial((0,), {}), [])


def test_a_bound_below_a_value_is_an_internal_error() -> None:
    with pytest.raises(ContradictionError):
        Maximum(F(1), F(0), (F(1),), (Leaf(((F(1),),), F(0)),), 1)


def test_bernstein_coefficients_of_a_power_of_the_sum_are_all_1() -> None:
    """(x + y + z) ** 4 is 1 on the simplex, so its bounds are tight without a search."""
    terms = {
        e: F(factorial(4) // (factorial(e[0]) * factorial(e[1]) * factorial(e[2])))
        for e in product(range(5), repeat=3)
        if sum(e) == 4
    }
    found = maximum_on_simplex(Polynomial((0, 1, 2), terms))
    assert (found.lower, found.upper, found.cells) == (1, 1, 1)
