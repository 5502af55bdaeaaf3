"""Traits from files in tables: fresh rows of the file, all traits of a member from the same row."""

from pathlib import Path

import pytest
import torch

from mfdsl.game import Game, load

PEOPLE = "beta,kind\n0.5,1\n0.25,0\n0.5,1\n1.0,1\n"
SPEC = """model tiny

objective nash
horizon 3

population person {
  trait beta : real from "people.csv"
  trait kind : int from "people.csv"

  state x : bool ~ bernoulli(0.5)
  action a : bool

  let load = mean(q.beta * q.kind * ind(q.x) for q in person)
  x' ~ bernoulli(if a then beta * (1 - kind) else beta * kind)
  reward one = load * (1 - beta) * ind(x) - 0.1 * ind(a)
  observe x
}
"""


@pytest.fixture
def game(tmp_path: Path) -> Game:
    (tmp_path / "people.csv").write_text(PEOPLE, encoding="utf-8")
    (tmp_path / "tiny.mfg").write_text(SPEC, encoding="utf-8")
    return load(tmp_path / "tiny.mfg")


def test_kernel_and_rewards_are_averages_over_the_rows(game: Game) -> None:
    program = game.program
    module, params, now = program.module, program.params(), torch.tensor(0)
    assert next(iter(module.NOISES.values())) == 3  # equal rows are one
    law = torch.full((1, 2, 2), 0.25, dtype=torch.float64)
    chance = module.kernel(params, now, law)[0, :, :, 1]
    assert torch.allclose(chance, torch.tensor([[0.5, 0.0625]] * 2, dtype=torch.float64))
    rewards = module.rewards(params, now, law).reshape(2, 2)
    worth = 0.25 * (1 - 0.5625)  # the load at this law, times the mean of 1 - beta
    expected = torch.tensor([[0, -0.1], [worth, worth - 0.1]], dtype=torch.float64)
    assert torch.allclose(rewards, expected, rtol=0, atol=1e-15)
