"""The small games of a batch in blocks of iterations, one compiled call for each game and block.

All games make as many iterations, so that they are reported and judged together; `blocks.py` has a
run of one game.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from mfdsl.runtime.solvers.blocks import FIRST_ROWS, GROWTH, MOST_ROWS, Blocks, Packed
from mfdsl.runtime.solvers.course import Stand

SECONDS = 0.2  # of a block of each game: shorter ones of many games would be calls more than work


class Rank(NamedTuple):
    """The exploitability and the value of each game that goes on, after an iteration."""

    iteration: int
    gaps: Mapping[int, float]
    values: Mapping[int, float]
    moment: float


class Abreast:
    """A way of some games of a batch through blocks, one of each in about `SECONDS`."""

    def __init__(self, blocks: Sequence[Blocks], start: Stand, places: Sequence[int]) -> None:
        self._blocks, self._start = blocks, start
        self._block = {place: blocks[place].begun(start.of(place)) for place in places}
        self._ends = dict(self._block)
        self._over: dict[int, Packed] = {}
        self._passed = 0

    def ranks(self, iterations: int, every: int, tolerance: float) -> Iterator[Rank]:
        """The iterations up to the last one, of all games that are not left out meanwhile.

        Those that have met their goal have to be left out before the next iteration.
        """
        size, iteration = FIRST_ROWS, self._start.state.iteration
        while self._ends and iteration < iterations:
            began, gaps, values = time.perf_counter(), {}, {}
            self._block, self._passed = self._ends, 0
            most, ends = min(iterations - iteration, size), {}
            for place, packed in self._block.items():
                scores, ends[place] = self._blocks[place].iterated(packed, most, every, tolerance)
                gaps[place], values[place] = scores.T.tolist()
            self._ends = ends
            ended, count = time.perf_counter(), max(len(scores) for scores in gaps.values())
            each = (ended - began) / count
            size = max(1, min(GROWTH * size, MOST_ROWS, int(SECONDS / each)))
            for k in range(count):
                self._passed = k + 1
                yield Rank(
                    iteration + k + 1,
                    {place: gaps[place][k] for place in self._ends},
                    {place: values[place][k] for place in self._ends},
                    began + each * (k + 1),
                )
                if not self._ends:
                    return
            iteration += count

    def leave_out(self, place: int) -> None:
        """A game ends at the last iteration that was given."""
        self._over[place] = self._there(place)
        del self._ends[place]

    def stand(self) -> Stand:
        """Where all games are, each set aside at the last iteration that was given of it."""
        start = self._start
        found = self._over | {place: self._there(place) for place in self._ends}
        aside = {p: self._blocks[p].state(start.of(p), packed) for p, packed in found.items()}
        others = {p: start.of(p) for p in start.places if p not in found}
        return replace(start, places=(), aside={**start.aside, **others, **aside})

    def _there(self, place: int) -> Packed:
        block, end = self._block[place], self._ends[place]
        if block.iteration + self._passed < end.iteration:
            _, end = self._blocks[place].iterated(block, self._passed, 0, 0.0)
        return end
