"""Constants that are known by hand are bracketed to a thousandth; what has none is refuted."""

import pytest

from mfdsl.compiler.analysis.slopes.search import Budget
from tests.analysis.slopes import zoo
from tests.analysis.slopes.spec import Spec, reals

PATIENT = Budget(seconds=5.0)  # a slow machine finds the same as a fast one


@pytest.mark.parametrize("name", zoo.LAW)
def test_constants_in_a_law(name: str) -> None:
    build, constant = zoo.LAW[name]
    found = zoo.in_law(build, PATIENT)
    assert found.verdict == "proved"
    assert found.upper is not None and found.lower is not None
    assert constant * (1 - 1e-12) <= found.upper <= constant * 1.001
    assert constant * 0.999 <= found.lower <= constant * (1 + 1e-12)


@pytest.mark.parametrize("name", zoo.KERNELS)
def test_constants_of_kernels(name: str) -> None:
    build, constant = zoo.KERNELS[name]
    found = zoo.kernel(lambda s: zoo.drawn(s, build(s)), PATIENT)
    assert found.verdict == "proved"
    assert found.upper is not None and found.lower is not None
    assert constant * (1 - 1e-12) <= found.upper <= constant * 1.001
    assert constant * 0.999 <= found.lower <= constant * (1 + 1e-12)


@pytest.mark.parametrize("name", zoo.JUMPS)
def test_jumps_are_refuted(name: str) -> None:
    found = zoo.in_law(zoo.JUMPS[name], PATIENT)
    assert found.verdict == "refuted"
    assert found.upper is None
    assert found.detail is not None and "jumps by" in found.detail
    assert found.lower is not None and found.lower > 1e9


@pytest.mark.parametrize("name", zoo.POLES)
def test_poles_are_refuted_with_a_repair(name: str) -> None:
    found = zoo.in_law(zoo.POLES[name], PATIENT)
    assert found.verdict == "refuted"
    assert found.upper is None
    assert found.fix is not None and "eps" in found.fix
    assert found.lower is not None and found.lower > 6.0


def test_the_slope_in_ones_own_place() -> None:
    s = Spec()
    found = s.in_variables(zoo.attraction(s), [s.own("z", reals(0, 1))], PATIENT)
    assert found.verdict == "proved"
    assert found.upper is not None and 1.0 <= found.upper <= 1.001
    assert found.lower is not None and 0.999 <= found.lower <= 1.0


def test_three_routes() -> None:
    """The constant was bracketed by sampling 60,000 laws; no hand has derived it."""
    found = zoo.in_law(zoo.routed, PATIENT)
    assert found.upper is not None and found.lower is not None
    assert found.verdict == "proved" and found.upper <= found.lower * 1.002


def test_a_mixture_of_terms() -> None:
    found = zoo.in_law(zoo.mixture, PATIENT)
    assert found.verdict == "proved" and found.upper is not None
    assert 4.802585 <= found.upper <= 4.8074
