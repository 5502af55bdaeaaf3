"""Distances of players that are bounds from above only are not said to be attained, nor 0."""

from pathlib import Path

import pytest

from mfdsl.compiler.analysis.asymmetry.asymmetry import asymmetry
from mfdsl.compiler.driver import compile_file, compile_text

BALL = """model ball
objective nash
horizon 3
population a as mu {
  state x : real[2] in ball(1) ~ uniform
  trait z : real in [0, 1] ~ uniform
  action u : bool
  x' = x
  reward r = z * (x[0] + x[1])
  observe x
}
"""
WEIGHTS = """model weighted
objective nash
horizon 3
population a as mu {{
  weights w from "w.csv"
  state x : bool ~ bernoulli(0.5)
  state y : real in [0, 1] ~ uniform
  action u : bool {legal}
  let s = if l then 1 else -1
  noise l : bool ~ bernoulli(0.5)
  noise k : bool ~ bernoulli(0.5 + 0.02 * s * mean(w[q] * ind(q.u) for q in others(a)))
  x' = k
  y' = y
  reward r = mean(w[q] * ind(q.u) for q in others(a))
  observe x
}}
"""
TABLE = "0,1,2\n3,0,1\n1,5,0\n"


def test_corners_of_a_box_around_a_ball_are_no_states() -> None:
    """|z - 1/2| (x + y) is at most 0.5 sqrt(2) in the ball, and 1 at a corner of its box."""
    model = compile_text(BALL).require_model()
    found = asymmetry(model, "a", "reward")
    assert found.upper is not None and found.upper >= 0.7071 and found.lower == 0.0
    assert asymmetry(model, "a", "reward", most=0.8).verdict == "unknown"


def test_weights_of_illegal_actions_refute_nothing(tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_text(TABLE)
    for legal, verdict in (("", "refuted"), ("where not u", "unknown")):
        spec = tmp_path / "weights.mfg"
        spec.write_text(WEIGHTS.format(legal=legal))
        model = compile_file(spec).require_model()
        found = asymmetry(model, "a", "reward", most=0.1)
        assert found.verdict == verdict and (found.witness is not None) == (verdict == "refuted")


def test_chances_that_even_out_refute_nothing(tmp_path: Path) -> None:
    """Weights move the chance up where l holds and down where not: the law of x stays."""
    (tmp_path / "w.csv").write_text(TABLE)
    spec = tmp_path / "weights.mfg"
    spec.write_text(WEIGHTS.format(legal=""))
    found = asymmetry(compile_file(spec).require_model(), "a", "dynamics", most=0.01)
    assert found.verdict == "unknown" and found.lower == 0.0


@pytest.mark.parametrize("value", ["min(q.z * q.x[0] for q in a)", "mean(q.z * q.x[0] for q in a)"])
def test_a_hidden_trait_of_another_tells_players_apart(value: str) -> None:
    text = BALL.replace("z * (x[0] + x[1])", value)
    found = asymmetry(compile_text(text).require_model(), "a", "reward", 0.1, most=0.0)
    assert (found.verdict, found.reason) == ("unknown", "unsupported")
