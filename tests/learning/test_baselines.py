"""Baselines: who gets which credit, what their critics read, and what they cannot do."""

from pathlib import Path
from typing import Any

import pytest
import torch

import mfdsl
from mfdsl import UsageError
from mfdsl.learning import prepare_training
from mfdsl.runtime.learning.experience import collected
from mfdsl.runtime.learning.eyes import View
from mfdsl.runtime.learning.joint_critic import JointCritic
from mfdsl.runtime.learning.loop import Learned
from mfdsl.runtime.learning.policy_gradient import PolicyGradient
from mfdsl.runtime.learning.ppo import TEAM, Batch, Proximal, batches
from mfdsl.settings import resolve

SMALL = {"agents": 6, "games": 4, "evaluate_games": 8, "evaluate_every": 4, "hidden": 16}
DISCOUNT, DECAY, STEPS = 0.99, 0.9, 5


def learner(spec: str, solver: str, **options: Any) -> PolicyGradient:
    game = mfdsl.load(spec)
    settings = resolve(game.model, solver, iterations=10, options=SMALL | options)
    found = prepare_training(game, settings).learner
    assert isinstance(found, PolicyGradient)
    return found


def views(of: PolicyGradient) -> dict[str, View]:
    scene = of.engine.simulator.scene(0, of.engine.simulator.reset(1))
    return dict(of.players.views(scene))


def judged(of: PolicyGradient) -> dict[str, Batch]:
    assert of.critics is not None
    experience = collected(of.engine, of.players, of.crediting, 1)
    return batches(experience, of.critics, DISCOUNT, Proximal(decay=DECAY))


def joint_of(of: PolicyGradient) -> JointCritic:
    assert of.critics is not None and of.critics.joint is not None
    return of.critics.joint


def test_a_joint_view_has_all_agents_in_a_row_and_every_law_once() -> None:
    mappo = learner("m3fc_beach", "mappo", steps=STEPS)
    boat, bather = views(mappo)["boat"], views(mappo)["bather"]
    whole = joint_of(mappo).whole({"boat": boat, "bather": bather})
    assert bather.own is not None and whole.own is None
    row = [bather.own[:, i] for i in range(6)]
    torch.testing.assert_close(whole.common, torch.cat([*row, boat.common, bather.common], -1))
    assert len(boat.laws) == len(bather.laws) == len(whole.laws) == 1


def test_the_joint_critic_tells_agents_apart_and_the_others_do_not() -> None:
    order = torch.tensor([2, 0, 5, 1, 4, 3])

    @torch.no_grad()
    def change(solver: str, **options: Any) -> float:
        found = learner("m3fc_2g", solver, steps=STEPS, **options)
        assert found.critics is not None
        seen = views(found)["drone"]
        assert seen.own is not None
        swapped = View(seen.own[:, order], seen.common, seen.laws, seen.weights)
        if found.critics.joint is not None:
            one, other = (found.critics.joint.whole({"drone": v}) for v in (seen, swapped))
            return float(
                (found.critics.raw(TEAM, one) - found.critics.raw(TEAM, other)).abs().max()
            )
        value, after = found.critics.raw("drone", seen), found.critics.raw("drone", swapped)
        value = value[:, order] if value.ndim > 1 else value
        return float((value - after).abs().max())

    assert change("mappo") > 0.01
    assert change("ippo") < 1e-6
    assert change("mf_ppo", gradient="score", credit="team") == 0.0


def test_everybody_has_the_rewards_of_the_team() -> None:
    for solver in ("ippo", "mappo"):
        found = learner("m3fc_beach", solver, steps=STEPS)
        experience = collected(found.engine, found.players, found.crediting, 1)
        team = experience.team
        torch.testing.assert_close(experience.courses["boat"].rewards, team)
        bathers = experience.courses["bather"].rewards
        torch.testing.assert_close(bathers, team[..., None].expand(STEPS, 4, 6))


def test_advantages_of_mappo_are_one_number_for_all_by_the_joint_value() -> None:
    mappo = learner("m3fc_beach", "mappo", steps=STEPS)
    joint, critics = joint_of(mappo), mappo.critics
    assert critics is not None
    found = judged(mappo)  # moves the scale of the critic, and not its values
    assert critics.scales["team"].mass > 0
    torch.testing.assert_close(found["boat"].advantages, found["bather"].advantages)
    assert found["bather"].advantages.shape == (STEPS * 4,)
    assert [len(batch.goals) for batch in found.values()] == [1, 0]
    experience = collected(mappo.engine, mappo.players, mappo.crediting, 1)
    courses = experience.courses
    with torch.no_grad():
        value = [
            critics.values("team", joint.whole({n: _at(c.view, t) for n, c in courses.items()}))
            for t in range(STEPS)
        ]
    value.append(torch.zeros(4))  # nothing is expected of what was cut
    errors = [experience.team[t] + DISCOUNT * value[t + 1] - value[t] for t in range(STEPS)]
    gain = torch.stack(
        [
            sum((DISCOUNT * DECAY) ** (k - t) * errors[k] for k in range(t, STEPS))
            for t in range(STEPS)
        ]
    )
    (goal,) = next(iter(found.values())).goals
    expected = gain + torch.stack(value[:-1])
    torch.testing.assert_close(goal.returns, expected.flatten(), rtol=1e-5, atol=1e-5)
    flat = (gain - gain.mean()) / gain.std()
    torch.testing.assert_close(found["boat"].advantages, flat.flatten(), rtol=1e-4, atol=1e-4)


def test_advantages_of_ippo_are_those_of_each_agents_own_value() -> None:
    found = judged(learner("m3fc_beach", "ippo", steps=STEPS))
    bathers = found["bather"].advantages
    assert bathers.shape == (STEPS * 4, 6)
    assert bathers.std(1).min() > 1e-3
    assert found["boat"].advantages.shape == (STEPS * 4,)


@pytest.mark.parametrize("solver", ["ippo", "mappo"])
@pytest.mark.parametrize(
    ("spec", "options"),
    [
        ("m3fc_beach", {"steps": 20, "learning_rate": 0.01}),
        ("lq_control", {"learning_rate": 0.01, "encoder": "moments"}),
    ],
)
def test_returns_rise(spec: str, solver: str, options: dict[str, Any]) -> None:
    more = SMALL | {"games": 16} | options
    found = mfdsl.solve(spec, solver, iterations=14, options=more)
    assert isinstance(found, Learned)
    values = [record.value for record in found.history]
    assert sum(values[-3:]) > sum(values[:3])


def test_a_resumed_mappo_is_the_uninterrupted_one(tmp_path: Path) -> None:
    options = SMALL | {"steps": 6, "final_rate": 1.0, "members": 2}
    whole = mfdsl.solve("m3fc_beach", "mappo", iterations=4, options=options)
    mfdsl.solve("m3fc_beach", "mappo", iterations=2, options=options, out=tmp_path)
    (run,) = tmp_path.iterdir()
    rest = mfdsl.resume(run, iterations=4)
    assert isinstance(whole, Learned) and isinstance(rest, Learned)
    assert "critics.parts.team.critic.trunk.shared" in whole.state
    for name, value in whole.state.items():
        torch.testing.assert_close(rest.state[name], value, rtol=0, atol=0)


def test_what_mappo_learned_plays_with_any_number_though_its_critic_values_one() -> None:
    options = SMALL | {"steps": STEPS}
    found = mfdsl.solve("m3fc_beach", "mappo", iterations=1, options=options)
    assert isinstance(found, Learned)
    for agents in (1, 30):
        rollout = mfdsl.simulate("m3fc_beach", found, agents=agents, batch=2)
        assert rollout.agents == {"bather": agents}
    six, ten = learner("m3fc_beach", "mappo"), learner("m3fc_beach", "mappo", agents=10)
    with pytest.raises(ValueError, match="reads 6 agents of `bather` one by one, and here are 10"):
        joint_of(six).whole(views(ten))


@pytest.mark.parametrize(
    ("spec", "solver", "options", "message"),
    [
        ("m3fc_beach", "mf_ppo", {"critic": "joint"}, "have credit `marginal` of their own"),
        ("m3fc_beach", "mf_ppo", {"critic": "team", "credit": "own"}, "have credit `own`"),
        ("m3fc_beach", "m3f_ppo", {"critic": "member"}, "a planner is no member"),
        ("m3fc_2g", "mf_ppo", {"critic": "team"}, "along the path use no critic"),
        ("m3fc_beach", "ippo", {"credit": "own"}, "option `credit = own` of ippo"),
        ("m3fc_beach", "mappo", {"critic": "member"}, "option `critic = member` of mappo"),
        ("beach_bar", "mappo", {}, "learns what is best for a team"),
    ],
)
def test_what_baselines_cannot_do_is_said(
    spec: str, solver: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        mfdsl.solve(spec, solver, iterations=1, options=SMALL | options)


def _at(view: View, time: int) -> View:
    own = None if view.own is None else view.own[time]
    return View(own, view.common[time], tuple(law[time] for law in view.laws), view.weights)
