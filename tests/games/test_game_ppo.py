"""PPO in games: own rewards only, what it reaches, its gaps, its runs."""

from pathlib import Path
from typing import Any

import pytest
import torch

import mfdsl
from mfdsl import UsageError
from mfdsl.learning import prepare_training
from mfdsl.runtime.evaluate import Evaluation
from mfdsl.runtime.learning.chances import crew_chances
from mfdsl.runtime.learning.engine import Engine
from mfdsl.runtime.learning.experience import collected
from mfdsl.runtime.learning.game_gaps import tables_of_each
from mfdsl.runtime.learning.game_ppo import GamePolicy
from mfdsl.runtime.learning.gaps import exact_gap, tables_for
from mfdsl.settings import resolve

KINDS = ("symmetric", "one_hot", "integer", "individual")
BARS = """
model bars
enum Bar { left, middle, right }
objective nash
horizon 3
population guest as mu {
  state at : Bar = left
  action go : Bar
  at' = go
  reward calm = 1 - mu[at = at] + match at { left -> 0, middle -> 0.1, right -> 0.3 }
  observe at, t
  agents 60
}
"""
MARKET = """
model market
param pull : real = 0.5
objective nash
horizon 2
major state_bank {
  state rate : real in [-4, 4] = 0
  action set_rate : real in [-4, 4]
  rate' = set_rate
  reward aim = -(set_rate + 1)^2
}
population buyer as mu {
  state x : real in [-4, 4] = 0
  action u : real in [-4, 4]
  x' = u
  reward near = -(u - 1 - pull * mean(q.u for q in buyer))^2
  observe x, t
  agents 12
}
population seller {
  state y : real in [-4, 4] = 0
  action v : real in [-4, 4]
  y' = v
  reward away = -(v + mean(q.u for q in buyer))^2
  observe y, t
  agents 8
}
"""
SMALL = {"games": 8, "evaluate_games": 16, "hidden": 16, "learning_rate": 1e-2}


def spec(tmp_path: Path, text: str) -> str:
    name = text.split()[1]
    (tmp_path / f"{name}.mfg").write_text(text)
    return str(tmp_path / f"{name}.mfg")


def learner(path: str, **options: Any) -> GamePolicy:
    game = mfdsl.load(path)
    settings = resolve(game.model, "ppo_nash", iterations=10, options=SMALL | options)
    found = prepare_training(game, settings).learner
    assert isinstance(found, GamePolicy)
    return found


def test_everybody_is_paid_its_own_rewards_majors_too(tmp_path: Path) -> None:
    found = learner(spec(tmp_path, MARKET))
    experience = collected(found.engine, found.players, found.crediting, 1)
    actions: list[Any] = []
    engine: Engine = found.engine

    @torch.no_grad()
    def act(scene: Any, number: int) -> Any:
        actions.append(found.players.choose(scene, number)[1])
        return actions[-1]

    for turn in engine.turns(1, act):
        if turn.rewards is None:
            continue
        t = turn.scene.t
        bank, buyer, seller = (
            experience.courses[name].rewards[t] for name in ("state_bank", "buyer", "seller")
        )
        moved = actions[t]
        mean = moved.buyer.u.mean(1, keepdim=True)
        torch.testing.assert_close(bank, -((moved.state_bank.set_rate + 1) ** 2))
        torch.testing.assert_close(buyer, -((moved.buyer.u - 1 - 0.5 * mean) ** 2))
        torch.testing.assert_close(seller, -((moved.seller.v + mean) ** 2))


@pytest.mark.parametrize("kind", KINDS)
def test_finite_actions_come_near_the_equilibrium(tmp_path: Path, kind: str) -> None:
    """Shares 1 / 3 + (bonus - its mean) at the two stages that are paid after a choice."""
    options = SMALL | {"network": kind, "evaluate_every": 40, "entropy": 0.003}
    path = spec(tmp_path, BARS)
    found = mfdsl.solve(path, "ppo_nash", iterations=40, options=options)
    gap = found.exploitability
    assert gap is not None and gap.kind == "exact"
    assert gap.value < (0.12 if kind != "individual" else 0.2)
    uniform = learner(path, network="symmetric").gap()
    assert uniform is not None and uniform.value > 0.3


def test_real_actions_of_several_kinds_of_players_come_near_the_equilibrium(
    tmp_path: Path,
) -> None:
    """Buyers at u = 1 + u / 2 = 2, sellers at -2, the bank at -1."""
    path = spec(tmp_path, MARKET)
    options = SMALL | {"network": "individual", "evaluate_every": 50, "log_std": -1.0}
    options |= {"encoder": "moments", "learning_rate": 2e-2}
    found = mfdsl.solve(path, "ppo_nash", iterations=50, options=options)
    game = mfdsl.load(path)
    record = mfdsl.simulate(game, found, batch=4, record=True).record
    assert record["buyer.u"].mean().item() == pytest.approx(2, abs=0.15)
    assert record["seller.v"].mean().item() == pytest.approx(-2, abs=0.2)
    assert record["state_bank.set_rate"].mean().item() == pytest.approx(-1, abs=0.1)
    assert found.exploitability is None


def test_tables_of_each_agent_have_the_chances_that_it_plays(tmp_path: Path) -> None:
    found = learner(spec(tmp_path, BARS), network="individual")
    tables = tables_for(found.lesson)
    assert tables is not None
    policies = tables_of_each(found.players, tables)
    assert policies.shape == (60, 3, 3, 3)
    simulator = found.engine.simulator
    scene = simulator.scene(0, simulator.reset(0))
    law = found.players.drawn_from(scene, found.players.views(scene))["guest"]
    assert law.logits is not None
    chances = torch.softmax(law.logits.double(), -1)[0]
    torch.testing.assert_close(policies[:, 0, 0], chances, atol=1e-6, rtol=0)
    assert (policies[0] - policies[1]).abs().max() > 1e-4


def test_alike_agents_have_the_gap_of_one_policy(tmp_path: Path) -> None:
    path = spec(tmp_path, BARS)
    one, known = learner(path), learner(path, network="one_hot")
    with torch.no_grad():
        actor = known.players.actors["guest"].trunk
        actor.own.copy_(one.players.actors["guest"].trunk.own)  # type: ignore[union-attr,operator]
        for name in ("shared", "bias", "rest"):
            setattr(actor, name, getattr(one.players.actors["guest"].trunk, name))
        actor.who.zero_()  # type: ignore[union-attr,operator]
    tables = tables_for(one.lesson)
    assert tables is not None
    whole = exact_gap(one.lesson, crew_chances(one.players, tables))
    mean = known.gap()
    assert whole is not None and mean is not None
    assert mean.value == pytest.approx(whole.value, abs=1e-6)
    policy = tables.view.policy(tables_of_each(known.players, tables)[:1])
    assert Evaluation(tables.view, policy).exploitability.value == pytest.approx(whole.value, 1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": "one_hot", "evaluate_agents": 30}, "are to be measured with 30"),
        ({"network": "own"}, "option `network = own`"),
        ({"gradient": "path"}, "option `gradient = path`"),
        ({"credit": "team"}, "option `credit = team`"),
    ],
)
def test_bad_options_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        learner(spec(tmp_path, BARS), **options)


def test_teams_are_refused() -> None:
    with pytest.raises(UsageError, match="learns an equilibrium of a game"):
        mfdsl.solve("lq_control", "ppo_nash", iterations=1)
