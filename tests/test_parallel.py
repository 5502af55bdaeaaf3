"""Games as PettingZoo's: its own test passes, and they are the games of the simulator."""

import pickle
from typing import Any

import numpy as np
import pytest
import torch

import mfdsl

pytest.importorskip("pettingzoo", reason="needs the extra `rl`")

from mfdsl.parallel import ParallelGame

MASKED = """model lift
objective nash
horizon 3
population rider as mu {
  state  floor : int in 0..2 ~ uniform
  action a : int in -1..1 where 0 <= floor + a and floor + a <= 2
  floor' = floor + a
  reward high = floor - mu[floor]
  final reward top = 10 * floor
}
"""


@pytest.mark.parametrize("name", ["sis", "foraging", "lq_control"])
def test_the_test_of_pettingzoo_passes(name: str) -> None:
    """Foraging has majors and actions in a ball, lq_control unbounded ones."""
    from pettingzoo.test import parallel_api_test

    parallel_api_test(ParallelGame(name, agents=3, steps=4 if name == "foraging" else None), 12)


def test_returns_are_those_of_the_simulator() -> None:
    """A policy by agents, played through both doors with the same seed."""
    game = mfdsl.load("sis", params={"T": 6})

    def careful(t: int, seen: Any) -> dict[str, Any]:
        return {"person": {"a": seen["person"]["h"].long()}}

    played = mfdsl.simulate(game, careful, agents=4, seed=3, steps=7)
    env = ParallelGame(game, agents=4, seed=3)
    views, _ = env.reset()
    total = dict.fromkeys(env.possible_agents, 0.0)
    while env.agents:
        actions = {agent: int(view[0]) for agent, view in views.items()}
        views, rewards, ended, cut, _ = env.step(actions)
        total = {agent: total[agent] + rewards[agent] for agent in total}
    assert all(ended.values()) and not any(cut.values())
    assert np.mean(list(total.values())) == pytest.approx(played.returns["person"].mean)


def test_masks_and_final_rewards_are_the_specs() -> None:
    env = ParallelGame(mfdsl.load(text=MASKED), agents=5)
    views, infos = env.reset(seed=8)
    for _ in range(3):
        for agent, view in views.items():
            floor = view[env.observed["rider"].index("floor")]
            assert infos[agent]["action_mask"].tolist() == [floor > 0, True, floor < 2]
        before = views
        views, rewards, *_, infos = env.step({agent: 1 for agent in env.agents})
    floors = {agent: int(view[0]) for agent, view in before.items()}
    for agent, floor in floors.items():
        crowd = list(floors.values()).count(floor) / 5
        assert rewards[agent] == pytest.approx(11 * floor - crowd)


def test_a_forbidden_action_and_a_missing_one_are_refused() -> None:
    env = ParallelGame(mfdsl.load(text=MASKED), agents=2)
    with pytest.raises(ValueError, match="call `reset`"):
        env.step({})
    views, _ = env.reset(seed=0)
    with pytest.raises(ValueError, match="no action of rider_1"):
        env.step({"rider_0": 1})
    down = {agent: 2 if view[0] == 2 else 0 for agent, view in views.items()}
    with pytest.raises(ValueError, match="`where` forbids"):
        env.step(down)


def test_actions_are_numbers_or_tensors_and_else_named() -> None:
    env = ParallelGame("sis", agents=2)
    env.reset()
    with pytest.raises(ValueError, match="the action of person_1 is 2, outside of 0"):
        env.step({"person_0": torch.tensor(1.0, requires_grad=True), "person_1": 2})
    for odd, message in ((None, "is None, which"), ([1], r"has shape \[1\], expected \[\]")):
        with pytest.raises(ValueError, match=message):
            env.step({"person_0": 0, "person_1": odd})
    with pytest.raises(ValueError, match="a dictionary by agent, not list"):
        env.step([0, 0])  # type: ignore[arg-type]
    actions = {"person_0": torch.tensor(1.0, requires_grad=True), "person_1": 0}
    env = pickle.loads(pickle.dumps(env))
    assert env.step(actions)[1].keys() == actions.keys()
    for seed in (-1, 1.5, "a"):
        with pytest.raises(mfdsl.UsageError, match="a seed is a whole number"):
            env.reset(seed=seed)  # type: ignore[arg-type]
        with pytest.raises(mfdsl.UsageError, match="a seed is a whole number"):
            ParallelGame("sis", seed=seed)  # type: ignore[arg-type]


def test_every_reset_is_another_game_and_a_seed_brings_one_back() -> None:
    env = ParallelGame("lq_control", agents=3, seed=1)
    first, second, again = env.reset()[0], env.reset()[0], env.reset(seed=1)[0]
    assert first["agent_0"][0] != second["agent_0"][0]
    assert all((first[agent] == again[agent]).all() for agent in first)


def test_only_what_lies_outside_of_a_ball_is_moved() -> None:
    def after(push: tuple[float, float]) -> Any:
        env = ParallelGame("foraging", agents=2, steps=2, seed=4)
        env.reset()
        still = np.zeros(2, dtype=np.float32)
        return env.step(dict.fromkeys(env.agents, still) | {"drone_0": np.array(push)})[0][
            "drone_0"
        ]

    half = 0.5**0.5
    assert after((0.9, 0.9)) == pytest.approx(after((half, half)), abs=1e-6)
    assert after((0.3, 0.0)) != pytest.approx(after((1.0, 0.0)), abs=1e-3)
