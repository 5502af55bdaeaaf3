"""Mean-field Q-learning and actor-critic: their updates written out, and the Ising game."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

import mfdsl
from mfdsl import UsageError
from mfdsl.learning import prepare_training
from mfdsl.runtime.learning.mean_action import MeanFieldPolicy, others_mean
from mfdsl.runtime.learning.mean_field_q import MeanFieldLearner
from mfdsl.runtime.learning.mean_field_update import set_slopes, value_goal, value_loss
from mfdsl.runtime.tabled import drawn
from mfdsl.settings import resolve

ISING = """
model ising
param pull : real = 1.5
param field : real = 0
enum Spin { down, up }
objective nash
horizon 25
population site as mu {
  state last : Spin ~ uniform
  action spin : Spin
  last' = spin
  let sign = if spin == up then 1 else -1
  reward agree = sign * (field + pull * mean(if q.spin == up then 1 else -1 for q in site))
  observe last
  agents 200
}
"""
OPTIONS = {
    "games": 8,
    "hidden": 16,
    "temperature": 1,
    "evaluate_games": 2,
    "evaluate_every": 40,
    "discount": 0.001,
}


def spec(tmp_path: Path, text: str) -> str:
    (tmp_path / "game.mfg").write_text(text)
    return str(tmp_path / "game.mfg")


def learner(path: str, solver: str = "mf_q", **options: Any) -> MeanFieldLearner:
    game = mfdsl.load(path)
    settings = resolve(game.model, solver, iterations=10, options=OPTIONS | options)
    found = prepare_training(game, settings).learner
    assert isinstance(found, MeanFieldLearner)
    return found


def magnet(pull: float, field: float) -> float:
    """The stable m >= 0 with m = tanh(pull m + field)."""
    m = 1.0
    for _ in range(500):
        m = math.tanh(pull * m + field)
    return m


@pytest.mark.parametrize(
    ("solver", "pull", "field", "steps"),
    [
        ("mf_q", 1.5, 0.0, 25),
        ("mf_q", 0.6, 0.0, 25),
        ("mf_q", 0.9, 0.3, 10),
        ("mf_ac", 0.9, 0.3, 10),
        ("mf_ac", 0.6, 0.0, 10),
    ],
)
def test_spins_are_magnetised_as_the_mean_field_says(
    tmp_path: Path, solver: str, pull: float, field: float, steps: int
) -> None:
    """Either side without a field, from fluctuations of 200 sites."""
    game = mfdsl.load(spec(tmp_path, ISING), params={"pull": pull, "field": field})
    options = OPTIONS | {"steps": steps, "learning_rate": 5e-3, "updates": 15, "games": 4}
    found = mfdsl.solve(game, solver, iterations=30, options=options)
    spins = mfdsl.simulate(game, found, batch=16, record=True).record["site.spin"]
    m = (2.0 * spins[-6:].double() - 1).mean((0, 2)).abs().mean().item()
    assert m == pytest.approx(magnet(pull, field), abs=0.06 if pull + field > 0.6 else 0.12)


def test_the_mean_is_that_of_the_others() -> None:
    index = torch.tensor([[0, 2, 2]])
    found = others_mean(index, 3, torch.zeros((), dtype=torch.float64))
    assert found.tolist() == [[[0, 0, 1], [0.5, 0, 0.5], [0.5, 0, 0.5]]]
    assert others_mean(torch.tensor([[1]]), 4, torch.zeros(())).tolist() == [[[0.25] * 4]]


@torch.no_grad()
def test_goals_and_losses_are_sums_over_actions(tmp_path: Path) -> None:
    found = learner(spec(tmp_path, ISING), agents=5, steps=3)
    found._played(1)
    kept, net = found.kept, found.network
    assert kept is not None and kept.rewards.shape == (24, 5)
    net.temperature.fill_(0.7)
    found.target.temperature.fill_(0.7)
    goal = value_goal(found.target, kept, 0.9)
    total = 0.0
    for k in range(24):
        for i in range(5):
            q = found.target.q(kept.after[k, i], kept.mean[k, i])
            chance = torch.softmax(q / 0.7, 0)
            expected = kept.rewards[k, i] + 0.9 * sum(c * v for c, v in zip(chance, q, strict=True))
            torch.testing.assert_close(goal[k, i], expected)
            value = net.q(kept.seen[k, i], kept.mean[k, i])[kept.index[k, i]]
            total += float((value - expected) ** 2) / 120
    values = net.q(kept.seen, kept.mean).flatten(0, 1)
    loss = value_loss(values, kept.index.flatten(), goal.flatten())
    assert float(loss.value) == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize("solver", ["mf_q", "mf_ac"])
def test_slopes_are_those_of_the_losses(tmp_path: Path, solver: str) -> None:
    """Both losses as they are written down, and their slopes by automatic differentiation."""
    found = learner(spec(tmp_path, ISING), solver, agents=5, steps=3, layers=3)
    found._played(1)
    assert found.kept is not None
    steps = found.kept.some(torch.arange(24).repeat(2), torch.arange(48) % 5)
    net, target = found.network, found.target
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    net.temperature.fill_(0.7)
    losses = set_slopes(net, target, steps, 0.9)
    by_hand = [parameter.grad for parameter in net.parameters()]
    values = net.q(steps.seen, steps.mean)
    done = values.gather(-1, steps.index[..., None])[..., 0]
    fit = (done - value_goal(target, steps, 0.9).detach()).square().mean()
    gain = torch.zeros(())
    if net.logits is not None:
        logs = torch.log_softmax(net.logits(steps.seen), -1)
        gain = (logs.exp() * (0.7 * logs - values.detach())).sum(-1).mean()
    torch.testing.assert_close(losses, torch.stack([fit, gain]).detach())
    slopes = torch.autograd.grad(fit + gain, list(net.parameters()))
    for own, wanted in zip(by_hand, slopes, strict=True):
        assert own is not None and wanted.abs().max() > 1e-4
        torch.testing.assert_close(own, wanted, rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_agents_who_see_the_same_are_one_row_of_a_policy(tmp_path: Path) -> None:
    """The same actions as from chances that are computed for every agent."""
    generator = torch.Generator().manual_seed(5)
    for solver in ("mf_q", "mf_ac"):
        found = learner(spec(tmp_path, ISING), solver)
        net, simulator = found.network, found.engine.simulator
        for parameter in net.parameters():
            torch.nn.init.normal_(parameter, std=0.3, generator=generator)
        seen, alike = net.watcher.watched(simulator.scene(0, simulator.reset(0)))
        assert alike is not None and alike.unique().tolist() == [0, 1]
        mean = torch.rand((8, 200, 2), generator=generator).softmax(-1)
        u = torch.rand((8, 200), generator=generator)
        rows: list[int] = []
        count = net.values if net.logits is None else net.logits
        handle = count.register_forward_pre_hook(lambda _, x, to=rows: to.append(len(x[0])))
        index = net.drawn(seen, mean, alike, u)
        handle.remove()
        assert torch.equal(index, drawn(net.chances(seen, mean), u)) and len(index.unique()) == 2
        assert rows == [8 if solver == "mf_q" else 16]  # games of all agents, kinds of agents


def test_rewards_are_ones_own_and_only_the_end_ends(tmp_path: Path) -> None:
    found = learner(spec(tmp_path, ISING), agents=6)
    found._played(1)
    kept = found.kept
    assert kept is not None
    spin = 2.0 * kept.index - 1
    torch.testing.assert_close(kept.rewards, 1.5 * spin * spin.mean(1, keepdim=True))
    assert kept.going.view(25, 8)[:-1].min() == 1 and kept.going.view(25, 8)[-1].max() == 0
    torch.testing.assert_close(kept.after[:8], kept.seen[8:16])


def test_a_policy_goes_by_what_the_others_did_a_step_ago(tmp_path: Path) -> None:
    found = learner(spec(tmp_path, ISING), agents=6)
    simulator, policy = found.engine.simulator, MeanFieldPolicy(found.network)
    first, later = simulator.scene(0, simulator.reset(0)), simulator.scene(1, simulator.reset(0))
    _, index, mean = policy.chosen(first, 0)
    seen, again, _ = policy.chosen(later, 1)
    chances = found.network.chances(seen, mean)
    assert again.shape == index.shape == chances.shape[:-1]
    fresh = MeanFieldPolicy(found.network)
    assert torch.equal(fresh.chosen(first, 0)[1], index)
    with pytest.raises(ValueError, match="play from the start of a game"):
        MeanFieldPolicy(found.network)(later)
    policy.chosen(first, 0)  # a new game begins with an even mean
    assert torch.equal(policy.chosen(later, 1)[1], again)


def test_gaps_are_of_the_limit(tmp_path: Path) -> None:
    """Softmax of 0 gains nothing where all are even: nobody is pulled anywhere."""
    found = learner(spec(tmp_path, ISING))
    with torch.no_grad():
        for parameter in found.network.parameters():
            parameter.zero_()
    even = found.gap()
    assert even is not None and even.value == pytest.approx(0, abs=1e-9)
    with torch.no_grad():
        found.network.values.layers[-1].bias.copy_(torch.tensor([0.0, 1.0]))  # type: ignore[union-attr,operator]
    up = found.gap()
    assert up is not None
    share = 1 / (1 + math.exp(-1))
    m = 2 * share - 1
    assert up.value == pytest.approx(25 * 1.5 * m * (1 - m), rel=1e-5)


@pytest.mark.parametrize(
    ("game", "message"),
    [("predator_prey", "one population that acts"), ("lq_game", "is not finite")],
)
def test_other_games_are_refused(game: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        mfdsl.solve(game, "mf_q", iterations=1)


@pytest.mark.parametrize("solver", ["mf_q", "mf_ac"])
def test_a_course_in_two_parts_is_the_whole_one(tmp_path: Path, solver: str) -> None:
    path = spec(tmp_path, ISING)
    given = {"agents": 10, "steps": 5, "updates": 3}
    whole, half, rest = (learner(path, solver, **given) for _ in range(3))
    for k in range(4):
        found = whole.step(k)
    for k in range(2):
        half.step(k)
    rest.restore(half.state())
    for k in range(2, 4):
        again = rest.step(k)
    assert again == found
    for name, value in whole.state().items():
        assert torch.equal(value, rest.state()[name]), name
