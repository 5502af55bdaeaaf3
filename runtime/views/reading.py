"""Small games without end whose moves read the law, in compiled loops.

A policy of a few states costs less than a tensor operation, so that a few policies are one call
that goes from one to the next: its law (`native_implicit.py`), rewards from a tape, values by
elimination, the best response by policy improvement (`native_reading.py`). From eight on policies
go side by side (`native_lane_laws.py`, `native_lane_worth.py`). All is done in double precision;
policies in single precision are brought to add up to 1 and results are rounded. The tensor code of
`settling.py` and `discounted.py` stays the reference.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mfdsl.runtime.flow import Answers, Flow
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.views import native
from mfdsl.runtime.views.discounted import MOST_IMPROVEMENTS, VALUE_TOLERANCE
from mfdsl.runtime.views.endless import Meeting, meeting_of
from mfdsl.runtime.views.settling import kept_laws, law_kernel
from mfdsl.runtime.views.slopes import Reader
from mfdsl.runtime.views.small import Later
from mfdsl.runtime.views.tables import Problem, Tables
from mfdsl.runtime.views.taped_moves import Moves

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reading:
    """A small game without end whose moves read the law."""

    tables: Tables
    discount: float
    reader: Reader = field(repr=False)
    moves: Moves = field(repr=False)
    entries: native.Entries = field(repr=False)
    band: NDArray[np.int64] = field(repr=False)
    meeting: Meeting = field(repr=False)

    def flow(self, policy: TabularPolicy) -> Flow | None:
        """The flow of a batch of policies with all values; None where the tensor code is needed."""
        kind, program = policy.probs.dtype, self.tables.program
        shares = self.reader.shares(policy.probs[:, 0])
        laws, residual = kept_laws(self.reader, self.moves, shares)
        games, states, actions = shares.shape
        rewards, q, best = (np.empty((games, actions, states)) for _ in range(3))
        returns = np.zeros((games, 2, len(program.populations)))
        if not self._scored(shares.numpy(), laws.numpy(), rewards, q, best, returns):
            return None
        paid = _as(kind, np.ascontiguousarray(rewards.transpose(1, 2, 0))[None])
        kernels = Later(lambda: (law_kernel(self.tables, self._joint(laws, policy)),))
        problem = Problem(paid, kernels, self.tables.legal, None)
        own, most = _as(kind, returns[:, 0]), _as(kind, returns[:, 1])
        answers = Answers(problem, _public(q, kind), _public(best, kind), own, most)
        return Flow(laws[:, None].to(kind), policy, problem, residual, answers)

    def _scored(self, shares: Numbers, laws: Numbers, *written: Numbers) -> bool:
        """Write rewards, Q and returns of policies [B, S, A] at laws; whether all are found."""
        limits = (self.discount, MOST_IMPROVEMENTS, VALUE_TOLERANCE)
        if width := self.reader.width(self.moves, len(shares)):
            from mfdsl.runtime.views.native_lane_worth import worth_lanes  # needs numba

            given = self.moves, self.meeting, shares, laws
            return bool(worth_lanes(*given, limits, width, *written))
        from mfdsl.runtime.views.native_reading import worth  # needs numba

        fresh = self.entries._replace(chances=np.empty_like(self.entries.chances))
        game = self.moves, fresh, self.band, self.meeting
        return bool(worth(*game, shares, laws, limits, *written) == len(shares))

    def _joint(self, laws: Tensor, policy: TabularPolicy) -> Tensor:
        """The joint laws [A, S, B] of states and actions."""
        joint = laws[..., None].to(policy.probs.dtype) * policy.probs[:, 0]
        return joint.permute(2, 1, 0).contiguous()


def reading(tables: Tables, discount: float, reader: Reader | None) -> Reading | None:
    """The game for compiled loops, None where the tensor code is used."""
    if reader is None or reader.moves is None or (meeting := meeting_of(reader.doubled)) is None:
        return None
    moves = reader.moves
    states, actions, noises = moves.places.shape
    if states > native.MOST_BANDED:
        return None
    from mfdsl.runtime.views.native_chains import envelope  # needs numba

    landing = np.arange(actions * states).reshape(actions, states)
    starts = np.arange(actions * states + 1) * noises
    places = np.ascontiguousarray(moves.places.transpose(1, 0, 2)).reshape(-1)
    entries = native.Entries(landing, starts, places, np.zeros(len(places)))
    return Reading(tables, discount, reader, moves, entries, envelope(entries), meeting)


def _public(table: Numbers, kind: torch.dtype) -> Tensor:
    return _as(kind, table.swapaxes(1, 2)[:, None])


def _as(kind: torch.dtype, numbers: Numbers) -> Tensor:
    found = torch.from_numpy(numbers)
    return found if kind == found.dtype else found.to(kind)
