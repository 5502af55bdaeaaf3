"""Polynomials read from the model, and their exact arithmetic against evaluation."""

import random
from fractions import Fraction as F

import pytest

from mfdsl.compiler.analysis.symbolic import polynomials as poly
from mfdsl.compiler.analysis.symbolic.expressions import TooLargeError
from mfdsl.compiler.analysis.symbolic.polynomials import Polynomial, polynomials
from mfdsl.compiler.analysis.symbolic.terms import UnsupportedError
from tests.analysis.symbolic.algebra import UNIT, Algebra


def random_polynomial(chance: random.Random, count: int = 3, size: int = 5) -> Polynomial:
    terms = {
        tuple(chance.randint(0, 2) for _ in range(count)): F(
            chance.randint(1, 9), chance.choice((1, 2, 3))
        )
        for _ in range(size)
    }
    return Polynomial(tuple(range(count)), terms)


@pytest.mark.parametrize("seed", range(20))
def test_arithmetic_is_that_of_the_values(seed: int) -> None:
    chance = random.Random(seed)
    a, b = random_polynomial(chance), random_polynomial(chance)
    at = [F(chance.randint(-5, 5), 4) for _ in range(3)]
    value_a, value_b = poly.evaluate(a, at), poly.evaluate(b, at)
    assert poly.evaluate(poly.add(a, b), at) == value_a + value_b
    assert poly.evaluate(poly.multiply(a, b), at) == value_a * value_b
    assert poly.evaluate(poly.scale(a, F(-2, 7)), at) == value_a * F(-2, 7)
    assert poly.evaluate(poly.power(a, 3), at) == value_a**3
    assert not poly.add(a, poly.scale(a, -1)).terms


@pytest.mark.parametrize("seed", range(20))
def test_the_derivative_of_a_product_follows_the_rule_of_leibniz(seed: int) -> None:
    chance = random.Random(seed)
    a, b = random_polynomial(chance), random_polynomial(chance)
    whole = poly.derivative(poly.multiply(a, b), 1)
    parts = poly.add(
        poly.multiply(poly.derivative(a, 1), b), poly.multiply(a, poly.derivative(b, 1))
    )
    assert whole == parts


@pytest.mark.parametrize("seed", range(20))
def test_division_gives_back_what_it_took_apart(seed: int) -> None:
    chance = random.Random(seed)
    a, b = random_polynomial(chance), random_polynomial(chance, size=2)
    quotient, rest = poly.divided(a, b)
    assert poly.add(poly.multiply(quotient, b), rest) == a
    assert poly.divides(b, poly.multiply(a, b))
    more = poly.add(poly.multiply(a, b), poly.constant((0, 1, 2), 1))
    assert not poly.divides(b, more) or b.degree == 0


def test_division_by_0_is_an_error() -> None:
    with pytest.raises(ZeroDivisionError):
        poly.divided(poly.constant((0,), 1), poly.constant((0,), 0))


def test_the_epidemic_reward_is_read_with_exact_decimals() -> None:
    a = Algebra()
    m, u = a.mean(a.peer()), a.x("u")
    escape = a.op("pow", a.minus(a.n(1), a.mul(a.n("0.8"), m)), a.n(2))
    terms, (root,) = a.terms(a.minus(a.mul(a.n("0.9"), m, u), escape))
    found = polynomials(terms, (root,))
    assert found is not None
    (p,) = found
    by_name = {
        tuple(
            terms.nodes[v].op for v, e in zip(p.variables, exps, strict=True) for _ in range(e)
        ): c
        for exps, c in p.terms.items()
    }
    mixed = F("0.9")
    assert by_name.pop(("mean", "state"), None) or by_name.pop(("state", "mean")) == mixed
    assert by_name == {(): -1, ("mean",): F("1.6"), ("mean", "mean"): F("-0.64")}


def test_what_is_not_polynomial_is_refused_or_opaque() -> None:
    a = Algebra()
    x = a.x()
    root = a.add(a.mul(a.n(2), a.op("exp", x)), a.op("max", x, a.n("0.5")))
    terms, (kept,) = a.terms(root)
    assert polynomials(terms, (kept,)) is None
    found = polynomials(terms, (kept,), opaque=True)
    assert found is not None
    assert found[0].degree == 1
    assert {terms.nodes[v].op for v in found[0].variables} == {"exp", "max"}


def test_quotients_are_cleared_of_their_denominators() -> None:
    a = Algebra()
    x, y = a.x("x"), a.x("y")
    inner = a.op("div", a.n(1), a.add(x, a.op("div", a.n(1), y)))  # y / (x y + 1)
    terms, (root,) = a.terms(a.minus(inner, a.op("div", y, a.add(a.mul(x, y), a.n(1)))))
    found = polynomials(terms, (root,), opaque=True)
    assert found is not None
    assert found[0].terms
    assert not poly.without_inverses(terms, found[0]).terms


def test_a_denominator_that_is_0_everywhere_proves_nothing() -> None:
    a = Algebra()
    x, y = a.x("x"), a.x("y")
    for nothing in (a.minus(a.mul(x, y), a.mul(y, x)), a.n(0)):
        terms, (root,) = a.terms(a.op("div", x, nothing))
        found = polynomials(terms, (root,), opaque=True)
        assert found is not None
        with pytest.raises(UnsupportedError, match="0 everywhere"):
            poly.without_inverses(terms, found[0])


def test_repeated_squares_are_refused_by_their_degree() -> None:
    a = Algebra()
    e = a.x()
    for _ in range(40):
        e = a.add(a.mul(e, e), a.n(1))
    terms, (root,) = a.terms(e)
    with pytest.raises(TooLargeError, match="degree"):
        polynomials(terms, (root,))


def test_many_terms_are_refused() -> None:
    a = Algebra()
    total = a.add(*(a.x(f"x{k}", UNIT) for k in range(12)))
    terms, (root,) = a.terms(a.op("pow", total, a.n(12)))
    with pytest.raises(TooLargeError, match="terms"):
        polynomials(terms, (root,))
