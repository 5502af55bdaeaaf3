"""Small games by one compiled call: the same as by tensors, for all that they can say."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import mfdsl
from mfdsl.game import Game
from mfdsl.runtime.evaluate import Evaluation, build_view
from mfdsl.runtime.solvers.loop import solve
from mfdsl.runtime.views.finite import FiniteView
from tests.tabular.random_specs import Writer

pytest.importorskip("numba")

SPECS = Path(__file__).parents[2] / "specs"
# Moves that read the law through weights, through successors, time and law, none of these, masks,
# several populations, a final reward, no end.
GAMES = (
    "sis",
    "linear_quadratic",
    "conservative_treasure_hunting",
    "crowd_1d",
    "sir_vaccination",
    "openspiel_predator_prey",
    "lq_ring",
    "mfppo_toy",
    "routing",
)


def view_of(game: Game) -> FiniteView:
    view = build_view(game.program)
    assert isinstance(view, FiniteView)
    return view


def some_policy(view: FiniteView, seed: int) -> torch.Tensor:
    """Random probabilities of the legal actions, some of them 0."""
    even = view.uniform().probs
    source = torch.Generator().manual_seed(seed)
    weights = torch.rand(even.shape, generator=source, dtype=even.dtype)
    mixed = even * weights * (weights > 0.3)
    kept = torch.where(mixed.sum(-1, keepdim=True) > 0, mixed, even)
    return kept / kept.sum(-1, keepdim=True)


def assert_alike(view: FiniteView, seed: int) -> None:
    """A compiled call, and tensors, which are used while gradients are recorded."""
    policy = view.policy(some_policy(view, seed))
    with torch.no_grad():
        mine = Evaluation(view, policy)
        assert mine.flow.known is not None
    wanted = Evaluation(view, policy)
    assert wanted.flow.known is None
    pairs = [
        (mine.flow.laws, wanted.flow.laws),
        (mine.q, wanted.q),
        (mine.best_q, wanted.best_q),
        (mine.values, wanted.values),
        (mine.best_value, wanted.best_value),
        (view.laws(policy), wanted.flow.laws),
    ]
    for found, right in pairs:
        torch.testing.assert_close(found, right, rtol=1e-11, atol=1e-12)
    ours, theirs = mine.flow.problem, wanted.flow.problem
    assert (
        ours is not None and theirs is not None and (ours.final is None) == (theirs.final is None)
    )
    torch.testing.assert_close(ours.rewards, theirs.rewards, rtol=1e-11, atol=1e-12)
    again = replace(mine.flow, answers=None)
    torch.testing.assert_close(view.q_values(again, policy), wanted.q, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", GAMES)
def test_a_compiled_call_says_what_tensors_say(name: str) -> None:
    view = view_of(mfdsl.load(SPECS / f"{name}.mfg"))
    for seed in range(3):
        assert_alike(view, seed)


@pytest.mark.parametrize("seed", range(7))
def test_random_games_are_the_same_both_ways(seed: int) -> None:
    assert_alike(view_of(mfdsl.load(text=Writer(seed).text())), seed)


def test_values_are_found_anew_where_the_problem_is_another() -> None:
    view = view_of(mfdsl.load(SPECS / "crowd_1d.mfg"))
    policy = view.uniform()
    with torch.no_grad():
        flow = view.flow(policy)
        assert flow.problem is not None
        free = replace(flow, problem=replace(flow.problem, rewards=flow.problem.rewards * 0))
        assert view.q_values(flow, policy).abs().max() > 1
        assert view.q_values(free, policy).abs().max() == 0
        assert view.q_values(free).abs().max() == 0


def test_another_policy_against_the_flow_has_its_own_values() -> None:
    view = view_of(mfdsl.load(SPECS / "sis.mfg"))
    other = view.policy(some_policy(view, 1))
    with torch.no_grad():
        flow = view.flow(view.uniform())
        found = view.value(flow, view.q_values(flow, other), other)
    flow = view.flow(view.uniform())
    wanted = view.value(flow, view.q_values(flow, other), other)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=0)


@torch.no_grad()
def test_batches_go_by_tensors() -> None:
    program = mfdsl.load(SPECS / "sis.mfg").program
    batch = FiniteView.build(program, program.params({"c_ill": [1.0, 2.0]}))
    many = FiniteView.build(program)
    assert batch.flow(batch.uniform()).answers is None
    assert many.flow(many.policy(many.uniform().probs.repeat(2, 1, 1, 1))).answers is None


@pytest.mark.parametrize("name", ["sis", "crowd_1d", "dynamic_routing"])
def test_single_precision_is_double_precision_rounded(name: str) -> None:
    program = mfdsl.load(SPECS / f"{name}.mfg").program
    single = FiniteView.build(program, program.params(dtype=torch.float32))
    double = FiniteView.build(program)
    assert single.compiled is not None and double.compiled is not None
    probs = some_policy(single, 2)
    with torch.no_grad():
        mine = Evaluation(single, single.policy(probs))
        assert mine.flow.known is not None and mine.flow.problem is not None
        wanted = Evaluation(double, double.policy(probs.double()))
    alike = [(mine.flow.laws, wanted.flow.laws), (mine.q, wanted.q), (mine.best_q, wanted.best_q)]
    for found, right in [*alike, (mine.values, wanted.values)]:
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), right, rtol=1e-6, atol=1e-5)
    assert mine.flow.problem.rewards.dtype == mine.flow.joint.dtype == torch.float32


def test_a_law_that_is_not_finite_ends_in_values_that_are_not() -> None:
    view = view_of(mfdsl.load(SPECS / "linear_quadratic.mfg"))
    with torch.no_grad():
        flow = view.flow(view.policy(view.uniform().probs * torch.nan))
    assert flow.laws[:, 1:].isnan().any(-1).all()


def test_a_solution_keeps_no_values_of_the_last_evaluation() -> None:
    solution = solve(mfdsl.load(SPECS / "sis.mfg").program, None, "omd", iterations=2)
    assert solution.flow.answers is None and solution.flow.problem is None
