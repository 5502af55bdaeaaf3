"""The verbs that solve, as typed functions: `solve` and `resume`."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, overload

from mfdsl.batches import RANDOM, Batch, seeds_of
from mfdsl.errors import UsageError, no_policy
from mfdsl.game import Device, Dtype, Game, Parameters, check_choices, loaded
from mfdsl.parameters import Sweep, swept_values
from mfdsl.planning import ALONG
from mfdsl.runtime.learning.table import LEARNERS
from mfdsl.runtime.solvers.riccati.table import EXACT
from mfdsl.settings import Settings, resolve
from mfdsl.solve_types import ExactSolver, LearningSolver, PathSolver, TableSolver, Ways

if TYPE_CHECKING:
    from mfdsl.runtime.learning.loop import Learned, LearningRecord
    from mfdsl.runtime.policy import TabularPolicy
    from mfdsl.runtime.runs import RunFolder
    from mfdsl.runtime.solution import Solution
    from mfdsl.runtime.solvers.networks.path_solution import PathSolution
    from mfdsl.runtime.solvers.riccati.solution import ExactSolution
    from mfdsl.runtime.solvers.riccati.sweep import ExactSweep


@overload
def solve(
    game: Game | str | Path,
    solver: TableSolver,
    *,
    sweep: Sweep | None = None,
    **ways: Unpack[Ways],
) -> "Solution": ...


@overload
def solve(
    game: Game | str | Path,
    solver: PathSolver,
    *,
    sweep: Sweep | None = None,
    **ways: Unpack[Ways],
) -> "Solution | PathSolution": ...


@overload
def solve(
    game: Game | str | Path, solver: LearningSolver, *, sweep: None = None, **ways: Unpack[Ways]
) -> "Learned": ...


@overload
def solve(
    game: Game | str | Path, solver: ExactSolver, *, sweep: None = None, **ways: Unpack[Ways]
) -> "ExactSolution": ...


@overload
def solve(
    game: Game | str | Path,
    solver: str | None = None,
    *,
    sweep: Sweep | None = None,
    **ways: Unpack[Ways],
) -> "Solution | Learned | PathSolution | ExactSolution | ExactSweep": ...


def solve(
    game: Game | str | Path,
    solver: str | None = None,
    *,
    iterations: int | None = None,
    tolerance: float | None = None,
    options: Mapping[str, Any] | None = None,
    params: Parameters | None = None,
    sweep: Sweep | None = None,
    seed: int = 0,
    seeds: int = 1,
    start: "str | Path | Solution | TabularPolicy | None" = None,
    device: Device = "cpu",
    dtype: Dtype | None = None,
    out: str | Path | None = None,
    on_progress: "Callable[[Any], None] | None" = None,
) -> "Solution | Learned | PathSolution | ExactSolution | ExactSweep":
    """An approximate equilibrium and its exploitability, by a named solver or a fitting one; of a
    team what was learned, and its return; of a linear-quadratic game its affine policies; along
    drawn paths of a common noise the policy and bounds of its exploitability.

    What is not given is taken from the spec's `solver` block; `solver="auto"` leaves the choice to
    what is proved about the game. A `sweep` of values makes a batch of games, one for each
    combination; its names are those of parameters, or `opt.` and an option of the solver. With
    `seeds` there is one for each seed from `seed`. Solvers of tables begin at the uniform policy,
    or at the `start`: the folder of a run, a solution, its policy, or "random" for one that is
    drawn with the seed. With `out` a run folder is written under it, which is `run` of what comes
    back. `on_progress` gets a `Record`, or a `LearningRecord`. `dtype` is float64 for tables and
    float32 for networks.

    Raises:
        CompileError: the spec has errors.
        UsageError: an unknown solver, option or parameter, a solver that does not begin at a
            `start`, or a folder that cannot be written.
        TypeError: `params` for a game that is loaded already.
    """
    game = loaded(game, params)
    check_choices(device, dtype, seed)
    if seeds < 1:
        raise UsageError(f"`seeds` is {seeds!r}", "how many seeds to run: 1 or more")
    drawn = start == RANDOM
    batch = Batch(swept_values(sweep or {}), seeds=seeds_of(seed, seeds), drawn=drawn)
    settings = resolve(
        game.model,
        solver,
        iterations=iterations,
        tolerance=tolerance,
        options={**(options or {}), **batch.first_options()},
    )
    from mfdsl.runtime.usual_modes import usual_modes

    with usual_modes():
        return _solved(game, settings, batch, seed, start, device, dtype, out, on_progress)


def _solved(
    game: Game,
    settings: Settings,
    batch: Batch,
    seed: int,
    start: "str | Path | Solution | TabularPolicy | None",
    device: Device,
    dtype: Dtype | None,
    out: str | Path | None,
    on_progress: "Callable[[Any], None] | None",
) -> "Solution | Learned | PathSolution | ExactSolution | ExactSweep":
    """A solve by whom it is for: learners, exact recursions, drawn paths or tables."""
    if start is not None:
        from mfdsl.runtime.policy import TabularPolicy
        from mfdsl.runtime.solution import Solution
        from mfdsl.starting import check_beginner

        check_beginner(settings.solver)
        if isinstance(start, Solution):
            start = start.policy
        if not isinstance(start, str | Path | TabularPolicy):
            raise no_policy(start)
    if settings.solver in LEARNERS:
        _check_alone(batch)
        return _learned(game, settings, seed, device, dtype or "float32", out, on_progress)
    if settings.solver in EXACT:
        return _exact(game, settings, seed, device, dtype or "float64", out, dict(batch.sweep))
    if settings.solver == ALONG:
        from mfdsl.paths_or_tables import along, routed

        settings = routed(game, settings)
        if along(settings):
            from mfdsl.pathwise import solved

            _check_alone(batch)
            return solved(game, settings, seed, device, dtype, out, on_progress)
    return _on_tables(
        game, settings, batch, seed, start, device, dtype or "float64", out, on_progress
    )


def _check_alone(batch: Batch) -> None:
    if batch.axes:
        raise UsageError("a batch is for tables", "solve once for each value")


def _on_tables(
    game: Game,
    settings: Settings,
    batch: Batch,
    seed: int,
    start: "str | Path | TabularPolicy | None",
    device: Device,
    dtype: Dtype,
    out: str | Path | None,
    on_progress: "Callable[[Any], None] | None",
) -> "Solution":
    """A solve on tables, saved where a folder is asked for."""
    from mfdsl.records import explained, start_of, start_run
    from mfdsl.solving import prepare, run

    job = prepare(
        game,
        settings,
        sweep=batch,
        seed=seed,
        device=device,
        dtype=dtype,
        start=None if start is None else start_of(start, game),
    )
    folder = start_run(job, Path(out)) if out is not None else None
    solution = run(job, on_progress=on_progress)
    if folder is None:
        return solution
    with explained():
        folder.save(solution)
    return replace(solution, run=folder.path)


def _exact(
    game: Game,
    settings: Settings,
    seed: int,
    device: Device,
    dtype: Dtype,
    out: str | Path | None,
    swept: dict[str, tuple[float, ...]],
) -> "ExactSolution | ExactSweep":
    """A linear-quadratic game solved, and saved where a folder is asked for."""
    from mfdsl.exact import keep_exact, prepare_exact, run_exact, run_sweep
    from mfdsl.records import start_folder
    from mfdsl.runtime.solvers.riccati.sweep import ExactSweep

    job = prepare_exact(game, settings, seed=seed, device=device, dtype=dtype, sweep=swept)
    found = run_sweep(job) if swept else run_exact(job)
    if out is None:
        return found
    folder = start_folder(game, settings, seed, dtype, Path(out), swept)
    keep_exact(folder, job, found)
    return found if isinstance(found, ExactSweep) else replace(found, run=folder.path)


def _learned(
    game: Game,
    settings: Settings,
    seed: int,
    device: Device,
    dtype: Dtype,
    out: str | Path | None,
    on_progress: "Callable[[LearningRecord], None] | None",
) -> "Learned":
    """A course of learning, saved at each measurement where a folder is asked for."""
    from mfdsl.learning import prepare_training, train
    from mfdsl.records import explained, start_folder
    from mfdsl.runtime.learning.keeping import keep

    training = prepare_training(game, settings, seed=seed, device=device, dtype=dtype)
    if out is None:
        return train(training, on_progress=on_progress)
    folder = start_folder(game, settings, seed, dtype, Path(out))
    with explained():
        learned = train(training, on_progress=on_progress, save=lambda found: keep(folder, found))
        keep(folder, learned)
    return replace(learned, run=folder.path)


def resume(
    run: str | Path,
    game: Game | str | Path | None = None,
    *,
    iterations: int | None = None,
    tolerance: float | None = None,
    device: Device = "cpu",
    on_progress: "Callable[[Any], None] | None" = None,
) -> "Solution | Learned | PathSolution":
    """Continue the run in a folder, as if it had not stopped, and save it there.

    Raises:
        UsageError: the folder is not a run, is damaged, or belongs to another game.
    """
    from mfdsl.runtime.usual_modes import usual_modes

    with usual_modes():
        return _continued(Path(run), game, iterations, tolerance, device, on_progress)


def _continued(
    run: Path,
    game: Game | str | Path | None,
    iterations: int | None,
    tolerance: float | None,
    device: Device,
    on_progress: "Callable[[Any], None] | None",
) -> "Solution | Learned | PathSolution":
    """The run by whom it is of: learners, drawn paths or tables."""
    from mfdsl import records, solving

    folder = records.open_run(run)
    options = records.read_options(folder)
    if options.solver in EXACT:
        from mfdsl.exact import finished

        raise finished(folder.path)
    source = folder.path / "spec.mfg" if game is None else game
    game = loaded(source, None if isinstance(source, Game) else options.parameters)
    if options.solver in LEARNERS:
        return _resumed(game, folder, iterations, tolerance, device, on_progress)
    if records.goes_along(options):
        from mfdsl.pathwise import resumed

        return resumed(game, folder, iterations, tolerance, device, on_progress)
    job = records.job_of_run(game, folder, options, device=device)
    job = records.continued(job, folder, iterations=iterations, tolerance=tolerance)
    solution = solving.run(job, on_progress=on_progress)
    with records.explained():
        folder.save(solution)
    return replace(solution, run=folder.path)


def _resumed(
    game: Game,
    folder: "RunFolder",
    iterations: int | None,
    tolerance: float | None,
    device: Device,
    on_progress: "Callable[[LearningRecord], None] | None",
) -> "Learned":
    from mfdsl.learning import continued_training, train
    from mfdsl.records import explained
    from mfdsl.runtime.learning.keeping import keep
    from mfdsl.simulating import training_of_run

    training = continued_training(
        training_of_run(game, folder, device=device),
        folder,
        iterations=iterations,
        tolerance=tolerance,
    )
    with explained():
        learned = train(training, on_progress=on_progress, save=lambda found: keep(folder, found))
        keep(folder, learned)
    return replace(learned, run=folder.path)
