"""The verb that computes an equilibrium: solve, with batches, arrays of jobs and resumption."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from mfdsl import api
from mfdsl.batches import RANDOM, Batch, check_batch, seeds_of, with_sets
from mfdsl.cli import arrays, exact, options, pathwise, plan, training
from mfdsl.cli.console import Console
from mfdsl.cli.request import Limits, Request, job_of, read_share
from mfdsl.cli.solved import finish, right
from mfdsl.cli.torchrun import finish_together
from mfdsl.cluster import Place
from mfdsl.entries import swept_parameter
from mfdsl.errors import UsageError
from mfdsl.parameters import read_settings, read_sweeps
from mfdsl.planning import ALONG
from mfdsl.processes import check_shared, several
from mfdsl.runtime.learning.table import LEARNERS
from mfdsl.runtime.solvers.riccati.table import EXACT
from mfdsl.runtime.solvers.table import SOLVERS
from mfdsl.settings import Settings, resolve
from mfdsl.summary import certificates_line, horizon_text, sizes_text

NO_EVENTS = "`--tensorboard` is for networks"
NO_JOBS = arrays.Wanted(None, None, (), dry_run=False)


def solve(
    spec: options.OptionalSpec = None,
    solver: options.Solver = None,
    iterations: options.Iterations = None,
    tol: options.Tolerance = None,
    opt: options.SolverOption = [],  # noqa: B006  the command line reads it, nothing changes it
    resume: options.Resume = None,
    set_: options.Set = [],  # noqa: B006
    params: options.ParamFiles = [],  # noqa: B006
    sweep: options.SweepOption = [],  # noqa: B006
    seed: options.Seed = 0,
    seeds: options.Seeds = 1,
    start: options.Start = None,
    share: options.Share = None,
    cluster: options.Cluster = None,
    jobs: options.Jobs = None,
    sbatch: options.Sbatch = [],  # noqa: B006
    dry_run: options.DryRun = False,
    device: options.Device = options.DeviceChoice.cpu,
    dtype: options.SolverDtype = None,
    tensorboard: options.Tensorboard = False,
    explain_plan: options.ExplainPlan = False,
    out: options.Out = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Compute an equilibrium and its exploitability."""
    console = Console(json, quiet)
    limits = Limits(iterations, tol, tensorboard)
    if resume is not None:
        kept = set_, params, sweep, opt, solver, seed, seeds > 1, start, dtype, out
        _only_limits(*kept, share, cluster, jobs, sbatch, dry_run, explain_plan)
        return _resumed(console, spec, resume, limits, device.value)
    if spec is None:
        raise UsageError("which game?", "`mfdsl solve sis`, a file of yours, or `--resume RUN`")
    request = Request(
        spec=spec,
        solver=solver,
        limits=limits,
        options=tuple(opt),
        settings=tuple(set_),
        files=tuple(params),
        sweep=tuple(sweep),
        seed=seed,
        seeds=seeds,
        share=read_share(share),
        device=device.value,
        kind=dtype.value if dtype is not None else None,
        out=out or Path("runs"),
        explain=explain_plan,
        start=start,
    )
    place: Place | None = cluster.value if cluster is not None else None
    return _solved(console, request, arrays.Wanted(place, jobs, sbatch, dry_run))


def _solved(console: Console, request: Request, wanted: arrays.Wanted) -> int:
    """Read the game and its batch, and give them to whom they are for."""
    apart = wanted.check()
    if apart and request.explain:
        raise UsageError("`--explain-plan` is of one job", "leave out --cluster and --dry-run")
    game, sets = with_sets(request.spec, request.files, request.settings)
    sweep = read_sweeps(request.sweep, request.settings)
    batch = Batch(sweep, sets, (), request.share, drawn=request.start == RANDOM)
    shown = Console(json=console.json, quiet=True) if wanted.dry_run else console
    _introduce(shown, game, moved=bool(batch.parameters or sets))
    settings = _settings(game, request, batch)
    batch = replace(batch, seeds=_seeds(console, settings, request))
    if request.start is not None:
        from mfdsl.starting import check_beginner

        check_beginner(settings.solver)
    check_shared(settings.solver, settings.solver in SOLVERS and not apart)
    if apart:
        _check_axes(game, settings, batch)
        return arrays.start(console, request, wanted, batch, game.name)
    if request.explain:
        return plan.explain(console, game, settings, request, batch)
    if settings.solver in LEARNERS:
        return _learned(console, game, settings, request, batch)
    _check_limits(settings.solver, request.limits)
    if settings.solver in EXACT:
        if sets or batch.share != (0, 1):
            raise UsageError(f"{settings.solver} solves a sweep at once", "give one --params")
        kind: api.Dtype = request.kind or "float64"
        where = request.seed, request.device, kind, request.out
        return exact.start(console, game, settings, *where, sweep)
    if settings.solver == ALONG:
        from mfdsl.paths_or_tables import along, routed

        settings = routed(game, settings)
        if along(settings):
            return _along(console, game, settings, request, batch)
    return _on_tables(console, game, settings, request, batch)


def _on_tables(
    console: Console, game: api.Game, settings: Settings, request: Request, batch: Batch
) -> int:
    """A run on tables, in one process or in several."""
    from mfdsl.records import start_run

    job = job_of(game, settings, request, batch)
    if several():
        return finish_together(console, job, partial(start_run, job, request.out))
    return finish(console, job, start_run(job, request.out))


def _settings(game: api.Game, request: Request, batch: Batch) -> Settings:
    """The solver and its options; swept ones have their first values."""
    given = read_settings(request.options, "--opt", texts=True)
    return resolve(
        game.model,
        request.solver,
        iterations=request.limits.iterations,
        tolerance=request.limits.tolerance,
        options={**given, **batch.first_options()},
    )


def _seeds(console: Console, settings: Settings, request: Request) -> tuple[int, ...]:
    """One seed for each run of the batch; where nothing is drawn one run is enough."""
    if request.seeds == 1:
        return ()
    solver = settings.solver
    row = SOLVERS.get(solver)
    draws = solver in LEARNERS or request.start == RANDOM
    if draws or (row and (row.plays or "seed" in row.config.model_fields)):
        return seeds_of(request.seed, request.seeds)
    who = "what is tried" if settings.open else solver
    console.line(f"note      {who} draws nothing: one run stands for all seeds")
    return ()


def _check_axes(game: api.Game, settings: Settings, batch: Batch) -> None:
    """Refuse a batch that no job could solve; each may have a game for itself."""
    if settings.solver in SOLVERS:
        check_batch(game.model, settings, replace(batch, share=(0, batch.size)))
        return
    for name in batch.parameters:
        swept_parameter(game.model, name)


def _learned(
    console: Console, game: api.Game, settings: Settings, request: Request, batch: Batch
) -> int:
    """A course of networks; of a batch only a share that is one game."""
    _check_limits(settings.solver, request.limits)
    if batch.axes:
        return _solved(console, _only(request, batch, settings.solver), NO_JOBS)
    return training.start(
        console,
        game,
        settings,
        request.seed,
        request.device,
        request.kind or "float32",
        request.out,
        tensorboard=request.limits.tensorboard,
    )


def _along(
    console: Console, game: api.Game, settings: Settings, request: Request, batch: Batch
) -> int:
    """A run along drawn paths; of a batch only a share that is one game."""
    check_shared(settings.solver, shareable=False)
    if batch.axes:
        return _solved(console, _only(request, batch, f"{settings.solver} along paths"), NO_JOBS)
    return pathwise.start(
        console, game, settings, request.seed, request.device, request.kind, request.out
    )


def _only(request: Request, batch: Batch, solver: str) -> Request:
    """The request for the only game of a batch, as networks learn one at a time."""
    points = batch.points()
    if len(points) > 1 and set(batch.axes) == {"seed"}:
        raise UsageError(f"{solver} learns with one seed at a time", "`--seed 1`, `--dry-run`")
    if len(points) > 1:
        raise UsageError("`--sweep` is for tables", f"run `{solver}` for each --set")
    return request.at(points[0])


def _check_limits(solver: str, limits: Limits) -> None:
    """What only tables know, and what only networks do."""
    if solver not in LEARNERS:
        if limits.tensorboard:
            raise UsageError(NO_EVENTS, "metrics.jsonl of the run has a line for each report")
        return
    if limits.tolerance is not None and LEARNERS[solver].objective == "team":
        raise UsageError("`--tol` is for exploitability", "give --iterations")


def _only_limits(*given: Sequence[str] | Path | str | int | None) -> None:
    """A resumed run keeps its game, parameters and solver."""
    if any(given):
        raise UsageError(
            "a resumed run keeps its parameters, solver, options, seeds, precision and folder",
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
    tables = run_options.solver in SOLVERS and not records.goes_along(run_options)
    check_shared(run_options.solver, tables)
    _check_limits(run_options.solver, limits)
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
    if records.goes_along(run_options):
        return pathwise.resume(console, game, folder, limits.iterations, limits.tolerance, device)
    job = records.job_of_run(game, folder, run_options, device=device)
    job = records.continued(job, folder, iterations=limits.iterations, tolerance=limits.tolerance)
    if several():
        return finish_together(console, job, lambda: folder)
    return finish(console, job, folder)


def _introduce(console: Console, game: api.Game, *, moved: bool = False) -> None:
    """What was understood, and what was established: of a sweep, where it begins."""
    model = game.model
    parts = (model.name, sizes_text(model), f"horizon {horizon_text(model)}", model.objective)
    console.line(f"{game.compilation.name}   {' · '.join(parts)}")
    seconds = f"{game.compilation.seconds:.1f} s"
    proved = certificates_line(game.compilation.certificates)
    where = " · at the values before the sweep" if moved else ""
    console.fields([("checked", right(proved + where, seconds))])
    console.diagnostics(game.compilation.diagnostics, game.compilation.sources)
