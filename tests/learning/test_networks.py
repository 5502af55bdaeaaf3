"""Plain networks compute what torch's own layers compute."""

import pytest
import torch

from mfdsl.runtime.learning.encoders import Histogram, MeanEmbedding, averaged
from mfdsl.runtime.learning.features import Axis
from mfdsl.runtime.learning.networks import Linear, Mlp, Tanh


def test_tanh_is_that_of_torch_to_the_last_digits() -> None:
    values = torch.linspace(-12, 12, 40_001).requires_grad_()
    exact = torch.tanh(values.double())
    found = Tanh()(values)
    assert (found - exact).abs().max() < 2e-7
    (slopes,) = torch.autograd.grad(found.sum(), values)
    assert (slopes - (1 - exact**2)).abs().max() < 5e-7
    double = values.detach().double()
    assert torch.equal(Tanh()(double), torch.tanh(double))


def test_tanh_has_slopes_of_slopes() -> None:
    values = torch.tensor([-1.5, 0.0, 0.3], requires_grad=True)
    (slopes,) = torch.autograd.grad(Tanh()(values).sum(), values, create_graph=True)
    (second,) = torch.autograd.grad(slopes.sum(), values)
    exact = torch.tanh(values.detach())
    torch.testing.assert_close(second, -2 * exact * (1 - exact**2), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("inputs", "outputs"), [(2, 64), (7, 7), (64, 3)])
def test_an_affine_layer_is_that_of_torch(inputs: int, outputs: int) -> None:
    layer = Linear(inputs, outputs)
    values = torch.randn(3, 5, inputs, requires_grad=True)
    slope = torch.randn(3, 5, outputs)
    parts = (values, layer.weight, layer.bias)
    expected = torch.nn.functional.linear(*parts)
    found = layer(values)
    torch.testing.assert_close(found, expected)
    wanted = torch.autograd.grad(expected, parts, slope)
    torch.testing.assert_close(torch.autograd.grad(found, parts, slope), wanted)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_embedding_of_a_law_averages_a_network(weighted: bool) -> None:
    """Also where the weights do not add up to 1, for derivatives in them."""
    encoder = MeanEmbedding(3, 8, 16)
    torch.nn.init.normal_(encoder.embed.layers[-1].bias)
    members = torch.randn(4, 9, 3)
    weights = torch.rand(4, 9) if weighted else None
    expected = averaged(encoder.embed(members), weights)
    torch.testing.assert_close(encoder(members, weights), expected, rtol=1e-5, atol=1e-5)


def test_a_network_has_the_names_of_its_layers() -> None:
    """Saved networks depend on them."""
    names = list(Mlp(2, [4], 3).state_dict())
    assert names == ["layers.0.weight", "layers.0.bias", "layers.2.weight", "layers.2.bias"]


@pytest.mark.parametrize("weighted", [False, True])
def test_a_histogram_averages_products_of_shares(weighted: bool) -> None:
    axes = (Axis("line", (0,)), Axis("names", (1, 2)), Axis("circle", (3, 4)))
    encoder = Histogram(axes, 5)
    angle = 7 * torch.rand(3, 8)
    name = torch.nn.functional.one_hot(torch.randint(2, (3, 8)), 2)
    line = 2 * torch.rand(3, 8, 1) - 1
    members = torch.cat([line, name, angle.cos()[..., None], angle.sin()[..., None]], -1)
    weights = torch.rand(3, 8) if weighted else None
    shares = [encoder._share(members[..., list(a.columns)], a) for a in axes]
    every = torch.einsum("bma,bmc,bmd->bmacd", *shares).flatten(2)
    assert encoder.width == every.shape[-1] == 50
    torch.testing.assert_close(encoder(members, weights), averaged(every, weights))
