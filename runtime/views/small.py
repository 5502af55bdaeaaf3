"""Small games over time as one compiled call: the flow of a policy and all that it is worth.

Against MFGLib's and OpenSpiel's games of a few states, tensor operations cost more than what they
calculate, above all where moves read the law and every stage needs operations of its own. Here the
functions of the module are written down once (`tape.py`), and the stages, back and forth, are one
loop in `native_tape.py`, in double precision; results for policies in single precision are rounded.
The tensor code of `finite.py` stays the reference; it has batches, devices, gradients, large games,
and functions that cannot be written down.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, overload

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from mfdsl.runtime.flow import Answers, Flow
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.views.kernels import Kernel
from mfdsl.runtime.views.legal_ranks import Ranks, ranked, ranks_of
from mfdsl.runtime.views.tables import Problem, Tables
from mfdsl.runtime.views.walk import Walk, written

Numbers = NDArray[np.float64]
Kernels = Callable[[Float[Tensor, "stages actions states 1"]], Sequence[Kernel]]


class Later(Sequence[Kernel]):
    """Transitions that are made when somebody asks for them."""

    def __init__(self, make: Callable[[], Sequence[Kernel]]) -> None:
        self._make = make

    @cached_property
    def _made(self) -> Sequence[Kernel]:
        return self._make()

    def __len__(self) -> int:
        return len(self._made)

    @overload
    def __getitem__(self, t: int) -> Kernel: ...

    @overload
    def __getitem__(self, t: slice) -> Sequence[Kernel]: ...

    def __getitem__(self, t: int | slice) -> Kernel | Sequence[Kernel]:
        return self._made[t]


class Found(NamedTuple):
    """What the compiled loops find of a policy, with actions by rank.

    Laws [T + 1, S], joint laws and rewards [T, R, S], final rewards [S], Q of the policy and of the
    best response [T, R, S], and both returns [2, P].
    """

    laws: Numbers
    joint: Numbers
    rewards: Numbers
    final: Numbers
    q: Numbers
    best: Numbers
    returns: Numbers


@dataclass(frozen=True, eq=False)
class Small:
    """A small game and its walk, which is in double precision and has actions by rank."""

    tables: Tables
    walk: Walk = field(repr=False)
    ranks: Ranks = field(repr=False)
    discount: float

    def flow(self, policy: TabularPolicy, kernels: Kernels) -> Flow:
        """The flow of a policy with all values; `kernels` makes transitions of joint laws."""
        from mfdsl.runtime.views.native_tape import along  # needs numba

        count = len(self.tables.program.populations)
        found = along(self.walk, self.numbers_of(policy.probs), count, self.discount)
        return self.told(Found(*found), policy, kernels)

    def told(self, found: Found, policy: TabularPolicy, kernels: Kernels) -> Flow:
        """The flow of a policy of which all is known."""
        kind, walk = policy.probs.dtype, self.walk
        ends = walk.endless or len(walk.last_paid)

        def by_action(table: Numbers) -> Tensor:
            return _tensor(self.ranks.wide(table, 0.0)[..., None], kind)

        problem = Problem(
            rewards=by_action(found.rewards),
            kernels=Later(lambda: kernels(by_action(found.joint))),
            legal=self.tables.legal,
            final=_tensor(found.final[:, None], kind) if ends else None,
        )
        answers = Answers(
            problem,
            q=self.table_of(found.q, kind),
            best_q=self.table_of(found.best, kind),
            own=_tensor(found.returns[:1], kind),
            most=_tensor(found.returns[1:], kind),
        )
        return Flow(_tensor(found.laws[None], kind), policy, problem, answers=answers)

    def numbers_of(self, table: Float[Tensor, "1 stages states actions"]) -> Numbers:
        """The public table by rank, [T, R, S], in double precision."""
        flat = np.ascontiguousarray(table.numpy()[0].transpose(0, 2, 1), dtype=np.float64)
        return self.ranks.narrow(flat)

    def table_of(
        self, numbers: Numbers, kind: torch.dtype, rest: float = -np.inf
    ) -> Float[Tensor, "1 stages states actions"]:
        """The public table of numbers by rank, with the same number at actions without a rank."""
        return _tensor(self.ranks.wide(numbers, rest)[..., None], kind).permute(3, 0, 2, 1)


def small(tables: Tables, discount: float, *, endless: bool) -> Small | None:
    """The game for the compiled loop, None where the tensor code is used."""
    if (walk := written(tables, endless=endless)) is None:
        return None
    ranks = ranks_of(walk.legal)
    return Small(tables, ranked(walk, ranks), ranks, discount)


def _tensor(numbers: Numbers, kind: torch.dtype) -> Tensor:
    found = torch.from_numpy(numbers)
    return found if kind == torch.float64 else found.to(kind)
