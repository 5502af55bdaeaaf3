"""Draws from rows of a table: compiled loops and tensors agree to the last place."""

import pytest
import torch

from mfdsl.runtime.tabled import picked, picked_from


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_loops_draw_what_tensors_draw(dtype: torch.dtype) -> None:
    source = torch.Generator().manual_seed(1)
    probs = torch.rand((9, 6), generator=source, dtype=dtype)
    probs[:, 2] = 0
    chances = probs.cumsum(-1)  # in all not 1
    rows = torch.randint(9, (40, 50), generator=source)
    u = torch.rand((40, 50), generator=source, dtype=dtype)
    found = picked_from(chances, rows, u)
    assert torch.equal(found, picked(chances[rows], u))
    assert (found != 2).all() and found.unique().tolist() == [0, 1, 3, 4, 5]


def test_a_number_on_an_edge_belongs_to_what_comes_after() -> None:
    chances = torch.tensor([[0.0, 0.5, 0.5, 0.75, 1.0, 1.0]], dtype=torch.float64)
    u = torch.tensor([0.0, 0.5, 0.75, 0.25, 1 - 2**-53], dtype=torch.float64)
    found = picked_from(chances, torch.zeros(5, dtype=torch.int64), u)
    assert found.tolist() == picked(chances.expand(5, -1), u).tolist() == [1, 3, 4, 1, 4]
    assert picked_from(chances[:, :1], torch.zeros(2, dtype=torch.int64), u[:2]).tolist() == [0, 0]
