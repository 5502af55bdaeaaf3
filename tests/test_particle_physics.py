"""Navigation and push against independent double loops, over 25 steps in all variants."""

from typing import Any

import numpy as np
import pytest
import torch

from mfdsl.game import load
from mfdsl.runtime.behaviours import uniform
from tests.references.particles import World, bump, chosen, forces, moved, navigation_cost

STEPS = 25
VARIANTS: list[dict[str, Any]] = [
    {},
    {"move_first": True},
    {"hard": True, "damping": 0.25},
    {"own_hit": True, "c_cover": 6.0},
    {"c_cover": 0.5, "c_hit": 0.5 / 6, "move_first": True},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_navigation(variant: dict[str, Any]) -> None:
    game = load("specs/navigation.mfg", params={"n": 6, "half": 0.6, "spacing": 0.2, **variant})
    rollout = game.simulator(batch=2, seed=3).rollout(uniform, record=True)
    world = World(near=0.3, **variant)
    places, speeds = (rollout.record[f"agent.{k}"].numpy() for k in "xv")
    actions, landmarks = rollout.record["agent.a"].numpy(), rollout.record["world.landmark"].numpy()
    for b in range(2):
        x, v, cost = places[0, b], speeds[0, b], 0.0
        touched = False
        for t in range(STEPS):
            x, v = moved(world, x, v, forces(world, x, actions[t, b]))
            assert np.abs(x - places[t + 1, b]).max() < 1e-12 * (1 + np.abs(x).max())
            assert np.abs(v - speeds[t + 1, b]).max() < 1e-11 * (1 + np.abs(v).max())
            x, v = places[t + 1, b], speeds[t + 1, b]
            cost += navigation_cost(world, x, landmarks[t, b])
            gaps = np.linalg.norm(x[:, None] - x[None], axis=-1) + np.eye(len(x))
            touched |= bool(gaps.min() < world.near)
        assert touched  # contacts are part of what is compared
        assert rollout.returns["agent"].values[b].item() == pytest.approx(-cost, rel=1e-12)


@pytest.mark.parametrize("ghosts", [0.0, 0.3])
@pytest.mark.parametrize("pic", [True, False])
def test_push(pic: bool, ghosts: float) -> None:
    sizes = {"n": 5, "half": 0.5, "r_agent": 0.1, "r_ball": 0.2, "m_ball": 2.0, "pic_contact": pic}
    game = load("specs/push.mfg", params={**sizes, "ghosts": ghosts})
    rollout = game.simulator(batch=1, seed=5).rollout(uniform, record=True)
    world, near = World(near=0.2), 0.2 if pic else 0.3
    record = {name: values[:, 0].numpy() for name, values in rollout.record.items()}
    solid = record["agent.solid"][0]
    assert solid.all() == (ghosts == 0) and solid.sum() >= 2
    total, pushed = 0.0, 0.0
    for t in range(STEPS):
        x, v = record["agent.x"][t], record["agent.v"][t]
        ball, speed = record["world.ball"][t], record["world.speed"][t]
        force = forces(world, x, record["agent.a"][t], solid)
        force[solid] += np.array([bump(world, place, ball, near) for place in x[solid]])
        push = sum((bump(world, ball, place, near) for place in x[solid]), np.zeros(2))
        pushed = max(pushed, float(np.abs(push).max()))
        x, v = moved(world, x, v, force)
        speed = (1 - world.damping) * speed + world.dt * push / 2.0
        ball = ball + world.dt * speed
        for name, value in (("agent.x", x), ("agent.v", v), ("world.ball", ball)):
            found = record[name][t + 1]
            assert np.abs(found - value).max() < 1e-11 * (1 + np.abs(value).max())
        gaps = np.linalg.norm(record["agent.x"][t + 1] - record["world.ball"][t + 1], axis=-1)
        away = np.linalg.norm(record["world.ball"][t + 1] - record["world.target"][t])
        total += -2 * away - 0.1 * gaps.min() + 0.1 * (gaps < 0.3).sum()
    assert pushed > 1e-3
    assert rollout.team is not None
    assert rollout.team.values[0].item() == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize(("tries", "gap"), [(1, 1.0), (2, 1.0), (64, 0.8)])
def test_push_places_the_target(tries: int, gap: float) -> None:
    sizes = {"n": 2, "half": 1.0, "tries": tries, "gap": gap}
    world = load("specs/push.mfg", params=sizes).simulator(batch=300, seed=2).reset().world
    ball, spots, target = world.ball.numpy(), world.spot.numpy(), world.target.numpy()
    assert np.abs(ball).max() <= 0.8 and np.abs(spots).max() <= 0.8
    for b in range(300):
        assert (target[b] == chosen(spots[b], ball[b], gap)).all()
    far = np.linalg.norm(target - ball, axis=-1) > gap
    assert far.all() if tries == 64 else far.any() and not far.all()


def test_pairs_in_blocks_are_pairs_at_once() -> None:
    game = load("specs/navigation.mfg", params={"n": 40, "half": 1.0, "spacing": 0.1})
    simulator = game.simulator(batch=1, seed=1)
    state = simulator.reset()
    action = uniform(simulator.scene(0, state))
    whole, _ = simulator.step(0, state, action)
    helper = game.agents.module._blocks
    try:
        game.agents.module._blocks = lambda width, own, members: (
            tuple(m.narrow(1, k, 7 if k < 35 else 5) for m in members) for k in range(0, 40, 7)
        )
        parts, _ = simulator.step(0, state, action)
    finally:
        game.agents.module._blocks = helper
    assert torch.allclose(whole.agent.x, parts.agent.x, rtol=1e-12, atol=1e-12)
