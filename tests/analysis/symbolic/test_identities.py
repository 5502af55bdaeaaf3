"""Identities: proved, refuted at a point that can be checked, or open; never wrong."""

import random
from fractions import Fraction as F

import pytest

from mfdsl.compiler.analysis.symbolic.differentiation import partial
from mfdsl.compiler.analysis.symbolic.evaluation import value_at
from mfdsl.compiler.analysis.symbolic.identities import Division, Finding, divides, is_zero
from mfdsl.compiler.analysis.symbolic.points import shown
from mfdsl.compiler.analysis.symbolic.terms import difference, total
from mfdsl.compiler.ir.types import BOOL
from tests.analysis.symbolic.algebra import Algebra, ints, random_term

THREE = ints(0, 2)


def decided(a: Algebra, root: int, **options: object) -> Finding:
    terms, (kept,) = a.terms(root)
    return is_zero(terms, kept, **options)  # type: ignore[arg-type]


def divided(a: Algebra, divisor: int, root: int) -> Division:
    terms, (g, d) = a.terms(divisor, root)
    return divides(terms, g, d)


def test_decimals_add_up() -> None:
    a = Algebra()
    m = a.mean(a.peer())
    parts = a.add(a.mul(a.n("0.06"), m), a.mul(a.n("0.94"), m), a.op("neg", m))
    assert decided(a, parts).holds is True


def test_thirds_add_up_when_they_are_known_and_stay_open_when_they_are_not() -> None:
    a = Algebra()
    m = a.mean(a.peer())
    assert decided(a, a.minus(a.add(*[a.mul(a.n(F(1, 3)), m)] * 3), m)).holds is True
    b = Algebra()
    third = b.b.add("const", (), 1 / 3)
    m = b.mean(b.peer())
    found = decided(b, b.minus(b.add(*[b.mul(third, m)] * 3), m))
    assert found.holds is None


def test_a_sum_that_misses_is_refuted_at_a_point_that_can_be_checked() -> None:
    a = Algebra()
    m = a.mean(a.peer())
    terms, (root,) = a.terms(a.minus(a.add(a.mul(a.n("0.06"), m), a.n("0.95")), a.n(1)))
    found = is_zero(terms, root)
    assert found.holds is False
    assert found.point is not None and found.value is not None
    lo, hi = value_at(terms, root, found.point)
    assert (float(lo), float(hi)) == found.value
    assert lo > 0 or hi < 0
    assert "law of people" in shown(found.point)


def test_masses_of_all_values_add_up_to_1_but_not_those_of_some() -> None:
    a = Algebra()
    masses = [a.mass(a.n(k), THREE) for k in range(3)]
    assert decided(a, a.minus(a.add(*masses), a.n(1))).holds is True
    assert decided(a, a.minus(a.add(*masses[:2]), a.n(1))).holds is False
    square = a.mul(a.add(*masses), a.add(*masses))
    assert decided(a, a.minus(square, a.add(*masses))).holds is True


def test_a_truth_value_is_its_own_square() -> None:
    a = Algebra()
    ill = a.x("ill", BOOL)
    near = a.op("lt", a.x(), a.n("0.3"))
    for truth in (ill, near):
        assert decided(a, a.minus(a.mul(truth, truth), truth)).holds is True
        both = a.add(truth, a.op("ind", a.op("not", truth)))
        assert decided(a, a.minus(both, a.n(1))).holds is True
    assert decided(a, a.minus(a.mul(a.x(), a.x()), a.x())).holds is False


def test_weights_by_choice_add_up() -> None:
    a = Algebra()
    c = a.op("lt", a.x(), a.n("0.3"))
    m = a.mean(a.peer())
    left = a.op("if", c, a.mul(a.n("0.2"), m), m)
    right = a.op("if", c, a.minus(a.n(1), a.mul(a.n("0.2"), m)), a.minus(a.n(1), m))
    assert decided(a, a.minus(a.add(left, right), a.n(1))).holds is True


@pytest.mark.parametrize("count", [2, 5, 20])
def test_softmax_adds_up(count: int) -> None:
    a = Algebra()
    scores = [a.mul(a.n(k + 1), a.x(f"x{k}")) for k in range(count)]
    top = a.op("max", *scores)
    weights = [a.op("exp", a.minus(s, top)) for s in scores]
    law = [a.op("div", w, a.add(*weights)) for w in weights]
    assert decided(a, a.minus(a.add(*law), a.n(1))).holds is True


def test_500_affine_weights_add_up() -> None:
    a = Algebra()
    m = a.mean(a.peer())
    weights = [a.add(a.mul(a.n(F(k - F("249.5"), 10**6)), m), a.n(F(1, 500))) for k in range(500)]
    assert decided(a, a.minus(a.add(*weights), a.n(1))).holds is True
    off = a.add(*weights, a.n(F(1, 10**9)))
    assert decided(a, a.minus(off, a.n(1))).holds is False


def test_exponentials_need_sympy() -> None:
    a = Algebra()
    x, y = a.x("x"), a.x("y")
    apart = a.mul(a.op("exp", x), a.op("exp", y))
    found = decided(a, a.minus(a.op("exp", a.add(x, y)), apart))
    assert (found.holds, found.method) == (True, "sympy: expand, together, cancel")
    bell = a.minus(a.n(1), a.mul(a.op("tanh", x), a.op("tanh", x)))
    double = a.op("add", a.op("exp", a.mul(a.n(2), x)), a.n(1))
    slope = a.op("div", a.mul(a.n(4), a.op("exp", a.mul(a.n(2), x))), a.mul(double, double))
    assert decided(a, a.minus(bell, slope)).holds is True


def test_what_nobody_can_tell_stays_open_with_its_reason() -> None:
    a = Algebra()
    x = a.x("x")
    squares = a.add(*(a.op("pow", a.op(f, x), a.n(2)) for f in ("sin", "cos")))
    found = decided(a, a.minus(squares, a.n(1)))
    assert found.holds is None
    assert found.reason == "unsupported"
    kink = a.minus(a.op("max", x, a.op("neg", x)), a.op("abs", x))
    assert decided(a, kink).holds is None


def test_conditions_keep_counterexamples_on_the_path() -> None:
    a = Algebra()
    x = a.x("x")
    root = a.op("max", a.minus(x, a.n("0.5")), a.n(0))
    terms, (kept, below) = a.terms(root, a.op("lt", x, a.n("0.5")))
    assert is_zero(terms, kept).holds is False
    assert is_zero(terms, kept, where=(below,)).holds is None


def test_a_term_that_is_defined_nowhere_proves_nothing() -> None:
    a = Algebra()
    x = a.x("x")
    for nothing in (a.minus(a.mul(x, x), a.op("pow", x, a.n(2))), a.n(0)):
        for root in (a.op("div", x, nothing), a.mul(a.n(0), a.op("div", x, nothing))):
            terms, (kept,) = a.terms(root)
            if terms.builder.exact(kept) != 0:
                assert is_zero(terms, kept).holds is None


def test_the_jacobian_of_a_potential_is_symmetric_and_that_of_a_cycle_is_not() -> None:
    a = Algebra()
    m = [a.mass(a.n(k), THREE) for k in range(3)]
    mixed = a.op("exp", a.mul(m[0], m[1], m[2]))
    slopes = [a.mul(mixed, m[(k + 1) % 3], m[(k + 2) % 3]) for k in range(3)]
    cycle = [a.minus(m[(k + 1) % 3], m[(k + 2) % 3]) for k in range(3)]
    for rewards, symmetric in ((slopes, True), (cycle, False)):
        terms, (*roots,) = a.terms(*rewards, *m)
        r, mu = roots[:3], roots[3:]
        jacobian = [[partial(terms, r[i], mu[j]) for j in range(3)] for i in range(3)]
        twist = [
            total(
                terms,
                [
                    difference(terms, jacobian[i][j], jacobian[j][i]),
                    difference(terms, jacobian[2][i], jacobian[i][2]),
                    difference(terms, jacobian[j][2], jacobian[2][j]),
                ],
            )
            for i, j in ((0, 1),)
        ]
        assert is_zero(terms, twist[0]).holds is symmetric


def test_branches_that_meet_leave_a_multiple_of_the_guard() -> None:
    a = Algebra()
    m, x = a.mean(a.peer()), a.x("x")
    guard = a.minus(m, a.n("0.3"))
    assert divided(a, guard, a.minus(m, a.n("0.3"))).divides is True
    bent = a.minus(a.mul(m, x, m), a.mul(a.n("0.3"), x, m))
    assert divided(a, guard, bent).divides is True
    grown = a.mul(a.op("exp", x), guard)
    assert divided(a, guard, grown).divides is True
    split = a.minus(a.op("exp", a.add(x, m)), a.mul(a.op("exp", x), a.op("exp", m)))
    assert divided(a, guard, split).divides is True  # 0 is a multiple of everything
    assert divided(a, guard, a.minus(m, a.n("0.31"))).divides is None
    assert divided(a, guard, a.n(1)).divides is None
    assert divided(a, a.n(0), m).divides is None


def test_a_multiple_that_may_be_unbounded_says_what_it_needs() -> None:
    """x * exp(1 / x) is a multiple of x, and has no limit at 0."""
    a = Algebra()
    x = a.x("x")
    terms, (g, d) = a.terms(x, a.mul(x, a.op("exp", a.op("div", a.n(1), x))))
    found = divides(terms, g, d)
    assert found.divides is None or g in found.nonzero
    terms, (g, d) = a.terms(x, a.mul(x, a.op("log", x)))
    found = divides(terms, g, d)
    assert found.divides is True
    assert found.positive == (g,)


def test_a_quotient_is_cancelled_before_it_is_divided() -> None:
    a = Algebra()
    x, y = a.x("x"), a.x("y")
    same = a.op("div", a.mul(x, y), a.mul(x, a.add(y, a.n(1))))  # y / (y + 1): no multiple of x
    assert divided(a, x, same).divides is None
    assert divided(a, y, same).divides is True


@pytest.mark.parametrize("seed", range(25))
def test_random_identities_are_never_refuted_and_near_misses_never_proved(seed: int) -> None:
    chance = random.Random(seed)
    a = Algebra()
    leaves = [a.x("x"), a.x("y"), a.mean(a.peer())]
    f, g, h = (random_term(a, chance, leaves, 2) for _ in range(3))
    left = a.mul(a.add(f, g), a.add(f, a.op("neg", h)))
    right = a.add(a.mul(f, f), a.op("neg", a.mul(f, h)), a.mul(g, f), a.op("neg", a.mul(g, h)))
    assert decided(a, a.minus(left, right)).holds is True
    off = a.add(left, a.op("neg", right), a.n(F(1, 10**6)))
    assert decided(a, off).holds is False
