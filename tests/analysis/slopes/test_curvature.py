"""Gradients and second derivatives enclose what values and gradients do between two points."""

import numpy as np
import pytest

from mfdsl.compiler.analysis.slopes.centred import Centred, interval
from mfdsl.compiler.analysis.slopes.curvature import Curvature
from mfdsl.compiler.analysis.slopes.domain import STILL, spaces_of
from mfdsl.compiler.analysis.slopes.law_slope import LawSlope
from mfdsl.compiler.analysis.slopes.linear_bounds import Reach, highest
from mfdsl.compiler.analysis.slopes.rows import Rows
from mfdsl.compiler.analysis.slopes.search import Budget
from mfdsl.compiler.analysis.slopes.tape import Tape, Unsupported
from mfdsl.compiler.analysis.slopes.taping import make_tape
from mfdsl.compiler.analysis.slopes.totals import contracted, totals_of
from tests.analysis.slopes import layers, zoo
from tests.analysis.slopes.spec import Spec, ints
from tests.analysis.slopes.test_random import shape_of

POINTS = 40


def boxed(tape: Tape, random: np.random.Generator) -> tuple[Rows, np.ndarray]:
    """A box and points in it [points, coordinates]."""
    size = len(tape.coordinates)
    lo = random.uniform(0, 0.8, size)
    hi = lo + random.choice([0.01, 0.2], size)
    place = np.array([[random.integers(n) for n in tape.sizes]]).reshape(1, -1)
    points = lo + random.random((POINTS, size)) * (hi - lo)
    return Rows(place, lo[None], hi[None]), points


def first(part: Centred, rows: int, *rest: int) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of derivatives of a root, without inner axes."""
    ends = interval(part)
    return tuple(  # type: ignore[return-value]
        np.broadcast_to(e, (rows, *(1,) * (e.ndim - 1 - len(rest)), *rest)).reshape(rows, *rest)
        for e in (ends.lo, ends.hi)
    )


@pytest.mark.parametrize("part", range(4))
def test_differences_lie_in_enclosures(part: int) -> None:
    seen = 0
    for seed in range(part, 320, 4):
        case = layers.drawn(seed, shape_of(seed))
        tape = make_tape(case.generator.spec.facts(), [case.expression.node])
        size, root = len(tape.coordinates), tape.roots[0]
        if not size or any(c.whole for c in tape.coordinates) or tape.several:
            continue
        row, points = boxed(tape, np.random.default_rng(seed))
        spaces = spaces_of(tape)
        box = Curvature(tape, row, STILL, None, spaces)
        at = Curvature(
            tape, Rows(np.repeat(row.places, POINTS, 0), points, points), STILL, None, spaces
        )
        try:
            parts = box.gradient(root), box.hessian(root), at.gradient(root)
        except Unsupported:
            continue
        if parts[0] is None or parts[2] is None:
            continue
        steps = points[1:] - points[:-1]
        value = at.value(root)
        values = [np.broadcast_to(e.reshape(len(e)), (POINTS,)) for e in (value.lo, value.hi)]
        with np.errstate(all="ignore"):
            seen += inside(steps, first(parts[0], 1, size), values, seed)
            if parts[1] is not None:
                bends, slopes = first(parts[1], 1, size, size), first(parts[2], POINTS, size)
                for k in range(size):
                    ends = bends[0][:, k], bends[1][:, k]
                    seen += inside(steps, ends, [s[:, k] for s in slopes], seed)
    assert seen > 1000


def inside(steps: np.ndarray, rates: object, values: object, seed: int) -> int:
    """How many differences of values were seen to lie in the sum of rates times steps."""
    lo, hi = rates  # type: ignore[misc]
    low, high = values  # type: ignore[misc]
    least = np.where(steps > 0, lo * steps, hi * steps).sum(-1)
    most = np.where(steps > 0, hi * steps, lo * steps).sum(-1)
    change = low[1:] - high[:-1], high[1:] - low[:-1]
    size = 1e-12 * (1 + np.abs(low[1:]) + np.abs(low[:-1]))
    clear = np.isfinite(least + most + change[0] + change[1])
    assert not (clear & ((change[1] < least - size) | (change[0] > most + size))).any(), seed
    return int(clear.sum())


def test_a_linear_function_over_a_box_and_a_total() -> None:
    """x - y over [-1, 1]^2 where x + y is 0.5 at most, and 0.5 at least."""
    factor = Centred(np.array([[[1.0, -1.0]], [[1.0, 1.0]]]), np.zeros((2, 1, 2)))
    ones = np.ones((2, 2))
    free = Reach(-ones, ones, [])
    fixed = Reach(-ones, ones, [([0, 1], np.full(2, 0.5), np.full(2, 0.5))])
    assert highest(factor, free).ravel() == pytest.approx([2.0, 2.0], rel=1e-9)
    assert highest(factor, fixed).ravel() == pytest.approx([1.5, 0.5], rel=1e-9)


def test_linear_bounds_hold_at_random_points() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        middle, radius = random.normal(size=(1, 3, 4)), 0.3 * random.random((1, 3, 4))
        low, high = -random.random((1, 4)), random.random((1, 4))
        points = low + random.random((500, 4)) * (high - low)
        sums = points[:, :3].sum(1)
        least, most = np.quantile(sums, [0.3, 0.5])
        reach = Reach(low, high, [([0, 1, 2], np.array([least]), np.array([most]))])
        bound = highest(Centred(middle, radius), reach)[0]
        allowed = points[(sums >= least) & (sums <= most)]
        for sign in (-1, 1):
            values = allowed @ (middle[0] + sign * radius[0]).T
            assert (values.max(0) <= bound).all()


def test_boxes_are_cut_to_what_masses_allow() -> None:
    s = Spec()
    parts = [zoo.share(s, k, ints(3)) for k in range(3)]
    node = s.op("mul", *parts)
    tape = make_tape(s.facts(), [node])
    totals = totals_of(tape, spaces_of(tape))
    rows = Rows(np.zeros((1, 0), int), np.array([[0.0, 0.2, 0.3]]), np.array([[1.0, 0.4, 0.9]]))
    cut = contracted(tape, totals, rows)
    assert cut.lo[0] == pytest.approx([0.0, 0.2, 0.3], abs=1e-9)
    assert cut.hi[0] == pytest.approx([0.5, 0.4, 0.8], abs=1e-9)


def test_five_routes_close_to_one_in_a_hundred() -> None:
    """The steepest is where one route is taken by nobody and the mass spread over three others."""
    s = Spec()
    flows = [s.op("exp", s.op("mul", s.r(-2), zoo.share(s, k, ints(5)))) for k in range(5)]
    node = s.op("div", flows[0], s.op("add", *flows))
    problem = LawSlope(make_tape(s.facts(), [node]), "mu")
    found = problem.found(Budget(seconds=20.0, gap=1e-2, boxes=20_000))
    steepest = 1 / (2 + 3 * np.exp(-2 / 3))
    assert found.closed and steepest <= found.upper <= steepest * 1.011
    assert found.lower >= steepest * 0.995


def test_three_routes_take_few_boxes() -> None:
    found = zoo.in_law(zoo.routed, Budget(seconds=5.0))
    assert found.boxes < 1000 and found.verdict == "proved"
    assert found.upper is not None and found.lower is not None
    assert found.upper <= found.lower * 1.001


def test_what_moves_a_slope_is_what_is_split() -> None:
    """The slope of .9 m (1 - .4 u) is straight in u: no box has to be halved for the bound."""
    found = zoo.in_law(zoo.distancing, Budget(seconds=5.0))
    assert found.boxes < 100
