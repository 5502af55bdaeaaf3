"""What `mfdsl solve` does with a job, and what it shows and writes."""

from typing import TYPE_CHECKING

from mfdsl.cli.console import WIDTH, Console
from mfdsl.cli.ending import games_command, play_command, resume_command, show_files
from mfdsl.cli.failure import FAILED, FINE, INTERRUPTED
from mfdsl.cli.mending import mending_command
from mfdsl.cli.progress import course, writing
from mfdsl.runtime.solvers.table import SOLVERS

if TYPE_CHECKING:
    from mfdsl.refining import Refined
    from mfdsl.runtime.runs import RunFolder
    from mfdsl.runtime.solution import Solution
    from mfdsl.shared_job import Company
    from mfdsl.solving import Job

SHOWN_GAMES = 20
VERDICTS = {"converged": "solved", "stalled": "stalled", "not_finite": "failed"}


def finish(
    console: Console, job: "Job", folder: "RunFolder", company: "Company | None" = None
) -> int:
    """Run the job, save it, and say how it went, what it means and where it is.

    In a company of processes each of them comes here with the whole job; only the first one writes.
    """
    from mfdsl.blame import blame
    from mfdsl.outcomes import solution_json
    from mfdsl.records import explained
    from mfdsl.refining import refine
    from mfdsl.runtime.status import Status
    from mfdsl.solving import run

    settings = job.settings
    where = f"{job.device.type} · {job.dtype} · seed {job.seed}"
    trust = _trust(job)
    text = f"{settings.solver}, {settings.reason}; {trust}"
    console.fields([("solver", right(text, where))])
    if job.start is not None and not job.history:
        console.fields([("start", job.start.text)])
    if job.game.reduced is not None:
        console.fields(_tables(job))
    if (few := decisions_text(job)) is not None:
        console.fields([("", few)])
    with course(console, settings.iterations) as shown:
        if company is None:
            solution = run(job, on_progress=shown.report)
        else:
            solution = company.run(job, folder, shown.report)
    with explained(), writing(console) as told:
        if company is None:
            folder.save(solution, told)
        elif not company.saved(folder, solution):
            return _code(solution)
    whole = company is None or company.whole
    refined = refine(job, solution) if whole else None
    unsound = whole and solution.status is Status.not_finite
    fault = blame(job, solution) if unsound else None
    _conclude(console, job, solution, folder, refined, blamed=fault is not None)
    if fault is not None:
        console.diagnostics((fault,), job.game.compilation.sources)
    found = solution_json(job, solution, str(folder.path))
    if refined is not None:
        found["refined"] = refined.to_json()
    console.json_object(found)
    return _code(solution)


def _code(solution: "Solution") -> int:
    """The exit code of a run that came to an end."""
    return {"interrupted": INTERRUPTED, "not_finite": FAILED}.get(solution.status.name, FINE)


def _trust(job: "Job") -> str:
    """What is known beforehand of how the run ends."""
    proved = job.license.verdict == "proved"
    if SOLVERS[job.settings.solver].social:
        return "its gap is certified" if proved else "it may end at a local optimum"
    return "converges for certain" if proved else "a heuristic here"


def _social_text(job: "Job", solution: "Solution") -> str:
    """What all earn together, and how much better the optimum may be."""
    gap, values = solution.exploitability.value, solution.value
    text = f"value of all {values[0]:.8g}"
    if len(values) > 1:
        text = f"value of all from {min(values):.6g} to {max(values):.6g}"
    worst = "worst " if job.points[0] else ""
    if job.license.verdict == "proved":
        return f"{text}, {worst}gap to the optimum at most {gap:.3g}"
    return f"{text}, {worst}gain to first order {gap:.3g}"


def _tables(job: "Job") -> list[tuple[str, str]]:
    """The tables that stand for a game, and what was done to get there."""
    program, small = job.game.program, job.game.reduced
    assert small is not None
    axes = " x ".join(f"{name} {size}" for name, size in program.states.items())
    text = f"states {axes}, {program.action_count:,} actions"
    return [("tables", text), *(("", note) for note in small.notes)]


def decisions_text(job: "Job") -> str | None:
    """Which states have tables, where the others leave no choice."""
    from mfdsl.solving import decided

    if (box := decided(job)) is None:
        return None
    of = job.game.program.state_count
    return f"tables of {len(box.states):,} states; the others of {of:,} leave no choice"


def _conclude(
    console: Console,
    job: "Job",
    solution: "Solution",
    folder: "RunFolder",
    refined: "Refined | None",
    *,
    blamed: bool,
) -> None:
    gap = solution.exploitability
    worst = "worst " if job.points[0] else ""
    text = f"{worst}exploitability {gap.value:.3g} ({gap.kind})"
    if SOLVERS[job.settings.solver].social:
        text = _social_text(job, solution)
    text = f"{text} after {solution.iterations:,}"
    verdict = VERDICTS.get(solution.status.name, "stopped")
    ending = right(f"{text} iterations", f"{solution.seconds:.1f} s")
    console.result(f"{verdict:<9} {ending}")
    if solution.message:
        console.fields([("", solution.message)])
    if len(gap.per_population) > 1:
        each = "  ".join(f"{name} {value:.3g}" for name, value in gap.per_population.items())
        console.fields([("", each)])
    if refined is not None:
        console.fields([("refined", _compared(solution, refined))])
    if job.points[0]:
        _games(console, job, solution)
    show_files(console, folder.path)
    console.fields([("next", _next_command(job, solution, folder, blamed=blamed))])


def _compared(solution: "Solution", refined: "Refined") -> str:
    """What becomes of the policy on grids twice as fine."""
    points = ", ".join(f"{name} {count}" for name, count in refined.points.items())
    value = f"value {refined.value:.6g} against {min(solution.value):.6g}"
    return f"on {points} points: exploitability {refined.exploitability:.3g}, {value}"


def _next_command(job: "Job", solution: "Solution", folder: "RunFolder", *, blamed: bool) -> str:
    """What to try now: play the policy, gather a batch, go on, or begin again."""
    spec = job.game.compilation.name
    match solution.status.name:
        case "interrupted":
            return resume_command(spec, folder.path)
        case "max_iterations":
            return resume_command(spec, folder.path, 2 * max(solution.iterations, 1))
        case "not_finite":
            return mending_command(
                job.game,
                job.settings,
                single=job.dtype == "float32",
                alone=len(job.points) == 1,
                blamed=blamed,
            )
    if job.points[0]:  # a policy for each game, which not every game can be played with
        return games_command(folder.path)
    return play_command(spec, folder.path)


def _games(console: Console, job: "Job", solution: "Solution") -> None:
    """One row for each game of a batch."""
    gaps, values = solution.exploitability.per_game, solution.value
    header = [*job.points[0], "exploitability", "value", "iterations", "status"]
    console.line("  " + "  ".join(f"{name:>{max(len(name), 10)}}" for name in header))
    rows = zip(job.points, gaps, values, solution.endings, strict=True)
    for point, gap, value, ending in list(rows)[:SHOWN_GAMES]:
        cells = [*point.values(), gap, value, ending.iterations, ending.status.name]
        shown = [cell if isinstance(cell, str) else format(cell, ".6g") for cell in cells]
        widths = [max(len(name), 10) for name in header]
        console.line("  " + "  ".join(f"{c:>{w}}" for c, w in zip(shown, widths, strict=True)))
    if len(job.points) > SHOWN_GAMES:
        console.line(f"  ... and {len(job.points) - SHOWN_GAMES} more in summary.json")


def right(text: str, remark: str) -> str:
    """The text with a remark at the right edge of the screen."""
    return f"{text:<{WIDTH}} {remark}"
