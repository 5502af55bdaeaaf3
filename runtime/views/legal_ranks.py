"""Small games with the action as the rank among the legal ones.

Drivers in Braess's network have seven links, of which at most two are legal anywhere: tables over
actions are mostly padding, and so is what the tape says of illegal pairs.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mfdsl.runtime.views.shortening import shortened
from mfdsl.runtime.views.walk import Walk

FEW = 64  # pairs of state and action
Numbers = NDArray[np.float64]
Table = TypeVar("Table", NDArray[np.float64], NDArray[np.bool_])


@dataclass(frozen=True, eq=False)
class Ranks:
    """`action` [R, S] is the action of each rank and state, of `actions` in all."""

    action: NDArray[np.int64]
    actions: int

    @cached_property
    def _pairs(self) -> NDArray[np.int64]:
        """Where the pairs of rank and state are in [A, S]."""
        states = self.action.shape[1]
        pairs: NDArray[np.int64] = self.action * states + np.arange(states)
        return pairs.reshape(-1)

    def narrow(self, table: Table) -> Table:
        """A table [T, A, S] by rank, [T, R, S]."""
        if len(self.action) == self.actions:
            return table
        flat = table.reshape(len(table), self.actions * self.action.shape[1])
        return np.ascontiguousarray(flat[:, self._pairs]).reshape(len(table), *self.action.shape)

    def wide(self, table: Numbers, rest: float) -> Numbers:
        """A table by rank as one by action, with the same number at all other actions."""
        if len(self.action) == self.actions:
            return table
        found = np.full((len(table), self.actions * table.shape[2]), rest)
        found[:, self._pairs] = table.reshape(len(table), -1)
        return found.reshape(len(table), self.actions, table.shape[2])


def ranks_of(legal: NDArray[np.bool_]) -> Ranks:
    """The ranks where [T or 1, A, S] are legal: as many as are legal somewhere at any time.

    A few pairs keep their actions, as it takes longer to bring tables into another order.
    """
    ever: NDArray[np.bool_] = np.any(legal, axis=0)
    most = int(ever.sum(0).max())
    if most == len(ever) or ever.size <= FEW:
        most = len(ever)
        return Ranks(np.tile(np.arange(most)[:, None], ever.shape[1]), most)
    first = np.argsort(~ever, axis=0, kind="stable")
    return Ranks(np.ascontiguousarray(first[:most]), len(ever))


def ranked(walk: Walk, ranks: Ranks) -> Walk:
    """The game by ranks, with nothing on its line that illegal pairs alone read."""
    return ranked_with(walk, ranks, np.zeros(0, np.int64))[0]


def ranked_with(
    walk: Walk, ranks: Ranks, given: NDArray[np.int64]
) -> tuple[Walk, NDArray[np.int64]]:
    """The same of a line with `given` places of inputs beside the law, and where these went.

    Those that nothing reads are at -1.
    """
    states = ranks.action.shape[1]
    pairs = ranks.action * states + np.arange(states)
    ever = walk.legal.any(0).reshape(-1)
    legal = ever[pairs]
    landing, starts = walk.landing.reshape(-1)[pairs], walk.starts
    entries = np.arange(len(walk.chance_places))
    if len(entries):  # a row for each pair
        noises = len(entries) // len(ever)
        entries = (pairs[legal][:, None] * noises + np.arange(noises)).reshape(-1)
        landing = np.arange(pairs.size).reshape(pairs.shape)
        starts = np.concatenate([[0], np.cumsum(legal.reshape(-1) * noises)])
    chances, places = walk.chance_places[entries], walk.target_places
    places = places[entries] if len(places) else places
    targets = walk.targets[entries] if len(entries) and len(walk.targets) else walk.targets
    paid = np.where(legal, walk.paid.reshape(-1)[pairs], walk.time)
    joints, inputs = walk.joints.reshape(-1), np.append(walk.joints, [walk.time, *given])
    read = np.concatenate([joints[pairs].reshape(-1), [walk.time], chances, places, *paid])
    line, to = shortened(walk.line, inputs, joints[~ever], read)
    narrow = walk._replace(
        line=line,
        time=int(to[walk.time]),
        joint=-1,
        joints=to[joints[pairs]],
        landing=landing,
        starts=starts,
        targets=targets,
        target_places=to[places],
        chance_places=to[chances],
        known=ranks.narrow(walk.known),
        paid=to[paid],
        legal=ranks.narrow(walk.legal),
    )
    return narrow, to[given]
