"""Nodes, links and moves have their names in tables and policies, there and back."""

from pathlib import Path
from typing import Any

import pytest

import mfdsl as package

ROADS = """
model roads
graph city {
  link A -> B { t = 1 }
  link B -> A { t = 2 }
  link B -> C { t = 1 }
  link C -> A { t = 1 }
}
param haste : real in [0, 2] = 0.5
objective nash
horizon 3
population car as mu {
  state  e : city.link = city[A, B]
  state  n : city.node = city.A
  action a : city.link where tail(a) == head(e)
  e' = a
  n' = head(a)
  cost time = haste * a.t + mu[e = e]
}
"""


@pytest.fixture
def roads(tmp_path: Path) -> Path:
    path = tmp_path / "roads.mfg"
    path.write_text(ROADS)
    return path


def test_a_policy_is_asked_by_names(roads: Path) -> None:
    policy = package.solve(roads, "omd", iterations=2).policy
    row = policy.at(0, e="city[A, B]", n="A")[0]
    assert row.tolist() == policy.at(0, e=0, n=0)[0].tolist()
    assert [a.value(k) for a in policy.actions for k in (1, 2)] == ["city[B, A]", "city[B, C]"]
    assert row[1] > 0 and row[2] > 0 and row[0] == row[3] == 0
    with pytest.raises(ValueError, match=r"n has no value D; it has A, B, C"):
        policy.at(0, e=0, n="D")


def test_long_lists_of_names_are_cut() -> None:
    axis = package.load("sioux_falls").program.state_axes()[0]
    with pytest.raises(ValueError, match=r"it has .{20,300}, \.\.\. \(\d+\)$"):
        axis.position("nowhere")


def test_tables_have_names_that_calibrate_reads(mfdsl: Any, roads: Path, tmp_path: Path) -> None:
    run = mfdsl("solve", roads, "--solver", "omd", "--iterations", 2, "--json").json["run"]
    seen = tmp_path / "seen.csv"
    assert mfdsl("table", run, "-o", seen).code == 0
    lines = seen.read_text().splitlines()
    assert lines[0] == "t,e,n,share"
    assert lines[1] == '0,"city[A, B]",A,1.0'
    fitted = mfdsl("calibrate", roads, seen, "--fit", "haste", "--evaluations", 3, "--json")
    assert fitted.code in (0, 1), fitted.err
    assert "haste" in fitted.out
    seen.write_text(seen.read_text().replace("city[A, B]", "city[A, C]"))
    refused = mfdsl("calibrate", roads, seen, "--fit", "haste")
    assert refused.code == 2 and "e has no value city[A, C]" in refused.err


def test_a_run_with_numbers_for_names_is_played(mfdsl: Any, roads: Path, tmp_path: Path) -> None:
    """As runs had them before links had names in tables."""
    from dataclasses import replace

    policy = package.solve(roads, "omd", iterations=2).policy
    bare = replace(policy, states=tuple(replace(a, labels=()) for a in policy.states))
    assert package.simulate(roads, bare, agents=5, record=True).steps == 3
