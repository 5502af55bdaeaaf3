"""Named streams: what a seed fixes, and the moments of each law."""

import math

import numpy as np
import pytest
import torch

from mfdsl.runtime.streams import ON_CPU, ON_DEVICE, draw, hashed

DRAWS = 200_000
KEY = (0, 3, "noise.bird.e")
# Law, mean and variance; gamma and beta from their textbook formulas.
LAWS = [
    (("uniform",), 1 / 2, 1 / 12),
    (("normal",), 0, 1),
    (("exponential",), 1, 1),
    (("gamma", 2.5), 2.5, 2.5),
    (("gamma", 0.3), 0.3, 0.3),
    (("beta", 2.0, 5.0), 2 / 7, 10 / 392),
    (("beta", 0.5, 0.5), 1 / 2, 1 / 8),
]


def fourth(values: torch.Tensor) -> float:
    """The fourth central moment, which the error of a measured variance depends on."""
    return float(((values - values.mean()) ** 4).mean())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("law", "mean", "variance"), LAWS)
def test_a_law_has_its_mean_and_variance(
    law: tuple[str | float, ...], mean: float, variance: float, dtype: torch.dtype
) -> None:
    values = draw(law, (4, DRAWS // 4), KEY, dtype=dtype)
    assert values.dtype == dtype and values.shape == (4, DRAWS // 4)
    wide = values.double()
    assert float(wide.mean()) == pytest.approx(mean, abs=5 * math.sqrt(variance / DRAWS))
    spread = math.sqrt((fourth(wide) - variance**2) / DRAWS)
    assert float(wide.var()) == pytest.approx(variance, abs=5 * spread)


@pytest.mark.parametrize("name", ON_DEVICE)
def test_the_hashes_of_other_devices_follow_the_same_laws(name: str) -> None:
    _, mean, variance = next(row for row in LAWS if row[0] == (name,))
    values = ON_DEVICE[name](hashed((4, DRAWS // 4), KEY, torch.device("cpu")))
    assert float(values.mean()) == pytest.approx(mean, abs=5 * math.sqrt(variance / DRAWS))
    spread = math.sqrt((fourth(values) - variance**2) / DRAWS)
    assert float(values.var()) == pytest.approx(variance, abs=5 * spread)
    neighbours = torch.corrcoef(torch.stack([values[0, :-1], values[0, 1:]]))[0, 1]
    assert abs(float(neighbours)) < 5 / math.sqrt(DRAWS / 4)


def test_the_ends_of_the_hashes_stay_finite() -> None:
    ends = torch.tensor([0.0, 1 - 2.0**-53], dtype=torch.float64)
    for law in ON_DEVICE.values():
        assert torch.isfinite(law(ends)).all()


def test_uniform_numbers_never_round_up_to_one(monkeypatch: pytest.MonkeyPatch) -> None:
    largest = np.full((3,), 1 - 2.0**-53)
    monkeypatch.setitem(ON_CPU, "uniform", lambda stream, shape, law: largest)
    assert float(draw(("uniform",), (3,), KEY, dtype=torch.float32).max()) < 1


@pytest.mark.parametrize("law", [row[0] for row in LAWS])
def test_game_b_has_the_same_numbers_in_every_batch(law: tuple[str | float, ...]) -> None:
    few, many = (draw(law, (batch, 50, 2), KEY) for batch in (2, 7))
    assert torch.equal(few, many[:2])


@pytest.mark.parametrize("shape", [(2, 50), (7, 50)])
def test_hashes_do_not_know_how_large_the_batch_is(shape: tuple[int, int]) -> None:
    one = hashed((1, 50), KEY, torch.device("cpu"))
    assert torch.equal(hashed(shape, KEY, torch.device("cpu"))[:1], one)


def test_seed_step_and_name_each_give_other_numbers() -> None:
    keys = [KEY, (1, 3, KEY[2]), (0, 4, KEY[2]), (0, 3, "noise.bird.f")]
    drawn = [tuple(draw(("uniform",), (20,), key).tolist()) for key in keys]
    assert len(set(drawn)) == len(keys)
    assert drawn[0] == tuple(draw(("uniform",), (20,), KEY).tolist())


def test_the_points_of_a_disc_keep_their_distance_and_fill_the_box() -> None:
    law = ("disc", 0.2, -1.0, 1.0)
    points = draw(law, (400, 6, 2), KEY)
    gaps = torch.cdist(points, points) + 9 * torch.eye(6, dtype=points.dtype)
    assert float(gaps.min()) >= 0.2
    assert float(points.abs().max()) <= 1
    first = points[:, 0]  # nothing stands in its way, so it is uniform on the box
    assert float(first.mean()) == pytest.approx(0, abs=5 * math.sqrt(1 / 3 / 800))
    assert float(first.var()) == pytest.approx(1 / 3, abs=5 * math.sqrt(4 / 45 / 800))
    assert torch.equal(draw(law, (3, 6, 2), KEY), points[:3])
    assert draw(law, (3, 6, 2), KEY, dtype=torch.float32).dtype == torch.float32


def test_points_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"9 points at a distance of 1[.]5 do not fit"):
        draw(("disc", 1.5, -1.0, 1.0), (1, 9, 2), KEY)


def test_an_unknown_law_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="no law 'cauchy'; known: uniform, normal"):
        draw(("cauchy",), (3,), KEY)
