"""The references of generated laws are the published closed forms."""

import pytest
import torch

from bench.papers.gaussian_flows import flocking, rotating_target


def test_means_and_variances_of_the_rotating_target() -> None:
    means, variances = rotating_target(2)
    for t, mean in {
        5: (-0.129489821789, 0.102096272659),
        10: (-0.292004093239, -0.187805930478),
        15: (-0.110953048924, -0.525605237895),
        20: (0.0418010734521, -0.579415720856),
    }.items():
        assert means[t].tolist() == pytest.approx(mean, abs=1e-11)
    for t, variance in {1: 0.780799352544, 10: 0.167740530243, 20: 0.217286620796}.items():
        assert float(variances[t]) == pytest.approx(variance, abs=1e-11)
    more = rotating_target(5)[0]
    assert torch.equal(more[:, :2], means) and bool((more[:, 2:] == 0).all())


def test_covariances_of_flocking_birds() -> None:
    found = flocking()
    for t, wanted in {
        10: [[0.938053643454, -0.0866149512761], [-0.0866149512761, 0.0492707584774]],
        25: [[0.647975596987, -0.0854576551423], [-0.0854576551423, 0.0343036229114]],
        50: [[0.458564510951, 0.00225572132481], [0.00225572132481, 0.0229812618362]],
    }.items():
        assert torch.allclose(found[t], torch.tensor(wanted, dtype=torch.float64), atol=1e-11)
