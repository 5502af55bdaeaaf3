"""Who draws the upper action of a planner: one draw for all agents, or each agent its own."""

from typing import Any

import pytest
import torch

import mfdsl
from mfdsl import UsageError
from mfdsl.learning import prepare_training
from mfdsl.playing import executed
from mfdsl.runtime.behaviours import Scene
from mfdsl.runtime.learning.crew import Trained
from mfdsl.runtime.learning.heads import Drawn
from mfdsl.runtime.learning.loop import Learned
from mfdsl.runtime.learning.planner import PLANNER, Planned, Planner
from mfdsl.settings import resolve

SMALL = {"games": 4, "hidden": 16, "evaluate_games": 8}
GAMES, AGENTS = 60, 50


def planned(spec: str, **options: Any) -> tuple[Planner, Scene]:
    """An untrained planner, and a scene for it."""
    game = mfdsl.load(spec)
    settings = resolve(game.model, "m3f_ppo", options=SMALL | {"agents": 5} | options)
    planner = prepare_training(game, settings).learner.policy
    assert isinstance(planner, Planner)
    simulator = game.simulator(agents=AGENTS, batch=GAMES, dtype="float32")
    return planner, simulator.scene(3, simulator.reset())


def test_each_agent_follows_the_row_of_its_own_draw() -> None:
    planner, scene = planned("m3fc_beach", log_std=0.0)
    law = planner.upper(planner.views(scene)[PLANNER])
    normal, uniform = planner.standard(scene, scene.t, AGENTS)
    assert normal.shape[:2] == uniform.shape == (GAMES, AGENTS)
    found = Planned(planner, mode=False, execution="decentralised")(scene)
    assert law.mean is not None and law.log_std is not None and law.logits is not None
    edges = torch.softmax(law.logits, -1).cumsum(-1)[..., :-1]
    for agent in (0, 7, AGENTS - 1):
        reals = law.mean + law.log_std.exp() * normal[:, agent]
        index = (uniform[:, agent, None] >= edges).sum(-1)
        alone = planner.action(Drawn(reals, index), scene, scene.t)
        assert torch.equal(found.bather.a[:, agent], alone.bather.a[:, agent])
        assert torch.equal(found.boat.w, alone.boat.w) == (agent == 0)


def test_draws_of_all_average_out_where_each_has_its_own() -> None:
    planner, scene = planned("m3fc_potential", bins=1, log_std=0.0)
    common, own = (
        Planned(planner, mode=False, execution=execution)(scene).drone.u
        for execution in ("centralised", "decentralised")
    )
    assert common.std() == pytest.approx(own.std().item(), rel=0.15)
    # one mean for a game: its variance over games is that of tanh(normal); else a fiftieth of all
    mean = torch.tanh(torch.randn(100_000, generator=torch.Generator().manual_seed(0)))
    assert common.mean(1).var() == pytest.approx(mean.var().item(), rel=0.4)
    assert own.mean(1).var() == pytest.approx(own.var().item() / AGENTS, rel=0.5)


@pytest.mark.parametrize("rule", ["bins", "rbf"])
def test_rules_are_played_with_more_digits_than_they_were_learned(rule: str) -> None:
    options = SMALL | {"agents": 5, "steps": 3, "gradient": "score", "rule": rule, "bins": 3}
    found = mfdsl.solve("m3fc_2g", "m3f_ppo", iterations=0, options=options)
    assert isinstance(found, Learned)
    for execution in (None, "decentralised"):
        rollout = mfdsl.simulate(
            "m3fc_2g",
            found,
            agents=6,
            steps=3,
            dtype="float64",
            execution=execution,  # type: ignore[arg-type]
        )
        assert rollout.team.values.dtype is torch.float64  # type: ignore[union-attr]


def test_means_are_played_unless_an_execution_is_asked_for() -> None:
    planner, scene = planned("m3fc_potential", bins=1, log_std=0.0)
    usual = Planned(planner)
    drawn = executed(usual, "decentralised")
    assert isinstance(drawn, Planned) and not drawn.mode and drawn.execution == "decentralised"
    assert usual(scene).drone.u.mean(1).var() < 0.02


def test_nobody_executes_what_nobody_plans() -> None:
    options = SMALL | {"agents": 5, "steps": 3, "gradient": "score"}
    runs = [
        mfdsl.solve("m3fc_potential", solver, iterations=0, options=options)
        for solver in ("mf_ppo", "m3f_ppo")
    ]
    shared, lifted = runs
    assert isinstance(shared, Learned) and isinstance(lifted, Learned)
    with pytest.raises(UsageError, match="decentralised execution is of rules that a planner"):
        mfdsl.simulate("m3fc_potential", shared, execution="decentralised")
    with pytest.raises(UsageError, match="execution is of what a planner learned"):
        mfdsl.simulate("m3fc_potential", "uniform", execution="centralised")
    two = [
        mfdsl.simulate("m3fc_potential", lifted, agents=8, batch=2, steps=5, execution=execution)
        for execution in ("centralised", "decentralised")
    ]
    assert (two[0].team.values != two[1].team.values).any()  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="nobody plans"):
        executed(Trained(None), "centralised")  # type: ignore[arg-type]
