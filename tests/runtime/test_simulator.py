"""The simulator of agents: sizes, seeds, recordings, and means over pairs and triples of agents."""

import functools
from typing import Any

import pytest
import torch

from mfdsl.game import Game, load
from mfdsl.runtime.behaviours import still, uniform
from mfdsl.runtime.simulator import SimulationError
from tests.agents_oracle import compared

HUNT = """model hunt

objective nash
horizon 4

environment wind {
  state z : real = 0
  noise gust : real ~ normal(0, std = 1)
  z' = z + gust
}

major keeper {
  state  y : real in [0, 1] ~ uniform
  action w : real in [-0.1, 0.1]
  y' = clip(y + w)
  reward seen = mean(max(exp(-abs(q.x - r.x)) for r in fish) for q in fish)
}

population bird {
  state  x : real in [0, 1] ~ uniform
  action v : real in [-0.1, 0.1]
  noise  e : real ~ normal(0, std = 0.1)
EXTRA
  x' = clip(x + v + e)
  reward trio = mean(mean(abs(q.x + r.x - 2 * x) for r in fish) for q in others(bird))
  reward near = min(abs(q.x - x) for q in others(bird))
  reward room = mean(dist(q.x, x)^2 * q.x for q in bird) + 0 * wind.z
  agents 5
}

population fish {
  state  x : real in [0, 1] ~ uniform
  action v : real in [-0.1, 0.1]
  x' = clip(x + v)
  final reward last = mean(exp(-abs(q.x - x)) for q in bird)
}
"""


@functools.cache
def game(extra: str = "") -> Game:
    return load(text=HUNT.replace("EXTRA", extra))


def test_means_over_pairs_and_triples_are_those_of_the_loops() -> None:
    simulator = game().simulator(agents={"bird": 4, "fish": 3}, batch=2, seed=3)
    worst, count = compared(game().model, simulator, steps=2, game=1)
    assert worst <= 1e-12 and count > 20


def test_agents_come_from_the_call_then_the_spec_then_the_default() -> None:
    assert dict(game().simulator().agents) == {"bird": 5, "fish": 1000}
    assert dict(game().simulator(agents=7).agents) == {"bird": 7, "fish": 7}
    assert dict(game().simulator(agents={"fish": 7}).agents) == {"bird": 5, "fish": 7}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"agents": {"brid": 3}}, "has no population `brid`; it has `bird`, `fish`"),
        ({"agents": 0}, "at least one agent, not 0 of bird"),
        ({"batch": 0}, "at least one game"),
        ({"agents": 10**12}, "GiB, the machine has"),
        ({"batch": 10**12}, "GiB, the machine has"),
    ],
)
def test_sizes_that_cannot_be_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(SimulationError, match=words):
        game().simulator(**options)


def test_a_recording_that_does_not_fit_is_refused_before_it_begins() -> None:
    endless = load(text=HUNT.replace("EXTRA", "").replace("horizon 4", "horizon infinite")
                   .replace("objective nash", "objective nash\ndiscount 0.9"))  # fmt: skip
    with pytest.raises(SimulationError, match="fewer agents, games or steps"):
        endless.simulator(agents=1000).rollout(still, steps=10**9, record=True)


def test_steps_beyond_the_horizon_are_refused() -> None:
    with pytest.raises(SimulationError, match="hunt has 4 stages, 5 were asked for"):
        game().simulator(agents=3).rollout(still, steps=5)


def recorded(extra: str = "", **options: Any) -> dict[str, torch.Tensor]:
    simulator = game(extra).simulator(agents=6, **options)
    return dict(simulator.rollout(uniform, record=True).record)


def test_a_recording_has_all_arrays_by_name_with_their_axes() -> None:
    shapes = {name: tuple(v.shape) for name, v in recorded(batch=3).items()}
    assert shapes == {
        "wind.z": (5, 3),
        "keeper.y": (5, 3),
        "keeper.w": (4, 3),
        "keeper.reward": (4, 3),
        "bird.x": (5, 3, 6),
        "bird.v": (4, 3, 6),
        "bird.reward": (4, 3, 6),
        "fish.x": (5, 3, 6),
        "fish.v": (4, 3, 6),
        "fish.reward": (4, 3, 6),
    }


def test_a_seed_fixes_the_games_whatever_the_batch_is() -> None:
    few, many, other = recorded(batch=2), recorded(batch=5), recorded(batch=2, seed=1)
    for name, values in few.items():
        assert torch.equal(values, many[name][:, :2]), name
    assert not torch.equal(few["bird.x"], other["bird.x"])


def test_adding_a_variable_changes_no_other_draw() -> None:
    extra = "  state  b : bool ~ bernoulli(0.5)\n  noise  g : real ~ normal(0, std = 1)\n"
    extra += "  b' = g > 0 and b\n"
    before, after = recorded(), recorded(extra)
    assert set(after) == {*before, "bird.b"}
    for name, values in before.items():
        assert torch.equal(values, after[name]), name


def test_single_precision_is_the_same_game_up_to_rounding() -> None:
    wide, narrow = recorded(), recorded(dtype="float32")
    assert {v.dtype for v in narrow.values()} == {torch.float32}
    for name, values in wide.items():
        assert torch.allclose(values, narrow[name].double(), atol=1e-5), name


def test_games_that_start_afresh_leave_the_others_alone() -> None:
    simulator = game().simulator(agents=4, batch=3)
    old = simulator.reset()
    done = torch.tensor([False, True, False])
    new = simulator.reset_where(old, done, epoch=1)
    assert torch.equal(new.bird.x[[0, 2]], old.bird.x[[0, 2]])
    assert torch.equal(new.bird.x[1], simulator.reset(1).bird.x[1])
    assert not torch.equal(new.bird.x[1], old.bird.x[1])
