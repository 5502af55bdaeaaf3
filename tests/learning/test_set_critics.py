"""Critics of joint observations and actions: sizes, symmetry, and what PIC's division does."""

import pytest
import torch
from torch import Tensor, nn

from mfdsl.runtime.learning.networks import parameter_count
from mfdsl.runtime.learning.set_critics import (
    CriticKind,
    GraphNet,
    SetCritic,
    set_critic,
    sized,
)

KINDS: tuple[CriticKind, ...] = ("deepsets", "mlp", "gcn_pic", "gcn", "mf_a", "vdn")
SETS: tuple[CriticKind, ...] = ("deepsets", "gcn_pic", "gcn", "mf_a", "vdn")
OBSERVED, ACTED = 6, 3


def inputs(agents: int, games: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(agents)
    seen = torch.randn(games, agents, OBSERVED, generator=generator, dtype=torch.float64)
    acts = torch.rand(games, agents, ACTED, generator=generator, dtype=torch.float64)
    return seen, acts


def critic(kind: CriticKind, agents: int) -> SetCritic:
    torch.manual_seed(0)
    return set_critic(kind, OBSERVED, ACTED, agents, (16, 12)).double()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("observation", "agents", "budget"),
    [(14, 3, 600), (14, 3, 1500), (14, 3, 12_000), (26, 15, 20_000), (26, 200, 200_000)],
)
def test_sizes_agree_within_three_percent(
    kind: CriticKind, observation: int, agents: int, budget: int
) -> None:
    with torch.device("meta"):
        found = sized(kind, observation, 5, agents, budget)
    assert abs(parameter_count(found) - budget) <= 0.03 * budget
    widths = [p.shape[0] for p in found.parameters() if p.ndim == 2 and p.shape[0] > 1]
    assert max(widths) <= 1.5 * min(widths) + 2


def test_a_budget_that_no_widths_meet_is_refused() -> None:
    with pytest.raises(ValueError, match="no critic `mlp` of 200 agents has about 900"):
        sized("mlp", 26, 5, 200, 900)


@pytest.mark.parametrize("kind", SETS)
def test_the_order_of_agents_does_not_matter(kind: CriticKind) -> None:
    net, (seen, acts) = critic(kind, 7), inputs(7)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(1))
    found, moved = net(seen, acts), net(seen[:, order], acts[:, order])
    expected = found[:, order] if net.single else found
    torch.testing.assert_close(moved, expected, rtol=1e-12, atol=1e-12)


def test_a_concatenation_depends_on_the_order_of_agents() -> None:
    net, (seen, acts) = critic("mlp", 7), inputs(7)
    assert (net(seen.flip(1), acts.flip(1)) - net(seen, acts)).abs().max() > 1e-4


def test_counting_everybody_twice_leaves_means_and_doubles_sums() -> None:
    seen, acts = inputs(5)
    twice = seen.repeat(1, 2, 1), acts.repeat(1, 2, 1)
    for kind, factor in (("deepsets", 1.0), ("vdn", 2.0)):
        net = critic(kind, 5)  # type: ignore[arg-type]
        expected = factor * net(seen, acts)
        torch.testing.assert_close(net(*twice), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("agents", [3, 15, 40])
def test_the_division_of_pic_scales_the_signal_by_one_over_n_squared(agents: int) -> None:
    nets = critic("gcn", agents), critic("gcn_pic", agents)
    for net in nets:  # without biases both are homogeneous, so that only the scale can differ
        for layer in net.modules():
            if isinstance(layer, nn.Linear):
                nn.init.zeros_(layer.bias)
    plain, shrunk = (net(*inputs(agents)) for net in nets)
    torch.testing.assert_close(shrunk * agents**2, plain, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("shrink", [False, True])
def test_the_graph_network_is_the_one_of_pic_by_loops(shrink: bool) -> None:
    agents = 4
    net, (seen, acts) = critic("gcn_pic" if shrink else "gcn", agents), inputs(agents, 1)
    assert isinstance(net, GraphNet)
    near, own, last = net.near, net.own, net.last
    features = [torch.cat([seen[0, i], acts[0, i]]) for i in range(agents)]
    for k in range(2):
        sent = [near[k](f) for f in features]
        after = []
        for i in range(agents):
            others = sum(sent[j] for j in range(agents) if j != i) / agents
            value = torch.relu(others) + torch.relu(own[k](features[i]))
            after.append(value / agents if shrink else value)
        features = after
    expected = last(torch.stack(features).max(0).values)
    torch.testing.assert_close(net(seen, acts), expected, rtol=1e-12, atol=1e-14)


def test_mean_actions_are_those_of_the_others_and_count_as_fixed() -> None:
    net, (seen, acts) = critic("mf_a", 5), inputs(5)
    acts.requires_grad_()
    found = net(seen, acts)
    (slope,) = torch.autograd.grad(found[:, 0].sum(), acts)
    assert (slope[:, 1:] == 0).all() and slope[:, 0].abs().max() > 1e-6
    with torch.no_grad():
        other = acts.clone()
        other[:, 1:] = acts[:, 1:].mean(1, keepdim=True)
        torch.testing.assert_close(net(seen, other)[:, 0], found[:, 0], rtol=1e-12, atol=1e-12)


def test_values_are_sums_of_those_of_single_agents() -> None:
    net, (seen, acts) = critic("vdn", 5), inputs(5)
    parts = sum(net(seen[:, i : i + 1], acts[:, i : i + 1]) for i in range(5))
    torch.testing.assert_close(net(seen, acts), parts, rtol=1e-12, atol=1e-12)
