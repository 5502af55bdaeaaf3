"""Runs structural policy gradients along drawn paths: measures, stops when asked, goes on exactly.

Along measured paths the gain of one who knows the whole path is told on the way: an upper bound. At
the end comes what one gains who does not, between two figures (`path_bounds.py`).
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mfdsl.runtime.exploitability import Exploitability, between, upper_bound
from mfdsl.runtime.interruption import is_interruption, patient
from mfdsl.runtime.solution import License
from mfdsl.runtime.solvers.networks.along import PathGame, Paths, Room
from mfdsl.runtime.solvers.networks.options import StructuralConfig
from mfdsl.runtime.solvers.networks.path_bounds import causal_gap
from mfdsl.runtime.solvers.networks.path_gradient import (
    MEASURED,
    PathRecord,
    advanced,
    fresh_policy,
    measure,
)
from mfdsl.runtime.solvers.networks.path_keeping import ITERATION, policy_of, tensors_of
from mfdsl.runtime.solvers.networks.path_solution import PathReport, PathSolution
from mfdsl.runtime.status import Status

SAVED = 30.0  # seconds between files that are written on the way


@dataclass(frozen=True, eq=False)
class PathCourse:
    """A game, its options and limits, whom a run reports to, and what it continues.

    `save` gets what was found so far, at most twice a minute and before the last bounds.
    """

    solver: str
    game: PathGame
    config: StructuralConfig
    iterations: int
    tolerance: float
    license: License | None = None
    on_progress: Callable[[PathReport], None] | None = None
    stop: Callable[[], bool] | None = None
    save: Callable[[PathSolution], None] | None = None
    state: Mapping[str, Tensor] | None = None
    history: Sequence[PathReport] = ()


def climbed(course: PathCourse) -> PathSolution:
    """Step until the iterations are made, or knowing the paths is worth the tolerance at most.

    Ctrl-C ends a run after the iteration that goes on, pressed twice at once with the last whole
    one; then nothing better is known than the upper bound.
    """
    with torch.no_grad(), patient() as pressed:
        stand = _Stand(course)
        asked = course.stop or (lambda: False)
        try:
            stand.advance(lambda: pressed() or asked())
            if stand.status in (Status.converged, Status.max_iterations):
                stand.save()
                stand.bound()
        except (KeyboardInterrupt, SystemError) as error:
            if not is_interruption(error):
                raise
            stand.status = Status.interrupted
        return stand.solution()


class _Stand:
    """How far a run has come; `policy` and `done` change together, after a whole iteration."""

    def __init__(self, course: PathCourse) -> None:
        game, config = course.game, course.config
        self.course = course
        self.apart: Paths = game.drawn(MEASURED, config.evaluate_paths)
        self.policy, self.done = fresh_policy(game, config, self.apart), 0
        if course.state is not None:
            self.policy = policy_of(self.policy.shape, course.state)
            self.done = int(course.state[ITERATION])
        self.room = Room.of(game, config.paths, torch.float32)
        self.history = list(course.history)
        self.earlier = self.history[-1].seconds if self.history else 0.0
        self.began = self.saved = time.perf_counter()
        self.status = Status.max_iterations
        self.found: Exploitability | None = None
        self.last: PathRecord | None = None

    def seconds(self) -> float:
        """Wall time of the whole run."""
        return self.earlier + time.perf_counter() - self.began

    def advance(self, stop: Callable[[], bool]) -> None:
        """Measure and step to the end."""
        course, config = self.course, self.course.config
        while True:
            limit = self.done >= course.iterations
            if limit or self.done % config.evaluate_every == 0:
                self.report()
                assert self.last is not None
                if not math.isfinite(self.last.gain):
                    self.status = Status.not_finite
                elif self.last.gain <= course.tolerance:
                    self.status = Status.converged
            if limit or self.status is not Status.max_iterations:
                return
            if stop():
                self.status = Status.interrupted
                return
            after = advanced(course.game, self.policy, config, self.done, config.paths, self.room)
            if not torch.isfinite(after.weights.values).all():
                self.status = Status.not_finite
                return
            self.policy, self.done, self.last = after, self.done + 1, None

    def report(self) -> None:
        """Measure, and add a line to the history."""
        record = self.measured()
        if self.history and self.history[-1].iteration >= self.done:
            return
        report = PathReport(self.done, record.gain, record.std_error, record.value, self.seconds())
        self.history.append(report)
        if self.course.on_progress is not None:
            self.course.on_progress(report)
        if time.perf_counter() - self.saved > SAVED:
            self.save()

    def measured(self) -> PathRecord:
        """What the policy is worth on the paths that no step is made on."""
        if self.last is None:
            self.last = measure(self.course.game, self.policy, self.apart, self.done, self.room)
        return self.last

    def save(self) -> None:
        """Let files be written of what was found so far."""
        if self.course.save is not None:
            self.course.save(self.solution(Status.interrupted))
        self.saved = time.perf_counter()

    def bound(self) -> None:
        """What one gains who does not know what is to come."""
        game, config = self.course.game, self.course.config
        gap = causal_gap(game, self.policy, paths=config.evaluate_paths, futures=config.futures)
        self.found = between(game.program.population, gap)

    def solution(self, status: Status | None = None) -> PathSolution:
        """What was found so far."""
        record, course = self.measured(), self.course
        status = self.status if status is None else status
        found = self.found
        if found is None:
            found = upper_bound(course.game.program.population, record.gain, record.std_error)
        return PathSolution(
            self.policy,
            found,
            record.value,
            status,
            status.remedy,
            self.done,
            self.seconds(),
            tuple(self.history),
            course.solver,
            course.config.model_dump(),
            course.game.seed,
            {**tensors_of(self.policy), ITERATION: torch.tensor(self.done)},
            course.license,
        )
