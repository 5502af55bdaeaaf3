"""Games of Bench-MFG whose equilibrium is where solvers start: they are solved from elsewhere."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from mfdsl.game import load
from mfdsl.runtime.evaluate import build_view
from mfdsl.runtime.program import Program
from mfdsl.runtime.solution import Solution
from mfdsl.runtime.solvers.loop import solve

SPECS = Path(__file__).parents[3] / "bench" / "specs"
LOGARITHMS = ("scores", "log_probs")


@pytest.fixture(scope="module")
def hands() -> Program:
    return load(SPECS / "rps_stationary.mfg").program


@pytest.fixture(scope="module")
def rooms() -> Program:
    return load(SPECS / "four_rooms_obstacles.mfg").program


def drawn(program: Program, seed: int) -> Tensor:
    """Logits of a policy far from uniform."""
    shape = (1, 1, program.state_count, program.action_count)
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(shape, generator=generator, dtype=torch.float64)


def solved_from(
    program: Program, solver: str, logits: Tensor, *, iterations: int
) -> tuple[float, Solution]:
    """The exploitability of the policy of the logits, and the run from there."""
    view = build_view(program)
    start = view.exploitability(view.policy(logits.softmax(-1))).item()
    state = dict(solve(program, None, solver, iterations=1, tolerance=0).state)
    state["probs"] = logits.softmax(-1)
    state |= {name: logits.log_softmax(-1) for name in LOGARITHMS if name in state}
    goal = 1e-3 * start
    return start, solve(
        program,
        None,
        solver,
        iterations=iterations,
        tolerance=goal,
        patience=None,
        state=state,
    )


@pytest.mark.parametrize("name", ["hands", "rooms"])
def test_solvers_start_at_the_equilibrium(name: str, request: pytest.FixtureRequest) -> None:
    view = build_view(request.getfixturevalue(name))
    assert view.exploitability(view.uniform()).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("seed", [1, 2])
def test_prior_descent_solves_rock_paper_scissors(hands: Program, seed: int) -> None:
    start, found = solved_from(hands, "prior_descent", drawn(hands, seed), iterations=1000)
    assert start > 0.1
    assert found.history[-1].exploitability <= 1e-3 * start
    law = build_view(hands).laws(found.policy)[0, 0]
    assert law.tolist() == pytest.approx([1 / 3] * 3, abs=1e-3)  # kept by many policies


@pytest.mark.parametrize("seed", [1, 2])
def test_mirror_descent_solves_four_rooms(rooms: Program, seed: int) -> None:
    start, found = solved_from(rooms, "omd", drawn(rooms, seed), iterations=1000)
    assert start > 1
    assert found.history[-1].exploitability <= 1e-3 * start


def test_best_responses_go_round(hands: Program) -> None:
    logits = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64).log().expand(1, 1, 3, 3)
    _, found = solved_from(hands, "policy_iteration", logits, iterations=60)
    assert min(record.exploitability for record in found.history) > 0.1
