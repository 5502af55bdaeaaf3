"""How many go where: counts split by the multinomial law, as one binomial after another.

The generator is numpy's (BTPE, Kachitvichyanukul and Schmeiser 1988, and inversion for small
means): 80 ns a part whatever the counts are. It computes with logarithms in float64, which tell
apart counts up to some 10^13; more agents are refused.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

MOST_AGENTS = 10**13

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
N = TypeVar("N", np.int64, np.float64)


class NoChance(ValueError):
    """Agents stand where no outcome has a probability; `place` is the index of the row."""

    def __init__(self, place: tuple[int, ...]) -> None:
        super().__init__(f"no probabilities at {place}")
        self.place = place


@dataclass(frozen=True, eq=False)
class Odds:
    """Probabilities [B or 1, ..., K] with the most likely outcome last.

    The last outcome gets whoever is left, so that rounding never goes to an impossible one.
    `back` [B or 1, n] says where in a flat game the outcomes are found in their own order.
    """

    chances: Floats
    back: NDArray[np.int64]
    bad: NDArray[np.bool_] | None

    @classmethod
    def of(cls, chances: Floats) -> "Odds":
        """The odds of probabilities, or of weights that add up to something else."""
        whole, bad = normal(chances)
        order = np.argsort(whole, -1, kind="stable")
        rows = whole[0].size // whole.shape[-1]
        first = whole.shape[-1] * np.arange(rows).reshape(*whole.shape[1:-1], 1)
        back = np.argsort(order, -1, kind="stable") + first
        ascending = np.take_along_axis(whole, order, -1)
        return cls(ascending, back.reshape(len(whole), -1), bad)

    def split(self, stream: np.random.Generator, counts: Counts) -> Counts:
        """Parts [B, ..., K] of counts [B, ...], row after row.

        Raises:
            NoChance: a row with agents has no probabilities.
        """
        parts = drawn(stream, counts, self.chances, self.bad)
        flat = parts.reshape(len(parts), -1)
        if len(self.back) == 1:
            return flat[:, self.back[0]].reshape(parts.shape)
        return np.take_along_axis(flat, self.back, 1).reshape(parts.shape)


def normal(chances: Floats) -> tuple[Floats, NDArray[np.bool_] | None]:
    """Rows that add up to 1, and which rows have no probabilities (None: all have some)."""
    total = chances.sum(-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        bad = ~((total[..., 0] > 0) & (chances >= 0).all(-1) & np.isfinite(total[..., 0]))
        if not bad.any():
            return chances / total, None
        return np.where(bad[..., None], 0.0, chances / total), bad


def drawn(
    stream: np.random.Generator, counts: Counts, chances: Floats, bad: NDArray[np.bool_] | None
) -> Counts:
    """Multinomial parts [B, ..., K] in the order of `chances`, whose last is the largest.

    Raises:
        NoChance: a row with agents is bad.
    """
    if bad is not None:
        lost = np.argwhere(bad & (counts > 0))
        if len(lost):
            raise NoChance(tuple(int(k) for k in lost[0]))
    return stream.multinomial(counts, chances)


@dataclass(frozen=True, eq=False)
class Landings:
    """Where cells go on to: cell c [M] to landing `of` [M], landing l to `target` [B or 1, L, K].

    Cells with the same outcomes share a landing (`of` is None where none do): whoever is there
    goes on alike. The most likely outcome is last, but `odds` is there where outcomes keep their
    order.
    """

    of: NDArray[np.int64] | None
    target: NDArray[np.int64]
    chances: Floats
    bad: NDArray[np.bool_] | None
    odds: Odds | None

    def gathered(self, cells: NDArray[N]) -> NDArray[N]:
        """Sums [B, L] at the landings of what is at the cells [B, M]."""
        return cells if self.of is None else summed(self.of[None], cells, self.target.shape[1])

    def split(self, stream: np.random.Generator, landed: Counts) -> Counts:
        """Numbers [B, L, K] by outcome from those at the landings [B, L].

        Raises:
            NoChance: a landing with agents has no probabilities.
        """
        if self.odds is not None:
            return self.odds.split(stream, landed)
        return drawn(stream, landed, self.chances, self.bad)


def landings(target: NDArray[np.int64], chances: Floats, *, merge: bool, ordered: bool) -> Landings:
    """The landings of cells with successors and probabilities [B or 1, M, K].

    `merge` lets equal rows share one, `ordered` keeps the outcomes in their order.
    """
    of = None
    if merge and not ordered and len(target) == len(chances) == 1:
        rows, weights = _distinct(target[0], chances[0])
        keys = np.concatenate([rows, weights.view(np.int64)], -1)
        _, first, of = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        of, target, chances = of.reshape(-1), rows[first][None], weights[first][None]
    if ordered:
        return Landings(of, target, chances, None, Odds.of(chances))
    whole, bad = normal(chances)
    order = np.argsort(whole, -1, kind="stable")
    games = max(len(target), len(whole))
    target = np.broadcast_to(target, (games if len(whole) > 1 else len(target), *target.shape[1:]))
    order_of_target = np.broadcast_to(order, target.shape)
    target = np.take_along_axis(target, order_of_target, -1)
    return Landings(of, target, np.take_along_axis(whole, order, -1), bad, None)


def _distinct(target: NDArray[np.int64], chances: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Rows [M, K] with equal successors added up, in the order of successors."""
    order = np.argsort(target, -1, kind="stable")
    target = np.take_along_axis(target, order, -1)
    chances = np.take_along_axis(chances, order, -1)
    fresh = np.ones(target.shape, dtype=bool)
    fresh[:, 1:] = target[:, 1:] != target[:, :-1]
    place = fresh.cumsum(-1) - 1
    most = int(place.max()) + 1
    row = np.arange(len(target))[:, None]
    weights = np.zeros((len(target), most))
    np.add.at(weights, (row, place), chances)
    rows = np.repeat(target[:, :1], most, -1)
    rows[np.broadcast_to(row, place.shape), place] = target
    return rows, weights


def summed(place: NDArray[np.int64], values: NDArray[N], size: int) -> NDArray[N]:
    """Sums [B, size] of values [B, M] by their places [B or 1, M]; whole numbers stay whole."""
    games = len(values)
    flat = place + size * np.arange(games)[:, None] if games > 1 else place
    total = np.bincount(flat.reshape(-1), values.reshape(-1), games * size).reshape(games, size)
    return total.astype(values.dtype, copy=False)
