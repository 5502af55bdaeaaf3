"""Plain networks compute what torch's own layers compute."""

import pytest
import torch

from mfdsl.runtime.learning.encoders import Histogram, MeanEmbedding, averaged
from mfdsl.runtime.learning.features import Axis
from mfdsl.runtime.learning.networks import Activation, Linear, Mlp, log_softmax, softmax


@pytest.mark.parametrize("activation", ["tanh", "relu", "silu"])
def test_layers_that_bend_in_place_are_those_of_torch(activation: Activation) -> None:
    """With their slopes, and slopes of these."""
    rule = {"tanh": torch.tanh, "relu": torch.relu, "silu": torch.nn.functional.silu}[activation]
    network = Mlp(3, [20, 20], 2, activation).double()
    values = torch.randn(4, 5, 3, dtype=torch.float64, requires_grad=True)
    first, _, second, _, last = network.layers
    expected = last(rule(second(rule(first(values)))))
    before = values.detach().clone()
    found = network(values)
    assert torch.equal(values, before)
    torch.testing.assert_close(found, expected)
    parts = (values, *network.parameters())
    slopes = [
        torch.autograd.grad(v.square().sum(), parts, create_graph=True) for v in (found, expected)
    ]
    torch.testing.assert_close(*slopes)
    again = [torch.autograd.grad(s[0].square().sum(), parts[:2]) for s in slopes]
    torch.testing.assert_close(*again)


@pytest.mark.parametrize("choices", [1, 5, 40])
def test_softmax_of_short_rows_is_that_of_torch(choices: int) -> None:
    numbers = torch.randn(3, 7, choices, requires_grad=True)
    slope = torch.randn(3, 7, choices)
    for ours, theirs in ((softmax, torch.softmax), (log_softmax, torch.log_softmax)):
        found, expected = ours(numbers), theirs(numbers, -1)
        torch.testing.assert_close(found, expected)
        (wanted,) = torch.autograd.grad(expected, numbers, slope)
        torch.testing.assert_close(torch.autograd.grad(found, numbers, slope)[0], wanted)


@pytest.mark.parametrize(("inputs", "outputs"), [(2, 64), (7, 7), (64, 3), (20, 64)])
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
    planes = members.transpose(1, 2)
    shares = [encoder._share(planes[:, list(a.columns)], a, 5) for a in axes]
    every = torch.einsum("bam,bcm,bdm->bmacd", *shares).flatten(2)
    assert encoder.width == every.shape[-1] == 50
    torch.testing.assert_close(encoder(members, weights), averaged(every, weights))


@pytest.mark.parametrize("bins", [2, 7])
@pytest.mark.parametrize("weighted", [False, True])
def test_compiled_histograms_are_those_of_tensors(bins: int, weighted: bool) -> None:
    """Beyond the ends of a line and all around a circle, too."""
    pytest.importorskip("mfdsl.runtime.learning.histogram_native", exc_type=ImportError)
    axes = (
        Axis("circle", (0, 1)),
        Axis("line", (2,)),
        Axis("names", (3, 4)),
        Axis("line", (5,), cells=3),
    )
    angle = torch.linspace(-torch.pi, torch.pi, 60).reshape(3, 20, 1)
    ends = torch.tensor([-1.0, 1.0, 0.0, 1.3]).repeat(3, 5)[..., None]
    name = torch.nn.functional.one_hot(torch.randint(2, (3, 20)), 2)
    parts = [angle.cos(), angle.sin(), ends, name, 2.4 * torch.rand(3, 20, 1) - 1.2]
    members = torch.cat(parts, -1).double()
    weights = torch.rand(3, 20, dtype=torch.float64) if weighted else None
    encoder = Histogram(axes, bins)
    assert encoder.width == bins * bins * 2 * 3
    sloping = members.clone().requires_grad_()
    torch.testing.assert_close(encoder(members, weights), encoder(sloping, weights).detach())


def test_a_member_that_is_nowhere_spoils_the_histogram_of_its_own_game() -> None:
    members = torch.rand(3, 9, 2)
    members[1, 4, 0] = torch.nan
    found = Histogram((Axis("line", (0,)), Axis("line", (1,))), 5)(members)
    assert found.isnan().any(-1).tolist() == [False, True, False]
