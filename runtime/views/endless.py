"""Small games without end as two compiled calls: the law of a policy, and all that it is worth.

One iteration on a game of a few states is otherwise spent between tensor operations. The law is
that of `chains.py`, rewards are played from a tape (`tape.py`), values are eliminated, and the best
response starts from the policy's own values (`native_values.py`). The tensor code of
`settling.py` and `discounted.py` stays the reference; it has batches, devices, gradients, single
precision and large games. `reading.py` has chains that read the law.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mfdsl.runtime.flow import Answers, Flow
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.views import native
from mfdsl.runtime.views.chains import LEAVING, MOST_STEPS
from mfdsl.runtime.views.discounted import MOST_IMPROVEMENTS, VALUE_TOLERANCE
from mfdsl.runtime.views.settling import LAW_TOLERANCE
from mfdsl.runtime.views.tables import Problem, Tables
from mfdsl.runtime.views.tape import Line, Tape, record

UNMOVED = 4 * np.finfo(np.float64).eps
Numbers = NDArray[np.float64]


class Meeting(NamedTuple):
    """What one agent meets: rewards stand at `paid` [A, S] on the line, or are `known` [A, S].

    `joint` is where the joint law begins on the line; `legal` has no rows where all is legal.
    """

    line: Line
    joint: int
    paid: NDArray[np.int64]
    known: Numbers
    legal: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Endless:
    """A small game without end whose moves do not read the law."""

    tables: Tables
    discount: float
    banded: native.Banded = field(repr=False)
    meeting: Meeting = field(repr=False)

    def flow(self, policy: TabularPolicy) -> Flow | None:
        """The flow of one policy with all values; None where elimination does not suffice."""
        from mfdsl.runtime.views.native_values import meet, scored, settled  # need numba

        moves, band = self.banded.moves, self.banded.band
        probs = np.ascontiguousarray(policy.probs.numpy()[0].transpose(2, 1, 0))
        laws = self.tables.initial.numpy().copy()
        steps = (1 - LEAVING, LEAVING, MOST_STEPS, UNMOVED)
        residual = settled(moves, band, probs, laws, *steps)
        if not residual <= LAW_TOLERANCE:
            return None
        rewards, paid = meet(self.meeting, probs, laws)
        q, best = np.empty_like(rewards), np.empty_like(rewards)
        returns = np.zeros((2, len(self.tables.program.populations)))
        limits = (self.discount, MOST_IMPROVEMENTS, VALUE_TOLERANCE)
        law, played = laws[:, 0], probs[..., 0]
        if not scored(moves, band, paid, played, law, *limits, q, best, returns):
            return None
        kernel, legal = self.tables.kernel, self.tables.legal
        assert kernel is not None
        problem = Problem(torch.from_numpy(rewards[None, ..., None]), (kernel,), legal, None)
        own, most = torch.from_numpy(returns[:1]), torch.from_numpy(returns[1:])
        answers = Answers(problem, _public(q), _public(best), own, most)
        return Flow(torch.from_numpy(laws.T[None]), policy, problem, residual, answers)


def endless(tables: Tables, discount: float) -> Endless | None:
    """The game for compiled loops, None where the tensor code is used."""
    banded = native.banded(tables.kernel)
    if tables.games > 1 or tables.unit.dtype != torch.float64 or banded is None:
        return None
    meeting = meeting_of(tables)
    return None if meeting is None else Endless(tables, discount, banded, meeting)


def _public(table: Numbers) -> Tensor:
    return torch.from_numpy(table.T[None, None])


def meeting_of(tables: Tables) -> Meeting | None:
    """What one agent meets in a game in double precision, None where it cannot be written down."""
    states, actions = tables.program.state_count, tables.program.action_count
    legal = np.zeros((0, states), dtype=bool)
    if tables.legal is not None:
        legal = np.ascontiguousarray(tables.legal[0, ..., 0].numpy())
    if tables.rewards is not None:
        nowhere, known = np.zeros((0, states), np.int64), tables.rewards[0, ..., 0].numpy()
        line = Line(np.zeros((0, 7), np.int64), np.zeros(0, np.int64), np.zeros(0))
        return Meeting(line, 0, nowhere, np.ascontiguousarray(known), legal)
    if (tape := _tape(tables)) is None:
        return None
    paid = tape.results[0].expand(1, states, actions)[0].t().contiguous().numpy()
    known = np.zeros((actions, states))
    return Meeting(tape.line, tape.inputs[0], paid, known, legal)


def _tape(tables: Tables) -> Tape | None:
    """Rewards [1, S, A] at a joint law [A, S]."""
    states, actions = tables.program.state_count, tables.program.action_count
    time = tables.times(1)[0]

    def paid(joint: Tensor) -> list[Tensor]:
        found: Tensor = tables.program.module.rewards(tables.params, time, joint)
        return [found.reshape(-1, states, actions)]

    even = torch.full((1, actions, states, 1), 1 / (actions * states), dtype=torch.float64)
    return record(paid, tables.public_joint(even)[0])
