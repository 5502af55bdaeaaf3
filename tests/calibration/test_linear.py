"""Linear systems of equilibria: singular ones, loose GMRES, and laws that stay laws on the way."""

import numpy as np
import pytest
import torch
from torch import Tensor

from mfdsl.game import load
from mfdsl.runtime.calibration.linear import ByProducts, Eliminated, Function
from mfdsl.runtime.calibration.stationary import StationaryResponse


def _of(matrix: Tensor) -> Function:
    """A function with this matrix as 1 - J."""
    return lambda point: point - matrix @ point


@pytest.mark.parametrize("rank", [1, 3])
def test_a_singular_matrix_has_no_solution(rank: int) -> None:
    generator = torch.Generator().manual_seed(rank)
    left, right = torch.randn((2, 4, rank), generator=generator, dtype=torch.float64)
    matrix = left @ right.T
    assert np.linalg.matrix_rank(matrix.numpy()) == rank
    wanted = torch.randn(4, generator=generator, dtype=torch.float64)
    for system in (Eliminated.of, ByProducts):
        found = system(_of(matrix), torch.zeros(4, dtype=torch.float64))
        assert found.solve(wanted) is None
        assert found.solve_transposed(wanted) is None


@pytest.mark.parametrize("least", [1.0, 1e-4, 1e-9, 1e-12])
def test_what_gmres_takes_solves_to_rounding_of_the_solution(least: float) -> None:
    """Where one singular value is small the residual is no better than rounding of the solution;
    beyond that it is refused, never wrong: the oracle is the matrix itself.
    """
    generator = torch.Generator().manual_seed(5)
    turned, _ = torch.linalg.qr(torch.randn((20, 20), generator=generator, dtype=torch.float64))
    sizes = torch.linspace(1, 2, 20, dtype=torch.float64)
    sizes[0] = least
    matrix = turned @ torch.diag(sizes) @ turned.T.roll(1, 0)
    right = torch.randn(20, generator=generator, dtype=torch.float64)
    system = ByProducts(_of(matrix), torch.zeros(20, dtype=torch.float64))
    for found, applied in (
        (system.solve(right), matrix),
        (system.solve_transposed(right), matrix.T),
    ):
        assert found is not None or least < 1e-8
        if found is not None:
            off = (applied @ found - right).norm()
            assert off <= 1.01e-10 * (right.norm() + found.norm())


def test_no_step_leaves_the_laws_below_zero() -> None:
    """A step that would leave a state with less than nothing leaves it a tenth of what it had."""
    game = load("stationary_sis")
    params = game.program.params(dtype=torch.float64)
    response = StationaryResponse.build(game.program, params, ("nu",), 0.5)
    start = response.begin(response.start)
    states = game.program.state_count
    generator = torch.Generator().manual_seed(2)
    for _ in range(50):
        way = torch.randn(start.shape, generator=generator, dtype=torch.float64)
        there = response.stepped(start, way)
        for before, step, after in zip(
            start[-states:].tolist(), way[-states:].tolist(), there[-states:].tolist(), strict=True
        ):
            whole = before + step
            assert after == pytest.approx(before / 10 if whole < 0 else whole, abs=1e-15)
            assert after >= 0
        assert torch.equal(there[:-states], (start + way)[:-states])
