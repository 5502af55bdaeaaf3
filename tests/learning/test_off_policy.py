"""The off-policy learner: losses, targets, replay, exact continuation, and that it learns."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mfdsl import load
from mfdsl.runtime.learning.base import Lesson, LessonError, engine_of
from mfdsl.runtime.learning.engine import measured
from mfdsl.runtime.learning.off_policy import (
    Networks,
    OffPolicy,
    actor_loss,
    critic_loss,
    follow,
)
from mfdsl.runtime.learning.replay import Replay, Transitions
from mfdsl.runtime.learning.table import AS_IN_PIC, MaddpgConfig

GATHER = """
model gather
objective team
horizon 8
population agent {
  state  x : real[2] in [-2, 2] ~ uniform([-1, 1])
  action a : real[3] in [0, 1]
  x' = clip(x + 0.5 * [a[0] - a[1], a[2] - 1 / 3], -2, 2)
  cost away = norm(x)
  observe x, law(agent)
  agents 4
}
"""

SPIN = """
model spin
objective team
horizon 6
enum Side { up, down }
population agent as mu {
  state  s : Side ~ uniform
  action a : Side
  s' = a
  reward alike = mu[s = up]^2
  agents 5
}
"""


def learner(text: str, iterations: int = 20, seed: int = 0, **options: Any) -> OffPolicy:
    game = load(text=text)
    params = game.agents.params(dtype=torch.float64)
    lesson = Lesson(game.agents, params, seed, iterations)
    small = {"hidden": 16, "parameters": 600, "batch": 64, "nearest": 0, "replay": 1000}
    torch.manual_seed(seed)
    return OffPolicy(MaddpgConfig(**{**small, **options}), lesson)


def value_of(trained: OffPolicy) -> float:
    probe = engine_of(trained.lesson, 256, 0, 0)
    behaviour = trained.behaviour()
    return measured(probe, lambda scene, number: behaviour(scene)).mean().item()


def transitions(count: int, start: float = 0.0) -> Transitions:
    numbers = start + torch.arange(count).double()
    shaped = numbers[:, None, None].expand(count, 2, 3)
    return Transitions(shaped, shaped[..., :2], numbers, shaped + 0.5)


def test_the_oldest_transitions_are_given_up_first() -> None:
    replay = Replay(5, 3, 2, 2, torch.ones(()).double())
    replay.add(transitions(3))
    assert replay.count == 3
    replay.add(transitions(4, start=3.0))
    assert replay.count == 5
    assert sorted(replay.kept.rewards.tolist()) == [2, 3, 4, 5, 6]
    seen = replay.sample(200, torch.Generator().manual_seed(0))
    assert set(seen.rewards.tolist()) == {2, 3, 4, 5, 6}
    assert torch.equal(seen.observations[:, 0, 0], seen.rewards)
    assert torch.equal(seen.after[:, 1, 2], seen.rewards + 0.5)
    again = Replay(5, 3, 2, 2, torch.ones(()).double())
    again.restore(replay.state())
    again.add(transitions(1, start=9.0))
    assert sorted(again.kept.rewards.tolist()) == [3, 4, 5, 6, 9]
    with pytest.raises(ValueError, match="no room for 6"):
        replay.add(transitions(6))


@pytest.mark.parametrize("online", [False, True])
def test_the_critic_fits_rewards_and_its_targets_value(online: bool) -> None:
    nets = learner(GATHER).networks
    with torch.no_grad():
        for parameter in nets.actor.parameters():
            parameter.add_(0.1)
    generator = torch.Generator().manual_seed(0)

    def numbers(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    width = nets.actor.width
    seen = Transitions(numbers(7, 4, width), numbers(7, 4, 3), numbers(7), numbers(7, 4, width))
    actor = nets.actor if online else nets.target_actor
    total = 0.0
    for k in range(7):
        after = torch.softmax(actor.net(seen.after[k]), -1)
        goal = seen.rewards[k] + 0.9 * nets.target_critic(seen.after[k], after)
        value = nets.critic(seen.observations[k], seen.actions[k])
        total += (value - goal).square().item() / 7
    assert critic_loss(nets, seen, 0.9, online).item() == pytest.approx(total, rel=1e-12)


def test_the_actor_climbs_the_critic() -> None:
    nets = learner(GATHER).networks

    class Known(nn.Module):
        def forward(self, observations: Tensor, actions: Tensor) -> Tensor:
            return actions[..., 1].mean(-1)

    known = Networks(nets.actor, Known(), nets.target_actor, nets.target_critic)  # type: ignore[arg-type]
    seen = Transitions(
        torch.randn(16, 4, nets.actor.width).double(), *(torch.empty(0) for _ in range(3))
    )
    optimizer = torch.optim.Adam(nets.actor.parameters(), 0.01)
    for _ in range(100):
        loss = actor_loss(known, seen)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert nets.actor.chosen(nets.actor.net(seen.observations))[..., 1].min() > 0.9


def test_targets_follow_at_their_rate() -> None:
    old, new = nn.Linear(2, 1), nn.Linear(2, 1)
    expected = 0.75 * old.weight.detach() + 0.25 * new.weight.detach()
    follow(old, new, 0.25)
    torch.testing.assert_close(old.weight.detach(), expected)


def moves_of_targets(**options: Any) -> Tensor:
    """How far the critic's target moves towards a critic that stays put, in one step."""
    trained = learner(GATHER, games=8, updates=100 / 64, learning_rate=1e-12, **options)
    with torch.no_grad():
        for parameter in trained.networks.target_critic.parameters():
            parameter.zero_()
    trained.step(0)
    target = next(trained.networks.target_critic.parameters())
    return (target / next(trained.networks.critic.parameters())).median()


def test_the_target_of_pic_moves_twice_for_each_pair_of_updates() -> None:
    assert moves_of_targets().item() == pytest.approx(0.01, abs=1e-6)
    assert moves_of_targets(double_target=True).item() == pytest.approx(0.0199, abs=1e-6)


def test_the_critic_may_learn_first() -> None:
    trained = learner(GATHER, critic_first=3, batch=8)
    before = [p.clone() for p in trained.networks.actor.parameters()]
    critic = [p.clone() for p in trained.networks.critic.parameters()]
    found = [trained.step(k) for k in range(3)]
    assert "actor_loss" not in found[-1] and found[-1]["critic_loss"] > 0
    assert all(map(torch.equal, before, trained.networks.actor.parameters()))
    assert not any(map(torch.equal, critic, trained.networks.critic.parameters()))
    assert "actor_loss" in trained.step(3)
    assert not any(map(torch.equal, before, trained.networks.actor.parameters()))


def test_scenes_are_kept_with_what_they_are_paid() -> None:
    now, late = (learner(GATHER, games=2, paid=paid, batch=999) for paid in ("now", "arrival"))
    for trained in (now, late):
        trained.step(0)
    here, after = now.replay.kept, late.replay.kept
    assert now.replay.count == 16 and late.replay.count == 14
    far = here.observations[:16, :, :2].norm(dim=-1).mean(-1)
    torch.testing.assert_close(2 * far, -4 * here.rewards[:16], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(after.rewards[:14], here.rewards[2:16])
    torch.testing.assert_close(after.observations[:14], here.observations[:14])


@pytest.mark.parametrize("text", [GATHER, SPIN])
def test_a_run_continues_exactly(text: str) -> None:
    whole, first = learner(text, batch=20), learner(text, batch=20)
    for k in range(6):
        whole.step(k)
    for k in range(3):
        first.step(k)
    rest = learner(text, seed=0, batch=20)
    for parameter in rest.networks.actor.parameters():
        nn.init.zeros_(parameter)
    rest.restore({k: v.clone() for k, v in first.state().items()})
    for k in range(3, 6):
        rest.step(k)
    for name, value in whole.state().items():
        torch.testing.assert_close(rest.state()[name], value, rtol=0, atol=0)


@pytest.mark.parametrize("critic", ["deepsets", "mf_a"])
def test_agents_learn_to_gather(critic: str) -> None:
    options = {"learning_rate": 1e-2, "discount": 0.8, "games": 16, "critic": critic}
    trained = learner(GATHER, 50, updates=8, **options)
    before = value_of(trained)
    for k in range(50):
        trained.step(k)
    assert before < -5.5
    assert value_of(trained) > -2.4


def test_agents_learn_a_finite_choice() -> None:
    trained = learner(SPIN, 30, learning_rate=3e-3, discount=0.8, games=16, updates=16)
    for k in range(30):
        trained.step(k)
    assert value_of(trained) > 5.0  # all go up at once: 1 at each of five stages, 0.3 at the first


def test_details_of_pic_are_options() -> None:
    trained = learner(GATHER, **(AS_IN_PIC | {"replay": 1000}))
    assert trained.behaviour().noisy  # type: ignore[attr-defined]
    assert trained.config.double_target and trained.config.online_target


def test_other_games_are_refused() -> None:
    with pytest.raises(LessonError, match="neither finite nor a vector of shares"):
        learner(GATHER.replace("in [0, 1]\n", "in [-1, 1]\n"))
    game = load("lq_major_control")
    lesson = Lesson(game.agents, game.agents.params(), 0, 1)
    with pytest.raises(LessonError, match="one population that acts"):
        OffPolicy(MaddpgConfig(nearest=0), lesson)
