"""Courses of learning: they improve, stop, go on exactly, and say what cannot be."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

import mfdsl
from mfdsl import UsageError
from mfdsl.learning import prepare_training, train
from mfdsl.runtime.learning.loop import Learned
from mfdsl.runtime.status import Status
from mfdsl.settings import resolve

SMALL = {"agents": 10, "games": 8, "evaluate_games": 16, "evaluate_every": 3, "hidden": 16}


def learned(spec: str, iterations: int, solver: str = "mf_ppo", **options: Any) -> Learned:
    found = mfdsl.solve(spec, solver, iterations=iterations, options=SMALL | options)
    assert isinstance(found, Learned)
    return found


@pytest.mark.parametrize(
    ("spec", "options"),
    [
        ("lq_control", {"gradient": "path", "learning_rate": 0.01}),
        ("lq_control", {"gradient": "score", "learning_rate": 0.01}),
        ("lq_major_control", {"gradient": "score", "learning_rate": 0.01}),
        ("m3fc_beach", {"steps": 20, "learning_rate": 0.01}),
    ],
)
def test_returns_rise(spec: str, options: dict[str, Any]) -> None:
    found = learned(spec, 12, **options)
    first, last = found.history[0].value, found.history[-1].value
    assert last > first
    assert (
        found.value.mean
        >= max(r.measured for r in found.history if not math.isnan(r.measured)) - 1e-9
    )
    assert found.status is Status.max_iterations


@pytest.mark.parametrize("spec", ["m3fc_beach", "m3fc_potential", "lq_major_control"])
def test_a_resumed_course_is_the_uninterrupted_one(spec: str, tmp_path: Path) -> None:
    options = SMALL | {"gradient": "score", "steps": 8, "final_rate": 1.0}
    if spec == "lq_major_control":
        options.pop("steps")
    whole = mfdsl.solve(spec, "mf_ppo", iterations=6, options=options)
    mfdsl.solve(spec, "mf_ppo", iterations=3, options=options, out=tmp_path)
    (run,) = tmp_path.iterdir()
    rest = mfdsl.resume(run, iterations=6)
    assert isinstance(whole, Learned) and isinstance(rest, Learned)
    assert rest.state.keys() == whole.state.keys()
    for name, value in whole.state.items():
        torch.testing.assert_close(rest.state[name], value, rtol=0, atol=0)
    assert [r.value for r in rest.history] == [r.value for r in whole.history]


def test_a_stop_saves_what_was_learned() -> None:
    game = mfdsl.load("lq_control")
    training = prepare_training(game, resolve(game.model, "mf_ppo", iterations=50, options=SMALL))
    seen = []

    def stop() -> bool:
        return len(seen) >= 4

    found = train(training, on_progress=seen.append, stop=stop)
    assert found.status is Status.interrupted
    assert found.iterations == 4 == len(found.history)
    assert not math.isnan(found.value.mean)


def test_without_iterations_the_untrained_policy_is_measured() -> None:
    found = learned("lq_control", 0)
    assert (found.iterations, found.history) == (0, ())
    assert len(found.value.values) == SMALL["evaluate_games"]
    assert found.value.mean < -10  # the optimum is -7.2


def test_the_policy_of_a_run_is_the_best_one_measured(tmp_path: Path) -> None:
    found = mfdsl.solve("lq_control", "mf_ppo", iterations=6, options=SMALL, out=tmp_path)
    (run,) = tmp_path.iterdir()
    summary = json.loads((run / "summary.json").read_text())
    assert summary["value"]["mean"] == found.value.mean  # type: ignore[union-attr]
    names = {path.name for path in run.iterdir()}
    assert {"policy.safetensors", "state.safetensors", "metrics.jsonl"} <= names
    lines = (run / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == [1, 2, 3, 4, 5, 6]


def test_what_was_learned_plays_with_any_number_of_agents() -> None:
    found = learned("lq_control", 3)
    for agents in (1, 7, 40):
        rollout = mfdsl.simulate("lq_control", found, agents=agents, batch=4)
        assert rollout.agents == {"agent": agents}  # type: ignore[comparison-overlap]


def test_a_planner_hands_out_rules() -> None:
    found = learned("m3fc_2g", 2, "m3f_ppo", steps=5, bins=3)
    assert found.networks["upper.log_std"].shape == (9 * 2 * 2,)
    beach = learned("m3fc_beach", 2, "m3f_ppo", steps=5)
    assert beach.networks["upper.log_std"].shape == (25 * 5,)


@pytest.mark.parametrize(
    ("spec", "solver", "options", "message"),
    [
        ("beach_bar", "mf_ppo", {}, "learns what is best for a team"),
        ("m3fc_beach", "mf_ppo", {"gradient": "path"}, "all actions of m3fc_beach are finite"),
        ("m3fc_2g", "mf_ppo", {"credit": "marginal"}, "have no weights"),
        ("lq_control", "m3f_ppo", {}, "has no bounds, so a rule has no cells"),
        ("m3fc_beach", "mf_ppo", {"nearest": 2}, "has no real vector as a place"),
        ("m3fc_foraging", "m3f_ppo", {"cells": "q"}, "is no number of cells"),
        ("lq_control", "mf_ppo", {"hide": "zzz"}, "nobody sees `zzz`"),
        ("lq_control", "mf_ppo", {"hide": "x"}, "`agent` sees nothing of its own"),
        ("lq_control", "mf_ppo", {"hide": "x", "laws": False}, "`agent` sees nothing of its own"),
        ("lq_control", "mf_ppo", {"steps": 21}, "ends after 20 steps"),
        ("lq_control", "mf_ppo", {"gradient": "path", "credit": "own"}, "the path use no credit"),
        ("m3fc_2g", "m3f_ppo", {"credit": "marginal"}, "it has the credit of the team"),
        ("m3fc_2g", "m3f_ppo", {"nearest": 2}, "a planner sees no single agents"),
        ("m3fc_2g", "m3f_ppo", {"bins": 200}, "would have 40,000 cells"),
    ],
)
def test_what_cannot_be_learned_is_said(
    spec: str, solver: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        mfdsl.solve(spec, solver, iterations=1, options=SMALL | options)
