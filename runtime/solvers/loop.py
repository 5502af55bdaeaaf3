"""The one loop around every solver: evaluation, history, stopping and interruption."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mfdsl.runtime.diagnose import first_not_finite
from mfdsl.runtime.evaluate import View
from mfdsl.runtime.interruption import is_interruption, patient
from mfdsl.runtime.program import Params, Program
from mfdsl.runtime.solution import License, Record, Solution
from mfdsl.runtime.solvers.abreast import Abreast
from mfdsl.runtime.solvers.base import Solver, make_solver
from mfdsl.runtime.solvers.best_scored import returned
from mfdsl.runtime.solvers.blocks import Blocks, Passage, blocks_for
from mfdsl.runtime.solvers.course import Course, Games, begin, box_for, evaluated, view_for
from mfdsl.runtime.solvers.members import Stopping, outcome, worst
from mfdsl.runtime.solvers.table import SOLVERS, Config
from mfdsl.runtime.solvers.varied import Varied
from mfdsl.runtime.status import Status
from mfdsl.runtime.views.decisions import DecisionView, decision_view

if TYPE_CHECKING:
    from mfdsl.runtime.solvers.episodes import Crowd

__all__ = ["PATIENCE", "solve", "view_for"]

PATIENCE = 200
SMALL_ENTRIES = 1 << 22


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
    varied: Mapping[str, Sequence[float]] | None = None,
    view: View | None = None,
    watch: Callable[[Course], bool] | None = None,
) -> Solution:
    """Run a solver until its exploitability is at most the tolerance, in each game of a batch.

    A game that has ended keeps its policy while the others go on. Options that are `varied` have a
    value for each game.

    `iterations` counts from the start of the first run: with a `state` of a solution (and its
    `history`) the run continues where that one ended, as if it had not stopped. `stop` is asked
    after each iteration. Ctrl-C ends with the last complete iterate, at once when pressed twice.
    Small games make many iterations in one call (`blocks.py`), with the same rows and the same end.
    The exact solvers draw no random numbers; `seed` is kept with the solution. Those that learn
    from games play them with the `crowd`, which has the seed.

    The `view` is that of the program unless somebody else has made it. `watch` is shown the course
    after each iteration, the last one too, and asks to stop as `stop` does.

    Raises:
        SolverError: an unknown solver, or a state of another solver or game.
        pydantic.ValidationError: an option is unknown or out of range.
    """
    solver, options = _configured(solver_name, config, crowd, varied or {})
    asked = stop or (lambda: False)
    began = time.perf_counter() - (history[-1].seconds if history else 0.0)
    params = program.params() if params is None else params
    view = _view(program, params, solver_name, state) if view is None else view
    games = Games(program, params, solver_name, solver, options, view)
    threads = _threads_for(view.uniform().probs.numel() * games.count)
    with torch.no_grad(), threads, patient() as pressed:
        stopping = Stopping(
            iterations,
            tolerance,
            evaluate_every,
            patience,
            lambda: pressed() or asked(),
            SOLVERS[solver_name].remedy,
        )
        course = begin(games, state, history, began)
        _run(course, stopping, on_progress or (lambda record: None), watch)
        return _solution(course, seed, license)


def _configured(
    name: str,
    config: Config | Mapping[str, Any] | None,
    crowd: "Crowd | None",
    varied: Mapping[str, Sequence[float]],
) -> tuple[Solver[Any], Varied]:
    """The solver, and its options that have a value for each game."""
    solver = make_solver(name, config, crowd)
    options = Varied({name: tuple(values) for name, values in varied.items()})
    if options.values:
        solver = make_solver(name, solver.config, varied=options)
    return solver, options


def _view(
    program: Program, params: Params, solver_name: str, state: Mapping[str, Tensor] | None
) -> View:
    """Tables where agents decide if the solver does with them and they save much, else of all."""
    box = box_for(program, params, solver_name, state)
    view = None if box is None else decision_view(program, params, box)
    return view_for(program, params, solver_name) if view is None else view


def _run(
    course: Course,
    stopping: Stopping,
    report: Callable[[Record], None],
    watch: Callable[[Course], bool] | None,
) -> None:
    """Advance to the end, or to where somebody presses Ctrl-C."""
    try:
        _advance(course, stopping, report, watch)
    except (KeyboardInterrupt, SystemError) as error:
        if not is_interruption(error):
            raise
        _interrupt(course)


def _advance(
    course: Course,
    stopping: Stopping,
    report: Callable[[Record], None],
    watch: Callable[[Course], bool] | None,
) -> None:
    _arrive(course, stopping, report)
    blocks = blocks_for(course.games) if course.running else None
    while not _over(course, stopping, watch):
        course.set_aside()
        if course.gather():
            _arrive(course, stopping, report)
        elif blocks is None:
            course.stand = course.stand.moved()
            _arrive(course, stopping, report)
        elif len(blocks) > 1:
            _pass_abreast(course, blocks, stopping, report, watched=watch is not None)
        else:
            _pass_through(course, blocks[0], stopping, report, watched=watch is not None)


def _over(course: Course, stopping: Stopping, watch: Callable[[Course], bool] | None) -> bool:
    """Whether the run ends here, after an iteration."""
    asked = watch is not None and watch(course)
    if not course.running:
        return True
    if asked:
        _interrupt(course)
    return asked or _stopped(course, stopping)


def _stopped(course: Course, stopping: Stopping) -> bool:
    """Whether somebody stops the run; then this is noted."""
    asked = stopping.stop()
    if asked:
        _interrupt(course)
    return asked


def _arrive(course: Course, stopping: Stopping, report: Callable[[Record], None]) -> None:
    """Report and judge the iteration at which the games stand, if it is one to report."""
    iteration = course.stand.state.iteration
    if stopping.reports(iteration):
        _record(course, report)
        _judge(course, stopping, last=iteration >= stopping.iterations)


def _pass_through(
    course: Course,
    blocks: Blocks,
    stopping: Stopping,
    report: Callable[[Record], None],
    *,
    watched: bool,
) -> None:
    """Make iterations in blocks to the end of the run, or one where it is watched."""
    passage, (member,) = Passage(blocks, course.stand), course.members
    last = course.stand.state.iteration + 1 if watched else stopping.iterations
    try:
        for row in passage.rows(last, stopping.evaluate_every, stopping.tolerance):
            if stopping.reports(row.iteration):
                member.note(row.iteration, row.gap, row.value)
                _report(course, Record(row.iteration, row.gap, row.moment - course.began), report)
                if math.isfinite(row.gap):
                    member.judge(stopping, last=row.iteration >= stopping.iterations)
                else:
                    course.stand = passage.stand()
                    _judge(course, stopping, last=True)
            if not watched and (member.status is not None or _stopped(course, stopping)):
                break
    finally:
        course.stand = passage.stand()


def _pass_abreast(
    course: Course,
    blocks: Sequence[Blocks],
    stopping: Stopping,
    report: Callable[[Record], None],
    *,
    watched: bool,
) -> None:
    """Make iterations of a batch in blocks, to its end or to where other games of it stand, or one
    where it is watched.
    """
    stand, members = course.stand, course.members
    running = [place for place in stand.places if members[place].status is None]
    elsewhere = (stand.aside[p].iteration for p in course.running if p not in running)
    last = min([stopping.iterations, *elsewhere])
    if watched:
        last = stand.state.iteration + 1
    passage = Abreast(blocks, stand, running)
    try:
        for rank in passage.ranks(last, stopping.evaluate_every, stopping.tolerance):
            if not stopping.reports(rank.iteration):
                continue
            for place, gap in rank.gaps.items():
                members[place].note(rank.iteration, gap, rank.values[place])
            seconds = rank.moment - course.began
            _report(course, Record(rank.iteration, worst(members), seconds), report)
            faulty = []
            for place, gap in rank.gaps.items():
                if not math.isfinite(gap):
                    faulty.append(place)
                    continue
                members[place].judge(stopping, last=rank.iteration >= stopping.iterations)
                if members[place].status is not None:
                    passage.leave_out(place)
            if faulty:
                course.stand = passage.stand()
                _end_faulty(course, faulty)
                for place in faulty:
                    passage.leave_out(place)
            if not watched and _stopped(course, stopping):
                break
    finally:
        course.stand = passage.stand()


def _record(course: Course, report: Callable[[Record], None]) -> None:
    """Note where the games stand, and add a line to the history."""
    stand, iteration = course.stand, course.stand.state.iteration
    gaps, values = stand.evaluation.exploitability.per_game, stand.evaluation.value.tolist()
    for place, gap, value in zip(stand.places, gaps, values, strict=True):
        if course.members[place].status is None:
            course.members[place].note(iteration, gap, value)
    social = SOLVERS[course.games.solver_name].social
    value = tuple(member.value for member in course.members) if social else None
    seconds = time.perf_counter() - course.began
    _report(course, Record(iteration, worst(course.members), seconds, value), report)


def _report(course: Course, record: Record, report: Callable[[Record], None]) -> None:
    """Add a line to the history unless it is there from an earlier run."""
    if not course.history or course.history[-1].iteration < record.iteration:
        course.history.append(record)
        report(record)


def _judge(course: Course, stopping: Stopping, *, last: bool) -> None:
    """End the games that have come to an end."""
    faulty = []
    for place in course.stand.places:
        member = course.members[place]
        if member.status is not None:
            continue
        if math.isfinite(member.gap):
            member.judge(stopping, last=last)
        else:
            faulty.append(place)
    _end_faulty(course, faulty)


def _end_faulty(course: Course, places: Sequence[int]) -> None:
    """End games whose exploitability is no number; the first one is told where that comes from."""
    for place in places:
        message = _fault(course, place) if place == places[0] else None
        course.members[place].end(Status.not_finite, message)


def _fault(course: Course, place: int) -> str:
    """Where a value of a game is not finite."""
    stand = course.stand
    evaluation = stand.evaluation
    if stand.places != (place,):
        view, _ = course.games.seat([place])
        evaluation = evaluated(view, stand.of(place))
    return (
        f"a value became NaN or infinite at iteration {stand.of(place).iteration}, "
        f"first in {first_not_finite(evaluation)}"
    )


def _interrupt(course: Course) -> None:
    for place in course.running:
        course.members[place].end(Status.interrupted)


@contextmanager
def _threads_for(entries: int) -> Iterator[None]:
    """One thread while the tables are small: waking others costs more than they save."""
    threads = torch.get_num_threads()
    if entries <= SMALL_ENTRIES:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _solution(course: Course, seed: int, license: License | None) -> Solution:
    state, evaluation = course.whole()
    endings = course.endings()
    if SOLVERS[course.games.solver_name].keeps:
        endings, evaluation = returned(course, state, evaluation)
    status, message = outcome(endings)
    flow = replace(evaluation.flow, problem=None, answers=None)
    if isinstance(evaluation.view, DecisionView):
        flow = evaluation.view.whole_flow(flow)
    return Solution(
        policy=flow.policy,
        flow=flow,
        exploitability=evaluation.exploitability,
        value=tuple(float(value) for value in evaluation.value),
        status=status,
        message=message,
        iterations=max(ending.iterations for ending in endings),
        seconds=time.perf_counter() - course.began,
        history=tuple(course.history),
        solver=course.games.solver_name,
        options=course.games.solver.config.model_dump(),
        seed=seed,
        state=course.saved(state),
        license=license,
        endings=endings,
    )
