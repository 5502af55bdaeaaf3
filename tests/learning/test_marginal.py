"""Copies of games with weights of members, and with laws held fixed."""

from typing import Any

import pytest
import torch

import mfdsl
from mfdsl import UsageError
from mfdsl.runtime.behaviours import still, uniform
from mfdsl.runtime.learning.credit import marginal_rewards, with_weights, without_weights
from mfdsl.runtime.learning.engine import team_reward
from mfdsl.runtime.simulator import Simulator

GAMES = ("lq_major_control", "m3fc_beach", "m3fc_potential", "m3fc_foraging", "push", "navigation")
ACTIONS = {"navigation": {"n": 4}, "push": {"n": 4}}


def scene(name: str) -> tuple[Any, Any, Any, Any, Any]:
    """A game, its simulator, and what happens in the second step of 3 games of 4 agents."""
    game = mfdsl.load(name, params=ACTIONS.get(name, {}))
    simulator = game.simulator(agents=4, batch=3)
    behaviour = still if name == "lq_major_control" else uniform
    state = simulator.reset()
    for t in range(2):
        state, _ = simulator.step(t, state, behaviour(simulator.scene(t, state)))
    return game, simulator, state, behaviour(simulator.scene(2, state)), simulator.noise(2)


@pytest.mark.parametrize("name", GAMES)
def test_members_of_weight_one_change_nothing(name: str) -> None:
    game, simulator, state, action, noise = scene(name)
    weighted, params, time = game.agents_of("weighted"), simulator.params, simulator.time(2)
    ones = {f: torch.ones(3, 4, dtype=torch.float64) for f in game.agents.populations}
    after, rewards = game.agents.module.step(params, time, state, action, noise)
    counted = with_weights(weighted, state, ones)
    other, paid = weighted.module.step(params, time, counted, action, noise)
    for one, two in zip(rewards, paid, strict=True):
        torch.testing.assert_close(one.expand_as(two), two, rtol=1e-12, atol=1e-12)
    for group, same in zip(after, without_weights(other, after), strict=True):
        for one, two in zip(group, same, strict=True):
            torch.testing.assert_close(one.expand_as(two), two, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ("lq_major_control", "m3fc_beach", "navigation", "m3fc_foraging"))
def test_credits_are_differences_of_the_team_reward_in_the_weight(name: str) -> None:
    game, simulator, state, action, noise = scene(name)
    weighted, params, time = game.agents_of("weighted"), simulator.params, simulator.time(2)
    found = marginal_rewards(weighted, params, time, state, action, noise)
    (field,) = game.agents.populations
    step = 1e-6

    def team(weights: torch.Tensor) -> torch.Tensor:
        counted = with_weights(weighted, state, {field: weights})
        _, rewards = weighted.module.step(params, time, counted, action, noise)
        shares = [
            weights * value if name_ == field else value
            for name_, value in rewards._asdict().items()
        ]
        return team_reward(shares, 3)

    for agent in range(4):
        push = torch.zeros(3, 4, dtype=torch.float64)
        push[:, agent] = step
        slope = 4 * (team(1 + push) - team(1 - push)) / (2 * step)
        torch.testing.assert_close(found[field][:, agent], slope, rtol=1e-5, atol=1e-6)


def test_credit_of_a_crowd_term_is_twice_what_one_pays() -> None:
    game, simulator, state, action, noise = scene("m3fc_beach")
    weighted = game.agents_of("weighted")
    found = marginal_rewards(weighted, simulator.params, simulator.time(2), state, action, noise)
    terms = game.agents.module.reward_terms(
        simulator.params, simulator.time(2), state, action, noise
    )
    cells = state.bather.x
    share = (cells[:, :, None] == cells[:, None, :]).double().mean(-1)  # of the own cell
    paid = terms["bather"]["far"] + terms["bather"]["crowd"]
    # the crowd costs c n^2 sum mu^2; its derivative in the mass at x is 2 c n^2 mu[x]
    torch.testing.assert_close(found["bather"], paid - 2 * 0.06 * 25 * share)


def test_the_marginal_price_turns_an_equilibrium_into_the_optimum_of_a_team() -> None:
    """In a linear-quadratic game the credit is the own cost plus (d cost / d mean) x."""
    game, simulator, state, action, noise = scene("lq_major_control")
    weighted, params = game.agents_of("weighted"), simulator.params
    found = marginal_rewards(weighted, params, simulator.time(2), state, action, noise)
    x, y = state.follower.x, state.leader.y[:, None]
    mean, a = x.mean(1, keepdim=True), action.follower.a
    h, h1, q, r, h0, c0 = 0.6, 0.3, 1.0, 1.0, 0.5, 1.0
    own = -(q / 2 * (x - h * y - h1 * mean) ** 2 + r / 2 * a**2)
    minor = q * h1 * (x - h * y - h1 * mean).mean(1, keepdim=True) * x
    major = h0 * (y - h0 * mean - c0) * x
    torch.testing.assert_close(found["follower"], own + minor + major)


def test_held_laws_have_no_gradient_and_the_same_values() -> None:
    game = mfdsl.load("lq_control")
    plain, held = (
        Simulator(program, agents=5, batch=2) for program in (game.agents, game.agents_of("held"))
    )
    state = plain.reset()
    x = state.agent.x.clone().requires_grad_()
    moved = state._replace(agent=state.agent._replace(x=x))
    action = still(plain.scene(0, state))
    time, noise = plain.time(0), plain.noise(0)
    slopes = []
    for simulator in (plain, held):
        _, rewards = simulator.program.module.step(simulator.params, time, moved, action, noise)
        total = rewards.agent[:, 0].sum()
        slopes.append(torch.autograd.grad(total, x)[0])
    assert (slopes[0][:, 1:] != 0).all()
    assert (slopes[1][:, 1:] == 0).all()


def test_optimal_transport_has_no_weights() -> None:
    with pytest.raises(UsageError, match="w2"):
        mfdsl.load("m3fc_2g").agents_of("weighted")
