"""Markets that clear: the logit demand for one unit, a price for each stage, and wrong requests."""

import json
import math
from pathlib import Path

import pytest
import torch

import mfdsl
from mfdsl.cli import run
from mfdsl.runtime.views.finite import FiniteView

MARKET = """model market
param T : int in 1..50 = 4
param price : real[T] in [-20, 20] = 1
param fee : real in [-20, 20] = 0
param supply : real[T] in [0, 2] = [0.2 + 0.1 * k for k in 0..T - 1]
param worth : real in [0, 10] = 2
objective nash
horizon T
population buyer as mu {
  state  x : int in 0..1 ~ uniform
  action buy : int in 0..1
  x' = x
  reward use = (worth - price[t] - fee) * buy
  reward excess = mean(b.buy for b in buyer) - supply[t]
  final reward rest = 0 * x
}
"""
H = 0.1


@pytest.fixture
def market(tmp_path: Path) -> Path:
    path = tmp_path / "market.mfg"
    path.write_text(MARKET)
    return path


def test_prices_of_stages_are_those_of_the_logit_demand(market: Path) -> None:
    found = mfdsl.clear(market, "price", "excess", temperature=H)
    shares = [0.2, 0.3, 0.4, 0.5]
    assert found.converged and found.each_stage
    assert found.values["price"] == pytest.approx(
        [2 - H * math.log(s / (1 - s)) for s in shares], abs=1e-9
    )
    assert found.left["excess"] < 1e-9 < found.before["excess"]


def test_one_price_clears_the_sum_over_stages(market: Path) -> None:
    """All prices are 1, so the same share buys at each stage: the mean of supply, .35."""
    found = mfdsl.clear(market, ["fee"], ["excess"], temperature=H)
    assert found.converged and not found.each_stage
    assert found.values["fee"] == pytest.approx(1 - H * math.log(0.35 / 0.65), abs=1e-9)


def test_more_than_there_are_buyers_does_not_clear(
    market: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["clear", str(market), "--choose", "price", "--meet", "excess", "--evaluations", "9"]
    assert run([*asked, "--set", "supply=1.5"]) == 1
    assert "stopped" in capsys.readouterr().out


def test_a_market_with_stocks_clears_along_the_flow_of_another_solver() -> None:
    params = {"T": 6, "size": 3, "rate": 1, "sun": 0.3, "dark": 0.1}
    game = mfdsl.load("supply_and_demand", params=params)
    found = mfdsl.clear(game, "price", "excess", temperature=1)
    assert found.converged
    priced = mfdsl.load("supply_and_demand", params=params | {"price": found.values["price"]})
    warm = {"temperature": 1, "damping": 0.5}
    soft = mfdsl.solve(priced, "soft_fixed_point", options=warm, iterations=500, tolerance=0)
    view = FiniteView.build(priced.program)
    chances = soft.policy.probs
    joint = view.flow(view.policy(chances)).joint[0]
    bought = (joint * torch.tensor([-1.0, 0, 1]).to(joint)).sum((-1, -2))
    hours = torch.arange(6).to(joint)
    supply = (0.3 - 0.1) / 2 - (0.3 + 0.1) / 2 * torch.cos(2 * math.pi * hours / 24)
    assert torch.allclose(bought, supply, atol=1e-8)


def test_a_price_at_the_end_of_its_range_is_found_there(market: Path) -> None:
    """Half of the buyers want one at the price 2, which is the end: supply a trust region that
    stays inside falls short of, and one that nobody can take.
    """
    market.write_text(MARKET.replace("fee : real in [-20, 20] = 0", "fee : real in [0, 1] = 0.5"))
    game = mfdsl.load(market, params={"supply": 0.5})
    found = mfdsl.clear(game, "fee", "excess")
    assert found.converged and found.values["fee"] == 1 and found.at_end == ("fee",)
    assert found.left["excess"] < 1e-12 and found.free == 0
    scarce = mfdsl.clear(mfdsl.load(market, params={"supply": 0.4}), "fee", "excess")
    assert not scarce.converged and scarce.values["fee"] == 1 and scarce.at_end == ("fee",)
    assert scarce.left["excess"] == pytest.approx(0.4, abs=1e-12)  # 0.1 at each of 4 stages


TWO = """  reward twice = 2 * mean(b.buy for b in buyer) - 2 * supply[t]
  reward other = mean(b.buy for b in buyer) - supply[t] - 0.1
  final reward"""


@pytest.mark.parametrize(
    ("second", "free", "told"),
    [("twice", 1, "not alone  along 1 direction "), ("other", 1, "terms move together")],
)
def test_two_prices_of_one_market_are_not_alone(
    market: Path, second: str, free: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Buyers pay the sum of both, so that only the sum is known."""
    text = MARKET.replace("param supply", "param tip : real in [-9, 9] = 0\nparam supply")
    text = text.replace("- fee)", "- fee - tip)").replace("  final reward", TWO)
    market.write_text(text)
    asked = ["clear", str(market), "--choose", "fee,tip", "--meet", f"excess,{second}"]
    assert run([*asked, "--json"]) == (second == "other")
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert found["free"] == free and told in shown.err
    if second == "twice":
        known = 1 - H * math.log(0.35 / 0.65)
        assert found["values"]["fee"] + found["values"]["tip"] == pytest.approx(known, abs=1e-9)


def test_a_number_that_moves_no_term_is_said_to(
    market: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    market.write_text(
        MARKET.replace("0 * x", "worth2 * x").replace(
            "param worth", "param worth2 : real in [0, 1] = 0.5\nparam worth"
        )
    )
    assert run(["clear", str(market), "--choose", "worth2", "--meet", "excess"]) == 1
    assert "no price moves them here" in capsys.readouterr().out


WRONG = [
    (["--choose", "price", "--meet", "exces"], "did you mean `excess`?"),
    (["--choose", "price", "--meet", "excess,excess"], "there twice"),
    (["--choose", "price", "--meet", ","], "no term is named"),
    (["--choose", "price,fee", "--meet", "excess"], "5 numbers are to be chosen for 1 term"),
    (["--choose", "price", "--meet", "rest"], "`rest` is paid at the end"),
    (["--choose", "T", "--meet", "excess"], "keeps its value"),
    (["--choose", "fee", "--meet", "excess", "--temperature", "-1"], "it must be a number above 0"),
]


@pytest.mark.parametrize(("asked", "told"), WRONG, ids=lambda value: str(value)[:40])
def test_wrong_requests_are_refused(
    market: Path, asked: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["clear", str(market), *asked]) == 2
    assert told in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_told_before_the_search(
    market: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["clear", str(market), "--choose", "price", "--meet", "excess", "-o"]
    for place, told in (
        (tmp_path / "none" / "p.toml", "cannot write"),
        (tmp_path, "it is a folder"),
    ):
        before = sorted(tmp_path.iterdir())
        assert run([*asked, str(place)]) == 2
        shown = capsys.readouterr()
        assert told in shown.err and not shown.out
        assert sorted(tmp_path.iterdir()) == before
