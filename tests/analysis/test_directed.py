"""Sums, products and quotients of intervals: the nearest floats around exact fractions."""

import itertools
import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from mfdsl.compiler.analysis import directed

INF, NAN = math.inf, math.nan
SPECIAL = [0.0, -0.0, 1.0, -3.0, 0.1, -1e-200, 1e-320, 1e200, -1.7e308, 2.0**972, INF, -INF, NAN]
OPERATIONS = {
    "add": (directed.sums, lambda x, y: x + y),
    "mul": (directed.products, lambda x, y: x * y),
    "div": (directed.quotients, lambda x, y: x / y),
}


def ends(chance: np.random.Generator, count: int) -> directed.Ends:
    """Intervals of many sizes, some with few digits, some points, some around 0."""
    size = 10.0 ** chance.integers(-12, 12, (2, count))
    found = chance.normal(size=(2, count)) * size
    found = np.where(chance.random((2, count)) < 0.4, np.round(found, 1), found)
    found[1] = np.where(chance.random(count) < 0.2, found[0], found[1])
    found = np.sort(found, 0)
    return found[0], found[1]


def below(value: Fraction, *, down: bool) -> float:
    """The greatest float that is not above, or the least that is not below."""
    found = float(value)
    if (Fraction(found) > value) if down else (Fraction(found) < value):
        return math.nextafter(found, -INF if down else INF)
    return found


@pytest.mark.parametrize("name", OPERATIONS)
def test_ends_are_the_nearest_floats_around_the_exact_corners(name: str) -> None:
    directed_rule, exact = OPERATIONS[name]
    chance = np.random.default_rng(3)
    a, b = ends(chance, 400), ends(chance, 400)
    if name == "div":
        away = (b[0] > 0) | (b[1] < 0)
        a, b = (a[0][away], a[1][away]), (b[0][away], b[1][away])
    lo, hi = directed_rule(a, b)
    for k in range(len(a[0])):
        corners = [exact(Fraction(x[k]), Fraction(y[k])) for x in a for y in b]
        least, most = below(min(corners), down=True), below(max(corners), down=False)
        if name == "div":  # a quotient that is rounded at all moves by one float
            assert lo[k] in (least, math.nextafter(least, -INF))
            assert hi[k] in (most, math.nextafter(most, INF))
        else:
            assert (lo[k], hi[k]) == (least, most)


def one_by_one(rule: Callable[..., directed.Ends], a: directed.Ends, b: directed.Ends) -> list[str]:
    shown = []
    for k in range(len(a[0])):
        single = [np.asarray(end[k]).reshape(1, 1) for end in (*a, *b)]
        lo, hi = rule((single[0], single[1]), (single[2], single[3]))
        assert lo.shape == hi.shape == (1, 1)
        shown.append(f"{float(lo[0, 0]) + 0.0!r} {float(hi[0, 0]) + 0.0!r}")
    return shown


@pytest.mark.parametrize("name", OPERATIONS)
def test_single_numbers_and_arrays_agree_at_the_ends_of_floats_too(name: str) -> None:
    rule = OPERATIONS[name][0]
    pairs = [p for p in itertools.product(SPECIAL, SPECIAL) if not p[0] > p[1]]
    rows = np.array(list(itertools.product(pairs, pairs)))
    if name == "div":
        b = rows[:, 1]
        rows = rows[np.isfinite(b).all(1) & ((b[:, 0] > 0) | (b[:, 1] < 0))]
    unknown = np.isnan(rows).any((1, 2))
    for part in (rows[unknown], rows[~unknown]):
        a, b = (part[:, 0, 0], part[:, 0, 1]), (part[:, 1, 0], part[:, 1, 1])
        lo, hi = rule(a, b)
        together = [f"{float(x) + 0.0!r} {float(y) + 0.0!r}" for x, y in zip(lo, hi, strict=True)]
        assert together == one_by_one(rule, a, b)


def test_products_by_signs_are_those_of_all_corners() -> None:
    values = [-INF, -1.7e308, -3.3, -1e-170, 0.0, 1e-170, 0.7, 2.0**972, INF]
    pairs = [p for p in itertools.product(values, values) if p[0] <= p[1]]
    rows = np.array(list(itertools.product(pairs, pairs)))
    a, b = (rows[:, 0, 0], rows[:, 0, 1]), (rows[:, 1, 0], rows[:, 1, 1])
    found, corners = directed.products(a, b), directed.of_all_corners(a, b)
    # widened products, whose error is not known, may widen another corner of equal size
    for near, wide, away in zip(found, corners, (-INF, INF), strict=True):
        assert ((near == wide) | (np.nextafter(near, away) == wide)).all()
    assert (found[0] >= corners[0]).all() and (found[1] <= corners[1]).all()


def test_shapes_that_broadcast() -> None:
    chance = np.random.default_rng(5)
    a, b = ends(chance, 6), ends(chance, 4)
    wide = (a[0].reshape(1, 6), a[1].reshape(1, 6))
    tall = (b[0].reshape(4, 1), b[1].reshape(4, 1))
    for rule in (directed.sums, directed.products):
        lo, hi = rule(wide, tall)
        assert lo.shape == hi.shape == (4, 6)
        alone = rule((a[0][2:3], a[1][2:3]), (b[0][1:2], b[1][1:2]))
        assert lo[1, 2] == alone[0][0] and hi[1, 2] == alone[1][0]


@pytest.mark.parametrize("shape", [(), (1, 1), (3, 2), (4, 3)])
def test_a_sum_of_many_is_that_of_two_after_two(shape: tuple[int, ...]) -> None:
    """Bit for bit, with numbers and arrays that broadcast, at the ends of floats too."""
    chance = np.random.default_rng(5)
    pairs = [(a, b) for a, b in itertools.product(SPECIAL, SPECIAL) if not a > b]
    parts = []
    for k in range(60):
        full = shape if k % 3 else (1,) * len(shape)
        low, high = ends(chance, int(np.prod(full)))
        if k % 7 == 0:
            low, high = (np.full(low.size, end) for end in pairs[chance.integers(len(pairs))])
        parts.append((low.reshape(full), high.reshape(full)))
    for count in (1, 2, 3, 20, 60):
        found = directed.total(parts[:count])
        wanted = parts[0]
        for part in parts[1:count]:
            wanted = directed.sums(wanted, part)
        for mine, other in zip(found, wanted, strict=True):
            assert mine.shape == other.shape
            np.testing.assert_array_equal(mine, other)
