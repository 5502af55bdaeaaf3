"""Mistakes that were found once: each gave a bound, or a refutation, that was false."""

from fractions import Fraction

import numpy as np
import pytest

from mfdsl.compiler.analysis.intervals import RULES, Interval
from mfdsl.compiler.ir.types import INT, Type
from tests.analysis.slopes import layers
from tests.analysis.slopes.spec import Spec, ints, reals
from tests.analysis.slopes.test_random import shape_of

UNIT = reals(0, 1)


def test_means_inside_means_meet_other_members() -> None:
    """E h(p) k(q): the slope of h where k is 0, with all others where k is 1."""
    s = Spec()
    q, p = s.peer("x", UNIT, 0), s.peer("x", UNIT, 1)
    h = s.op("min", s.op("mul", s.r(10), p), s.r(1))
    k = s.op("max", s.op("mul", s.r(2), s.sub(q, s.r("0.5"))), s.r(0))
    found = s.in_law(s.mean(s.mean(s.op("mul", h, k), 1), 0))
    assert found.upper is None or found.upper >= 10.0


def test_populations_with_the_same_names_are_apart() -> None:
    """A place of one population in [0, 1], of the other in [0, 10]: the square has slope 20."""
    s = Spec()
    one = s.mean(s.peer("x", UNIT, 0), 0, "nu")
    far = s.peer("x", reals(0, 10), 0)
    found = s.in_law(s.op("add", one, s.mean(s.op("mul", far, far))))
    assert found.upper is not None and 20.0 <= found.upper <= 20.02


def test_truth_values_as_numbers_jump() -> None:
    s = Spec()
    m = s.mass("x", ints(2), 1)
    for node in (
        s.op("real", s.op("lt", m, s.r("0.5"))),
        s.ind(s.op("not", s.op("le", m, s.r("0.25")))),
    ):
        assert s.in_law(node).verdict == "refuted"


def test_a_choice_between_truths_jumps() -> None:
    s = Spec()
    m, i = s.mass("x", ints(2), 1, 1), s.b.add("index", (), 0, ints(3))
    level = s.op("mul", s.op("real", i), s.r("0.25"))
    some = s.op("any_over", s.op("lt", level, m), i, attr=0)
    assert s.in_law(s.ind(some)).upper is None


def test_remainders_of_wide_arguments_jump() -> None:
    s = Spec()
    found = s.in_law(s.op("rem", s.op("mul", s.r(10), s.mass("x", ints(2), 1)), s.r(1)))
    assert found.verdict == "refuted"


def test_whole_numbers_are_not_halved() -> None:
    s = Spec(last_time=10**6)
    odd = s.op("real", s.op("rem", s.b.add("time", (), None, INT), s.i(2)))
    found = s.in_law(s.op("mul", s.mass("x", ints(2), 1), odd))
    assert found.upper is not None and 0.4999 <= found.upper <= 0.5001


def test_points_lie_in_balls() -> None:
    """u0^2 u1^2 has no slope of 2.8 in the unit disc, which the corner of its square has."""
    s = Spec()
    u = s.own("u", Type(kind="real", dims=(2,), lo=-1, hi=1, ball=1.0))
    e = [s.op("element", u, s.i(k)) for k in (0, 1)]
    found = s.in_variables(s.op("mul", e[0], e[0], e[1], e[1]), [u])
    assert found.lower is not None and found.lower <= 1.0


def test_lengths_of_lists_are_exact() -> None:
    s = Spec()
    row = s.op(
        "vector",
        s.op("real", s.peer("x", ints(3))),
        s.r(5),
        type=Type(kind="real", dims=(2,)),
    )
    found = s.in_law(s.mean(s.op("norm", row)))
    assert found.upper == pytest.approx((29**0.5 - 5) / 2, rel=1e-9)


def test_softplus_of_negative_numbers_is_positive() -> None:
    value = RULES["softplus"](Interval(np.array(-1.0), np.array(-0.5)))
    assert value.lo <= 0.31326168752 and value.hi >= 0.4740769841


def test_steep_is_not_a_jump() -> None:
    """A steep slope beside branches that are not shown to meet refutes nothing."""
    s = Spec()
    m = s.mass("x", ints(2), 1)
    steep = s.op("tanh", s.op("mul", s.r(10**9), s.sub(m, s.r(Fraction(1, 3)))))
    sine = s.op("sin", s.op("mul", s.r(2), m))
    twice = s.op("mul", s.r(2), s.op("sin", m), s.op("cos", m))
    both = s.op("if", s.op("lt", m, s.r("0.5")), sine, twice)
    assert s.in_law(s.op("add", steep, both)).verdict != "refuted"


@pytest.mark.parametrize(
    "seed", [5, 20, 56, 73, 91, 118, 193, 197, 369, 777, 1283, 1411, 3027, 10263]
)
def test_seeds_that_found_something(seed: int) -> None:
    case = layers.drawn(seed, shape_of(seed))
    for layer in (layers.slopes_in_law, layers.slopes_at_own_place, layers.slopes_at_own_kind):
        layer(case)
