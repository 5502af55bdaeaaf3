"""Transitions stage by stage along a flow, kept while memory allows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import overload

from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.views import native
from mfdsl.runtime.views.kernels import Kernel, SizedKernel, fold, matrix_kernel
from mfdsl.runtime.views.tables import StageTable, Tables, stage_kernel, stage_table

KEPT_WEIGHTS = 1 << 26
FOLDED_ENTRIES = 1 << 18


@dataclass(eq=False)
class KeptKernels:
    """Transitions by stage, KEPT_WEIGHTS numbers at most; `full` once some did not fit."""

    by_stage: dict[int, SizedKernel] = field(default_factory=dict, repr=False)
    weights: int = 0
    full: bool = False

    def keep(self, t: int, kernel: SizedKernel) -> None:
        """Keep the transitions of a stage; those of the stage before take no further memory."""
        size = 0 if self.by_stage.get(t - 1) is kernel else kernel.size
        if self.weights + size > KEPT_WEIGHTS:
            self.full = True
            return
        self.by_stage[t] = kernel
        self.weights += size


class StageKernels(Sequence[Kernel]):
    """The transitions along a flow."""

    def __init__(
        self,
        tables: Tables,
        joint: Float[Tensor, "stages actions states batch"],
        kept: KeptKernels,
    ) -> None:
        self._tables = tables
        self._joint = tables.public_joint(joint)
        self._times = tables.times(len(joint))
        self._kept = kept
        self._entries = tables.program.noise_count * joint[0].numel()
        self._last: tuple[int, StageTable] | None = None

    def __len__(self) -> int:
        return len(self._joint)

    @overload
    def __getitem__(self, t: int) -> Kernel: ...

    @overload
    def __getitem__(self, t: slice) -> Sequence[Kernel]: ...

    def __getitem__(self, t: int | slice) -> Kernel | Sequence[Kernel]:
        if isinstance(t, slice):
            return [self[stage] for stage in range(len(self))[t]]
        if self._tables.kernel is not None:
            return self._tables.kernel
        kernel = self._kept.by_stage.get(t)
        if kernel is None:
            kernel = self._made(t)
            self._kept.keep(t, kernel)
        return kernel

    def _made(self, t: int) -> SizedKernel:
        """The transitions of a stage; those that are kept for long are made ready for it.

        A table over all noises may be mostly zeros, so that only what is made of it tells whether
        it fits.
        """
        table = None
        if not self._folds and not self._kept.full and self._entries <= KEPT_WEIGHTS:
            table = stage_table(self._tables, self._times[t])
        if table is None:
            return stage_kernel(self._tables, self._times[t], self._joint[t])
        before, self._last = self._last, (t, table)
        kept = self._kept.by_stage.get(t - 1)
        if kept is not None and before is not None and before[0] == t - 1:
            if before[1].same_as(table):
                return kept
        games = self._joint.shape[1]
        return matrix_kernel(table.successors, table.weights, games=games)

    @property
    def _folds(self) -> bool:
        program = self._tables.program
        entries = len(self) * program.action_count * program.state_count**2
        return self._tables.kernel is None and entries <= FOLDED_ENTRIES

    def folded(self) -> Sequence[Kernel]:
        """The same transitions as small dense matrices, one for each stage, where that pays."""
        if self._folds:
            return fold([self[t] for t in range(len(self))]) or self
        return self


def stretches(kernels: Sequence[Kernel], games: int) -> list[tuple[int, int, native.Loops]] | None:
    """Stages first..end - 1 with the same moves in compiled loops; None where some have none."""
    found: list[tuple[int, int, native.Loops]] = []
    before: Kernel | None = None
    for t in range(len(kernels)):
        if before is not None and kernels[t] is before:
            found[-1] = (found[-1][0], t + 1, found[-1][2])
            continue
        before = kernels[t]
        if (loops := native.compiled_loops(before, games)) is None:
            return None
        found.append((t, t + 1, loops))
    return found
