"""The boxes that a search keeps are a proof: they cover the domain, and each has its bound."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from mfdsl.compiler.analysis.slopes.domain import feasible_in, root_rows
from mfdsl.compiler.analysis.slopes.law_slope import LawSlope
from mfdsl.compiler.analysis.slopes.rows import Rows
from mfdsl.compiler.analysis.slopes.search import Budget
from mfdsl.compiler.analysis.slopes.taping import make_tape
from mfdsl.compiler.analysis.slopes.value import LargestValue
from tests.analysis.slopes import zoo
from tests.analysis.slopes.spec import Spec

PATIENT = Budget(seconds=5.0, keep=True)
NAMES = (".9 m (1 - .4 u)", "min(1, .2 / m)", "-(x - E y)^2 / 2", "m1 / (m1 + m2 + .05)")


def volume(rows: Rows) -> Fraction:
    """Exact total volume of boxes."""
    total = Fraction(0)
    for lo, hi in zip(rows.lo, rows.hi, strict=True):
        one = Fraction(1)
        for a, b in zip(lo, hi, strict=True):
            one *= Fraction(float(b)) - Fraction(float(a))
        total += one
    return total


def law_slope(build: Callable[[Spec], int]) -> LawSlope:
    s = Spec()
    node = build(s)
    return LawSlope(make_tape(s.facts(), [node]), "mu")


def problem_of(name: str) -> LawSlope:
    return law_slope(zoo.LAW[name][0])


@pytest.mark.parametrize("name", NAMES)
def test_leaves_cover_the_domain(name: str) -> None:
    problem = problem_of(name)
    found = problem.found(PATIENT)
    leaves, root = found.leaves, root_rows(problem.tape)
    assert leaves is not None and found.closed
    assert len(leaves.upper) == len(leaves.empty) == len(leaves.rows) > 1
    assert volume(leaves.rows) == volume(root)
    inside = np.random.default_rng(0).random((200, root.lo.shape[1]))
    points = root.lo + inside * (root.hi - root.lo)
    for point in points:
        assert ((leaves.rows.lo <= point) & (point <= leaves.rows.hi)).all(1).any()


@pytest.mark.parametrize("name", NAMES)
def test_leaves_have_their_bounds(name: str) -> None:
    problem = problem_of(name)
    found = problem.found(PATIENT)
    leaves = found.leaves
    assert leaves is not None and leaves.upper.max() == found.upper
    again = problem.bound(leaves.rows)
    assert (again[~leaves.empty] <= found.upper * (1 + 1e-12)).all()
    possible = feasible_in(problem.tape, problem.templates, leaves.rows)
    assert not possible[leaves.empty].any()


def test_a_search_that_ends_early_keeps_what_is_left() -> None:
    problem = problem_of("min(1, .2 / m)")
    found = problem.found(Budget(boxes=20, seconds=5.0, keep=True))
    assert not found.closed and found.leaves is not None
    assert found.leaves.upper.max() == found.upper
    assert volume(found.leaves.rows) == volume(root_rows(problem.tape))


def test_boxes_without_a_law_are_marked() -> None:
    found = law_slope(zoo.routed).found(PATIENT)
    assert found.leaves is not None and found.leaves.empty.any()
    assert (found.leaves.upper[found.leaves.empty] == -np.inf).all()


def test_leaves_of_a_largest_value_bound_the_value() -> None:
    s = Spec()
    node = zoo.mixture(s)
    problem = LargestValue(make_tape(s.facts(), [node]))
    found = problem.found(PATIENT)
    assert found.leaves is not None
    assert found.upper >= found.lower >= 0.99  # at m = 0
    assert found.leaves.upper.max() <= found.upper


def test_nothing_is_kept_unless_asked() -> None:
    assert problem_of("min(1, .2 / m)").found(Budget(seconds=5.0)).leaves is None
