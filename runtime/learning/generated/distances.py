"""Distances between two samples of a law, [n, d] and [m, d].

A distance between samples of one law is not 0 but its floor, which is reported beside it: a figure
below the floor says nothing. Wasserstein distances on lines are exact (quantiles); sliced ones are
means over random directions (Bonneel et al. 2015, doi:10.1007/s10851-014-0506-3); the energy
distance is that of Szekely and Rizzo (2013, doi:10.1016/j.jspi.2013.03.018), the maximum mean
discrepancy that of Gretton et al. (2012, JMLR 13).
"""

from collections.abc import Callable
from math import exp, lgamma, pi, sqrt

import numpy as np
import torch
from torch import Tensor

DIRECTIONS = 128
SAMPLES = 4096
CHUNK = 1 << 22  # entries of a matrix of pairs that are held at once


def wasserstein_line(x: Tensor, y: Tensor, order: int = 1) -> Tensor:
    """The Wasserstein distance [...] of samples on lines, [n, ...] and [m, ...]: exact.

    With equal sizes it pairs order statistics; else both quantile functions are compared where
    either of them steps.
    """
    x, y = ascending(x), ascending(y)
    n, m = len(x), len(y)
    if n == m:
        return _root((x - y).abs() ** order, None, order)
    place = torch.arange(1, n, device=x.device, dtype=torch.float64) / n
    other = torch.arange(1, m, device=x.device, dtype=torch.float64) / m
    steps = torch.cat([place.new_tensor([0.0, 1.0]), place, other]).sort().values
    middle, mass = (steps[1:] + steps[:-1]) / 2, steps.diff()
    gap = (x[(middle * n).long()] - y[(middle * m).long()]).abs() ** order
    return _root(gap, mass.to(x.dtype), order)


def ascending(x: Tensor) -> Tensor:
    """The numbers [n, ...] of each line in order.

    On a CPU numpy takes an eighth of the time, which most of an audit is: torch sorts places, too.
    """
    if x.is_cpu and not x.requires_grad:
        return torch.from_numpy(np.sort(x.numpy(), axis=0))
    return x.sort(0).values


def _root(gap: Tensor, mass: Tensor | None, order: int) -> Tensor:
    whole = gap.mean(0) if mass is None else torch.tensordot(mass, gap, 1)
    found: Tensor = whole ** (1 / order)
    return found


def directions(count: int, axes: int, generator: torch.Generator) -> Tensor:
    """Uniform directions [d, count]; on a line there is one."""
    if axes == 1:
        return torch.ones(1, 1)
    drawn = torch.randn(axes, count, generator=generator)
    drawn /= drawn.norm(dim=0)
    return drawn


def sliced_wasserstein(
    x: Tensor, y: Tensor, generator: torch.Generator, *, order: int = 1, count: int = DIRECTIONS
) -> float:
    """The sliced Wasserstein distance, (E over directions u of W_p(u.x, u.y)^p)^(1/p)."""
    along = directions(count, x.shape[1], generator).to(x)
    apart = wasserstein_line(x @ along, y @ along, order)
    return float((apart**order).mean() ** (1 / order))


def mean_of_pairs(x: Tensor, y: Tensor, rule: Callable[[Tensor], Tensor]) -> Tensor:
    """The mean of a rule on the distances |x_i - y_j| of all pairs, a part of the rows at once."""
    rows = max(1, CHUNK // len(y))
    exact = "donot_use_mm_for_euclid_dist"
    total = x.new_zeros(())
    for start in range(0, len(x), rows):
        total = total + rule(torch.cdist(x[start : start + rows], y, compute_mode=exact)).sum()
    return total / (len(x) * len(y))


def energy_distance(x: Tensor, y: Tensor) -> float:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'|, without bias (pairs of one and the same point left out);
    of two samples of one law it is around 0 and may be below.
    """
    within = [mean_of_pairs(z, z, _same) * len(z) / (len(z) - 1) for z in (x, y)]
    return float(2 * mean_of_pairs(x, y, _same) - within[0] - within[1])


def _same(apart: Tensor) -> Tensor:
    return apart


def mmd_squared(x: Tensor, y: Tensor, bandwidth: float = 1.0) -> float:
    """The squared maximum mean discrepancy of exp(-|x - y|^2 / (2 h^2)), without bias."""

    def kernel(apart: Tensor) -> Tensor:
        return torch.exp(-(apart**2) / (2 * bandwidth**2))

    def within(z: Tensor) -> Tensor:
        count = len(z)
        return (mean_of_pairs(z, z, kernel) * count - 1) / (count - 1)

    return float(within(x) + within(y) - 2 * mean_of_pairs(x, y, kernel))


def total_variation(p: Tensor, q: Tensor) -> Tensor:
    """Half the l1 distance of two tables of probabilities [..., S]."""
    return (p - q).abs().sum(-1) / 2


def mean_abs_direction(axes: int) -> float:
    """E|u_1| of a uniform direction: the sliced W1 of a shift by delta is |delta| times this."""
    ratio = lgamma(axes / 2) - lgamma((axes + 1) / 2)
    return exp(ratio) / sqrt(pi)
