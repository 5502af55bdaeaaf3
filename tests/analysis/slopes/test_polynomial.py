"""Constants of polynomials of a law by Bernstein coefficients, against samples and the search."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from mfdsl.compiler.analysis.slopes.domain import spaces_of
from mfdsl.compiler.analysis.slopes.law_slope import LawSlope
from mfdsl.compiler.analysis.slopes.polynomial import half_span, law_polynomials
from mfdsl.compiler.analysis.slopes.search import Budget
from mfdsl.compiler.analysis.slopes.tape import Tape, Unsupported
from mfdsl.compiler.analysis.slopes.taping import make_tape
from mfdsl.compiler.analysis.symbolic.polynomials import Polynomial, derivative, evaluate
from tests.analysis.slopes import zoo
from tests.analysis.slopes.spec import Spec, ints


def tape_of(build: Callable[[Spec], int]) -> Tape:
    s = Spec()
    node = build(s)
    return make_tape(s.facts(), [node])


def read(build: Callable[[Spec], int]) -> list[Polynomial]:
    tape = tape_of(build)
    return [found.centre for found in law_polynomials(tape, "mu", spaces_of(tape)["mu"])]


def ring(count: int, degree: int) -> Callable[[Spec], int]:
    """The sum of q[i]^degree q[i + 1] around a ring."""

    def build(s: Spec) -> int:
        q = [zoo.share(s, k, ints(count)) for k in range(count)]
        return s.op(
            "add", *(s.op("mul", *[q[k]] * degree, q[(k + 1) % count]) for k in range(count))
        )

    return build


def cubic(count: int, seed: int) -> Callable[[Spec], int]:
    """A random polynomial of degree 3."""

    def build(s: Spec) -> int:
        random = np.random.default_rng(seed)
        q = [zoo.share(s, k, ints(count)) for k in range(count)]
        places = [(i, j, k) for i in range(count) for j in range(i, count) for k in range(j, count)]
        number = random.integers(-8, 9, len(places))
        return s.op(
            "add",
            *(
                s.op("mul", s.r(int(n)), *(q[k] for k in place))
                for n, place in zip(number, places, strict=True)
            ),
        )

    return build


def test_a_polynomial_of_degree_six_in_six_masses() -> None:
    """A law where intervals stall: plain ones were at 1.27 for 0.5 after 0.3 s."""
    found = half_span(read(ring(6, 5)), 1e-3, 10.0)
    assert 0.5 <= found.upper <= 0.5 * (1 + 1e-12) and found.lower == 0.5


@pytest.mark.parametrize("seed", range(6))
def test_spans_of_gradients_at_laws_are_below(seed: int) -> None:
    kinds = 3 + seed % 3
    polynomial = read(cubic(kinds, seed))[0]
    found = half_span([polynomial], 1e-3, 10.0)
    assert found.lower <= found.upper <= found.lower * 1.001 + 1e-9
    gradient = [derivative(polynomial, y) for y in range(kinds)]
    random = np.random.default_rng(seed)
    for law in (*np.eye(kinds), *random.dirichlet(np.full(kinds, 0.5), 60)):
        exact = [Fraction(float(w)) for w in law]
        rates = [evaluate(g, exact) for g in gradient]
        assert float(max(rates) - min(rates)) / 2 <= found.upper * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_bounds_agree_with_those_of_the_search(seed: int) -> None:
    tape = tape_of(cubic(3, seed))
    capped = LawSlope(tape, "mu").found(Budget(seconds=10.0))
    plain = LawSlope(tape, "mu").found(Budget(seconds=10.0, keep=True))
    assert plain.leaves is not None and plain.also == ()
    assert capped.lower <= plain.upper and plain.lower <= capped.upper
    assert capped.closed and capped.upper <= capped.lower * 1.002


def test_a_bound_says_what_it_rests_on() -> None:
    found = LawSlope(tape_of(ring(6, 5)), "mu").found(Budget(seconds=5.0))
    assert found.also == ("Bernstein form of a polynomial",) and found.closed


def test_a_hump_inside_the_simplex_needs_halving() -> None:
    """(27 m0 m1 m2)^2 has its steepest laws inside, where no vertex is."""

    def build(s: Spec) -> int:
        q = [zoo.share(s, k, ints(3)) for k in range(3)]
        return s.op("mul", s.r(729), *q, *q)

    polynomial = read(build)[0]
    found = half_span([polynomial], 1e-3, 20.0)
    assert found.cells > 10 and found.upper <= found.lower * 1.0011
    grid = [(i / 60, j / 60) for i in range(61) for j in range(61 - i)]
    best = max(
        max(rates) - min(rates)
        for a, b in grid
        for c in (1 - a - b,)
        for rates in ([1458 * a * b * c * x for x in (b * c, a * c, a * b)],)
    )
    assert best / 2 <= found.upper <= best / 2 * 1.02


def test_means_of_numbers_are_masses_of_kinds() -> None:
    """The variance of y in 0, 1/4, ..., 1: half the span of y^2 - 2 y E y is 1/2 at its ends."""
    found = half_span(read(zoo.variance), 1e-6, 5.0)
    assert found.upper == pytest.approx(0.5, rel=1e-9)


@pytest.mark.parametrize("build", [zoo.barrier, zoo.quotient, zoo.distancing, zoo.capacity])
def test_what_is_no_polynomial_of_the_law(build: Callable[[Spec], int]) -> None:
    with pytest.raises(Unsupported):
        read(build)
