"""`maddpg` from solve to simulate: resumed courses, other sizes, options, validation."""

from pathlib import Path
from typing import Any

import pytest
import torch

import mfdsl
from mfdsl import UsageError
from mfdsl.learning import prepare_training
from mfdsl.runtime.learning.local_actor import LocalActor
from mfdsl.runtime.learning.loop import Learned
from mfdsl.runtime.learning.off_policy import OffPolicy
from mfdsl.runtime.learning.set_critics import Concatenated, DeepSets
from mfdsl.settings import resolve
from mfdsl.validating.networks import policy_row, returns_row, saved_row
from mfdsl.validating.trial import trial_of

MEET = """
model meet
objective team
horizon 5
environment world {
  state spot : real[2] ~ uniform([-1, 1])
  spot' = spot
}
population agent {
  state  x : real[2] in [-2, 2] ~ uniform([-1, 1])
  action a : real[5] in [0, 1]
  x' = clip(x + 0.5 * [a[1] - a[2], a[3] - a[4]], -2, 2)
  cost away = dist(x, world.spot)
  observe x, world.spot, law(agent)
  agents 4
}
"""
SMALL: dict[str, Any] = {"hidden": 16, "parameters": 600, "batch": 32, "replay": 400}
SMALL |= {"games": 8, "evaluate_every": 2, "evaluate_games": 16, "final_rate": 1.0}


@pytest.fixture
def meet(tmp_path: Path) -> Path:
    path = tmp_path / "meet.mfg"
    path.write_text(MEET)
    return path


def made(game: mfdsl.Game, **options: Any) -> OffPolicy:
    settings = resolve(game.model, "maddpg", iterations=4, options=SMALL | options)
    learner = prepare_training(game, settings).learner
    assert isinstance(learner, OffPolicy)
    return learner


def test_a_saved_course_goes_on_exactly_and_plays_with_other_numbers(
    meet: Path, tmp_path: Path
) -> None:
    whole = mfdsl.solve(meet, "maddpg", iterations=6, options=SMALL)
    mfdsl.solve(meet, "maddpg", iterations=4, options=SMALL, out=tmp_path / "runs")
    (run,) = (tmp_path / "runs").iterdir()
    rest = mfdsl.resume(run, iterations=6)
    assert isinstance(whole, Learned) and isinstance(rest, Learned)
    assert rest.state.keys() == whole.state.keys()
    assert int(whole.state["replay.next"]) == 6 * 8 * 5  # every step of every game
    for name, value in whole.state.items():
        torch.testing.assert_close(rest.state[name], value, rtol=0, atol=0)
    assert [r.value for r in rest.history] == [r.value for r in whole.history]
    assert [r.measured for r in rest.history[1::2]] == [r.measured for r in whole.history[1::2]]
    trial = trial_of(run, agents=(3, 9), seconds=60.0)
    assert policy_row(trial, 1e12).verdict == "passed"
    assert saved_row(trial, 1e12).verdict == "passed"
    assert [v["agents"] for v in returns_row(trial, 1e12).figures["returns"]] == [3, 9]


def test_a_policy_that_knows_the_places_of_agents_is_found(
    meet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mfdsl.solve(meet, "maddpg", iterations=2, options=SMALL, out=tmp_path / "runs")
    (run,) = (tmp_path / "runs").iterdir()
    trial = trial_of(run, agents=(4,), seconds=60.0)
    observed = LocalActor.observed

    def placed(actor: LocalActor, scene: Any) -> torch.Tensor:
        seen = observed(actor, scene)
        return seen + 0.1 * torch.arange(seen.shape[1], dtype=seen.dtype)[:, None]

    monkeypatch.setattr(LocalActor, "observed", placed)
    row = policy_row(trial, 1e12)
    assert row.verdict == "failed" and "in another order" in row.detail


def test_the_actor_sees_common_values_and_what_lies_between(meet: Path) -> None:
    game = mfdsl.load(meet)
    actor = made(game).networks.actor
    assert actor.width == 2 + 2 + 2  # the own place, the way to the spot, the spot
    scene = game.simulator(batch=3, seed=1).scene(0, game.simulator(batch=3, seed=1).reset())
    seen, spot = actor.observed(scene), scene.state.world.spot
    apart = spot[:, None] - scene.state.agent.x
    torch.testing.assert_close(seen[..., :2], scene.state.agent.x.float() / 2)
    torch.testing.assert_close(seen[..., 4:] - seen[:, :1, 4:], torch.zeros(3, 4, 2))
    slope = (seen[..., 2:4] / apart.float()).flatten()
    torch.testing.assert_close(slope, slope[:1].expand_as(slope), rtol=1e-4, atol=1e-6)
    assert made(game, hide="world.spot").networks.actor.width == 2


def test_the_critic_is_the_one_that_is_asked_for() -> None:
    game = mfdsl.load(text=MEET)
    assert isinstance(made(game).networks.critic, DeepSets)
    assert isinstance(made(game, critic="mlp").networks.critic, Concatenated)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"critic": "gnn"}, "option `critic = gnn` of maddpg"),
        ({"batch": 500}, "a replay of 400 scenes never holds a batch of 500"),
        ({"replay": 32, "games": 40}, "a step of 40 games"),
        ({"critic": "mlp", "parameters": 25}, "no critic `mlp` of 4 agents"),
        ({"hide": "z"}, "nobody sees `z`"),
        ({"hide": "x"}, "sees nothing of its own"),
        ({"encoder": "moments"}, "encoder"),
        ({"discount": 1.0}, "discount"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    game = mfdsl.load(text=MEET)
    with pytest.raises(UsageError, match=message):
        made(game, **options)


def test_masked_choices_are_refused() -> None:
    text = MEET.replace("action a : real[5] in [0, 1]", "action a : int in 0..4")
    text = text.replace("[a[1] - a[2], a[3] - a[4]]", "[ind(a == 1), ind(a == 2)]")
    masked = text.replace("in 0..4", "in 0..4 where a == 0 or x[0] > 0")
    made(mfdsl.load(text=text))
    with pytest.raises(UsageError, match="actions of `agent` are masked"):
        made(mfdsl.load(text=masked))
