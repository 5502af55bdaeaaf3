"""Passes stage by stage give what tables of all stages give."""

import pytest
import torch

from mfdsl.runtime.evaluate import Evaluation, build_view
from mfdsl.runtime.program import Program
from mfdsl.runtime.solvers.loop import solve
from mfdsl.runtime.views import native, streamed, tables
from mfdsl.runtime.views.finite import FiniteView
from tests.runtime import oracle

DISCOUNTED = {"HORIZON": "None", "HORIZON_KIND": '"infinite"', "DISCOUNT": "0.8"}
GAMES = {
    "left_right": oracle.load("left_right"),
    "beach_bar": oracle.beach_bar_program(30, 11),
    "susceptible_infected": oracle.load("susceptible_infected"),
    "masked_queue": oracle.load("masked_queue"),
    "discounted": oracle.load("beach_bar", **DISCOUNTED),
}


def streams(monkeypatch: pytest.MonkeyPatch, *, compiled: bool, block: int = 64) -> None:
    monkeypatch.setattr(streamed, "STREAMED_ENTRIES", 0)
    monkeypatch.setattr(streamed, "CHUNK_ENTRIES", block)
    if not compiled:
        monkeypatch.setattr(native, "available", lambda: False)


def random_policy(view: FiniteView, games: int) -> torch.Tensor:
    legal = view.uniform().probs[:1] > 0
    generator = torch.Generator().manual_seed(4)
    mass = torch.rand(games, *legal.shape[1:], generator=generator, dtype=torch.float64) * legal
    return mass / mass.sum(-1, keepdim=True)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("games", [1, 3])
@pytest.mark.parametrize("name", GAMES)
def test_scores_are_those_of_the_tables(
    name: str, games: int, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = build_view(GAMES[name])
    assert isinstance(plain, FiniteView)
    policy = plain.policy(random_policy(plain, games))
    expected = Evaluation(plain, policy)
    wanted = expected.exploitability, expected.q, expected.values, expected.best_value
    streams(monkeypatch, compiled=compiled)
    view = build_view(GAMES[name])
    found = Evaluation(view, policy)
    assert found._streamed is not None
    assert found.exploitability.per_game == pytest.approx(wanted[0].per_game, abs=1e-12)
    assert found.exploitability.kind == wanted[0].kind
    assert torch.equal(found.q.isfinite(), wanted[1].isfinite())
    torch.testing.assert_close(found.q, wanted[1], rtol=0, atol=1e-12)
    torch.testing.assert_close(found.values, wanted[2], rtol=0, atol=1e-12)
    torch.testing.assert_close(found.best_value, wanted[3], rtol=0, atol=1e-12)
    torch.testing.assert_close(found.best_q, expected.best_q, rtol=0, atol=1e-12)
    torch.testing.assert_close(found.laws, expected.laws, rtol=0, atol=1e-12)
    torch.testing.assert_close(view.exploitability(policy), plain.exploitability(policy))


@pytest.mark.parametrize(
    "solver", ["omd", "fictitious_play", "policy_iteration", "successive_averages"]
)
def test_solvers_take_the_same_steps(solver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    for large in (False, True):
        if large:
            streams(monkeypatch, compiled=True)
        found = solve(GAMES["masked_queue"], None, solver, iterations=5, tolerance=0)
        runs.append([record.exploitability for record in found.history])
    assert runs[1] == pytest.approx(runs[0], rel=1e-10)


def test_parameters_in_batches_are_streamed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    program: Program = oracle.load("beach_bar")
    params = program.params({"bar": [2.0, 0.0, 1.0]})
    view = FiniteView.build(program, params)
    wanted = view.exploitability(view.uniform())
    streams(monkeypatch, compiled=True, block=1)
    found = FiniteView.build(program, params)
    torch.testing.assert_close(found.exploitability(found.uniform()), wanted)
    assert tables.CHUNK_ENTRIES > 1
