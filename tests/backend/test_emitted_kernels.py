"""Rewrites that save operations on agents mean what the loops of the interpreter give."""

from pathlib import Path
from typing import Any

import pytest
import torch

from mfdsl.game import Game, load
from mfdsl.runtime.behaviours import uniform
from tests.agents_oracle import compared

SPEC = """model kernels

param r     : real in [0.1, 2] = 0.7
param tilt  : real in [-1, 2] = -0.5
param T     : int in 1..9 = 3

objective nash
horizon T

environment field {
  state spot : real[5, 2] in [-1, 1] ~ uniform
  state left : real[5] in [0, 1] ~ uniform
  spot' = spot
  left' = left
}

population bird {
  state  x : real[2] in [-1, 1] ~ uniform
  state  y : real in [-1, 1] ~ uniform
  state  k : int in 0..3 ~ uniform
  action u : real in [-1, 1]
  x' = x
  y' = y + 0 * u
  k' = k

  reward value = FORM
  agents 6
}
"""
NEAR = "max(0, (r - dist(x, field.spot[j])) / r)"
FORMS = {
    "nearest_spot": "sum(min(dist(q.x, field.spot[j]) for q in bird) for j in 0..4)",
    "nearest_other": "min(dist(q.x, x) for q in others(bird))",
    "farthest_other": "max(dist(q.x, x) for q in others(bird))",
    "kernel": "mean(exp(-abs(y - q.y)) for q in others(bird))",
    "kernels": "mean((q.x - x)[0] / max(dist(q.x, x), 1e-9) for q in others(bird))"
    " + mean(ind(dist(q.x, x) < r) for q in others(bird))",
    "masses": "mean(q.y * ind(abs(q.k - k) <= 1) for q in bird)"
    " + mean(q.y * q.x[0] * max(q.k - k, 0) for q in others(bird))"
    " + mean(q.y * ind(q.k * k < 3) for q in others(bird))",
    "least": "min(y * q.y - q.k * k for q in others(bird))",
    "whole": "min(q.k * k for q in others(bird)) + max(q.k - k for q in others(bird))",
    "within_reach": f"sum({NEAR} * field.left[j] / max(r, 0.3) for j in 0..4)",
    "divided_twice": f"sum({NEAR} / (1 + r) for j in 0..4)",
    "mean_within_reach": "sum(field.left[j] * mean(max(0, (r - dist(q.x, field.spot[j])) / r)"
    " for q in bird) for j in 0..4)",
    "tilted": "mean(max(0, (r - abs(q.y)) / tilt) + min(abs(q.y) / tilt, 0) for q in bird) * y",
    "below": "mean(min(0, (abs(q.y) - r) / (2 * r)) for q in bird) * y",
}


@pytest.fixture(params=FORMS, scope="module")
def game(request: Any, tmp_path_factory: Any) -> Game:
    folder = tmp_path_factory.mktemp("kernels")
    return made(folder, FORMS[request.param])


def made(folder: Path, form: str) -> Game:
    path = folder / "kernels.mfg"
    path.write_text(SPEC.replace("FORM", form))
    return load(path)


@pytest.mark.parametrize("agents", [1, 2, 80])
def test_rewards_are_those_of_the_loops(game: Game, agents: int) -> None:
    simulator = game.simulator(agents=agents, batch=2, seed=3)
    assert game.agents.model is not None
    for row in range(2):
        gap, count = compared(game.agents.model, simulator, steps=1, game=row)
        assert gap <= 1e-12 and count > 0


def test_pairs_in_blocks_leave_oneself_out(game: Game) -> None:
    simulator = game.simulator(agents=20, batch=2, seed=1)
    state = simulator.reset()
    action = uniform(simulator.scene(0, state))
    _, whole = simulator.step(0, state, action)
    module = game.agents.module
    if not hasattr(module, "_blocks"):
        return
    helper = module._blocks
    try:
        module._blocks = lambda width, own, members: list(
            zip(*(v.split(7, 1) for v in members), strict=True)
        )
        _, parts = simulator.step(0, state, action)
    finally:
        module._blocks = helper
    torch.testing.assert_close(whole.bird, parts.bird, rtol=1e-12, atol=1e-12)


def test_gradients_are_central_differences(game: Game) -> None:
    simulator = game.simulator(agents=5, batch=1, seed=2)
    state = simulator.reset()
    action = uniform(simulator.scene(0, state))
    chosen = state.bird.x.contiguous()

    def total(x: torch.Tensor) -> torch.Tensor:
        moved = state._replace(bird=state.bird._replace(x=x, y=x[..., 0] * 0.9 - x[..., 1] ** 2))
        return simulator.step(0, moved, action)[1].bird.square().sum()

    x = chosen.clone().requires_grad_()
    reward = total(x)
    slope = torch.zeros_like(x)
    if reward.requires_grad:
        (slope,) = torch.autograd.grad(reward, x)
    step = 1e-6
    for place in range(10):
        change = torch.zeros_like(chosen)
        change.view(-1)[place] = step
        difference = (total(chosen + change) - total(chosen - change)) / (2 * step)
        assert abs(slope.view(-1)[place] - difference) <= 1e-6 * (1 + abs(difference))


def test_one_root_of_the_nearest(tmp_path: Path) -> None:
    text = made(tmp_path, FORMS["nearest_spot"]).agents.text
    assert "_square(" in text and "_length(" not in text


def test_divisors_of_either_sign_stay_inside(tmp_path: Path) -> None:
    inside, outside = (made(tmp_path, FORMS[f]).agents.text for f in ("tilted", "below"))
    assert "/ p.tilt[..., None]).clamp_(min=0.0)" in inside
    assert "/ p.r" not in outside.split("clamp_(max=0.0)")[0].split("def _play")[1]


def test_numbers_of_members_are_summed_by_what_meets_the_reader(tmp_path: Path) -> None:
    """Tallies of as many entries as members have values, instead of sums over pairs."""
    text = made(tmp_path, FORMS["masses"]).agents.text
    assert "_over_pairs" not in text and text.count("_tally(") > 2
