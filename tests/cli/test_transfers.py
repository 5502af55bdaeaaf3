"""Prices of anarchy with transfers: tolls that players meet and welfare leaves out."""

import json
from pathlib import Path
from typing import Any

import pytest

from mfdsl.anarchy import anarchy
from mfdsl.game import load

SPECS = Path(__file__).parents[2] / "specs"
BONUS = """
model bonus
objective nash
horizon 1
population p as mu {
  state  home : int in 0..0 = 0
  action a : bool
  home' = home
  reward together = mu[a = a]
  cost   crowding = 2 * mu[a = a]
}
"""

WEATHER = """
model weather
objective nash
horizon 2
environment sky {
  state  hot : int in 0..0 = 0
  noise  fee : bool ~ bernoulli(0.5)
  hot' = hot
}
population p as mu {
  state  home : int in 0..0 = 0
  action a : bool
  home' = home
  cost crowd = 1 + ind(a) * mu[a = true]
  cost toll  = if a and sky.fee then 1 else 0
}
"""


@pytest.fixture
def toll(tmp_path: Path) -> Path:
    """Pigou's roads with a toll of one half: what the marginal driver costs the others."""
    text = (SPECS / "pigou.mfg").read_text()
    path = tmp_path / "toll.mfg"
    cost = "  cost toll = if road == varying then 0.5 else 0\n\n  agents 1000"
    path.write_text(text.replace("  agents 1000", cost))
    return path


def test_a_toll_of_the_marginal_cost_brings_the_optimum(
    mfdsl: Any, toll: Path, tmp_path: Path
) -> None:
    asked = ("anarchy", toll, "--starts", 1, "--transfer", "toll")
    found = mfdsl(*asked, "--json", "-o", tmp_path / "kept").json
    assert found["price_of_anarchy"] == pytest.approx(1, abs=1e-8)
    assert found["optimum"]["value"] == pytest.approx(-0.75) and found["optimum"]["certified"]
    (only,) = found["equilibria"]
    assert only["value"] == pytest.approx(-0.75) and only["transferred"] == pytest.approx(-0.25)
    assert found["transfers"] == ["toll"]
    kept = json.loads((Path(found["written"]) / "found.json").read_text())
    assert kept["options"]["transfer"] == kept["transfers"] == ["toll"]
    assert "`toll`: players meet them, values leave them out" in mfdsl(*asked).out


def test_without_the_word_a_toll_is_a_cost(mfdsl: Any, toll: Path) -> None:
    found = mfdsl("anarchy", toll, "--starts", 1, "--json").json
    assert found["price_of_anarchy"] == pytest.approx(16 / 15, abs=1e-6)
    assert found["transfers"] == [] and found["equilibria"][0]["transferred"] == 0


def test_what_is_proved_of_the_whole_is_not_said_of_the_rest() -> None:
    """With the cost everybody is best spread out and welfare concave; without it neither."""
    whole = anarchy(load(text=BONUS), starts=1)
    assert whole.certified and whole.optimum == pytest.approx(-0.5)
    rest = anarchy(load(text=BONUS), starts=3, transfers=["crowding"])
    assert not rest.certified and not rest.unique and rest.kind == "lower_bound"
    assert rest.optimum == pytest.approx(1, abs=1e-5)
    assert rest.price == pytest.approx(2, abs=1e-4)


def test_payoffs_that_are_alike_leave_welfare_open() -> None:
    text = (SPECS / "congestion_log.mfg").read_text()
    assert anarchy(load(text=text), starts=1).kind == "exact"
    game = load(text=text.replace("  agents 1000", "  cost fee = 0.1\n\n  agents 1000"))
    found = anarchy(game, starts=1, transfers=["fee"])
    assert found.kind == "lower_bound" and not found.unique
    assert found.price == pytest.approx(1, abs=1e-6)
    assert found.equilibria[0].transferred == pytest.approx(-0.1)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["tol"], "unknown term `tol`"),
        (["toll", "toll"], "given twice"),
        (["toll", "time"], "nothing of pigou is left"),
    ],
)
def test_what_is_no_transfer_is_refused(
    mfdsl: Any, toll: Path, names: list[str], words: str
) -> None:
    flags = [part for name in names for part in ("--transfer", name)]
    outcome = mfdsl("anarchy", toll, *flags)
    assert outcome.code == 2 and words in outcome.err


def test_pasts_that_a_toll_alone_tells_apart_are_refused(mfdsl: Any, tmp_path: Path) -> None:
    spec = tmp_path / "weather.mfg"
    spec.write_text(WEATHER)
    outcome = mfdsl("anarchy", spec, "--starts", 1, "--transfer", "toll")
    assert outcome.code == 2 and "tells states or pasts of weather apart" in outcome.err


def test_a_sweep_has_a_row_for_each_toll(mfdsl: Any, toll: Path, tmp_path: Path) -> None:
    spec = tmp_path / "fee.mfg"
    text = toll.read_text().replace("then 0.5 else 0", "then fee else 0")
    param = "param fee : real in [0, 2] = 0.5\nparam lanes : int in 1..3 = 1\n\nobjective nash"
    spec.write_text(text.replace("objective nash", param))
    asked = ("anarchy", spec, "--starts", 1, "--transfer", "toll", "--sweep", "fee=0:1:3")
    games = mfdsl(*asked, "--sweep", "lanes=1,2", "--json").json["games"]
    assert [game["point"]["lanes"] for game in games] == [1, 2] * 3
    for game in games:
        through = 1 - game["point"]["fee"]  # at the equilibrium both roads cost 1
        cost = through**2 + (1 - through)
        assert game["equilibria"][0]["value"] == pytest.approx(-cost, abs=1e-6)
        assert game["price_of_anarchy"] == pytest.approx(cost / 0.75, abs=1e-6)
    lines = mfdsl(*asked).out.splitlines()
    assert lines[1].split() == "fee equilibrium optimum loss price of anarchy".split()
    assert lines[3].split() == "0.5 -0.75 -0.75 0 at least 1".split()
    refused = mfdsl("anarchy", spec, "--sweep", "fee=0:3:2")
    assert refused.code == 2 and "outside its range [0, 2]" in refused.err
    refused = mfdsl("anarchy", spec, "--sweep", "fee=0:1:2", "--set", "fee=1")
    assert refused.code == 2 and "is set and swept" in refused.err
