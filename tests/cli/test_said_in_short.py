"""What is printed of games and of exact solutions, and the ways on of two refusals."""

import pytest

import mfdsl
from mfdsl.errors import UsageError

BANKS = """model banks
objective nash
horizon 3
environment market { noise w : real ~ normal(0, std = 1) }
population bank {
  state  x : real ~ normal(0, std = 1)
  action u : real
  x' = x + u + market.w
  cost lending = u^2 + (mean(q.x for q in bank) - x)^2
}
"""
MEETING = """model meeting
objective nash
horizon 1
population guest {
  state  x : int in 0..0 = 0
  action plan : int in 0..3
  noise  e : int in 0..1 ~ uniform
  let arrival = plan + e
  x' = x
  cost late = prob(q.arrival < arrival for q in guest)
}
"""


def test_games_and_exact_solutions_are_printed_on_a_line() -> None:
    game = mfdsl.load("trade_crowding", params={"T": 4})
    assert repr(game) == "Game(trade_crowding: trader, T=4)"
    shown = repr(mfdsl.solve(game))
    assert shown.startswith("ExactSolution(solver='riccati', status=converged, exploitability=")
    assert shown.endswith("costs={trader: 0.509487})")


def test_a_mean_that_has_to_be_seen_is_named_as_it_is_listed() -> None:
    with pytest.raises(UsageError) as caught:
        mfdsl.solve(mfdsl.load(text=BANKS))
    message = str(caught.value)
    assert "list a `let` that is `mean(q.x for q in bank)` in `observe`, or `law(bank)`" in message
    for seen in ("let m = mean(q.x for q in bank)\n  observe x, m, t", "observe x, t, law(bank)"):
        text = BANKS.replace("  action", f"  {seen}\n  action")
        assert mfdsl.solve(mfdsl.load(text=text)).exploitability.value <= 1e-12


def test_noise_of_others_is_kept_by_a_state() -> None:
    with pytest.raises(UsageError, match="noise of other agents") as caught:
        mfdsl.solve(mfdsl.load(text=MEETING))
    assert "let a state keep what the noise makes" in (str(caught.value))
    kept = MEETING.replace("x : int in 0..0 = 0", "x : int in 0..4 = 0").replace(
        "  x' = x\n  cost late = prob(q.arrival < arrival",
        "  x' = arrival\n  final cost late = prob(q.x < x",
    )
    assert mfdsl.solve(mfdsl.load(text=kept)).exploitability.value <= 1e-6
