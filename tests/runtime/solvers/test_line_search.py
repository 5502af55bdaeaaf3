"""The search along a segment ends where bisection does, with no more slopes."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mfdsl.runtime.solvers.line_search import HALVINGS, SLACK, summit

ZEROS = torch.tensor([1e-6, 0.01, 0.3, 0.5, 0.77, 0.999], dtype=torch.float64)
Slope = Callable[[Tensor], Tensor]
SLOPES: dict[str, Callable[[Tensor], Slope]] = {
    "line": lambda zero: lambda w: zero - w,
    "logarithm": lambda zero: lambda w: torch.log((zero + 0.01) / (w + 0.01)),
    "flat": lambda zero: lambda w: (zero - w) ** 3,
    "jump": lambda zero: lambda w: torch.where(w < zero, 1.0, -3.0).double(),
    "kink": lambda zero: lambda w: torch.where(w < zero, 1e-3 * (zero - w), 100 * (zero - w)),
}


@pytest.mark.parametrize("name", SLOPES)
def test_where_a_slope_falls_to_zero_is_found(name: str) -> None:
    calls = 0

    def counted(weight: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return SLOPES[name](ZEROS)(weight)

    found = summit(counted, torch.zeros_like(ZEROS))
    torch.testing.assert_close(found, ZEROS, rtol=0, atol=0.5**HALVINGS)
    assert calls <= HALVINGS + SLACK + 2
    for place, zero in enumerate(ZEROS):
        alone = summit(SLOPES[name](zero), torch.zeros(1, dtype=torch.float64))
        torch.testing.assert_close(found[place : place + 1], alone, rtol=0, atol=0.5**HALVINGS)


def test_smooth_slopes_need_few_steps() -> None:
    seen: list[Tensor] = []

    def slope(weight: Tensor) -> Tensor:
        seen.append(weight)
        return torch.log((0.3 + 0.01) / (weight + 0.01))

    summit(slope, torch.zeros(1, dtype=torch.float64))
    assert len(seen) <= 16  # bisection makes 32


def test_ends_of_the_segment_are_found() -> None:
    zeros = torch.zeros(1, dtype=torch.float64)
    assert summit(lambda w: 2 - w, zeros).item() == 1
    assert summit(lambda w: 1 - w, zeros).item() == 1
    assert 0 <= summit(lambda w: -1 - w, zeros).item() <= 0.5**HALVINGS
