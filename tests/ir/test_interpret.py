"""The interpreter against numbers worked out by hand."""

import math

import pytest

from mfdsl.compiler.ir import geometry, meaning
from mfdsl.compiler.ir.interpret import Environment, evaluate
from mfdsl.compiler.ir.types import BOOL, INT
from tests.ir.models import GAMES, WALLS, Game, beach_bar, crowd, masked, price, sis


def uniform(model):
    keys = [(s, a) for s in meaning.joint_states(model) for a in meaning.joint_actions(model)]
    return dict.fromkeys(keys, 1 / len(keys))


def test_beach_bar_by_hand():
    model = beach_bar(10)
    law = uniform(model)
    assert meaning.kernel_row(model, 0, law, (9,), (1,)) == pytest.approx(
        {(9,): 0.1, (0,): 0.8, (1,): 0.1}
    )
    terms = meaning.reward_terms(model, 0, law, (9,), (1,))
    assert terms == pytest.approx(
        {"proximity": -0.4, "crowding": -math.log(0.1 + 1e-6), "effort": -0.1}
    )


def test_sis_by_hand():
    model = sis()
    law = {((1,), (0,)): 0.5, ((1,), (1,)): 0.25, ((0,), (0,)): 0.25}
    row = meaning.kernel_row(model, 0, law, (0,), (0,))
    assert row == pytest.approx({(1,): 0.8 * 0.5, (0,): 1 - 0.8 * 0.5})
    assert meaning.kernel_row(model, 0, law, (0,), (1,)) == {(0,): 1.0}
    assert meaning.final_reward(model, 5, {(1,): 0.75, (0,): 0.25}, (1,)) == -0.75
    assert meaning.initial_law(model) == {(0,): 0.9, (1,): 0.1}


def test_rewards_average_over_the_noise():
    model = price()
    terms = meaning.reward_terms(model, 0, uniform(model), (1, 0), (1,))
    assert terms["sales"] == pytest.approx(0.5 * 0.9)
    assert meaning.reward_terms(model, 0, uniform(model), (0, 0), (1,))["sales"] == 0


def test_the_mask_reads_state_and_time():
    model = masked()
    assert meaning.legal(model, 0, (2,), (2,))
    assert not meaning.legal(model, 3, (2,), (2,))
    assert not meaning.legal(model, 0, (1,), (2,))


@pytest.mark.parametrize("name", GAMES)
def test_mass_is_kept(name):
    model = GAMES[name]()
    assert sum(meaning.push(model, 1, uniform(model)).values()) == pytest.approx(1)


def test_only_the_branch_taken_is_looked_at():
    g = Game("lazy")
    x = g.b.add("state", (), "x", INT)
    zero = g.op("eq", x, g.i(0))
    inverse = g.op("div", g.r(1), g.real(x))
    chosen = g.op("if", zero, g.r(7), inverse)
    guarded = g.op("and", g.op("not", zero), g.op("lt", inverse, g.r(1)), type=BOOL)
    g.state("x", INT)
    g.reward("r", chosen)
    g.reward("s", g.ind(guarded))
    model = g.model()
    environment = Environment({("state", "x"): 0})
    assert evaluate(model, chosen, environment) == 7
    assert evaluate(model, guarded, environment) == 0


def test_paths_go_around_walls():
    grid = crowd(WALLS).grids[0]
    cells = geometry.free_cells(grid)
    distances = dict(zip(cells, geometry.path_distances(grid, "E"), strict=True))
    assert distances[0, 3] == 0
    assert distances[0, 1] == 6
    assert geometry.cell_distance(grid, cells.index((0, 1)), cells.index((0, 3))) == 2


def test_cells_without_a_way_are_further_than_any_path():
    grid = crowd(("E#.", "##.")).grids[0]
    assert geometry.path_distances(grid, "E") == (0, 3, 3)


def test_distance_on_a_torus_takes_the_short_way():
    grid = crowd(None, periodic=True, moore=True).grids[0]
    cells = geometry.free_cells(grid)
    assert geometry.cell_distance(grid, cells.index((0, 0)), cells.index((3, 4))) == 1
