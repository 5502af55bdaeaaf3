"""The verb that computes an equilibrium: solve, with sweeps and resumption."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated

import typer

from mfdsl import api
from mfdsl.cli import exact, options, training
from mfdsl.cli.console import Console
from mfdsl.cli.failure import FAILED, FINE, INTERRUPTED
from mfdsl.cli.progress import course
from mfdsl.errors import UsageError
from mfdsl.parameters import gather, read_settings, read_sweeps
from mfdsl.runtime.learning.table import LEARNERS
from mfdsl.runtime.solvers.riccati.table import EXACT
from mfdsl.runtime.solvers.table import SOLVERS
from mfdsl.settings import resolve
from mfdsl.summary import certificates_line, horizon_text, sizes_text

if TYPE_CHECKING:
    from mfdsl.refining import Refined
    from mfdsl.runtime.runs import RunFolder
    from mfdsl.runtime.solution import Solution
    from mfdsl.solving import Job

WIDTH = 84
SHOWN_GAMES = 20
NO_EVENTS = "`--tensorboard` is for networks"
VERDICTS = {"converged": "solved", "stalled": "stalled", "not_finite": "failed"}


@dataclass(frozen=True, slots=True)
class Limits:
    """When to stop, as far as the command line says, and whether events are written."""

    iterations: int | None
    tolerance: float | None
    tensorboard: bool


def solve(
    spec: options.OptionalSpec = None,
    solver: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A solver, or auto: what is proved to work here."),
    ] = None,
    iterations: Annotated[int | None, typer.Option(min=0, help="Stop after so many.")] = None,
    tol: Annotated[
        float | None, typer.Option("--tol", min=0, help="Stop at this exploitability.")
    ] = None,
    opt: Annotated[
        list[str],
        typer.Option("--opt", metavar="KEY=VALUE", help="An option of the solver (repeatable)."),
    ] = [],  # noqa: B006  the command line reads it, nothing changes it
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Continue the run in this folder.")
    ] = None,
    set_: options.Set = [],  # noqa: B006
    params: options.Params = None,
    sweep: options.SweepOption = [],  # noqa: B006
    seed: options.Seed = 0,
    seeds: options.Seeds = 1,
    device: options.Device = options.DeviceChoice.cpu,
    dtype: Annotated[
        options.DtypeChoice | None,
        typer.Option("--dtype", help="Precision: float64 for tables, float32 for networks."),
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write events of training for TensorBoard.")
    ] = False,
    out: options.Out = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Compute an equilibrium and its exploitability."""
    console = Console(json, quiet)
    limits = Limits(iterations, tol, tensorboard)
    if resume is not None:
        _only_limits(set_, params, sweep, opt, solver)
        return _resumed(console, spec, resume, limits, device.value)
    if spec is None:
        raise UsageError("which game?", "`mfdsl solve specs/sis.mfg`, or `--resume RUN`")
    game = api.load(spec, params=gather(set_, params))
    _introduce(console, game)
    settings = resolve(
        game.model,
        solver,
        iterations=iterations,
        tolerance=tol,
        options=read_settings(opt, "--opt", texts=True),
    )
    learns = settings.solver in LEARNERS
    _check_seeds(console, settings.solver, seeds)
    _check_limits(settings.solver, limits, swept=bool(sweep))
    kind: api.Dtype = dtype.value if dtype is not None else "float32" if learns else "float64"
    place = out or Path("runs")
    if learns:
        return training.start(
            console, game, settings, seed, device.value, kind, place, tensorboard=tensorboard
        )
    if settings.solver in EXACT:
        return exact.start(console, game, settings, seed, kind, place, read_sweeps(sweep))
    from mfdsl.records import start_run
    from mfdsl.solving import prepare

    swept = read_sweeps(sweep)
    job = prepare(game, settings, sweep=swept, seed=seed, device=device.value, dtype=kind)
    return _finish(console, job, start_run(job, swept, place))


def _check_seeds(console: Console, solver: str, seeds: int) -> None:
    """One run has one seed; a solver that draws nothing needs no more."""
    row = SOLVERS.get(solver)
    draws = row is None or row.plays or "seed" in row.config.model_fields
    if seeds > 1 and draws and solver not in EXACT:
        raise UsageError(f"{solver} learns with one seed at a time", "`--seed 1`, `--seed 2`, ...")
    if seeds > 1:
        console.line(f"note      {solver} draws nothing: one run stands for all seeds")


def _check_limits(solver: str, limits: Limits, *, swept: bool) -> None:
    """What only tables know, and what only networks do."""
    if solver not in LEARNERS:
        if limits.tensorboard:
            raise UsageError(NO_EVENTS, "metrics.jsonl of the run has a line for each report")
        return
    if limits.tolerance is not None and LEARNERS[solver].objective == "team":
        raise UsageError("`--tol` is for exploitability", "give --iterations")
    if swept:
        raise UsageError("`--sweep` is for tables", f"run `{solver}` for each --set")


def _only_limits(*given: Sequence[str] | Path | str | None) -> None:
    """A resumed run keeps its game, parameters and solver."""
    if any(given):
        raise UsageError(
            "a resumed run keeps its parameters, its solver and its options",
            "only --iterations, --tol, --device and --tensorboard go with --resume",
        )


def _resumed(
    console: Console, spec: str | None, path: Path, limits: Limits, device: api.Device
) -> int:
    from mfdsl import records

    folder = records.open_run(path)
    run_options = records.read_options(folder)
    game = api.load(spec or folder.path / "spec.mfg", params=run_options.parameters)
    if run_options.solver in EXACT:
        raise exact.finished(path)
    _introduce(console, game)
    _check_limits(run_options.solver, limits, swept=False)
    if run_options.solver in LEARNERS:
        return training.resume(
            console,
            game,
            folder,
            limits.iterations,
            limits.tolerance,
            device,
            tensorboard=limits.tensorboard,
        )
    job = records.job_of_run(game, folder, run_options, device=device)
    job = records.continued(job, folder, iterations=limits.iterations, tolerance=limits.tolerance)
    return _finish(console, job, folder)


def _introduce(console: Console, game: api.Game) -> None:
    """What was understood, and what was established."""
    model = game.model
    parts = (model.name, sizes_text(model), f"horizon {horizon_text(model)}", model.objective)
    console.line(f"{game.compilation.name}   {' · '.join(parts)}")
    seconds = f"{game.compilation.seconds:.1f} s"
    console.fields([("checked", _right(certificates_line(game.compilation.certificates), seconds))])
    console.diagnostics(game.compilation.diagnostics, game.compilation.sources)


def _finish(console: Console, job: "Job", folder: "RunFolder") -> int:
    """Run the job, save it, and say how it went, what it means and where it is."""
    from mfdsl.blame import blame
    from mfdsl.records import explained
    from mfdsl.refining import refine
    from mfdsl.runtime.status import Status
    from mfdsl.solving import run, solution_json

    settings = job.settings
    where = f"{job.device.type} · {job.dtype} · seed {job.seed}"
    trust = _trust(job)
    text = f"{settings.solver}, {settings.reason}; {trust}"
    console.fields([("solver", _right(text, where))])
    if job.game.reduced is not None:
        console.fields(_tables(job))
    with course(console, settings.iterations) as shown:
        solution = run(job, on_progress=shown.report)
    with explained():
        folder.save(solution)
    refined = refine(job, solution)
    _conclude(console, job, solution, folder, refined)
    if solution.status is Status.not_finite and (fault := blame(job, solution)) is not None:
        console.diagnostics((fault,), job.game.compilation.sources)
    found = solution_json(job, solution, str(folder.path))
    if refined is not None:
        found["refined"] = refined.to_json()
    console.json_object(found)
    match solution.status:
        case Status.interrupted:
            return INTERRUPTED
        case Status.not_finite:
            return FAILED
    return FINE


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


def _conclude(
    console: Console,
    job: "Job",
    solution: "Solution",
    folder: "RunFolder",
    refined: "Refined | None",
) -> None:
    gap = solution.exploitability
    worst = "worst " if job.points[0] else ""
    text = f"{worst}exploitability {gap.value:.3g} ({gap.kind})"
    if SOLVERS[job.settings.solver].social:
        text = _social_text(job, solution)
    text = f"{text} after {solution.iterations:,}"
    verdict = VERDICTS.get(solution.status.name, "stopped")
    ending = _right(f"{text} iterations", f"{solution.seconds:.1f} s")
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
    files = "  ".join(sorted(path.name for path in folder.path.iterdir()))
    console.fields([("written", f"{folder.path}/")])
    console.fields([("", line) for line in wrap(files, WIDTH)])
    console.fields([("next", _next_command(job, solution, folder))])


def _compared(solution: "Solution", refined: "Refined") -> str:
    """What becomes of the policy on grids twice as fine."""
    points = ", ".join(f"{name} {count}" for name, count in refined.points.items())
    value = f"value {refined.value:.6g} against {min(solution.value):.6g}"
    return f"on {points} points: exploitability {refined.exploitability:.3g}, {value}"


def _next_command(job: "Job", solution: "Solution", folder: "RunFolder") -> str:
    """What to try now: play the policy, or go on."""
    spec = job.game.compilation.name
    match solution.status.name:
        case "interrupted":
            return f"mfdsl solve {spec} --resume {folder.path}"
        case "max_iterations":
            limit = 2 * max(solution.iterations, 1)
            return f"mfdsl solve {spec} --resume {folder.path} --iterations {limit}"
    return f"mfdsl simulate {spec} --policy {folder.path}"


def _games(console: Console, job: "Job", solution: "Solution") -> None:
    """One row for each game of a sweep."""
    from mfdsl.solving import games_json

    games = games_json(job, solution)
    names = [*games[0]["parameters"], "exploitability", "value"]
    widths = [max(len(name), 10) for name in names]
    console.line("  " + "  ".join(f"{n:>{w}}" for n, w in zip(names, widths, strict=True)))
    for game in games[:SHOWN_GAMES]:
        cells = [*game["parameters"].values(), game["exploitability"], game["value"]]
        shown = ["nan" if cell is None else format(cell, ".6g") for cell in cells]
        console.line("  " + "  ".join(f"{c:>{w}}" for c, w in zip(shown, widths, strict=True)))
    if len(games) > SHOWN_GAMES:
        console.line(f"  ... and {len(games) - SHOWN_GAMES} more in summary.json")


def _right(text: str, remark: str) -> str:
    """The text with a remark at the right edge of the screen."""
    return f"{text:<{WIDTH}} {remark}"
