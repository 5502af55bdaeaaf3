"""Grids that are too fine for tables: what that would make, what there is room for, what fits."""

import re
from pathlib import Path
from typing import Any

import pytest

from mfdsl.compiler.tabular.grids import Bins
from mfdsl.game import load
from mfdsl.planning import QUARTER, generated, wanted_tables
from mfdsl.runtime.memory import machine_memory

TEXT = """
model turning
objective nash
horizon 3
population p as mu {
  state  heading : real mod [-3, 3] ~ uniform
  state  x : real in [-1, 1] ~ uniform
  action a : int in -1..1
  heading' = heading + 0.3 * a
  x' = clip(x + 0.1 * a)
  reward stay = -x^2 - mean(cos(q.heading) for q in p) * cos(heading)
  agents 50
}
"""


@pytest.fixture
def turning(tmp_path: Path) -> Path:
    path = tmp_path / "turning.mfg"
    path.write_text(TEXT)
    return path


def test_too_many_states_are_counted_and_the_points_that_fit_are_told(
    mfdsl: Any, turning: Path
) -> None:
    """No generator draws angles, so none is proposed."""
    outcome = mfdsl("solve", turning, "--opt", "bins=1000000")
    assert outcome.code == 2 and "gd_mfrl" not in outcome.err
    assert "has 1,000,000,000,000 states on tables" in outcome.err
    assert "this machine has" in outcome.err and "enough for" in outcome.err
    found = re.search(r"`--opt bins=(\d+)` fits", outcome.err)
    assert found is not None
    points, model = int(found[1]), load(turning).model
    fits, more = (wanted_tables(model, Bins(n)) for n in (points, points + 1))
    assert fits is not None and more is not None
    assert fits.bytes < QUARTER * machine_memory() <= more.bytes


def test_one_grid_of_several_is_named(mfdsl: Any, turning: Path) -> None:
    flags = ("--opt", "bins.heading=9000000", "--opt", "bins.x=300000", "--solver", "omd")
    outcome = mfdsl("solve", turning, *flags)
    assert outcome.code == 2 and "fewer points for `heading`" in outcome.err


def test_numbers_of_states_that_nobody_can_read_are_magnitudes(mfdsl: Any) -> None:
    flags = ("--set", "d=100", "--opt", "bins=1000000", "--solver", "omd")
    ends = [
        part for key in ("low.x=-5", "high.x=5", "low.a=-5", "high.a=5") for part in ("--opt", key)
    ]
    outcome = mfdsl("solve", "rotating_target", *flags, *ends)
    assert (
        outcome.code == 2
        and "some 10^" in outcome.err
        and "no grid of two points each" in outcome.err
    )


def test_a_generator_takes_the_place_of_tables_where_it_draws_the_law(turning: Path) -> None:
    line = turning.with_name("line.mfg")
    text = TEXT.replace("real mod [-3, 3]", "real in [-3, 3]")
    line.write_text(text.replace("heading + 0.3 * a", "clip(heading + 0.3 * a)"))
    many = Bins(10**6)
    assert generated(load(turning).model, many) is None
    why = generated(load(line).model, many)
    assert why is not None and "tables of 1,000,000,000,000 states would take" in why
