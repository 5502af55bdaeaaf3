"""alpha and beta of a small game, exactly: every profile of the others is looked at.

With S the mean over all orders of a profile, P = mean over i of S(P^i) on the grid of laws, and
alpha_i the largest l1 distance between P^i at a profile and P at its law (beta for rewards).
Only the values on the grid enter, so no extension to all laws matters.
Source: Yardim and He, L4DC 2025, definitions 3 to 6; the split of the design note, 1.5.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mfdsl.runtime.finite_population.grid import (
    FloatArray,
    IntArray,
    all_profiles,
    position,
    tallies,
    tally,
)

BUDGET = 10**8

Of = Callable[[int, IntArray], FloatArray]


@dataclass(frozen=True)
class Swap:
    """Where a distance is attained: player, the entry (state, action), and the others in order."""

    player: int
    entry: tuple[int, ...]
    others: tuple[int, ...]
    value: float


@dataclass(frozen=True)
class Measured:
    """Distances of one step's kernels or rewards from their symmetrisation, exact for this N.

    `total` [players]: alpha_i or beta_i. `centred` [players]: half the range of the signed
    difference, for rewards; None for kernels. `heterogeneity` [players]: how far S(f^i) is from
    the mean, `anonymity` [players]: how far f^i is from S(f^i). `mean` [points, ..., outputs]: the
    symmetrisation on the grid `points` [points, cells] of counts.
    """

    total: FloatArray
    centred: FloatArray | None
    heterogeneity: FloatArray
    anonymity: FloatArray
    mean: FloatArray
    points: IntArray
    witness: Swap


def of_arrays(table: FloatArray) -> Of:
    """The functions of a table [players, states, actions, cells ** others, ...]."""

    def values(player: int, places: IntArray) -> FloatArray:
        return np.moveaxis(table[player][:, :, places], 2, 0)

    return values


def measure(values: Of, players: int, cells: int, *, rewards: bool) -> Measured:
    """Enumerate all profiles of the others.

    `values(i, places)` gives [profiles, states, actions, outputs] for kernels and [profiles,
    states, actions] for rewards, at the `places` of the profiles in `all_profiles`.

    Raises:
        ValueError: there are more than 10^8 numbers to look at, or fewer than two players.
    """
    if players < 2:
        raise ValueError("one player alone has no others")
    others = players - 1
    probe = values(0, np.zeros(1, dtype=np.int64))
    work = players * cells**others * probe.size
    if work > BUDGET:
        raise ValueError(f"{work} numbers to enumerate, more than {BUDGET}: sample instead")
    points = tallies(others, cells)
    law = position(tally(all_profiles(others, cells), cells))
    places = np.arange(len(law))
    tables = np.stack([values(i, places) for i in range(players)])
    tables = tables[..., None] if rewards else tables
    own = np.stack([_grouped(table, law, len(points)) for table in tables])
    mean = own.mean(0)
    away = tables - mean[law]
    size = np.abs(away).sum(-1)
    axes = tuple(range(1, size.ndim))
    split = np.abs(own - mean).sum(-1).max(axes), np.abs(tables - own[:, law]).sum(-1).max(axes)
    return Measured(
        total=size.max(axes),
        centred=0.5 * (away[..., 0].max(axes) - away[..., 0].min(axes)) if rewards else None,
        heterogeneity=split[0],
        anonymity=split[1],
        mean=mean[..., 0] if rewards else mean,
        points=points,
        witness=_witness(size, all_profiles(others, cells)),
    )


def _grouped(table: FloatArray, law: IntArray, points: int) -> FloatArray:
    """Means [points, ...] over the profiles [profiles, ...] with the same law."""
    sums = np.zeros((points, *table.shape[1:]))
    np.add.at(sums, law, table)
    counts = np.bincount(law, minlength=points)
    means: FloatArray = sums / counts.reshape(-1, *(1,) * (table.ndim - 1))
    return means


def _witness(size: FloatArray, profiles: IntArray) -> Swap:
    player, profile, *entry = (int(k) for k in np.unravel_index(int(size.argmax()), size.shape))
    others = tuple(int(cell) for cell in profiles[profile])
    return Swap(player, tuple(entry), others, float(size.max()))
