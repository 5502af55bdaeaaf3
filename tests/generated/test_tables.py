"""Answers on tables: laws put on places, and mirror descent as the solver of tables has it."""

from dataclasses import replace

import pytest
import torch
from pytest import MonkeyPatch

import mfdsl
from bench.papers import gd_mfrl
from bench.papers.gd_mfrl import exact_descent, rooms
from mfdsl.compiler.tabular.grids import Bins
from mfdsl.game import load
from mfdsl.learning import tables_of as made
from mfdsl.runtime.learning.generated.space import space_of
from mfdsl.runtime.learning.generated.table_response import ByTables, Places
from mfdsl.runtime.learning.placed import Tables
from tests.generated.lessons import learner_of, lesson_of


def responder_of(name: str) -> ByTables:
    found = learner_of(load(name), crowd=64, paths=64).responder
    assert isinstance(found, ByTables)
    return found


def tables_of(name: str) -> Tables:
    lesson = lesson_of(load(name))
    assert lesson.tables is not None
    tables = lesson.tables()
    assert tables is not None
    return tables


def test_the_baseline_is_the_solver_of_tables() -> None:
    options = {"learning_rate": 0.5, "temperature": 1.0}
    solved = mfdsl.solve("sis", "omd", iterations=8, tolerance=0, options=options)
    gap, law = exact_descent(tables_of("sis"), 0.5, 8)
    assert gap == pytest.approx(solved.history[-1].exploitability, rel=1e-9)
    assert law.sum(1).tolist() == pytest.approx([1.0] * len(law))


def test_rooms_of_eleven_places_are_the_shipped_ones() -> None:
    shipped, built = load("four_rooms").model, rooms(11).model
    assert built.grids == shipped.grids and built.nodes == shipped.nodes
    (large,) = rooms(101).model.grids
    assert large.rows is not None and sum(row.count("#") for row in large.rows) == 4 * 102 + 201 - 4


def test_rooms_whose_places_are_not_tried_have_the_same_law(monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setattr(gd_mfrl, "TRIED", 10)
    games = load("four_rooms"), rooms(11)
    assert games[0].model.nodes != games[1].model.nodes
    views = [made(game, game.agents.params()) for game in games]
    laws = [found.view.flow(found.view.uniform()).laws for found in views if found is not None]
    assert torch.equal(laws[0], laws[1])


def test_against_its_own_law_a_policy_is_judged_as_by_the_view() -> None:
    responder = responder_of("sis")
    responder.table.probs[..., 0], responder.table.probs[..., 1] = 0.3, 0.7
    flow = responder.view.flow(responder.tabular)
    again = responder.against(flow.laws[0])
    for policy in (None, responder.tabular):
        wanted = responder.view.q_values(flow, policy)
        assert torch.allclose(responder.view.q_values(again, policy), wanted, atol=1e-12)


def test_points_between_places_count_for_both() -> None:
    game = load("double_well")
    tabled = replace(game, bins=Bins(None, {"x": 7, "a": 3}))
    tables = made(tabled, game.agents.params(dtype=torch.float32))
    assert tables is not None
    places = Places(tables, space_of(game.agents))  # at -3, -2, .. 3
    points = torch.tensor([[[-3.0], [0.25], [3.0], [2.5]]])
    wanted = [0.25, 0, 0, 0.1875, 0.0625, 0.125, 0.375]
    assert places.counted(points)[0].tolist() == pytest.approx(wanted)
