"""What all solvers with networks have in common: resume, Ctrl-C, sweeps, masks, seeds, errors."""

from typing import Any

import pytest
import torch

import mfdsl
from mfdsl.runtime.solution import Record, Solution
from mfdsl.runtime.solvers.base import SolverError
from mfdsl.runtime.solvers.loop import solve
from mfdsl.runtime.status import Status
from tests.runtime import oracle

SMALL: dict[str, Any] = {"hidden": 16, "updates": 8}
OPTIONS: dict[str, dict[str, Any]] = {
    "deep_munchausen": SMALL | {"temperature": 3.0},
    "average_fp": SMALL,
    "structural_pg": SMALL | {"updates": 2},
    "master": SMALL | {"number": 4},
}
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *OPTIONS.items(),
    ("deep_munchausen", OPTIONS["deep_munchausen"] | {"batch": 20, "alpha": 0.9}),
    ("average_fp", OPTIONS["average_fp"] | {"batch": 20, "reservoir": 500}),
    ("structural_pg", OPTIONS["structural_pg"] | {"batch": 20, "entropy": 0.1}),
    ("master", OPTIONS["master"] | {"renew": False, "batch": 20}),
]


def run(solver: str, options: dict[str, Any], iterations: int, **more: Any) -> Solution:
    program = oracle.load("masked_queue")
    limits = {"iterations": iterations, "tolerance": 0, "patience": None}
    return solve(program, None, solver, options, **limits, **more)


@pytest.mark.parametrize(("solver", "options"), VARIANTS)
def test_a_run_that_was_interrupted_goes_on_as_if_it_had_not_been(
    solver: str, options: dict[str, Any]
) -> None:
    whole = run(solver, options, 6)

    def interrupt(record: Record) -> None:
        if record.iteration == 3:
            raise KeyboardInterrupt

    first = run(solver, options, 6, on_progress=interrupt)
    assert first.status is Status.interrupted and first.iterations == 3
    rest = run(solver, options, 6, state=first.state, history=first.history)
    for name, value in whole.state.items():
        assert torch.equal(rest.state[name].to(value), value), name
    assert [r.exploitability for r in rest.history] == [r.exploitability for r in whole.history]
    assert len({r.exploitability for r in whole.history}) == 7


@pytest.mark.parametrize(("solver", "options"), VARIANTS)
def test_policies_are_probabilities_on_legal_actions(solver: str, options: dict[str, Any]) -> None:
    probs = run(solver, options, 3).policy.probs
    legal = run("omd", {}, 0).policy.probs > 0
    assert not legal.all()
    assert bool((probs[~legal] == 0).all())
    torch.testing.assert_close(probs.sum(-1), torch.ones_like(probs[..., 0]))


@pytest.mark.parametrize("solver", OPTIONS)
def test_seeds_make_other_networks_and_nothing_else_is_drawn(solver: str) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, again = (run(solver, OPTIONS[solver] | {"seed": 1}, 2) for _ in range(2))
    assert torch.equal(torch.rand(1), expected)
    other = run(solver, OPTIONS[solver] | {"seed": 2}, 2)
    assert torch.equal(one.policy.probs, again.policy.probs)
    assert not torch.allclose(one.policy.probs, other.policy.probs, atol=1e-6)


@pytest.mark.parametrize("solver", ["deep_munchausen", "average_fp", "structural_pg"])
def test_each_game_of_a_sweep_has_a_network_of_its_own(solver: str) -> None:
    program = oracle.load("beach_bar")
    limits: dict[str, Any] = {"iterations": 3, "tolerance": 0}
    batch = solve(program, program.params({"bar": [2.0, 0.0]}), solver, OPTIONS[solver], **limits)
    assert batch.policy.probs.shape[0] == 2
    for g, bar in enumerate([2.0, 0.0]):
        alone = solve(program, program.params({"bar": bar}), solver, OPTIONS[solver], **limits)
        torch.testing.assert_close(batch.policy.probs[g], alone.policy.probs[0], atol=1e-4, rtol=0)
    assert not torch.allclose(batch.policy.probs[0], batch.policy.probs[1], atol=0.01)


def test_fictitious_play_with_networks_shares_ties_as_the_table_does() -> None:
    """Greedy responses of networks would fall to one side, and lose as `ties=first` does."""
    program = mfdsl.load("crowd_1d").program
    gaps = {}
    for name, options in {
        "share": ("fictitious_play", {"ties": "share"}),
        "first": ("fictitious_play", {"ties": "first"}),
        "networks": ("average_fp", {"hidden": 32, "updates": 60}),
    }.items():
        found = solve(program, None, *options, iterations=20, tolerance=0, patience=None)
        gaps[name] = found.exploitability.value
    assert gaps["networks"] < 1.5 * gaps["share"] and gaps["share"] < 0.9 * gaps["first"], gaps


def test_stationary_games_are_solved_too() -> None:
    program = mfdsl.load("two_bars").program
    found = solve(program, None, "structural_pg", SMALL, iterations=10, tolerance=0)
    gaps = [r.exploitability for r in found.history]
    assert min(gaps) < 0.7 * gaps[0]


@pytest.mark.parametrize(
    ("solver", "options", "spec", "message"),
    [
        ("structural_pg", {"memory": 4}, "sis", "`memory` is of a random common state"),
        ("master", {}, "stationary_sis", "has a stationary horizon"),
        ("master", {}, "mfax_linear_quadratic", "take `laws = spec`"),
    ],
)
def test_what_has_no_meaning_is_refused(
    solver: str, options: dict[str, Any], spec: str, message: str
) -> None:
    with pytest.raises(SolverError, match=message):
        solve(mfdsl.load(spec).program, None, solver, options, iterations=1)


def test_a_master_solves_one_game_at_a_time() -> None:
    program = oracle.load("beach_bar")
    with pytest.raises(SolverError, match="without --sweep"):
        solve(program, program.params({"bar": [2.0, 0.0]}), "master", SMALL, iterations=1)
