"""A job that several processes share: by its games where there are many, else by its states."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from mfdsl.errors import UsageError
from mfdsl.records import explained
from mfdsl.runtime.distributed.group import Group
from mfdsl.runtime.distributed.meeting import Flag, Meeting
from mfdsl.runtime.distributed.parts import PartError, parts_of
from mfdsl.runtime.distributed.shared_games import (
    history_together,
    merged,
    own_rows,
    places_of,
    saved_together,
)
from mfdsl.runtime.distributed.shared_states import (
    KEPT_WHOLE,
    keep_state,
    own_states,
    save_parts,
    whole_solution,
)
from mfdsl.runtime.distributed.tables import why_not
from mfdsl.runtime.distributed.view import PartView
from mfdsl.runtime.runs import RunFolder, lines_of, packed
from mfdsl.runtime.solution import Record, Solution
from mfdsl.runtime.solvers.course import Course
from mfdsl.runtime.solvers.members import worst
from mfdsl.runtime.solvers.state_rows import params_of
from mfdsl.runtime.solvers.table import SOLVERS
from mfdsl.runtime.solvers.varied import Varied
from mfdsl.solving import Job, decided, run

# Solvers whose steps take each state by itself, given values and flows.
STATE_BY_STATE = (
    "omd",
    "fictitious_play",
    "fixed_point",
    "policy_iteration",
    "pmd",
    "soft_fixed_point",
    "munchausen_omd",
    "prior_descent",
)


@dataclass
class Company:
    """The processes of a run; `view` has the own states where these are shared."""

    group: Group
    flag: Flag
    view: PartView | None = None
    parts: Solution | None = field(default=None, repr=False)

    @property
    def whole(self) -> bool:
        """Whether the first process has the solution of all states."""
        return self.parts is None

    def agreed(self, job: Job) -> Job:
        """The job with the solver and the options of the first process.

        Raises:
            UsageError: the processes have read different games.
        """
        keys = self.group.objects((job.game.program.key, len(job.points), job.dtype))
        if len(set(keys)) > 1:
            raise UsageError(
                "the processes have read different games or options",
                "the same files and the same version of mfdsl everywhere",
            )
        settings, license, seed = self.group.of_first((job.settings, job.license, job.seed))
        moved = {name: value.to(self.group.device) for name, value in job.params._asdict().items()}
        return replace(
            job,
            settings=settings,
            license=license,
            seed=seed,
            params=job.params._replace(**moved),
            device=self.group.device,
            view=None,  # each process builds that of its part
        )

    def run(self, job: Job, folder: RunFolder, report: Callable[[Record], None]) -> Solution:
        """Do the own part of the job; at the first process the result is whole where it fits.

        Raises:
            UsageError: as `solving.run` does, or the states cannot be shared.
            LostRank: a process is gone.
        """
        if len(job.points) > 1:
            return self._games(job, folder, report)
        return self._states(job, folder, report)

    def saved(self, folder: RunFolder, solution: Solution) -> bool:
        """Save the solution; says whether this process is the one to tell of it."""
        if self.parts is not None and self.view is not None:
            save_parts(self.view.tables, folder, self.parts)
        elif self.group.first:
            folder.save(solution)
        return self.group.first

    def _games(self, job: Job, folder: RunFolder, report: Callable[[Record], None]) -> Solution:
        group, before = self.group, len(job.history)
        places = places_of(len(job.points), group.rank, group.size)

        def keep(course: Course) -> None:
            saved = saved_together(group, course)
            gaps = [member.value for member in course.members]
            history = history_together(group, course.history, before, worst(course.members), gaps)
            if saved is not None:
                state = packed(saved, {"solver": job.settings.solver})
                # a history ahead of its state is fine, one behind it would have a hole
                folder.write({"metrics.jsonl": lines_of(history), "state.safetensors": state})

        meeting = Meeting(group, self.flag, report, keep)
        own = replace(
            job,
            params=params_of(job.game.program, job.params, places),
            points=job.points[places.start : places.stop],
            varied=Varied(job.varied).taken(places).values,
            state=None if job.state is None else own_rows(job.state, places),
        )
        solution = run(own, watch=meeting.watch)
        meeting.wait()
        assert meeting.course is not None
        course = meeting.course
        saved = saved_together(group, course)
        gap, values = worst(course.members), [member.value for member in course.members]
        history = history_together(group, solution.history, before, gap, values)
        return merged(group, solution, saved, history)

    def _states(self, job: Job, folder: RunFolder, report: Callable[[Record], None]) -> Solution:
        if job.state is not None and (box := decided(job)) is not None:
            raise UsageError(
                f"this run has tables of the {len(box.states):,} states at which agents decide, "
                "which processes do not share",
                "run it in one process",
            )
        with explained():
            try:
                self.view = PartView.build(self.group, job.game.program, job.params)
                tables = self.view.tables
                state = None if job.state is None else own_states(job.state, tables)
            except PartError as error:
                raise UsageError(str(error), "run it in one process") from None

        def keep(course: Course) -> None:
            state = course.saved(course.stand.state)
            keep_state(tables, folder, state, job.settings.solver, tuple(course.history))

        meeting = Meeting(self.group, self.flag, report, keep)
        solution = run(replace(job, state=state), view=self.view, watch=meeting.watch)
        if solution.policy.probs.numel() * self.group.size > KEPT_WHOLE:
            self.parts = solution
            return solution
        return whole_solution(tables, solution) or solution


def check_job(job: Job, processes: int) -> None:
    """Refuse a job that so many processes cannot share.

    Raises:
        UsageError: says what can be shared.
    """
    solver, games = job.settings.solver, len(job.points)
    row = SOLVERS[solver]
    if row.plays or row.together:
        what = "plays games of agents" if row.plays else "draws for all games of a batch at once"
        raise UsageError(f"{solver} {what}, which {processes} processes cannot share", _alone())
    if games > 1:
        if games < processes:
            raise UsageError(
                f"{games} games cannot be shared by {processes} processes",
                f"`torchrun --nproc-per-node {games}` at most",
            )
        return
    if solver not in STATE_BY_STATE:
        raise UsageError(
            f"{solver} needs all states at once, so processes can share batches of it only",
            f"`--sweep`, or --solver {' or '.join(STATE_BY_STATE[:3])}",
        )
    program = job.game.program
    try:
        parts_of(program, processes)
        reason = why_not(program)
    except PartError as error:
        reason = str(error)
    if reason is not None:
        raise UsageError(f"{reason}: its states cannot be shared by processes", _alone())


def _alone() -> str:
    return "run it in one process"
