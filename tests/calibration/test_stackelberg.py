"""Leaders: closed forms of a toll, rules with a number for each stage, and wrong requests."""

import json
import math
from pathlib import Path

import pytest
import torch

import mfdsl
from mfdsl.cli import run
from mfdsl.errors import UsageError
from mfdsl.game import Game, load
from mfdsl.runtime.calibration.equilibrium import logit_equilibrium
from mfdsl.runtime.calibration.leader import Counted, worth
from mfdsl.runtime.calibration.response import SoftResponse
from mfdsl.transfers import game_without

TOLL = """model toll_road
enum Road { fixed, varying }
param toll : real in [0, 2] = 0.1
param extra : real = 0
param temperature : real in [0, 1] = 0
objective nash
horizon 1
population driver as mu {
  state  home : int in 0..0 = 0
  action road : Road
  home' = home
  cost time = if road == varying then mu[road = varying] else 1
  cost fee = if road == varying then toll + extra + temperature else 0
}
"""


@pytest.fixture
def road(tmp_path: Path) -> Path:
    path = tmp_path / "toll.mfg"
    path.write_text(TOLL)
    return path


@pytest.mark.parametrize("temperature", [1.0, 0.01])
def test_the_best_toll_is_what_a_driver_costs_the_others(road: Path, temperature: float) -> None:
    """With half on each road both cost 1, so that the logit choice is even at any temperature."""
    found = mfdsl.stackelberg(road, "toll", weights={"fee": 0}, temperature=temperature)
    assert found.converged
    assert found.values["toll"] == pytest.approx(0.5, abs=1e-5)
    assert found.value == pytest.approx(-0.75, abs=1e-10)
    assert found.terms["fee"].after == pytest.approx(-0.25, abs=1e-5)
    assert found.exploitability == pytest.approx(0, abs=1e-5)


def test_the_dearest_toll_is_that_of_the_closed_form(road: Path) -> None:
    """Who is paid the toll: a share x takes the road at the toll 1 - x - h log(x / (1 - x))."""
    h = 0.1
    found = mfdsl.stackelberg(road, ["toll"], weights={"time": 0, "fee": -1}, temperature=h)
    shares = [k / 100_000 for k in range(1, 100_000)]
    best = max(x * (1 - x - h * math.log(x / (1 - x))) for x in shares)
    assert found.value == pytest.approx(best, abs=1e-9)


def test_a_parameter_may_have_the_name_of_the_temperature(road: Path) -> None:
    found = mfdsl.stackelberg(road, ["temperature"], weights={"fee": 0})
    assert found.temperature == 0.1
    assert found.values["temperature"] == pytest.approx(0.4, abs=1e-5)


def small_epidemic() -> Game:
    return load("epidemic_incentives", params={"T": 5, "levels": 2})


def test_no_rule_nearby_is_better_than_a_rule_in_time() -> None:
    game, chosen = small_epidemic(), ("advice", "isolate")
    found = mfdsl.stackelberg(game, chosen, weights={"distance": 0, "illness": 0})
    assert found.converged and found.value > found.before + 0.5
    own = game_without(game, ["distance", "illness"])
    response = SoftResponse.build(game.program, game.program.params(), chosen, 0.1)
    counted = [Counted(SoftResponse.build(own.program, own.program.params(), chosen, 0.1), 1.0)]

    def value(rule: torch.Tensor) -> float:
        at = logit_equilibrium(response, rule)
        return worth(counted, rule, at.scores).item()

    best = torch.tensor([*found.values["advice"], *found.values["isolate"]], dtype=torch.float64)
    assert value(best) == pytest.approx(found.value, abs=1e-9)
    generator = torch.Generator().manual_seed(3)
    for _ in range(6):
        step = torch.randn(best.shape, generator=generator, dtype=torch.float64)
        assert value((best + 0.02 * step).clamp(0, 1)) < found.value


def test_the_value_is_that_of_the_terms_and_the_file_gives_it_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rule.toml"
    asked = ["epidemic_incentives", "--set", "T=3", "--set", "levels=2", "--choose", "advice"]
    assert run(["stackelberg", *asked, "--weigh", "illness=2", "-o", str(out), "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["terms"]["illness"]["weight"] == 2
    for moment in ("before", "after"):
        total = sum(term["weight"] * term[moment] for term in first["terms"].values())
        assert total == pytest.approx(first["value" if moment == "after" else "before"], abs=1e-9)
    again = ["stackelberg", *asked, "--weigh", "illness=2", "--params", str(out), "--json"]
    assert run(again) == 0
    second = json.loads(capsys.readouterr().out)
    assert second["before"] == pytest.approx(first["value"], abs=1e-9)
    assert len(second["values"]["advice"]) == 3


def test_another_start_may_find_a_better_rule(tmp_path: Path) -> None:
    """Two hills of the leader's own: the spec begins on the lower one."""
    spec = tmp_path / "hills.mfg"
    spec.write_text(
        TOLL.replace("= 0.1", "= 1.801").replace(
            "  cost time", "  reward hill = 0.3 * exp(-50 * (toll - 1.8)^2)\n  cost time"
        )
    )
    weights = {"fee": 0.0, "time": 2.0}
    near = mfdsl.stackelberg(spec, "toll", weights=weights)
    wide = mfdsl.stackelberg(spec, "toll", weights=weights, starts=6)
    assert near.values["toll"] == pytest.approx(1.8, abs=0.05)
    assert wide.values["toll"] == pytest.approx(0.5, abs=0.05)
    assert wide.value > near.value and wide.before == near.before


def test_the_worst_rule_is_not_taken_for_the_best(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At the bottom of a valley of the leader's own the value has no slope; both ends are best."""
    spec = tmp_path / "valley.mfg"
    spec.write_text(
        TOLL.replace("  cost fee", "  reward own = (extra - 1)^2\n  cost fee").replace(
            "extra : real = 0", "extra : real in [0, 2] = 1"
        )
    )
    asked = ["stackelberg", str(spec), "--choose", "extra", "--weigh", "time=0", "--weigh", "fee=0"]
    assert run(asked) == 0
    assert "flat       the value has no slope" in capsys.readouterr().out
    wide = mfdsl.stackelberg(spec, "extra", weights={"time": 0, "fee": 0}, starts=2)
    assert not wide.flat and wide.value == pytest.approx(1) and wide.at_end == ("extra",)


def test_a_number_next_to_the_end_of_its_range_is_at_it() -> None:
    """The best floor inside the logarithm is none: the spec has 1e-25, and its range 1e-30."""
    found = mfdsl.stackelberg("crowd_1d", "eps", params={"H": 2, "n": 5})
    assert found.converged and found.at_end == ("eps",) and found.slope < 1e-12


WRONG = [
    (["--choose", "tol"], "did you mean `toll`?"),
    (["--choose", ","], "no parameter is named"),
    (["--choose", "toll,toll"], "there twice"),
    (["--choose", "toll", "--weigh", "fe=0"], "did you mean `fee`?"),
    (["--choose", "toll", "--weigh", "fee=x"], "has no number"),
    (["--choose", "toll", "--weigh", "fee=nan"], "finite"),
    (["--choose", "toll", "--weigh", "fee=0", "--weigh", "time=0"], "nothing of toll_road counts"),
    (["--choose", "toll", "--temperature", "0"], "it must be a number above 0"),
    (["--choose", "extra", "--starts", "2"], "`extra` has no range"),
]


@pytest.mark.parametrize(("asked", "told"), WRONG, ids=lambda value: str(value)[:40])
def test_wrong_requests_are_refused(
    road: Path, asked: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["stackelberg", str(road), *asked]) == 2
    assert told in capsys.readouterr().err


def test_teams_have_no_leader() -> None:
    with pytest.raises(UsageError, match="team"):
        mfdsl.stackelberg("lq_control", "r")
