"""The games of a batch, each with an end of its own: one rule to stop for each member."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mfdsl.runtime.solution import Ending
from mfdsl.runtime.status import Status


@dataclass(frozen=True)
class Stopping:
    """When a game ends; `patience` counts reports without a new best, None never stalls.

    `remedy` is what the solver asks for where it does not arrive.
    """

    iterations: int
    tolerance: float
    evaluate_every: int
    patience: int | None
    stop: Callable[[], bool]
    remedy: str = ""

    def reports(self, iteration: int) -> bool:
        """Whether an iteration is scored: the last one, and multiples of `evaluate_every`."""
        return iteration >= self.iterations or iteration % self.evaluate_every == 0


@dataclass
class Member:
    """Where one game stands: `gap` and `value` at `noted`, the last iteration that was reported.

    `waited` counts reports since the `best` one. `status` is None while the game is computed.
    """

    noted: int = -1
    gap: float = math.nan
    value: float = math.nan
    best: float = math.inf
    waited: int = 0
    status: Status | None = None
    message: str = ""

    def note(self, iteration: int, gap: float, value: float) -> None:
        """Take a report; one of an iteration that was reported counts only once."""
        self.gap, self.value = gap, value
        if iteration > self.noted:
            self.noted = iteration
            self.count(gap)

    def count(self, gap: float) -> None:
        """Count a report towards stalling unless it is the best so far."""
        improved = gap < self.best
        self.best = min(gap, self.best)
        self.waited = 0 if improved else self.waited + 1

    def end(self, status: Status, message: str | None = None) -> None:
        """Stop here, with the remedy of the status unless there is more to say."""
        self.status = status
        self.message = status.remedy if message is None else message

    def judge(self, stopping: Stopping, *, last: bool) -> None:
        """End a game, whose exploitability is a number, if it has come to an end."""
        if self.gap <= stopping.tolerance:
            self.end(Status.converged)
        elif stopping.patience and self.waited >= stopping.patience:
            remedy = f"{stopping.remedy}, or try" if stopping.remedy else "try"
            self.end(
                Status.stalled,
                f"exploitability did not improve for {stopping.patience} reports "
                f"(best {self.best:.3g}); {remedy} another solver: `mfdsl solvers SPEC` says what "
                "is known of each",
            )
        elif last:
            remedy = stopping.remedy and f"{Status.max_iterations.remedy}; {stopping.remedy}"
            self.end(Status.max_iterations, remedy or None)


def worst(members: Sequence[Member]) -> float:
    """The greatest exploitability of the games where it is a number; NaN where it is none."""
    found = [member.gap for member in members if math.isfinite(member.gap)]
    if found:
        return max(found)
    return next(member.gap for member in members)


def outcome(endings: Sequence[Ending]) -> tuple[Status, str]:
    """How a batch ended: as its games did, or as the worst of them."""
    if len({ending.status for ending in endings}) == 1:
        return endings[0].status, endings[0].message
    order = (Status.interrupted, Status.not_finite, Status.max_iterations, Status.stalled)
    count = Counter(ending.status for ending in endings)
    status = next(status for status in order if count[status])
    first = next(ending for ending in endings if ending.status is status)
    parts = [f"{count[s]:,} {s.name}" for s in (Status.converged, *reversed(order)) if count[s]]
    return status, f"of {len(endings):,} games {', '.join(parts)}: {first.message}"
