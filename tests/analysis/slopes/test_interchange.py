"""Which statistics may change places, and that looking at one order only changes no constant."""

from collections.abc import Callable

import numpy as np
import pytest

from mfdsl.compiler.analysis.slopes.domain import spaces_of
from mfdsl.compiler.analysis.slopes.interchange import classes_of, in_order, ordered
from mfdsl.compiler.analysis.slopes.law_slope import LawSlope
from mfdsl.compiler.analysis.slopes.rows import Rows
from mfdsl.compiler.analysis.slopes.search import Budget
from mfdsl.compiler.analysis.slopes.taping import make_tape
from tests.analysis.slopes import zoo
from tests.analysis.slopes.spec import Spec, ints, reals

Build = Callable[[Spec], int]


def routes(count: int, dear: int = 0) -> Build:
    """The share of the first route; the last `dear` ones cost twice as much."""

    def build(s: Spec) -> int:
        costs = [-4 if k >= count - dear else -2 for k in range(count)]
        flows = [
            s.op("exp", s.op("mul", s.r(c), zoo.share(s, k, ints(count))))
            for k, c in enumerate(costs)
        ]
        return s.op("div", flows[0], s.op("add", *flows))

    return build


def levels(s: Spec) -> int:
    """A sum over levels y < k of squares: masses that lie in each other do not change places."""
    below = [s.mean(s.ind(s.op("lt", s.peer("x", ints(4)), s.i(k)))) for k in (1, 2, 3)]
    return s.op("exp", s.op("add", *(s.op("mul", m, m) for m in below)))


def even(s: Spec) -> int:
    """The logarithm of a product of all masses: any two change places."""
    parts = [s.op("add", s.r("0.25"), zoo.share(s, k, ints(4))) for k in range(4)]
    return s.op("log", s.op("mul", *parts))


def problem_of(build: Build) -> LawSlope:
    s = Spec()
    node = build(s)
    return LawSlope(make_tape(s.facts(), [node]), "mu")


@pytest.mark.parametrize(
    "build, sizes",
    [
        (routes(5), [4]),
        (routes(6, 3), [3, 2]),
        (levels, []),
        (even, [4]),
        (zoo.quotient, []),
        (zoo.scissors, []),
    ],
)
def test_classes(build: Build, sizes: list[int]) -> None:
    problem = problem_of(build)
    found = classes_of(problem.tape, "mu", spaces_of(problem.tape)["mu"])
    assert sorted(map(len, found)) == sorted(sizes)


@pytest.mark.parametrize("build", [routes(3), routes(4, 2), even, levels])
def test_constants_are_the_same(build: Build) -> None:
    few = problem_of(build).found(Budget(seconds=20.0, gap=1e-2))
    all_ = problem_of(build).found(Budget(seconds=20.0, gap=1e-2, keep=True))
    assert few.closed and all_.closed and all_.also == ()
    assert few.lower <= all_.upper and all_.lower <= few.upper
    assert few.boxes <= all_.boxes


def test_boxes_in_another_order_are_left_out() -> None:
    lo, hi = (
        np.array([[0.5, 0.0], [0.0, 0.2], [0.3, 0.0]]),
        np.array([[1.0, 0.4], [0.6, 0.4], [0.9, 0.5]]),
    )
    rows = Rows(np.zeros((3, 0), int), lo, hi)
    assert ordered([[0, 1]], rows).tolist() == [False, True, True]
    cut = in_order([[0, 1]], rows.take(np.array([1, 2])))
    assert cut.lo.tolist() == [[0.0, 0.2], [0.3, 0.3]]
    assert cut.hi.tolist() == [[0.4, 0.4], [0.5, 0.5]]


def test_eight_routes_close_to_one_in_a_hundred() -> None:
    """Plain intervals are at 2.7 times the constant after 300,000 boxes."""
    found = problem_of(routes(8)).found(Budget(seconds=60.0, gap=1e-2, boxes=40_000))
    steepest = 1 / (2 + 6 * np.exp(-2 / 6))
    assert found.closed and steepest <= found.upper <= steepest * 1.011


def test_statistics_inside_of_other_means_do_not_change_places() -> None:
    """Both masses stand in the body of a mean over another population, one of them much steeper."""
    s = Spec()
    first, second = (s.mass("x", ints(3), value, depth=1) for value in (0, 1))
    steep = s.op("mul", s.r(10), s.op("max", s.r(0), s.sub(first, s.r("0.6"))))
    own = s.peer("y", reals(0, 1))
    body = s.op("tanh", s.op("add", s.op("mul", own, steep), s.op("mul", s.r("0.1"), second)))
    root = s.mean(body, population="nu")
    tape = make_tape(s.facts(), [root])
    assert classes_of(tape, "mu", spaces_of(tape)["mu"]) == []
