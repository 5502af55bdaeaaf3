"""What learners say a policy returns: the objective of the game, with its discount."""

from typing import Any

import pytest

import mfdsl
from mfdsl.runtime.learning.loop import Learned

PAID = """model paid
objective {objective}
horizon 3
discount 0.5
population p as mu {{
  state  x : int in 0..1 ~ uniform
  action a : int in 0..1
  x' = a
  reward one = 1
  final reward last = 4
  agents 3
}}
"""
TINY: dict[str, Any] = {"games": 2, "evaluate_games": 2, "evaluate_every": 1}


@pytest.mark.parametrize(
    ("objective", "solver", "options"),
    [
        ("team", "mf_ppo", TINY),
        ("team", "mf_ppo", TINY | {"discount": 0.9}),
        ("nash", "ppo_nash", TINY),
        ("nash", "mf_q", TINY),
        ("nash", "mf_ac", TINY),
        ("team", "maddpg", TINY),
    ],
)
def test_returns_have_the_discount_of_the_game(
    objective: str, solver: str, options: dict[str, Any]
) -> None:
    """1 + 1/2 + 1/4 at t = 0, 1, 2 and 4/8 at the end, whoever plays and however it trains."""
    game = mfdsl.load(text=PAID.format(objective=objective))
    found = mfdsl.solve(game, solver, iterations=1, options=options)
    assert isinstance(found, Learned)
    assert found.value.mean == pytest.approx(2.25)
    assert found.history[-1].value == pytest.approx(2.25)
