"""Stationary games where a law may be kept with more or less mass in parts of the states."""

import pytest
import torch

import mfdsl
from mfdsl.runtime.program import Program
from mfdsl.runtime.solution import Solution
from mfdsl.runtime.solvers.loop import solve
from mfdsl.runtime.solvers.occupation_classes import classes_of
from mfdsl.runtime.views.stationary import StationaryView

STATIONARY = "objective nash\nhorizon stationary\ndiscount 0.9\n"
TEXTS = {
    # Two rooms without a door, with 3 and 7 tenths of everybody.
    "rooms": """
model rooms
param c : real in [0, 10] = 1
population walker as mu {
  state  side : bool ~ bernoulli(0.3)
  state  x : int in 0..2 ~ uniform
  action a : int in -1..1
  noise  e : int in -1..1 ~ uniform
  side' = side
  x' = clip(x + a + e)
  reward = -0.2 * abs(a) - c * mu[side, x] + 0.3 * x
}
""",
    # Everybody falls into one of two pits, and is there for ever.
    "pits": """
model pits
param c : real in [0, 10] = 1
population walker as mu {
  state  x : int in 0..4 = 2
  action a : int in -1..1
  x' = if x == 0 or x == 4 then x else clip(x + a)
  reward = -0.2 * abs(a) - c * mu[x] + 0.3 * x
}
""",
    # Two populations, one of which is held up by the other.
    "two_kinds": """
model two_kinds
param c : real in [0, 10] = 1
population buyer as m {
  state  x : int in 0..2 ~ uniform
  action a : int in -1..1
  noise  late : bool ~ bernoulli(0.2 + 0.6 * n[x])
  x' = if late then x else clip(x + a)
  reward = -0.1 * abs(a) - c * m[x] + x * n[x]
}
population seller as n {
  state  x : int in 0..2 ~ uniform
  action a : int in -1..1
  x' = clip(x + a)
  reward = m[x] - n[x]
}
""",
}


def program(name: str) -> Program:
    return mfdsl.load(text=TEXTS[name] + STATIONARY).program


def run(game: Program, c: object, route: str, iterations: int, tolerance: float = 0) -> Solution:
    limits = {"iterations": iterations, "tolerance": tolerance, "patience": None}
    return solve(game, game.params({"c": c}), "mf_omo", {"route": route}, **limits)


@pytest.mark.parametrize("name", TEXTS)
def test_the_path_leads_to_an_equilibrium_with_the_mass_of_each_part(name: str) -> None:
    found = run(program(name), 1.0, "path", 60, 1e-8)
    assert found.exploitability.value < 1e-8


@pytest.mark.parametrize(
    ("name", "route"), [("rooms", "path"), ("rooms", "gradient"), ("pits", "path")]
)
def test_games_of_a_batch_end_where_each_does_alone(name: str, route: str) -> None:
    game, costs = program(name), [1.0, 2.0, 0.5]
    batch = run(game, costs, route, 2)
    for place, c in enumerate(costs):
        alone = run(game, c, route, 2)
        torch.testing.assert_close(
            batch.policy.probs[place], alone.policy.probs[0], rtol=0, atol=1e-12
        )
        gap = alone.exploitability.value
        assert batch.exploitability.per_game[place] == pytest.approx(gap, rel=1e-9)


def test_classes_are_those_of_the_game() -> None:
    rooms = classes_of(StationaryView.build(program("rooms")))
    assert [row.int().tolist() for row in rooms.same] == [[1, 1, 1, 0, 0, 0]] * 3 + [
        [0, 0, 0, 1, 1, 1]
    ] * 3
    assert rooms.law.view(2, 3).sum(1).tolist() == pytest.approx([0.7, 0.3])
    pits = classes_of(StationaryView.build(program("pits")))
    assert pits.same.nonzero().tolist() == [[0, 0], [4, 4]]
    refill = pits.refill(torch.tensor([0.2, 0.0, 0.0, 0.0, 0.6], dtype=torch.float64))
    assert refill.diagonal().tolist() == [1, 0, 0, 0, 1]
    assert refill.sum().item() == 2
