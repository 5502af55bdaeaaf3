"""Distances between samples, beside closed forms of Gaussian laws."""

from math import sqrt

import pytest
import torch
from torch import Tensor

from mfdsl.runtime.learning.generated.distances import (
    ascending,
    energy_distance,
    mean_abs_direction,
    mmd_squared,
    sliced_wasserstein,
    total_variation,
    wasserstein_line,
)

# N(0, 1) and N(m, s^2): W1, W2, energy distance, MMD^2 with bandwidth 1
GAUSS = {
    (0.5, 1.5): (0.583315470588, 0.707106781187, 0.165808603856, 0.0617272766624),
    (0.1, 1.0): (0.1, 0.1, 0.00563954622042, 0.00192289803715),
    (0.0, 2.0): (0.797884560803, 1.0, 0.183110731019, 0.0941870215952),
}
E_ABS = {1: 1.0, 2: 0.636619772368, 3: 0.5, 4: 0.424413181578, 6: 0.339530545263}


def quantiles(count: int, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Points in the middle of `count` equal masses of a normal law, [count, 1]."""
    share = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    return (mean + std * torch.special.ndtri(share))[:, None]


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


@pytest.mark.parametrize("law", GAUSS)
def test_distances_of_normal_laws_are_the_closed_forms(law: tuple[float, float]) -> None:
    x, y = quantiles(2500), quantiles(2500, *law)
    w1, w2, energy, mmd = GAUSS[law]
    assert float(wasserstein_line(x, y)) == pytest.approx(w1, abs=3e-4)
    assert float(wasserstein_line(x, y, 2)) == pytest.approx(w2, abs=2e-3)
    # a grid of quantiles is no sample: the unbiased estimates are off by O(1 / n)
    assert energy_distance(x, y) == pytest.approx(energy, abs=2e-3)
    assert mmd_squared(x, y) == pytest.approx(mmd, abs=2e-3)


@pytest.mark.parametrize("shape", [(1,), (300,), (300, 5)])
def test_numbers_in_order_are_those_of_torch(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, generator=generator()).round(decimals=1)  # some are equal
    x[-1] = torch.nan
    torch.testing.assert_close(ascending(x), x.sort(0).values, rtol=0, atol=0, equal_nan=True)
    x.requires_grad_()
    assert ascending(x).requires_grad


def test_samples_of_different_sizes_are_compared_by_their_quantiles() -> None:
    x, y = torch.tensor([0.0, 1.0]), torch.tensor([0.0, 0.0, 3.0])
    # masses 1/2 at 0 and 1 against 2/3 at 0 and 1/3 at 3: |1 - 0| / 6 + |1 - 3| / 3
    assert float(wasserstein_line(x, y)) == pytest.approx(1 / 6 + 2 / 3)
    double = torch.cat([x, x])
    assert float(wasserstein_line(double, y)) == pytest.approx(1 / 6 + 2 / 3)
    assert float(wasserstein_line(x, double)) == 0


@pytest.mark.parametrize("axes", E_ABS)
def test_the_sliced_distance_of_a_shift_is_its_length_times_a_constant(axes: int) -> None:
    assert mean_abs_direction(axes) == pytest.approx(E_ABS[axes], rel=1e-10)
    x = torch.randn(500, axes, generator=generator(), dtype=torch.float64)
    shift = torch.full((axes,), 2 / sqrt(axes), dtype=torch.float64)
    found = sliced_wasserstein(x, x + shift, generator(), count=5_000)
    assert found == pytest.approx(2 * E_ABS[axes], rel=0.02)


def test_the_second_order_sliced_distance_of_a_shift_is_its_root_mean_square() -> None:
    x = torch.randn(200, 4, generator=generator(), dtype=torch.float64)
    found = sliced_wasserstein(x, x + 1.0, generator(), order=2, count=5_000)
    assert found == pytest.approx(2 / sqrt(4), rel=0.02)


def test_distances_of_one_law_to_itself_are_noise_around_zero() -> None:
    draws = torch.randn(60, 300, 2, generator=generator(), dtype=torch.float64)
    energies = torch.tensor(
        [energy_distance(a, b) for a, b in zip(*draws.view(2, 30, 300, 2), strict=True)]
    )
    error = float(energies.std()) / sqrt(len(energies))
    assert abs(float(energies.mean())) < 3 * error
    assert energies.min() < 0 < energies.max()


def test_pairs_in_parts_are_pairs_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(70, 3, generator=generator(), dtype=torch.float64)
    y = torch.randn(50, 3, generator=generator(), dtype=torch.float64)
    whole = energy_distance(x, y)
    monkeypatch.setattr("mfdsl.runtime.learning.generated.distances.CHUNK", 300)
    assert energy_distance(x, y) == pytest.approx(whole, rel=1e-12)


def test_total_variation_is_half_the_l1_distance() -> None:
    p, q = torch.tensor([[0.5, 0.5, 0.0]]), torch.tensor([[0.25, 0.25, 0.5]])
    assert total_variation(p, q).tolist() == [0.5]
