"""The largest value of a linear function, known up to a radius, over a box and totals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mfdsl.compiler.analysis.intervals import Array
from mfdsl.compiler.analysis.slopes.centred import Centred

SLACK = 2.0**-40  # of sums of products that are rounded to nearest, relative


@dataclass(frozen=True)
class Reach:
    """How far coordinates may be from a middle, [rows, coordinates], and sums of these distances:
    the coordinates, the least and the most [rows] of each sum.
    """

    low: Array
    high: Array
    sums: Sequence[tuple[list[int], Array, Array]]


def highest(factor: Centred, reach: Reach) -> Array:
    """A bound of the sum of factors [rows, directions, coordinates] times distances, [rows,
    directions]; inf where a factor that counts has none.

    A sum is met by a Lagrange multiplier: any number gives a bound, the one at which the best
    distances have that sum gives the sharpest (Dantzig 1957, Operations Research 5).
    """
    low, high = reach.low[:, None], reach.high[:, None]
    counts = ((low < 0) | (high > 0)) & ((factor.middle != 0) | (factor.radius != 0))
    sure = np.isfinite(factor.radius) & np.isfinite(low) & np.isfinite(high)
    middle, radius = np.where(sure, factor.middle, 0.0), np.where(sure, factor.radius, 0.0)
    low, high = np.where(np.isfinite(low), low, 0.0), np.where(np.isfinite(high), high, 0.0)
    up, down = (middle + radius) * high, (middle - radius) * low
    best = np.maximum(up, down)
    found = best.sum(-1)
    size = (np.abs(up) + np.abs(down)).sum(-1)
    for places, least, most in reach.sums:
        u, d, a, b = (e[..., places] for e in np.broadcast_arrays(up, down, low, high))
        price = _price(u, d, a, b, least[:, None], most[:, None])
        cost = np.maximum(price * least[:, None], price * most[:, None])
        each = np.maximum(u - price[..., None] * b, d - price[..., None] * a).sum(-1)
        part = each + cost - best[..., places].sum(-1)
        found = found + np.minimum(part, 0.0)
        size = size + np.abs(cost) + (np.abs(price)[..., None] * (np.abs(a) + np.abs(b))).sum(-1)
    found = found + SLACK * size
    return np.where((counts & ~sure).any(-1), np.inf, found)


def _price(up: Array, down: Array, low: Array, high: Array, least: Array, most: Array) -> Array:
    """A multiplier [rows, directions] at which the best distances have a sum that is allowed."""
    free = np.where(up > down, high, low).sum(-1)
    goal = np.where(free > most, most, least)
    width = high - low
    with np.errstate(invalid="ignore", divide="ignore"):
        gain = np.where(width > 0, (up - down) / width, 0.0)
    order = np.argsort(-gain, -1)
    gains = np.take_along_axis(gain, order, -1)
    sums = low.sum(-1, keepdims=True) + np.take_along_axis(width, order, -1).cumsum(-1)
    at = np.argmax(sums >= goal[..., None], -1)
    price = np.take_along_axis(gains, at[..., None], -1)[..., 0]
    return np.where((free > most) | (free < least), price, 0.0)
