"""Navigation: collisions counted by a sigmoid, and a local policy learned along the path."""

import math
from typing import Any

import pytest
import torch

import mfdsl
from mfdsl import UsageError
from mfdsl.learning import prepare_training
from mfdsl.runtime.behaviours import Scene, still
from mfdsl.runtime.learning.crew import Crew
from mfdsl.runtime.learning.eyes import Eyes
from mfdsl.runtime.learning.loop import Learned
from mfdsl.runtime.own_policies import OwnPolicy
from mfdsl.runtime.streams import draw
from mfdsl.settings import resolve

LOCAL: dict[str, Any] = {
    "gradient": "path",
    "nearest": 5,
    "hide": "x",
    "squash": "simplex",
    "laws": False,
}
SMALL = LOCAL | {
    "games": 16,
    "hidden": 64,
    "learning_rate": 3e-3,
    "evaluate_every": 50,
    "evaluate_games": 16,
}


def hits(soft: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Rewards for collisions [B, N] at a second step that does not move, and places [B, N, 2]."""
    game = mfdsl.load("navigation", params={"n": 8, "half": 0.5, "spacing": 0.1, "soft": soft})
    simulator = game.simulator(batch=6, seed=3)
    state = simulator.reset()
    scene = simulator.scene(1, state)
    terms = game.agents.module.reward_terms(
        simulator.params, scene.time, state, still(scene), simulator.noise(1)
    )
    return terms["agent"]["hits"], state.agent.x


@pytest.mark.parametrize("soft", (0.02, 0.05))
def test_a_sigmoid_of_a_width_counts_collisions(soft: float) -> None:
    found, x = hits(soft)
    far = torch.cdist(x, x)
    share = torch.sigmoid((0.3 - far) / soft) * (1 - torch.eye(8, dtype=x.dtype))
    # clipped at eight widths, which is less than 4e-4 of a collision
    torch.testing.assert_close(found, -8 * share.sum(-1), rtol=0, atol=8 * 7 * 4e-4)


def test_a_width_of_0_counts_one_by_one() -> None:
    found, x = hits(0.0)
    near = (torch.cdist(x, x) < 0.3).double().sum(-1) - 1
    assert near.sum() > 10
    torch.testing.assert_close(found, -8 * near, rtol=0, atol=1e-12)


def cut(soft: float) -> set[str]:
    program = mfdsl.load("navigation", params={"n": 3, "soft": soft}).agents
    return {text.partition(":")[0] for text in program.module.CUTS}


def test_gradients_reach_collisions_that_a_sigmoid_counts() -> None:
    lost = {"agent.reward hits", "agent.reward last_hits"}
    assert lost <= cut(0.0)
    assert not lost & cut(0.05)


def crew(spec: str, params: dict[str, Any] | None = None, **options: Any) -> Crew:
    game = mfdsl.load(spec, params=params or {})
    training = prepare_training(game, resolve(game.model, "mf_ppo", iterations=1, options=options))
    players = training.learner.policy
    assert isinstance(players, Crew)
    return players


def test_without_laws_only_what_is_near_is_seen() -> None:
    whole, local = crew("navigation", **LOCAL | {"laws": True}), crew("navigation", **LOCAL)
    for players, laws in ((whole, 2), (local, 0)):
        eyes = players.eyes["agent"]
        assert isinstance(eyes, Eyes)
        own, common, members = eyes.widths
        assert (own, common, len(members)) == (2 + 5 * 2 + 5 * 2, 0, laws)
    assert not any("encoders" in name for name in local.state_dict())
    larger = crew("navigation", {"n": 40, "half": 3.4}, **LOCAL)
    shapes = {name: value.shape for name, value in local.state_dict().items()}
    assert shapes == {name: value.shape for name, value in larger.state_dict().items()}


def test_views_have_the_digits_of_the_networks() -> None:
    game, players = mfdsl.load("navigation"), crew("navigation", **LOCAL)
    simulator = game.simulator(batch=2)  # in float64
    view = players.views(simulator.scene(0, simulator.reset()))["agent"]
    assert view.own is not None
    assert view.own.dtype == view.common.dtype == torch.float32


def test_a_planner_needs_laws() -> None:
    with pytest.raises(UsageError, match="a planner sees laws"):
        mfdsl.solve("m3fc_2g", "m3f_ppo", iterations=1, options={"laws": False})


def test_critics_need_laws() -> None:
    with pytest.raises(UsageError, match="critics read laws"):
        mfdsl.solve("navigation", "mf_ppo", iterations=1, options=LOCAL | {"gradient": "score"})


def untrained(scene: Scene) -> Any:
    """A softmax of Gumbel noise on equal logits over the five moves."""
    shape = (scene.batch, scene.agents["agent"], 5)
    u = draw(("exponential",), shape, (scene.seed, scene.t, "gumbel"))
    return OwnPolicy(lambda t, seen: {"a": (-u.log()).softmax(-1)})(scene)


# Returns of landmarks assigned once at least total distance and steered to: bench/papers.
ORACLES = {(15, 2.2): -66.2, (30, 3.0): -129.8}


def test_a_short_course_covers_landmarks_at_its_size_and_at_twice_of_it() -> None:
    learned = mfdsl.solve(
        "navigation", "mf_ppo", params={"soft": 0.05}, iterations=40, options=SMALL
    )
    assert isinstance(learned, Learned)
    for (agents, half), oracle in ORACLES.items():
        game = mfdsl.load("navigation", params={"n": agents, "half": half})
        start = game.simulator(batch=64, seed=1).rollout(untrained).team
        found = mfdsl.simulate(game, learned, batch=64, seed=1).team  # type: ignore[union-attr]
        assert start is not None and found is not None
        score = (found.mean - start.mean) / (oracle - start.mean)
        assert found.mean - start.mean > 5 * math.hypot(found.std_error, start.std_error)
        assert score > 0.1
