"""Moves as a landing and a spread, and the compiled loops over them, against plain tables."""

import pytest
import torch

from mfdsl.runtime.views import native, rows
from mfdsl.runtime.views.kernels import RowsKernel, matrix_kernel
from mfdsl.runtime.views.rows import shared_rows

Table = tuple[torch.Tensor, torch.Tensor]


def walled(side: int) -> Table:
    """Move, then noise, on a square whose edges and a wall in the middle cannot be entered."""
    row, col = torch.arange(side * side) // side, torch.arange(side * side) % side

    def step(cell: torch.Tensor, move: int) -> torch.Tensor:
        down, right = ((-1, 0), (0, -1), (0, 0), (0, 1), (1, 0))[move]
        r, c = (row[cell] + down).clamp(0, side - 1), (col[cell] + right).clamp(0, side - 1)
        wall = (c == side // 2) & (r != side // 3)
        return torch.where(wall, cell, r * side + c)

    cells = torch.arange(side * side)
    landing = torch.stack([step(cells, a) for a in range(5)])
    places = torch.stack([step(landing.reshape(-1), k).view_as(landing) for k in range(5)])
    weights = torch.tensor([0.1, 0.2, 0.4, 0.0, 0.3], dtype=torch.float64)[:, None, None]
    return places, weights


def chain(states: int) -> Table:
    """Clipped steps, with chances that depend on the place where the agent is."""
    x, a = torch.arange(states), torch.arange(-2, 3)[:, None]
    noise = torch.arange(-1, 2)[:, None, None]
    chance = 0.2 + 0.4 * x / states
    weights = torch.stack([chance / 2, 1 - chance, chance / 2]).double()[:, None]
    return (x + a + noise).clamp(0, states - 1), weights


def scattered(states: int) -> Table:
    generator = torch.Generator().manual_seed(2)
    places = torch.randint(states, (3, 2, states), generator=generator)
    return places, torch.rand(3, 2, states, generator=generator, dtype=torch.float64)


TABLES = {"walled": walled(9), "large": walled(40), "chain": chain(50), "scattered": scattered(30)}


@pytest.mark.parametrize("name", TABLES)
def test_a_landing_and_a_spread_are_the_table(name: str) -> None:
    places, weights = TABLES[name]
    found = shared_rows(places, weights)
    assert torch.equal(found.places[:, found.landing], places)
    assert torch.equal(found.chances[:, found.landing], weights.expand(places.shape))


def test_a_grid_has_a_row_for_each_cell_and_a_random_table_shares_none() -> None:
    found = shared_rows(*TABLES["walled"])
    assert found.worth and found.places.shape == (5, 81)
    found = shared_rows(*TABLES["scattered"])
    assert not found.worth and found.places.shape == (3, 60)


def test_chances_that_differ_keep_rows_apart() -> None:
    places, _ = chain(20)
    alike = torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64)[:, None, None]
    # x + a lies in -2..21; from -2 and -1 everybody ends at 0, from 20 and 21 at 19
    assert shared_rows(places, alike).places.shape[1] == 22
    # only at an end two moves of one place come to the same
    assert shared_rows(*chain(20)).places.shape[1] == 98


def test_a_collision_of_hashes_shares_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_hashes", lambda table, chances: torch.zeros_like(table[0]))
    places, weights = TABLES["chain"]
    found = shared_rows(places, weights)
    assert found.places.shape[1] == places[0].numel()
    assert torch.equal(found.places[:, found.landing], places)


@pytest.mark.parametrize("games", [1, 3])
def test_the_kernel_of_rows_is_the_dense_matrix(games: int) -> None:
    places, weights = TABLES["walled"]
    by_rows, dense = matrix_kernel(places, weights), matrix_kernel(places, weights, dense=True)
    assert isinstance(by_rows, RowsKernel)
    generator = torch.Generator().manual_seed(1)
    tail = () if games == 1 else (games,)
    joint = torch.rand(5 * 81, *tail, generator=generator, dtype=torch.float64)
    value = torch.rand(81, *tail, generator=generator, dtype=torch.float64)
    laws, q = [torch.empty_like(value) for _ in "ab"], [torch.empty_like(joint) for _ in "ab"]
    for kernel, law, expected in zip((by_rows, dense), laws, q, strict=True):
        kernel.push(joint, law)
        kernel.expect(value, joint, 0.9, expected)
    torch.testing.assert_close(*laws)
    torch.testing.assert_close(*q)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("games", [1, 2, 16])
@pytest.mark.parametrize("name", TABLES)
def test_compiled_passes_are_those_of_the_table(name: str, games: int, dtype: torch.dtype) -> None:
    pytest.importorskip("numba")
    places, weights = TABLES[name]
    weights = (weights / weights.sum(0)).to(dtype)
    _, actions, states = places.shape
    choice = native.choice_of(shared_rows(places, weights))
    assert choice is not None
    loops = choice.loops(games)
    if loops is None:
        assert name in {"chain", "scattered", "walled"} and games == 2
        return
    table = matrix_kernel(places, weights.expand(places.shape), dense=True)
    generator = torch.Generator().manual_seed(3)
    draw = torch.rand(2, 4, actions, states, games, generator=generator, dtype=torch.float64)
    probs, rewards = (draw[0] / draw[0].sum(1, keepdim=True)).to(dtype), draw[1].to(dtype)
    rewards[:, 0, ::3] = -torch.inf
    probs[:, 0, ::3] = 0
    laws = torch.full((5, states, games), 1 / states, dtype=dtype)
    native.push_forward(loops, probs, laws)
    for t in range(4):
        after = torch.empty(states, games, dtype=dtype)
        table.push((laws[t] * probs[t]).reshape(-1, games), after)
        torch.testing.assert_close(laws[t + 1], after)
    for share in (probs, None):
        value, q = torch.ones(states, games, dtype=dtype), torch.empty_like(rewards)
        ahead, alone = value.clone(), value.clone()
        native.sweep(loops, rewards, share, value, 0.9, q)
        native.sweep(loops, rewards, share, alone, 0.9)
        for t in reversed(range(4)):
            expected = torch.empty_like(rewards[t])
            flat = expected.view(-1, games)
            table.expect(ahead, rewards[t].reshape(-1, games), 0.9, flat)
            torch.testing.assert_close(q[t], expected)
            ahead = (
                expected.amax(0)
                if share is None
                else (share[t] * expected).where(share[t] > 0, 0).sum(0)
            )
        torch.testing.assert_close(value, ahead)
        assert torch.equal(alone, value)
