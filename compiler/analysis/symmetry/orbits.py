"""Orbits of players under the automorphisms of their couplings.

Colour refinement (Weisfeiler and Leman 1968) splits the players until those of a colour see the
same colours through the same weights; orbits lie inside the colours, and may be smaller. Whether
two players of a colour lie in one orbit is decided by individualisation and refinement (McKay
1981): give both a colour of their own, refine, and go on with a pair of players that still share a
colour until a mapping is found, which is then tried on the matrix. The search has a budget.

Colours are hashes of 64 bits: a collision would leave two colours as one, which is still an upper
bound of the orbits; mappings are checked on the matrix itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
Hashes = NDArray[np.uint64]
BUDGET = 50_000_000  # matrix entries that a search looks at, about a second
MAX_DEPTH = 200
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class OverBudgetError(Exception):
    """The search for an automorphism was given up."""


@dataclass(frozen=True)
class Orbits:
    """The number of colours, and the number of orbits unless the search was given up."""

    colours: int
    count: int | None


def orbits(codes: Codes, classes: Sequence[Sequence[int]], budget: int = BUDGET) -> Orbits:
    """Colours and orbits of a matrix of codes [N, N], the players' own codes on the diagonal.

    `classes` are players that are known to be exchangeable; `budget` limits the matrix entries that
    the search looks at.
    """
    search = _Search(codes, budget)
    (colours,) = search.refined([np.diagonal(codes).astype(np.int64)])
    count = int(colours.max()) + 1
    orbit = np.arange(len(codes))
    for members in classes:
        orbit[list(members)] = members[0]
    heads: dict[int, list[int]] = {}
    try:
        for first in (members[0] for members in classes):
            known = heads.setdefault(int(colours[first]), [])
            if all(orbit[first] != orbit[head] for head in known):
                moved = (search.automorphism(colours, head, first) for head in known)
                found = next((m for m in moved if m is not None), None)
                if found is None:
                    known.append(first)
                else:
                    orbit = _merged(orbit, found)
    except OverBudgetError:
        return Orbits(count, None)
    return Orbits(count, len(np.unique(orbit)))


def hashed(places: NDArray[np.generic], codes: NDArray[np.generic]) -> Hashes:
    """A hash of each pair (place, code), so that sums of them stand for sets of pairs."""
    return _mixed(places.astype(np.uint64) * GOLDEN + _mixed(codes.astype(np.uint64)))


class _Search:
    """Refinements and automorphisms of one matrix, within a budget."""

    def __init__(self, codes: Codes, budget: int) -> None:
        self.codes = codes
        self.links = hashed(codes, codes.T)
        self.left = budget

    def refined(self, colours: Sequence[Codes]) -> list[Codes]:
        """The coarsest stable colours [N] from each of some starting colours.

        A colour stands for its old colour and the multiset of (weight out, weight in, colour) over
        the players; numbers are given over all colourings together, in an order that does not
        depend on the order of the players, so that colourings can be compared.
        """
        found, size = _numbered(colours)
        while True:
            self.left -= len(found) * self.links.size
            if self.left < 0:
                raise OverBudgetError
            sums = [_mixed(self.links + _mixed(c.astype(np.uint64)) * GOLDEN).sum(1) for c in found]
            ranks, seen = _numbered(sums)
            finer, more = _numbered([c * seen + r for c, r in zip(found, ranks, strict=True)])
            if more <= size:
                return finer
            found, size = finer, more

    def automorphism(self, colours: Codes, source: int, target: int) -> Codes | None:
        """An automorphism that keeps the colours and takes `source` to `target`, if there is one:
        player i goes to place `order[i]`.
        """
        return self._extended(_marked(colours, source), _marked(colours, target), 0)

    def _extended(self, left: Codes, right: Codes, depth: int) -> Codes | None:
        """An automorphism that takes the colours `left` to the colours `right`."""
        if depth > MAX_DEPTH:
            raise OverBudgetError
        left, right = self.refined([left, right])
        size = 1 + max(int(left.max()), int(right.max()))
        counts = np.bincount(left, minlength=size)
        if not np.array_equal(counts, np.bincount(right, minlength=size)):
            return None
        if counts.max() == 1:
            order = np.argsort(right)[left]
            return order if np.array_equal(self.codes[np.ix_(order, order)], self.codes) else None
        several = np.flatnonzero(counts > 1)
        colour = several[np.argmin(counts[several])]
        fixed = _marked(left, int(np.flatnonzero(left == colour)[0]))
        for other in np.flatnonzero(right == colour):
            found = self._extended(fixed, _marked(right, int(other)), depth + 1)
            if found is not None:
                return found
        return None


def _marked(colours: Codes, player: int) -> Codes:
    """The colours with one of its own for a player."""
    marked = colours + 1
    marked[player] = 0
    return marked


def _merged(orbit: Codes, order: Codes) -> Codes:
    """The orbits once every player i and its image `order[i]` are in one."""
    orbit = orbit.copy()
    for player, image in enumerate(order):
        orbit[orbit == orbit[image]] = orbit[player]
    return orbit


def _numbered(groups: Sequence[NDArray[Any]]) -> tuple[list[Codes], int]:
    """Equal entries as equal numbers from 0 over all groups together, and how many there are."""
    values, places = np.unique(np.concatenate(groups), return_inverse=True)
    ends = np.cumsum([len(group) for group in groups])[:-1]
    return [part.astype(np.int64) for part in np.split(places, ends)], len(values)


def _mixed(bits: Hashes) -> Hashes:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014) on every entry."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
