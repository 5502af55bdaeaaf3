"""Derivatives: against sympy's and against quotients of differences, and as people read them."""

import math
import random
from typing import Any

import pytest
import sympy

from mfdsl.compiler.analysis.symbolic.derivatives import derivative
from mfdsl.compiler.analysis.symbolic.differentiation import partial
from mfdsl.compiler.analysis.symbolic.terms import Terms, UnsupportedError
from mfdsl.compiler.ir.walk import reachable
from tests.analysis.symbolic.algebra import Algebra, number_of, random_term


def in_sympy(terms: Terms, root: int, symbols: dict[int, Any]) -> Any:
    exact = terms.builder.exact(root)
    if exact is not None:
        return sympy.Rational(exact.numerator, exact.denominator)
    if root in symbols:
        return symbols[root]
    node = terms.nodes[root]
    parts = [in_sympy(terms, argument, symbols) for argument in node.args]
    rules: dict[str, Any] = {
        "add": lambda *v: sympy.Add(*v),
        "mul": lambda *v: sympy.Mul(*v),
        "neg": lambda v: -v,
        "div": lambda v, w: v / w,
        "pow": lambda v, w: v**w,
    }
    return rules[node.op](*parts) if node.op in rules else getattr(sympy, node.op)(*parts)


@pytest.mark.parametrize("seed", range(40))
def test_slopes_are_those_of_sympy(seed: int) -> None:
    chance = random.Random(seed)
    a = Algebra()
    leaves = [a.x("x"), a.x("y"), a.mean(a.peer())]
    terms, (root, *kept) = a.terms(random_term(a, chance, leaves, 3), *leaves)
    symbols = {leaf: sympy.Symbol(f"v{k}", real=True) for k, leaf in enumerate(kept)}
    at = {leaf: chance.randint(1, 99) / 100 for leaf in kept}
    for leaf in kept:
        ours = number_of(terms, partial(terms, root, leaf), at)
        slope = in_sympy(terms, root, symbols).diff(symbols[leaf])
        theirs = float(slope.subs({symbols[k]: sympy.Float(v, 40) for k, v in at.items()}))
        assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("op", ["min", "max", "abs", "softplus", "atan2", "if"])
def test_slopes_beside_kinks_are_quotients_of_differences(op: str) -> None:
    chance = random.Random(3)
    a = Algebra()
    x, y = a.x("x"), a.x("y")
    inner = a.minus(a.mul(x, x), a.mul(a.n(2), y)), a.add(x, a.mul(y, y))
    args = {"abs": inner[:1], "softplus": inner[:1], "if": (a.op("lt", x, y), *inner)}
    terms, (root, u, v) = a.terms(a.op(op, *args.get(op, inner)), x, y)
    slope = partial(terms, root, u)
    for _ in range(20):
        at = {u: chance.random(), v: chance.random()}
        step = 1e-6
        ends = [number_of(terms, root, {**at, u: at[u] + s}) for s in (-step, step)]
        expected = (ends[1] - ends[0]) / (2 * step)
        assert number_of(terms, slope, at) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_a_composed_map_is_differentiated_on_its_graph() -> None:
    """Six times x -> exp(-x) (1 + x) / (1 + x ** 2): 228,814 operations when written out."""
    a = Algebra()
    x = a.x("x")
    e = x
    for _ in range(6):
        top = a.mul(a.op("exp", a.op("neg", e)), a.add(a.n(1), e))
        e = a.op("div", top, a.add(a.n(1), a.mul(e, e)))
    terms, (root, leaf) = a.terms(e, x)
    slope = partial(terms, root, leaf)
    assert len(reachable(terms.nodes, (slope,))) < 250
    step = 1e-6
    ends = [number_of(terms, root, {leaf: 0.3 + s}) for s in (-step, step)]
    expected = (ends[1] - ends[0]) / (2 * step)
    assert number_of(terms, slope, {leaf: 0.3}) == pytest.approx(expected, rel=1e-6)


def test_the_slope_of_a_mean_by_an_own_state_is_the_mean_of_slopes() -> None:
    a = Algebra()
    x = a.x("x")
    gap = a.minus(x, a.peer())
    terms, (root, leaf) = a.terms(a.mean(a.op("exp", a.op("neg", a.mul(gap, gap)))), x)
    slope = partial(terms, root, leaf)
    assert any(terms.nodes[i].op == "mean" for i in reachable(terms.nodes, (slope,)))


def test_what_has_no_rule_is_refused() -> None:
    a = Algebra()
    x = a.x("x")
    lowest = a.b.add("min_members", (a.mul(x, a.peer()),), (0, "people"))
    terms, (root, leaf) = a.terms(lowest, x)
    with pytest.raises(UnsupportedError, match="min_members"):
        partial(terms, root, leaf)
    assert derivative(terms, root, leaf) is None


def test_people_read_the_slope_of_crowd_aversion() -> None:
    a = Algebra()
    x, m = a.x("x"), a.mean(a.peer())
    crowd = a.op("neg", a.op("log", a.add(m, a.n("0.1"))))
    reward = a.minus(crowd, a.op("div", a.op("abs", a.minus(x, a.n("0.5"))), a.n(10)))
    terms, (root, by_x, by_m) = a.terms(reward, x, m)
    shown = derivative(terms, root, by_m)
    assert shown is not None
    assert shown.text == "-1/(mean(q.x) + 0.1)"
    assert shown.latex == r"- \frac{1}{\mathtt{mean(q.x)} + 0.1}"
    kinked = derivative(terms, root, by_x)
    assert kinked is not None
    assert kinked.text == "-(if (x - 0.5) < 0 then -1 else 1)/10"


def test_long_parts_get_letters_with_their_meaning() -> None:
    a = Algebra()
    leaves = [a.x(f"variable_{k}") for k in range(8)]
    root = a.mul(a.op("max", *leaves), leaves[0])
    terms, (kept, longest) = a.terms(root, a.op("max", *leaves))
    shown = derivative(terms, kept, longest)
    assert shown is not None
    assert shown.text == "variable_0"
    assert shown.latex == r"\mathit{variable}_{0}"
    slope = derivative(terms, kept, terms.nodes[kept].args[0])
    assert slope is not None


def test_a_derivative_of_nothing_is_0() -> None:
    a = Algebra()
    terms, (root, leaf) = a.terms(a.x("x"), a.x("y"))
    shown = derivative(terms, root, leaf)
    assert shown is not None
    assert shown.text == "0"
    assert math.isclose(number_of(terms, partial(terms, root, root), {}), 1.0)
