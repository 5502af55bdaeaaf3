"""Prices of anarchy: closed forms, what is a bound, and refusals."""

from pathlib import Path
from typing import Any

import pytest

from mfdsl.anarchy import anarchy
from mfdsl.game import load
from tests.cli.test_teams import TEAM

SPECS = Path(__file__).parents[2] / "specs"
COORDINATION = """
model coordination
objective nash
horizon 1
population p as mu {
  state  home : int in 0..0 = 0
  action a : bool
  home' = home
  reward same = if a then 2 * mu[a = true] else mu[a = false]
}
"""

LINE = """
model line
objective nash
horizon 3
population p as mu {
  state  x : real in [-1, 1] ~ uniform
  action a : int in -1..1
  x' = clip(x + 0.3 * a)
  reward stay = -(x - 0.2)^2 - mean(q.x for q in p) * x
  agents 50
}
solver { bins = 5 }
"""


def test_pigou_loses_a_third(mfdsl: Any) -> None:
    outcome = mfdsl("anarchy", "pigou", "--starts", 1)
    assert outcome.code == 0 and "price of anarchy    at least 1.333333" in outcome.out
    found = mfdsl("anarchy", "pigou", "--starts", 1, "--json").json
    assert found["price_of_anarchy"] == pytest.approx(4 / 3, abs=1e-8)
    assert found["optimum"] == {"value": -0.75, "gap": 0.0, "certified": True}
    assert found["loss"] == pytest.approx(0.25, abs=1e-8)


def test_marginal_rewards_that_differ_by_a_constant_cost_nothing(mfdsl: Any) -> None:
    found = mfdsl("anarchy", "congestion_log", "--starts", 1, "--json").json
    assert found["unique"] and found["kind"] == "exact"
    assert found["price_of_anarchy"] == pytest.approx(1, abs=1e-6)


def test_what_is_proved_to_be_the_only_one_is_looked_for_once() -> None:
    seen: list[tuple[str, int, int]] = []
    alone = anarchy(load(SPECS / "congestion_log.mfg"), on_search=lambda *told: seen.append(told))
    assert alone.unique and [name for name, _, _ in seen] == ["omd", "social_gradient"]
    assert seen[-1][1] < seen[-1][2] == 3 * 4 + 1 + 2 + 3
    seen.clear()
    several = anarchy(load(SPECS / "pigou.mfg"), on_search=lambda *told: seen.append(told))
    assert not several.unique and several.certified
    assert [name for name, _, _ in seen].count("frank_wolfe") == 3
    assert [done for _, done, _ in seen] == sorted({done for _, done, _ in seen})


# Vickrey 1969: when to leave for a bridge with a queue: Lindley's recursion is a maximum.
BRIDGE = """model bridge
objective nash
horizon 1
population commuter as mu {
  state x : int in 0..0 = 0
  action d : int in 0..11
  x' = x
  let behind = max(if j <= d then prob(q.d >= j and q.d <= d for q in commuter) - 0.2 * (d - j)
    else 0 for j in 0..11)
  let wait = max(0, behind - mu[d = d] / 2)
  let late = d * 0.2 + wait - 1.2
  cost delay = 2 * wait + max(4 * late, -late)
}
"""


def test_where_all_else_cycles_the_last_resorts_find_an_equilibrium() -> None:
    seen: list[str] = []
    game = load(text=BRIDGE)
    found = anarchy(game, starts=1, iterations=60, on_search=lambda name, *_: seen.append(name))
    assert seen[-3:] == ["successive_averages", "mf_omo", "social_gradient"]
    (equilibrium,) = found.equilibria
    assert equilibrium.solver == "mf_omo" and equilibrium.exploitability <= 1e-6
    assert equilibrium.value == pytest.approx(-0.9, abs=1e-6) and found.kind == "lower_bound"


@pytest.mark.parametrize(("iterations", "kind"), [(2, "estimate"), (1000, "exact")])
def test_what_is_no_equilibrium_bounds_nothing(mfdsl: Any, iterations: int, kind: str) -> None:
    """A ratio with what is no equilibrium says nothing of the price."""
    asked = ("anarchy", "congestion_log", "--starts", 1, "--iterations", iterations)
    assert mfdsl(*asked, "--json").json["kind"] == kind
    assert ("price of anarchy    about" in mfdsl(*asked).out) == (kind == "estimate")


def test_several_equilibria_have_a_price_of_stability(mfdsl: Any, tmp_path: Path) -> None:
    (tmp_path / "c.mfg").write_text(COORDINATION)
    found = mfdsl("anarchy", tmp_path / "c.mfg", "--starts", 6, "--json").json
    values = [entry["value"] for entry in found["equilibria"]]
    assert values == sorted(values) and values[-1] == pytest.approx(2, abs=1e-5)
    assert values[0] == pytest.approx(1, abs=1e-5)
    assert found["optimum"]["value"] == pytest.approx(2, abs=1e-6)
    assert found["price_of_anarchy"] == pytest.approx(2, abs=1e-4)
    assert found["price_of_stability"] == pytest.approx(1, abs=1e-4)
    assert found["kind"] == "lower_bound" and not found["optimum"]["certified"]


def test_values_of_both_signs_have_no_ratio(mfdsl: Any, tmp_path: Path) -> None:
    text = COORDINATION.replace("2 * mu[a = true]", "0.49 - mu[a = true]").replace(
        "else mu[a = false]", "else 0.99 - 2 * mu[a = false]"
    )
    (tmp_path / "c.mfg").write_text(text)
    outcome = mfdsl("anarchy", tmp_path / "c.mfg", "--starts", 1)
    found = mfdsl("anarchy", tmp_path / "c.mfg", "--starts", 1, "--json").json
    # alike at one half, where all earn -0.01; seven twelfths are best
    assert found["equilibria"][0]["value"] == pytest.approx(-0.01, abs=1e-6)
    assert found["loss"] == pytest.approx(1 / 48, abs=1e-6)
    assert found["price_of_anarchy"] is None and "no ratio" in outcome.out


def test_keeping_up_is_read_off_riccati_equations(mfdsl: Any) -> None:
    values = dict(A=1, B=1, Ab=0, Q=0.3, Qb=1, S=1.2, R=1, QT=0, QTb=1, ST=1.2, sigma=0.2, T=10)
    given = [f"--set={name}={value}" for name, value in (values | {"m0": 1, "v0": 0.2}).items()]
    found = mfdsl("anarchy", "lq_game", *given, "--json").json
    assert found["price_of_anarchy"] == pytest.approx(1.11447989392, rel=1e-10)
    assert found["optimum"]["value"] == pytest.approx(-0.954468363696, rel=1e-10)
    assert found["equilibria"][0]["value"] == pytest.approx(-1.06373580072, rel=1e-10)


def test_teams_and_stationary_horizons_are_refused(mfdsl: Any, tmp_path: Path) -> None:
    (tmp_path / "team.mfg").write_text(TEAM)
    outcome = mfdsl("anarchy", tmp_path / "team.mfg")
    assert outcome.code != 0 and "are a team" in outcome.err
    outcome = mfdsl("anarchy", "stationary_sis")
    assert outcome.code != 0 and "stationary horizon" in outcome.err


def test_the_grid_of_the_solver_block_is_read(mfdsl: Any, tmp_path: Path) -> None:
    spec = tmp_path / "line.mfg"
    spec.write_text(LINE)
    outcome = mfdsl("anarchy", spec, "--starts", 1, "--iterations", 20, "--json")
    assert outcome.code == 0 and outcome.json["equilibria"]
    spec.write_text(LINE.replace("solver { bins = 5 }", ""))
    outcome = mfdsl("anarchy", spec, "--starts", 1, "--iterations", 20)
    assert outcome.code == 2 and "is continuous" in outcome.err


FAINT = """model faint
objective nash
horizon 1
population p {
  state  x : int in 0..0 = 0
  action a : bool
  x' = x
  cost own = 1 + 1e-7 * ind(a)
  cost all = prob(q.a for q in p)
}
"""


def test_what_is_an_equilibrium_to_the_tolerance_only_is_said(mfdsl: Any, tmp_path: Path) -> None:
    """The only equilibrium costs 1, as the optimum does; half of all on the other side gain 5e-8 by
    leaving, and cost 1.5.
    """
    (tmp_path / "f.mfg").write_text(FAINT)
    asked = ("anarchy", tmp_path / "f.mfg", "--starts", 1)
    assert ", of equilibria to 1e-06" in mfdsl(*asked).out
    assert mfdsl(*asked, "--json").json["tolerance"] == 1e-6
    fine = mfdsl(*asked, "--tol", "1e-12")
    assert "price of anarchy    at least 1\n" in fine.out


def test_tables_of_another_game_bound_nothing(mfdsl: Any, tmp_path: Path) -> None:
    (tmp_path / "g.mfg").write_text(LINE)
    found = mfdsl("anarchy", tmp_path / "g.mfg", "--starts", 1, "--json").json
    assert found["kind"] == "estimate"
