"""Laws in the limit: elimination, extrapolation, and chains that read the law."""

from fractions import Fraction

import pytest
import torch
from torch import Tensor

from mfdsl.runtime.views import native, settling
from mfdsl.runtime.views.chains import limit_laws
from mfdsl.runtime.views.kernels import matrix_kernel

UNIT = torch.float64


def ladder(states: int, up: float, down: float) -> Tensor:
    """Steps up and down of a chain on 0..S - 1, as a dense matrix."""
    chain = torch.zeros(states, states, dtype=UNIT)
    for s in range(states):
        chain[s, min(s + 1, states - 1)] += up
        chain[s, max(s - 1, 0)] += down
        chain[s, s] += 1 - up - down
    return chain


def eliminated(chain: Tensor, law: Tensor, *, compiled: bool) -> Tensor:
    """The limit of one law by the loops or by the tensor code."""
    if not compiled:
        return limit_laws(chain[None], law[None])[0]
    places = torch.arange(len(chain))[:, None, None].expand(-1, 1, len(chain))
    banded = native.banded(matrix_kernel(places, chain.t()[:, None]))
    assert banded is not None
    probs = torch.ones(1, len(law), 1, dtype=UNIT)
    steps = settling.LEAVING, settling.MOST_STEPS
    found, _ = native.limit_laws(banded, probs, law[:, None], *steps)
    return found[:, 0]


@pytest.mark.parametrize("compiled", [True, False])
def test_laws_of_stiff_ladders_are_right_in_every_entry(compiled: bool) -> None:
    """Detailed balance gives mu(s + 1) / mu(s) = up / down, over 30 powers of ten."""
    up, down = 1e-6, 1e-3
    law = torch.full((11,), 1 / 11, dtype=UNIT)
    found = eliminated(ladder(11, up, down), law, compiled=compiled)
    weights = [Fraction(1, 1000) ** s for s in range(11)]
    wanted = [float(weight / sum(weights)) for weight in weights]
    assert found.tolist() == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("leak", [1e-3, 1e-9, 1e-12])
def test_what_leaks_away_slowly_is_gone_in_the_limit(compiled: bool, leak: float) -> None:
    chain = torch.tensor([[1 - leak, leak, 0], [0, 0.5, 0.5], [0, 0.5, 0.5]], dtype=UNIT)
    law = torch.tensor([0.6, 0.4, 0], dtype=UNIT)
    found = eliminated(chain, law, compiled=compiled)
    assert found.tolist() == pytest.approx([0, 0.5, 0.5], abs=1e-13)


@pytest.mark.parametrize("compiled", [True, False])
def test_classes_keep_their_masses_and_transient_states_split(compiled: bool) -> None:
    """State 0 goes to one class with 1/4, to the other with 3/4; periods do not matter."""
    chain = torch.zeros(5, 5, dtype=UNIT)
    chain[0, 1], chain[0, 3] = 0.25, 0.75
    chain[1, 2] = chain[2, 1] = chain[3, 4] = chain[4, 3] = 1
    law = torch.tensor([0.4, 0.1, 0, 0.5, 0], dtype=UNIT)
    found = eliminated(chain, law, compiled=compiled)
    assert found.tolist() == pytest.approx([0, 0.1, 0.1, 0.4, 0.4], abs=1e-12)


def half_steps_of(chain: Tensor) -> settling.Stretch:
    def stretch(law: Tensor, count: int) -> Tensor:
        laws = [law]
        for _ in range(count):
            laws.append((laws[-1] + chain.t() @ laws[-1]) / 2)
        return torch.stack(laws)

    return stretch


def test_extrapolation_saves_nearly_all_steps_of_a_slow_ladder() -> None:
    chain, law = ladder(40, 0.3, 0.31), torch.full((40, 1), 1 / 40, dtype=UNIT)
    calls = []

    def counted(start: Tensor, count: int) -> Tensor:
        calls.append(count)
        return half_steps_of(chain)(start, count)

    found, residual = settling.extrapolated(counted, law, 1e-13, 10_000, linear=True)
    assert residual <= 1e-13
    assert sum(calls) < 1_500  # plain steps need over 20,000
    wanted = (0.3 / 0.31) ** torch.arange(40, dtype=UNIT)
    assert found[:, 0].tolist() == pytest.approx((wanted / wanted.sum()).tolist(), abs=1e-10)


def contagion(rate: float, recovery: float = 0.1) -> settling.Stretch:
    """Half steps of i' = i + rate i (1 - i) - recovery i, states [healthy, ill]."""

    def stretch(law: Tensor, count: int) -> Tensor:
        laws = [law]
        for _ in range(count):
            ill = laws[-1][1]
            ill = ill + (rate * ill * (1 - ill) - recovery * ill) / 2
            laws.append(torch.stack([1 - ill, ill]))
        return torch.stack(laws)

    return stretch


@pytest.mark.parametrize(
    ("rate", "start"), [(0.11, 0.5), (0.11, 1e-9), (0.101, 1e-2), (0.5, 0.5), (0.5, 1e-12)]
)
def test_an_epidemic_that_lasts_is_reached_from_any_start(rate: float, start: float) -> None:
    """The healthy law stands still as well, and a few ill are close to it, but it draws nobody."""
    law = torch.tensor([[1 - start], [start]], dtype=UNIT)
    found, residual = settling._of_reader(contagion(rate), law, 1e-13)
    assert residual <= 1e-13
    assert found[1].item() == pytest.approx(1 - 0.1 / rate, abs=1e-8)


def test_an_epidemic_that_dies_out_leaves_nobody_ill() -> None:
    law = torch.tensor([[0.5], [0.5]], dtype=UNIT)
    found, _ = settling._of_reader(contagion(0.09), law, 1e-13)
    assert found[1].item() == pytest.approx(0, abs=1e-10)


def test_a_law_that_draws_nobody_back_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an extrapolation that lands on the healthy law, all steps are made instead."""
    healthy = torch.tensor([[1.0], [0.0]], dtype=UNIT)
    monkeypatch.setattr(settling, "extrapolated", lambda *rest, **names: (healthy, 0.0))
    law = torch.tensor([[0.9], [0.1]], dtype=UNIT)
    found, _ = settling._of_reader(contagion(0.2), law, 1e-13)
    assert found[1].item() == pytest.approx(0.5, abs=1e-10)
