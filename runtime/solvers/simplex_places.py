"""Where a law falls on a grid of the simplex: on its neighbours, or on the nearest point."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mfdsl.runtime.finite_population.grid import position, tallies

ON_A_POINT = 1e-9


def points_of(points: int, cells: int) -> Float[Tensor, "G S"]:
    """The laws of the grid, tallies over `points`, in the order of `tallies`."""
    return torch.from_numpy(tallies(points, cells)).to(torch.float64) / points


def neighbours(
    laws: Float[Tensor, "*many S"], points: int
) -> tuple[Int[Tensor, "*many S"], Float[Tensor, "*many S"]]:
    """The corners of the cell of Freudenthal's triangulation, and weights that keep the mean.

    Source: Kuhn, "Some combinatorial lemmas in topology" (1960), doi 10.1147/rd.45.0518.
    """
    many, cells = laws.shape[:-1], laws.shape[-1]
    flat = laws.reshape(-1, cells).numpy()
    heights = points * np.cumsum(flat, axis=-1)[:, :-1]
    near = np.round(heights)
    heights = np.where(np.abs(heights - near) < ON_A_POINT, near, heights).clip(0, points)
    base = np.floor(heights).astype(np.int64)
    part = heights - base
    order = np.argsort(-part, axis=-1, kind="stable")
    steps = np.take_along_axis(part, order, -1)
    ones, zeros = np.ones((len(flat), 1)), np.zeros((len(flat), 1))
    weights = -np.diff(np.concatenate([ones, steps, zeros], axis=-1), axis=-1)
    places = np.empty((len(flat), cells), dtype=np.int64)
    corner = base
    for k in range(cells):
        if k:
            corner = corner.copy()
            np.put_along_axis(
                corner,
                order[:, k - 1 : k],
                np.take_along_axis(corner, order[:, k - 1 : k], -1) + 1,
                -1,
            )
        # A corner without weight may lie outside of the simplex; any point will do for it.
        inside = np.minimum(np.maximum.accumulate(corner, axis=-1), points)
        edges = zeros.astype(np.int64), inside, np.full((len(flat), 1), points)
        places[:, k] = position(np.diff(np.concatenate(edges, axis=1), axis=1))
    found = torch.from_numpy(weights).to(laws)
    return torch.from_numpy(places).reshape(*many, cells), found.reshape(*many, cells)


def nearest(
    laws: Float[Tensor, "*many S"], points: int
) -> tuple[Int[Tensor, "*many 1"], Float[Tensor, "*many 1"]]:
    """The nearest point in l1, of several the first."""
    many, cells = laws.shape[:-1], laws.shape[-1]
    distances = torch.cdist(laws.reshape(-1, cells), points_of(points, cells).to(laws), p=1.0)
    places = distances.round(decimals=12).argmin(-1)
    ones = torch.ones_like(distances[:, :1])
    return places.reshape(*many, 1), ones.reshape(*many, 1)
