"""Random expressions in four layers, and laws that constants obey.

MFDSL_SLOPES says how many expressions there are of the slowest layers (faster ones have more): 125
by default, twice that of layers that see all planted mistakes (tests/analysis/mutations.py) within
250, and 2,900 in all. Seeds are fixed.
"""

import os

import numpy as np
import pytest

from mfdsl.compiler.analysis.slopes.search import Budget
from tests.analysis.slopes import layers
from tests.analysis.slopes.random_expressions import Shape

COUNT = int(os.environ.get("MFDSL_SLOPES", "125"))
LAYERS = {
    "enclosed": (layers.enclosed, 8),
    "thin": (layers.thin, 8),
    "bent": (layers.bent, 2),
    "law": (layers.slopes_in_law, 2),
    "own place": (layers.slopes_at_own_place, 1),
    "own kind": (layers.slopes_at_own_kind, 1),
    "places": (layers.slopes_in_places, 1),
}
PARTS = 2


def shape_of(seed: int, place: bool = False) -> Shape:
    """The shape of the expressions of a seed."""
    wild = 0.15 if seed % 2 else 0.0
    return Shape(kinds=2 + seed % 3, second=seed % 5 == 0, place=place, wild=wild)


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", LAYERS)
def test_bounds_hold(name: str, part: int) -> None:
    layer, times = LAYERS[name]
    for seed in range(part, COUNT * times, PARTS):
        layer(layers.drawn(seed, shape_of(seed, place=name == "places")))


PATIENT = Budget(boxes=2000, seconds=0.5)
SLACK = 1 + 3e-3  # both constants are bracketed to a thousandth


def constant(case: layers.Case, node: int) -> tuple[float, float] | None:
    found = case.generator.spec.in_law(node, budget=PATIENT)
    if found.verdict != "proved" or found.lower is None or found.upper is None:
        return None
    return found.lower, found.upper


@pytest.mark.parametrize("seed", range(16))
def test_constants_obey_their_laws(seed: int) -> None:
    """L(c f) = |c| L(f), L(f + g) <= L(f) + L(g), L(f + b) = L(f), L(f) on average <= the most."""
    case = layers.drawn(seed, Shape(kinds=3, wild=0.0), size=4)
    spec, f = case.generator.spec, case.expression.node
    g = case.generator.real(3).node
    one, other = constant(case, f), constant(case, g)
    if one is None or other is None:
        pytest.skip("not proved")
    scaled = constant(case, spec.op("mul", spec.r(-2.5), f))
    assert scaled is not None
    assert scaled[0] <= 2.5 * one[1] * (1 + 1e-9) and 2.5 * one[0] <= scaled[1] * (1 + 1e-9)
    both = constant(case, spec.op("add", f, g))
    assert both is not None and both[0] <= (one[1] + other[1]) * (1 + 1e-9)
    shifted = constant(
        case, spec.op("add", f, spec.op("sin", case.generator.leaf_own_place().node))
    )
    assert shifted is not None
    assert shifted[0] <= one[1] * (1 + 1e-9) and one[0] <= shifted[1] * (1 + 1e-9)


def test_kinds_in_another_order_have_the_same_constant() -> None:
    """Expressions of a seed read the masses of their kinds; only the kinds are renamed."""
    for seed in range(12):
        first = layers.drawn(seed, Shape(kinds=3, wild=0.0), size=4)
        second = layers.drawn(seed, Shape(kinds=3, wild=0.0), size=4)
        turn = np.array([2, 0, 1])
        renamed = second.generator.spec.renamed_kinds(second.expression.node, turn)
        one = first.generator.spec.in_law(first.expression.node, budget=PATIENT)
        other = second.generator.spec.in_law(renamed, budget=PATIENT)
        if one.verdict == other.verdict == "proved":
            assert one.lower is not None and other.upper is not None
            assert one.upper is not None and other.lower is not None
            assert one.lower <= other.upper * (1 + 1e-9)
            assert other.lower <= one.upper * (1 + 1e-9)


def test_smaller_boxes_have_no_larger_bounds() -> None:
    """Enclosures of slopes on a part of a box lie in those on the whole."""
    for seed in range(150):
        case = layers.drawn(seed, shape_of(seed))
        layers.nested(case)
