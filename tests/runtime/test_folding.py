"""Traced functions keep their values; what cannot be folded is left as it is."""

import pytest
import torch
from torch import Tensor

from mfdsl.runtime.views import folding
from mfdsl.runtime.views.finite import FiniteView
from mfdsl.runtime.views.folding import Folding, folded
from tests.runtime import oracle


def moves(t: Tensor, law: Tensor) -> Tensor:
    """Axes made anew, the law read at them, a constant row, the time."""
    places = (torch.arange(4) + 1) % 4
    crowded = law[..., places].clamp_(max=0.5) * torch.tensor([1.0, 2.0, 3.0, 4.0])
    return torch.where(places > 1, crowded, 1 - crowded) + t


def arguments(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.tensor(seed), torch.rand(3, 4, generator=generator)


def test_a_folded_function_agrees_at_other_arguments_and_makes_no_axes() -> None:
    run = folded(moves, *arguments(0))
    assert run is not None
    assert "arange" not in str(run.__globals__)
    for seed in range(5):
        torch.testing.assert_close(run(*arguments(seed)), moves(*arguments(seed)), rtol=0, atol=0)


def test_gradients_are_folded_with_the_function() -> None:
    def slope(law: Tensor) -> Tensor:
        with torch.enable_grad():
            copy = law.detach().clone().requires_grad_()
            at = copy[(torch.arange(4) + 1) % 4] * torch.tensor([1.0, 2.0, 3.0, 4.0])
            return torch.autograd.grad((at.exp() * at.clamp(max=0.5)).sum(), copy)[0]

    run = folded(slope, torch.rand(4))
    assert run is not None
    assert "arange" not in str(run.__globals__)
    for seed in range(3):
        law = torch.rand(4, generator=torch.Generator().manual_seed(seed))
        torch.testing.assert_close(run(law), slope(law), rtol=0, atol=0)


def test_one_tensor_given_twice_is_not_folded() -> None:
    law = torch.ones(3)
    assert folded(torch.add, law, law) is None


def test_what_writes_into_a_constant_is_not_folded() -> None:
    def counted(law: Tensor) -> Tensor:
        return torch.zeros(4).index_add_(0, torch.arange(4), law)

    assert folded(counted, torch.rand(4)) is None


def test_what_reads_a_number_from_a_tensor_is_not_folded() -> None:
    assert folded(lambda law: law * int(law.sum()), torch.ones(4)) is None


def test_calls_fold_after_a_while_for_each_shape_and_never_while_gradients_are_recorded() -> None:
    seen = []

    def watched(law: Tensor) -> Tensor:
        seen.append(len(law))
        return law * torch.arange(len(law))

    function = Folding(watched)
    most = folding.PATIENCE + folding.TRIALS
    with torch.no_grad():
        for _ in range(2 * most):
            torch.testing.assert_close(function(torch.ones(3)), torch.arange(3.0))
        assert len(seen) <= most + 1
        assert function(torch.ones(5)).tolist() == [0, 1, 2, 3, 4]
    law = torch.ones(3, requires_grad=True)
    function(law).sum().backward()
    assert law.grad is not None
    assert law.grad.tolist() == [0, 1, 2]


def test_a_function_that_changes_its_mind_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Constants that change after the trace are noticed by the first calls."""
    monkeypatch.setattr(folding, "PATIENCE", 1)
    scale = [1.0]
    function = Folding(lambda law: law * torch.tensor(scale[0]))
    with torch.no_grad():
        assert function(torch.ones(2)).tolist() == [1, 1]
        scale[0] = 2.0
        assert function(torch.ones(2)).tolist() == [2, 2]
        assert function(torch.ones(2)).tolist() == [2, 2]


def test_laws_of_an_epidemic_are_the_same_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    program = oracle.load("susceptible_infected")
    plain = FiniteView.build(program)
    policy = plain.policy(torch.rand(1, 51, 2, 2, dtype=torch.float64).softmax(-1))
    with torch.no_grad():
        wanted = plain.laws(policy)
        monkeypatch.setattr(folding, "PATIENCE", 1)
        view = FiniteView.build(program)
        for _ in range(2):
            torch.testing.assert_close(view.laws(policy), wanted, rtol=0, atol=0)
