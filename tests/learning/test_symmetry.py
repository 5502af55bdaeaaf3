"""Networks on laws: the order and the number of agents do not matter, and weights are masks."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch import Tensor

from mfdsl import load
from mfdsl.compiler.ir.types import Type
from mfdsl.runtime.learning.actor import Actor, Critic, Shape
from mfdsl.runtime.learning.crew import Crew, Look
from mfdsl.runtime.learning.encoders import Encoder, EncoderKind, Members, encoder
from mfdsl.runtime.learning.eyes import View
from mfdsl.runtime.learning.features import Axis
from mfdsl.runtime.learning.heads import Head
from mfdsl.runtime.learning.sight import Feature
from mfdsl.runtime.simulator import Simulator

LAW = Members(2, (Axis("line", (0,)), Axis("line", (1,))))
KINDS: tuple[EncoderKind, ...] = get_args(EncoderKind)
GAMES, AGENTS, OWN, COMMON, SEEN = 3, 9, 4, 2, 2


def net_of(kind: EncoderKind, own: int = 0) -> Critic:
    torch.manual_seed(1)
    return Critic((own, COMMON, (LAW,)), Shape(encoder=kind, bins=5)).double()


def actor_of(kind: EncoderKind) -> Actor:
    torch.manual_seed(2)
    real = Type(kind="real", lo=-1, hi=1, dims=(2,))
    finite = Type(kind="int", lo=0, hi=2)
    head = Head((Feature("force", real, True), Feature("mode", finite, True)))
    return Actor((OWN, COMMON, (LAW,)), head, Shape(encoder=kind, bins=5)).double()


def encoder_of(kind: EncoderKind) -> Encoder:
    torch.manual_seed(3)
    return encoder(kind, LAW, 16, 32, 5).double()


def view(agents: int = AGENTS, own: bool = True) -> View:
    generator = torch.Generator().manual_seed(agents)

    def numbers(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64) * 2 - 1

    law = numbers(GAMES, agents, SEEN)
    seen = torch.cat([law, numbers(GAMES, agents, OWN - SEEN)], -1) if own else None
    return View(seen, numbers(GAMES, COMMON), (law,), (None,))


def reordered(seen: View, order: Tensor) -> View:
    own = None if seen.own is None else seen.own[:, order]
    return replace(seen, own=own, laws=tuple(law[:, order] for law in seen.laws))


def with_law(seen: View, rule: Callable[[Tensor], Tensor], weights: Tensor | None) -> View:
    return replace(seen, laws=tuple(rule(law) for law in seen.laws), weights=(weights,))


ORDER = torch.randperm(AGENTS, generator=torch.Generator().manual_seed(0))


def same(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_agents_does_not_matter_to_a_team(kind: EncoderKind) -> None:
    net, seen = net_of(kind), view(own=False)
    same(net(reordered(seen, ORDER)), net(seen))


@pytest.mark.parametrize("kind", KINDS)
def test_values_and_laws_of_actions_move_with_their_agents(kind: EncoderKind) -> None:
    seen = view()
    moved = reordered(seen, ORDER)
    net, actor = net_of(kind, OWN), actor_of(kind)
    same(net(moved), net(seen)[:, ORDER])
    law, after = actor(seen), actor(moved)
    same(after.mean, law.mean[:, ORDER])
    same(after.logits, law.logits[:, ORDER])


@pytest.mark.parametrize("kind", KINDS)
def test_counting_everybody_twice_changes_nothing(kind: EncoderKind) -> None:
    """Catches prefactors 1 / sqrt(N), sums in place of means, and normalisation over agents."""
    seen = view()
    twice = with_law(seen, lambda law: law.repeat(1, 2, 1), None)
    same(net_of(kind, OWN)(twice), net_of(kind, OWN)(seen))
    same(actor_of(kind)(twice).mean, actor_of(kind)(seen).mean)


@pytest.mark.parametrize("kind", KINDS)
def test_members_of_weight_zero_do_not_count(kind: EncoderKind) -> None:
    seen = view()
    even = torch.full((GAMES, AGENTS), 1 / AGENTS, dtype=torch.float64)
    padded = with_law(
        seen,
        lambda law: torch.cat([law, 0.5 * torch.ones_like(law[:, :4])], 1),
        torch.cat([even, torch.zeros(GAMES, 4).double()], 1),
    )
    for net in (net_of(kind, OWN), lambda v: actor_of(kind)(v).logits):
        same(net(with_law(seen, lambda law: law, even)), net(seen))
        same(net(padded), net(seen))


@pytest.mark.parametrize("kind", KINDS)
def test_an_integral_is_the_one_of_its_members_alone(kind: EncoderKind) -> None:
    """Linear in the weights, or (moments, attention) a function of such integrals: mixtures."""
    net, law = encoder_of(kind), view().laws[0]
    weights = torch.rand(GAMES, AGENTS, generator=torch.Generator().manual_seed(7)).double()
    weights = weights / weights.sum(-1, keepdim=True)
    counts = torch.tensor([1, 2, 3, 1, 1, 2, 1, 1, 4])
    spread = law.repeat_interleave(counts, 1)
    share = (weights / counts).repeat_interleave(counts, 1)
    same(net(spread, share), net(law, weights))


@pytest.mark.parametrize("kind", ["mean_embed", "histogram", "rff"])
def test_encoders_are_linear_in_the_weights(kind: EncoderKind) -> None:
    net, law = encoder_of(kind), view().laws[0]
    one, two = torch.rand(2, GAMES, AGENTS, generator=torch.Generator().manual_seed(8)).double()
    same(net(law, 0.3 * one + 0.7 * two), 0.3 * net(law, one) + 0.7 * net(law, two))


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_move_with_their_agents(kind: EncoderKind) -> None:
    nets: tuple[Callable[[View], Tensor], ...] = (net_of(kind), lambda v: actor_of(kind)(v).mean)
    for net, own in zip(nets, (False, True), strict=True):
        slopes: list[Tensor] = []
        for seen in (view(own=own), reordered(view(own=own), ORDER)):
            seen.laws[0].requires_grad_()
            slopes += torch.autograd.grad(net(seen).square().sum(), seen.laws[0])
        same(slopes[1], slopes[0][:, ORDER])
        assert slopes[0].abs().max() > 1e-8


@pytest.mark.parametrize("kind", KINDS)
def test_values_of_samples_of_a_law_vary_as_one_over_their_number(kind: EncoderKind) -> None:
    """Slope -1 of log variance over log N from 32 to 2048 agents, within 0.15."""
    net, draws = net_of(kind), 1000
    generator = torch.Generator().manual_seed(11)
    sizes, logs = [32, 128, 512, 2048], []
    for size in sizes:
        found = []
        for _ in range(draws // 100):
            law = 0.4 * torch.randn(100, size, SEEN, generator=generator, dtype=torch.float64)
            common = torch.zeros(100, COMMON, dtype=torch.float64)
            with torch.no_grad():
                found.append(net(View(None, common, (law.clamp(-1, 1),), (None,))))
        logs.append(torch.cat(found).var().log().item())
    places = torch.tensor(sizes).double().log()
    heights = torch.tensor(logs).double()
    apart = places - places.mean()
    slope = (apart @ (heights - heights.mean()) / (apart @ apart)).item()
    assert slope == pytest.approx(-1, abs=0.15)


def test_a_law_includes_oneself_and_neighbours_do_not() -> None:
    """PIC leaves oneself out; here every agent sees the same law, and others one by one."""
    game = load("navigation", params={"n": 4})
    program = game.agents
    simulator = Simulator(program, program.params(dtype=torch.float64), batch=2)
    crew = Crew(program, Shape(), Look(nearest=3)).double()
    state = simulator.reset()
    (seen,) = crew.views(simulator.scene(0, state)).values()
    assert seen.laws[0].shape[1] == 4
    assert seen.own is not None
    x = state.agent.x
    apart = (x[:, None] - x[:, :, None] + 1e9 * torch.eye(4).double()[..., None]).norm(dim=-1)
    nearest = apart.min(-1).values
    assert nearest.min() > 0
    # velocities and places come first, then displacements to three others and three landmarks
    closest = seen.own[..., 4:6].norm(dim=-1)
    factor = (closest / nearest).flatten()
    assert math.isclose(factor.min().item(), factor.max().item(), rel_tol=1e-9)
