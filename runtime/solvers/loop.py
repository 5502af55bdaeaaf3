"""The one loop around every solver: evaluation, history, stopping and interruption."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mfdsl.runtime.diagnose import first_not_finite
from mfdsl.runtime.evaluate import Evaluation, View, build_view
from mfdsl.runtime.program import Params, Program
from mfdsl.runtime.solution import License, Record, Solution
from mfdsl.runtime.solvers.base import (
    Solver,
    SolverError,
    State,
    load_state,
    make_solver,
    save_state,
)
from mfdsl.runtime.solvers.table import SOLVERS, Config
from mfdsl.runtime.status import Status

if TYPE_CHECKING:
    from mfdsl.runtime.solvers.episodes import Crowd


PATIENCE = 200
SMALL_ENTRIES = 1 << 22


@dataclass(frozen=True)
class Stopping:
    """When the loop ends; `patience` counts reports without a new best, None never stalls."""

    iterations: int
    tolerance: float
    evaluate_every: int
    patience: int | None
    stop: Callable[[], bool]


@dataclass
class _Course:
    """The moving parts of a run; `current` changes at once, so an interruption finds a pair."""

    current: tuple[State, Evaluation]
    history: list[Record]
    began: float
    social: bool = False
    best: float = float("inf")
    reports_since_best: int = 0
    status: Status = Status.max_iterations
    message: str = Status.max_iterations.remedy

    @property
    def state(self) -> State:
        """The state after the last complete iteration."""
        return self.current[0]

    @property
    def evaluation(self) -> Evaluation:
        """The evaluation of the policy in that state."""
        return self.current[1]

    def social_value(self) -> tuple[float, ...] | None:
        """What all earn together in each game, None where nobody plans for all."""
        if not self.social:
            return None
        return tuple(float(value) for value in self.evaluation.value)

    def note(self, gap: float) -> None:
        """Count the report towards stalling unless it is the best so far."""
        improved = gap < self.best
        self.best = min(gap, self.best)
        self.reports_since_best = 0 if improved else self.reports_since_best + 1


def solve(
    program: Program,
    params: Params | None = None,
    solver_name: str = "omd",
    config: Config | Mapping[str, Any] | None = None,
    *,
    iterations: int = 1000,
    tolerance: float = 1e-6,
    evaluate_every: int = 1,
    patience: int | None = PATIENCE,
    seed: int = 0,
    on_progress: Callable[[Record], None] | None = None,
    stop: Callable[[], bool] | None = None,
    state: Mapping[str, Tensor] | None = None,
    history: Sequence[Record] = (),
    license: License | None = None,
    crowd: "Crowd | None" = None,
) -> Solution:
    """Run a solver until its exploitability is at most the tolerance, in the worst game.

    `iterations` counts from the start of the first run: with a `state` of a solution (and its
    `history`) the run continues where that one ended, as if it had not stopped. `stop` is asked
    after each iteration. Ctrl-C ends with the last complete iterate. The exact solvers draw no
    random numbers; `seed` is kept with the solution. Those that learn from games play them with the
    `crowd`, which has the seed.

    Raises:
        SolverError: an unknown solver, or a state of another solver or game.
        pydantic.ValidationError: an option is unknown or out of range.
    """
    solver = make_solver(solver_name, config, crowd)
    stopping = Stopping(iterations, tolerance, evaluate_every, patience, stop or (lambda: False))
    began = time.perf_counter() - (history[-1].seconds if history else 0.0)
    view = view_for(program, params, solver_name)
    with torch.no_grad(), _threads_for(view):
        start = solver.init(view)
        if state is not None:
            start = _resumed(start, state)
        social = SOLVERS[solver_name].social
        course = _Course((start, _evaluation(view, start)), list(history), began, social)
        for record in history:
            course.note(record.exploitability)
        try:
            _advance(view, solver, course, stopping, on_progress or (lambda record: None))
        except KeyboardInterrupt:
            course.status, course.message = Status.interrupted, Status.interrupted.remedy
        return _solution(course, solver_name, solver.config, seed, license)


def view_for(program: Program, params: Params | None, solver_name: str) -> View:
    """The game as its players see it, or as its planner does."""
    if not SOLVERS[solver_name].social:
        return build_view(program, params)
    from mfdsl.runtime.solvers.social.view import SocialView

    return SocialView.build(program, params)


def _advance(
    view: View,
    solver: Solver[Any],
    course: _Course,
    stopping: Stopping,
    report: Callable[[Record], None],
) -> None:
    while True:
        iteration = course.state.iteration
        last = iteration >= stopping.iterations
        if last or iteration % stopping.evaluate_every == 0:
            _record(course, report)
            if _ended(course, stopping):
                return
        if last:
            return
        if stopping.stop():
            course.status, course.message = Status.interrupted, Status.interrupted.remedy
            return
        state = solver.step(course.evaluation, course.state)
        course.current = (state, _evaluation(view, state))


def _record(course: _Course, report: Callable[[Record], None]) -> None:
    gap = course.evaluation.exploitability.value
    iteration = course.state.iteration
    if course.history and course.history[-1].iteration >= iteration:
        return
    record = Record(iteration, gap, time.perf_counter() - course.began, course.social_value())
    course.history.append(record)
    course.note(gap)
    report(record)


def _ended(course: _Course, stopping: Stopping) -> bool:
    gap = course.history[-1].exploitability
    if not math.isfinite(gap):
        place = first_not_finite(course.evaluation)
        course.status = Status.not_finite
        course.message = (
            f"a value became NaN or infinite at iteration {course.state.iteration}, "
            f"first in {place}"
        )
    elif gap <= stopping.tolerance:
        course.status, course.message = Status.converged, ""
    elif stopping.patience and course.reports_since_best >= stopping.patience:
        course.status = Status.stalled
        course.message = (
            f"exploitability did not improve for {stopping.patience} reports "
            f"(best {course.best:.3g}); try a smaller step or another solver: {', '.join(SOLVERS)}"
        )
    else:
        return False
    return True


@contextmanager
def _threads_for(view: View) -> Iterator[None]:
    """One thread while the tables are small: waking others costs more than they save."""
    threads = torch.get_num_threads()
    if view.uniform().probs.numel() <= SMALL_ENTRIES:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _resumed(fresh: State, tensors: Mapping[str, Tensor]) -> State:
    """The saved state on the device and in the dtype of a fresh one."""
    saved = load_state(type(fresh), tensors)
    if saved.probs.shape != fresh.probs.shape:
        raise SolverError(
            f"the saved state has a policy of sizes {list(saved.probs.shape)}, this game needs "
            f"{list(fresh.probs.shape)}: continue with the spec and parameters that wrote it"
        )
    moved = {
        name: value.to(fresh.probs) if value.is_floating_point() else value
        for name, value in tensors.items()
    }
    return load_state(type(fresh), moved)


def _evaluation(view: View, state: State) -> Evaluation:
    return Evaluation(view, view.policy(state.probs))


def _solution(
    course: _Course, solver_name: str, options: Config, seed: int, license: License | None
) -> Solution:
    evaluation = course.evaluation
    return Solution(
        policy=evaluation.policy,
        flow=replace(evaluation.flow, problem=None),
        exploitability=evaluation.exploitability,
        value=tuple(float(value) for value in evaluation.value),
        status=course.status,
        message=course.message,
        iterations=course.state.iteration,
        seconds=time.perf_counter() - course.began,
        history=tuple(course.history),
        solver=solver_name,
        options=options.model_dump(),
        seed=seed,
        state=save_state(course.state),
        license=license,
    )
