"""Compiled loops of learners compute what their tensor code computes, with its slopes."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

import mfdsl
from mfdsl.runtime.learning import averaging, heads, rules, surroundings
from mfdsl.runtime.learning.encoders import MeanEmbedding
from mfdsl.runtime.learning.heads import ActionLaw, Drawn
from mfdsl.runtime.learning.rules import Rule
from mfdsl.runtime.learning.sight import model_of, sights_of

pytest.importorskip("numba")


def both(monkeypatch: pytest.MonkeyPatch, place: ModuleType, made: Callable[[], Any]) -> list[Any]:
    """What is made with compiled loops, and without."""
    compiled = made()
    monkeypatch.setattr(place, "available", lambda: False)
    return [compiled, made()]


@pytest.mark.parametrize("count", [1, 7, 40])
def test_log_densities(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One mean for several draws, too."""
    reals, mean = torch.randn(3, 5, count).double(), torch.randn(5, count).double()
    log_std, weights = torch.randn(count).double(), torch.randn(3, 5).double()
    given = [v.requires_grad_() for v in (reals, mean, log_std)]

    def made() -> tuple[Tensor, ...]:
        found = ActionLaw(mean, log_std, None).log_prob(Drawn(reals, None))
        return found, *torch.autograd.grad((weights * found).sum(), given)

    torch.testing.assert_close(*both(monkeypatch, heads, made))


@pytest.mark.parametrize("members", [1, 6])
def test_means_of_bent_layers(members: int, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = MeanEmbedding(3, 4, 8).double()
    seen, weights = torch.randn(5, members, 3).double(), torch.randn(5, 4).double()

    def made() -> tuple[Tensor, ...]:
        found = encoder(seen)
        return found, *torch.autograd.grad((weights * found).sum(), list(encoder.parameters()))

    torch.testing.assert_close(*both(monkeypatch, averaging, made))


def test_slopes_of_bent_layers_have_slopes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As penalties on gradients need them."""
    encoder = MeanEmbedding(2, 2, 3).double()
    seen, given = torch.randn(3, 4, 2).double(), dict(encoder.named_parameters())

    def read(*values: Tensor) -> Tensor:
        found = torch.func.functional_call(encoder, dict(zip(given, values, strict=True)), (seen,))
        assert averaging.compiled(seen, encoder.embed.layers[0])  # type: ignore[arg-type]
        return found

    values = tuple(given.values())
    assert torch.autograd.gradcheck(read, values)
    assert torch.autograd.gradgradcheck(read, values)

    def curvature() -> tuple[Tensor, ...]:
        first = torch.autograd.grad(encoder(seen).square().sum(), values, create_graph=True)
        return torch.autograd.grad(sum(v.square().sum() for v in first), values)  # type: ignore[arg-type]

    torch.testing.assert_close(*both(monkeypatch, averaging, curvature))


@pytest.mark.parametrize("oneself", [True, False])
@pytest.mark.parametrize("count", [1, 5])
def test_nearest_members(count: int, oneself: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    place = torch.randn(4, 6, 3)
    there = place if oneself else torch.randn(4, 9, 3)
    found = both(
        monkeypatch, surroundings, lambda: surroundings._order(place, there, count, oneself)
    )
    assert torch.equal(*found)


@pytest.mark.parametrize("name", ["m3fc_foraging", "m3fc_2g"])
def test_draws_from_rules(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    game = mfdsl.load(name)
    program = game.agents
    simulator = game.simulator(agents=30, batch=4, seed=1)
    state, unit = simulator.reset(), simulator.params.unit
    sight = next(s for s in sights_of(program) if not s.single)
    rule = Rule(sight, model_of(program), 5, {"q": 2})
    entries, normal = 2 * torch.rand(4, rule.size) - 1, torch.randn(4, 30, rule.count).to(unit)
    made = lambda: rule.played(entries, state, normal, None, unit)  # noqa: E731
    assert rule._compiled(entries, state)
    for one, other in zip(*both(monkeypatch, rules, made), strict=True):
        torch.testing.assert_close(one, other)
        assert len(one.unique()) > 20
