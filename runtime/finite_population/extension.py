"""From the grid of laws of K players to all laws: three extensions of a function on the grid.

What is on the grid is given as values [points, ...] in the order of `grid.tallies`. The closed
form of the spec, averaged over the players, needs none of this and comes first; `kirszbraun.py`
has the one of the paper, for tiny grids.
"""

import math
from collections.abc import Callable

import numpy as np

from mfdsl.runtime.finite_population.grid import (
    FloatArray,
    IntArray,
    grid_size,
    position,
    tallies,
)


def grid_laws(others: int, cells: int) -> FloatArray:
    """The laws [points, cells] of the grid."""
    return tallies(others, cells) / others


def bernstein(values: FloatArray, others: int, laws: FloatArray) -> FloatArray:
    """Mean [queries, ...] of the values at the tally of `others` independent draws from each law.

    Keeps the l1 modulus, convex hulls and monotonicity along one coordinate, and is exact for
    affine functions; it does not interpolate (bias at most L sqrt((cells - 1) / others)). A term
    is a multinomial weight; their number is that of the grid.
    Source: Lorentz, Bernstein Polynomials (1953), on the simplex.
    """
    counts = tallies(others, laws.shape[-1])
    _check(values, counts)
    coefficients = np.array([_multinomial(row) for row in counts])
    weights = coefficients * np.prod(laws[:, None] ** counts, axis=-1)
    return np.tensordot(weights, values, axes=1)


def bernstein_sampled(
    values: Callable[[IntArray], FloatArray],
    others: int,
    law: FloatArray,
    draws: int,
    generator: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """The same at one law by Monte Carlo: mean and standard error [...], for any number of others.

    `values` maps profiles [draws, others] of cells to [draws, ...]; a profile is one call of the
    N-player game with independent others, and no table of the grid is needed.
    """
    profiles = generator.choice(len(law), size=(draws, others), p=law)
    found = values(profiles.astype(np.int64))
    return found.mean(0), found.std(0, ddof=1) / math.sqrt(draws)


def mcshane(values: FloatArray, points: FloatArray, modulus: float, laws: FloatArray) -> FloatArray:
    """Midpoint [queries] of the least and largest extensions of a scalar with this l1 modulus.

    Keeps the modulus, interpolates when the values have it, and errs least at worst.
    Source: McShane, "Extension of range of functions" (1934); Sukharev (1992) for the midpoint.

    Raises:
        ValueError: two values differ by more than the modulus allows.
    """
    between = np.abs(points[:, None] - points).sum(-1)
    if (np.abs(values[:, None] - values) > modulus * between + 1e-12).any():
        raise ValueError(f"the values on the grid do not have the modulus {modulus:g}")
    far = modulus * np.abs(laws[:, None] - points).sum(-1)
    middle: FloatArray = 0.5 * ((values + far).min(-1) + (values - far).max(-1))
    return middle


def kuhn(values: FloatArray, others: int, laws: FloatArray) -> FloatArray:
    """Piecewise linear interpolation [queries, ...] on Freudenthal's triangulation.

    Cumulated coordinates of K mu lie in a cell of the integer lattice; sorting their fractional
    parts gives the corners, at most as many as cells, and their weights. Interpolates and stays
    in the convex hull; the l1 modulus may grow by a factor of up to cells - 1.
    Source: Kuhn, "Some combinatorial lemmas in topology" (1960).
    """
    cells = laws.shape[-1]
    _check(values, tallies(others, cells))
    heights = others * np.cumsum(laws, axis=-1)[:, :-1]
    near = np.round(heights)
    heights = np.where(np.abs(heights - near) < 1e-9, near, heights)
    base = np.floor(heights).astype(np.int64)
    part = heights - base
    # Heights that are equal rise together: no corner between them has any weight.
    order = np.argsort(-part, axis=-1, kind="stable")
    steps = np.take_along_axis(part, order, -1)
    edges = np.concatenate([np.ones((len(laws), 1)), steps, np.zeros((len(laws), 1))], axis=-1)
    found = np.zeros((len(laws), *values.shape[1:]))
    corner = base.copy()
    for k in range(cells):
        if k:
            np.put_along_axis(
                corner,
                order[:, k - 1 : k],
                np.take_along_axis(corner, order[:, k - 1 : k], -1) + 1,
                -1,
            )
        weight = edges[:, k] - edges[:, k + 1]
        live = weight > 0
        counts = _differences(corner[live], others)
        scaled = weight[live].reshape(-1, *(1,) * (values.ndim - 1))
        found[live] += scaled * values[position(counts)]
    return found


def _differences(heights: IntArray, others: int) -> IntArray:
    rows = len(heights)
    edges = np.zeros((rows, 1), np.int64), heights, np.full((rows, 1), others)
    return np.diff(np.concatenate(edges, axis=1), axis=1)


def _multinomial(counts: IntArray) -> float:
    rest = math.factorial(int(counts.sum()))
    for count in counts:
        rest //= math.factorial(int(count))
    return float(rest)


def _check(values: FloatArray, counts: IntArray) -> None:
    if len(values) != len(counts):
        cells = counts.shape[-1]
        size = grid_size(int(counts[0].sum()), cells)
        raise ValueError(f"{len(values)} values for a grid of {size} laws on {cells} cells")
