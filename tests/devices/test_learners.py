"""Learners run on a GPU: networks, rollouts, losses, slopes; shown on one that is pretended.

Draws are made on the device, so that figures are others than on the CPU: what is compared is
where everything lies, that numbers are finite, and that a run goes on and is played.
"""

import math
from pathlib import Path
from typing import Any

import pytest

import mfdsl
from mfdsl.runtime.learning.generated import auditor
from tests.devices.pretended import pretended

TRACKING = str(Path(__file__).parents[2] / "bench" / "papers" / "tracking.mfg")
SMALL = {
    "agents": 4,
    "games": 2,
    "hidden": 4,
    "evaluate_games": 2,
    "evaluate_every": 1,
}
PPO = SMALL | {"steps": 2, "epochs": 1, "minibatches": 1, "embedding": 3, "bins": 3}
REPLAY = SMALL | {"steps": 3, "batch": 4, "updates": 100, "parameters": 500}
MEAN_FIELD = SMALL | {"updates": 2, "batch": 4, "members": 2}
GENERATED = SMALL | {
    "learners": 8,
    "answers": 1,
    "crowd": 16,
    "paths": 32,
    "gap": "none",
    "fit_steps": 1,
    "fit_batch": 4,
    "width": 4,
}
SHORT: dict[str, dict[str, float]] = {
    "rotating_target": {"T": 2},
    "sis": {"T": 2},
    TRACKING: {"T": 2},
}
CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("mf_ppo", "m3fc_beach", PPO),
    ("mf_ppo", "m3fc_beach", PPO | {"gradient": "score"}),
    ("mf_ppo", "m3fc_foraging", PPO | {"encoder": "histogram", "gradient": "score"}),
    ("mf_ppo", "m3fc_foraging", PPO | {"encoder": "attention"}),
    ("mf_ppo", "m3fc_formation", PPO),
    ("mf_ppo", "lq_control", PPO),
    ("mf_ppo", "navigation", PPO | {"nearest": 2}),
    ("mf_ppo", "navigation", PPO | {"fields": True}),
    ("m3f_ppo", "m3fc_potential", PPO),
    ("m3f_ppo", "m3fc_formation", PPO | {"rule": "rbf"}),
    ("m3f_ppo", "m3fc_beach", PPO | {"softmax": True}),
    ("mappo", "m3fc_beach", PPO),
    ("maddpg", "mfppo_toy", REPLAY),
    ("maddpg", "mfppo_toy", REPLAY | {"critic": "gcn"}),
    ("ppo_nash", "rock_paper_scissors", PPO),
    ("ppo_nash", "rock_paper_scissors", PPO | {"network": "individual"}),
    ("ppo_nash", "predator_prey", PPO | {"gap": "none"}),
    ("mf_q", "a_rps", MEAN_FIELD),
    ("mf_ac", "a_rps", MEAN_FIELD),
    ("gd_mfrl", "rock_paper_scissors", GENERATED),
    ("gd_mfrl", "rotating_target", GENERATED | {"generator": "mdn"}),
    ("gd_mfrl", "rotating_target", GENERATED | {"generator": "flow", "response": "path"}),
    ("gd_mfrl", "sis", GENERATED | {"response": "score"}),
    ("gd_mfrl", "sis", GENERATED | {"response": "tables"}),
    ("gd_mfrl", TRACKING, GENERATED | {"vary": "m0=-1..3", "contexts": 2, "loss": "wgan_gp"}),
]
IDS = [
    "-".join([solver, Path(spec).stem, *(f"{k}={v}" for k, v in given.items() if k in ("gradient",
     "encoder", "critic", "nearest", "fields", "rule", "network", "generator", "loss", "response",
     "vary"))])
    for solver, spec, given in CASES
]  # fmt: skip


@pytest.mark.parametrize(("solver", "spec", "given"), CASES, ids=IDS)
def test_a_learner_learns_there(
    solver: str, spec: str, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditor, "LESSONS", 2)  # the auditor's classifier is most of the work
    with pretended() as machine:
        game = mfdsl.load(spec, params=SHORT.get(spec))
        learned = mfdsl.solve(game, solver, iterations=1, options=given, device="cuda")
        assert all(value.is_cuda for value in learned.networks.values())
        assert all(value.isfinite().all() for value in learned.networks.values())
        assert machine.waited > 0
    assert math.isfinite(learned.value.mean)


def test_a_learned_run_goes_on_there_and_is_played_anywhere(tmp_path: Path) -> None:
    with pretended():
        mfdsl.solve("m3fc_beach", "mf_ppo", iterations=1, options=PPO, device="cuda", out=tmp_path)
        (run,) = tmp_path.iterdir()
        on = mfdsl.resume(run, iterations=2, device="cuda")
        assert all(value.is_cuda for value in on.networks.values())
    here = mfdsl.resume(run, iterations=3)
    assert here.iterations == 3
    played = mfdsl.simulate("m3fc_beach", here, agents=4, steps=2)
    assert math.isfinite(played.team.mean)
