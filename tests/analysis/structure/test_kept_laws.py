"""Existence on a stationary horizon: a policy that keeps one law, or several."""

import pytest
import torch

from mfdsl.compiler.analysis.structure.existence import existence
from mfdsl.compiler.driver import compile_text
from mfdsl.compiler.ir.model import Model
from mfdsl.game import Game
from mfdsl.runtime.views.stationary import StationaryView
from tests.analysis.structure.games import copies_of

TOLL = """model toll
objective nash
horizon stationary
discount 0.9
population person as mu {
  state  x : bool ~ bernoulli(0)
  action go : bool
  x' ~ STEP
  reward room = -4 * mu[x = x]
  cost   toll = ind(go)
}
"""
TURN = "if go then not x else x"


def toll(step: str) -> Model:
    text = TOLL.replace("~ STEP", f"~ {step}" if step.startswith("mix") else f"= {step}")
    return compile_text(text).require_model()


def test_a_game_without_a_stationary_equilibrium() -> None:
    """Nobody wants to stay where all are, nor to pay where people are even. Who stays on both sides
    for good keeps the law of t = 0.
    """
    text = TOLL.replace("~ STEP", f"= {TURN}")
    view = StationaryView.build(Game(compile_text(text)).program)
    shares = torch.linspace(0, 1, 21, dtype=torch.float64)
    leave = torch.cartesian_prod(shares, shares)  # from each side
    probs = torch.stack([1 - leave, leave], -1)[:, None]
    assert float(view.exploitability(view.policy(probs)).min()) > 0.2
    found = existence(toll(TURN), copies_of(toll(TURN)), 5.0)
    assert found.verdict == "unknown" and "may keep several" in (found.detail or "")


@pytest.mark.parametrize(
    ("step", "verdict"),
    [
        (f"mix {{ 0.1 -> false, else -> {TURN} }}", "proved"),  # nobody avoids `false`
        (f"mix {{ 0.1 * mu[x = true] -> false, else -> {TURN} }}", "unknown"),
        (f"mix {{ 0.3 + 0.1 * mu[x = true] -> false, 0.3 -> true, else -> {TURN} }}", "proved"),
        (f"mix {{ 0.3 + 0.9 * mu[x = true]^2 * 0.4 -> false, else -> {TURN} }}", "unknown"),
        ("not x", "proved"),
        ("go", "unknown"),
        ("x", "unknown"),
    ],
)
def test_one_law_for_each_policy(step: str, verdict: str) -> None:
    model = toll(step)
    found = existence(model, copies_of(model), 5.0)
    assert found.verdict == verdict, found.detail


def test_what_nobody_reads_may_be_several_laws() -> None:
    text = TOLL.replace("~ STEP", f"= {TURN}").replace("-4 * mu[x = x]", "-4 * ind(x)")
    model = compile_text(text).require_model()
    assert existence(model, copies_of(model), 5.0).verdict == "proved"
