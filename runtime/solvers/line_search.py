"""Where a slope along a segment falls to zero, for the games of a batch side by side."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

HALVINGS = 30  # so many leave 2^-30 of the segment
SLACK = 1  # steps that may be lost beside these
TRUNCATION = 0.2
Numbers = Float[Tensor, " batch"]


def summit(slope: Callable[[Numbers], Numbers], zeros: Numbers) -> Numbers:
    """A weight in [0, 1] around which the slope falls to zero; 1 where it is not below zero there.

    Secants that keep near enough to the middle of the interval that no more steps are needed than
    by halving it, up to `SLACK` (ITP of Oliveira and Takahashi 2020, doi 10.1145/3423597). `zeros`
    has the sizes.
    """
    low, high, half = zeros, torch.ones_like(zeros), 0.5**HALVINGS / 2
    at_low, at_high = slope(low), slope(high)
    climbing = at_high >= 0
    for count in range(HALVINGS + SLACK):
        width = high - low
        if bool((climbing | (width <= 2 * half)).all()):
            break
        middle = (low + high) / 2
        secant = _secant(low, high, at_low, at_high)
        inwards = torch.sign(middle - secant)
        shift = TRUNCATION * width**2
        near = torch.where(shift <= (middle - secant).abs(), secant + inwards * shift, middle)
        radius = half * 2.0 ** (HALVINGS + SLACK - count) - width / 2
        kept = torch.where((near - middle).abs() <= radius, near, middle - inwards * radius)
        point = torch.where((kept > low) & (kept < high), kept, middle)
        here = slope(point)
        rising = here > 0
        low, at_low = torch.where(rising, point, low), torch.where(rising, here, at_low)
        high, at_high = torch.where(rising, high, point), torch.where(rising, at_high, here)
    # Within the last interval, which hangs on rounding, the secant hardly does.
    ends = _secant(low, high, at_low, at_high).nan_to_num(0.5).clamp(low, high)
    return torch.where(climbing, 1.0, ends)


def _secant(low: Numbers, high: Numbers, at_low: Numbers, at_high: Numbers) -> Numbers:
    return (low * at_high - high * at_low) / (at_high - at_low)
