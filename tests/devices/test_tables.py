"""The tables of every shipped game run on a GPU, shown on one that is pretended."""

import functools
from pathlib import Path
from typing import Any

import pytest
import torch

import mfdsl
from mfdsl.game import Game
from mfdsl.runtime.evaluate import build_view
from mfdsl.runtime.solvers.table import SOLVERS
from tests import shipped
from tests.devices.pretended import pretended

TOO_LARGE = {"sioux_falls"}  # 30 million pairs of state and action
NAMES = [n for n in shipped.NAMES if n not in TOO_LARGE and shipped.model_of(n).tabular]
# Their draws are made on the device, and are others there.
DRAWN = {"mf_pso", "symm_pmd", "independent_pmd"}
FEWER: dict[str, dict[str, float]] = {
    name: {"T": 8} for name in ("sis", "sir_vaccination", "crowd", "dynamic_routing")
}
SHORT: dict[str, dict[str, Any]] = {
    "deep_munchausen": {"hidden": 4, "updates": 5},
    "average_fp": {"hidden": 4, "updates": 5},
    "master": {"hidden": 4, "updates": 5, "number": 2},
}


def measured(game: Game, device: str) -> tuple[torch.Tensor, ...]:
    """Laws of the uniform policy, Q of the best response and of the policy, exploitability."""
    program = game.program
    with torch.no_grad():
        view = build_view(program, program.params(device=device))
        policy = view.uniform()
        flow = view.flow(policy)
        own = view.q_values(flow, policy)
        return flow.laws, view.q_values(flow), own, view.exploitability(policy)


@pytest.mark.parametrize("name", NAMES)
def test_exploitability_on_a_gpu_is_that_of_the_cpu(name: str) -> None:
    game = mfdsl.load(shipped.SPECS / f"{name}.mfg", params=FEWER.get(name))
    expected = measured(game, "cpu")
    with pretended():
        found = measured(game, "cuda")
        assert all(value.is_cuda for value in found)
        for mine, own in zip(found, expected, strict=True):
            torch.testing.assert_close(mine.cpu(), own, rtol=1e-10, atol=1e-10)


@functools.cache
def game_of(name: str) -> Game:
    """A game whose certificates and program all solvers share."""
    return mfdsl.load(name)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_solver_on_a_gpu_goes_as_on_the_cpu(solver: str) -> None:
    options = SHORT.get(solver, {})
    run = {"iterations": 2, "options": options}
    game = game_of("mfglib_beach_bar")
    expected = mfdsl.solve(game, solver, **run)
    with pretended():
        found = mfdsl.solve(game, solver, **run, device="cuda")
        assert found.policy.probs.is_cuda and found.flow.laws.is_cuda
        assert 0 <= found.exploitability.value < 4
        if solver not in DRAWN:
            assert found.exploitability.value == pytest.approx(expected.exploitability.value, 1e-5)


@pytest.mark.parametrize(
    ("name", "solver", "more"),
    [
        ("stationary_sis", "omd", {}),
        ("contraction", "fictitious_play", {}),
        ("predator_prey", "omd", {}),
        ("sis", "omd", {"sweep": {"infection": [0.3, 0.9]}}),
        ("mfglib_beach_bar", "pmd", {"dtype": "float32"}),
        ("mfglib_beach_bar", "omd", {"start": "random"}),
    ],
)
def test_other_games_and_batches(name: str, solver: str, more: dict[str, Any]) -> None:
    game = game_of(name)
    expected = mfdsl.solve(game, solver, iterations=2, **more)
    with pretended():
        found = mfdsl.solve(game, solver, iterations=2, device="cuda", **more)
        assert found.policy.probs.is_cuda
        assert found.exploitability.value == pytest.approx(expected.exploitability.value, 1e-5)


def test_a_run_goes_on_there_and_is_played_anywhere(tmp_path: Path) -> None:
    game = game_of("mfglib_beach_bar")
    whole = mfdsl.solve(game, "omd", iterations=4)
    with pretended():
        mfdsl.solve(game, "omd", iterations=2, device="cuda", out=tmp_path)
        (run,) = tmp_path.iterdir()
        found = mfdsl.resume(run, iterations=4, device="cuda")
        assert found.exploitability.value == pytest.approx(whole.exploitability.value, 1e-9)
        there = mfdsl.simulate(game, found.policy, agents=50, device="cuda", record_laws=True)
        assert there.returns.is_cuda and there.laws is not None and there.laws.is_cuda
    again = mfdsl.resume(run, iterations=5)
    assert not again.policy.probs.is_cuda and again.iterations == 5
