"""A job written down as a run folder, and a run folder read back as a job."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from mfdsl.batches import RANDOM, Batch, batch_of
from mfdsl.bundle import FOLDER, MAIN, bundle_of
from mfdsl.errors import UsageError
from mfdsl.files import write_folder
from mfdsl.parameters import Sweep
from mfdsl.planning import ALONG
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.program import ProgramError
from mfdsl.runtime.runs import START, RunError, RunFolder, document_of
from mfdsl.runtime.solvers.base import SolverError
from mfdsl.runtime.solvers.table import SOLVERS
from mfdsl.runtime.tensor_files import policy_pieces
from mfdsl.settings import Settings, resolve
from mfdsl.solving import Job, prepare
from mfdsl.starting import GIVEN, Start, license_from

if TYPE_CHECKING:
    from mfdsl.game import Game


class RunOptions(BaseModel):
    """What `options.json` of a run holds: enough to do the run again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    game: str
    key: str
    parameters: dict[str, int | float | str | tuple[float, ...]]
    sweep: dict[str, tuple[float, ...]]
    solver: str
    options: dict[str, Any]
    iterations: int
    tolerance: float
    seed: int
    dtype: Literal["float32", "float64"]
    bins: dict[str, int | float] = {}
    sets: dict[str, dict[str, int | float | tuple[float, ...]]] = {}
    seeds: tuple[int, ...] = ()
    share: tuple[int, int] = (0, 1)
    start: str | None = None

    @field_validator("share")
    @classmethod
    def _is_share(cls, share: tuple[int, int]) -> tuple[int, int]:
        if not 0 <= share[0] < share[1]:
            raise ValueError("K of N shares has a K from 0 to N - 1")
        return share

    @field_validator("sweep")
    @classmethod
    def _has_values(cls, sweep: dict[str, tuple[float, ...]]) -> dict[str, tuple[float, ...]]:
        if empty := [name for name, values in sweep.items() if not values]:
            raise ValueError(f"`{empty[0]}` has no values")
        return sweep

    @property
    def batch(self) -> Batch:
        """The games that the run has solved together."""
        return Batch(self.sweep, self.sets, self.seeds, self.share, drawn=self.start == RANDOM)


def start_run(job: Job, out: Path) -> RunFolder:
    """A new run folder under `out` for a job that is about to run.

    Raises:
        UsageError: the folder cannot be written to.
    """
    if job.start is None:
        return start_folder(job.game, job.settings, job.seed, job.dtype, out, job.batch)
    origin, policy = job.start.origin, job.start.policy
    assert policy is not None
    folder = start_folder(job.game, job.settings, job.seed, job.dtype, out, job.batch, origin)
    with explained():
        folder.write({START: policy_pieces(policy)})
    return folder


def start_folder(
    game: "Game",
    settings: Settings,
    seed: int,
    dtype: Literal["float32", "float64"],
    out: Path,
    sweep: Sweep | Batch | None = None,
    start: str | None = None,
) -> RunFolder:
    """A new run folder under `out` for a solver that is about to run; `start` is the origin of the
    policy that it begins from, where that is not the uniform one.

    Raises:
        UsageError: the folder cannot be written to.
    """
    batch = batch_of(sweep or {})
    options = RunOptions(
        game=game.name,
        key=game.key,
        parameters=dict(game.parameters),
        sweep=dict(batch.sweep),
        solver=settings.solver,
        options=settings.config.model_dump(),
        iterations=settings.iterations,
        tolerance=settings.tolerance,
        seed=seed,
        dtype=dtype,
        bins=settings.bins.to_options(),
        sets={label: dict(values) for label, values in batch.sets.items()},
        seeds=batch.seeds,
        share=batch.share,
        start=start,
    )
    with explained():
        bundle = bundle_of(game.compilation)
        spec = bundle.pop(MAIN).decode()
        folder = RunFolder.create(out, game.name, spec, options.model_dump(mode="json"))
    if bundle:
        write_folder(folder.path / FOLDER, {Path(name).name: b for name, b in bundle.items()})
    return folder


def read_options(folder: RunFolder) -> RunOptions:
    """The options of a run.

    Raises:
        UsageError: the file is damaged.
    """
    with explained():
        entries = folder.options
    try:
        return RunOptions.model_validate(entries)
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        why = error.errors()[0]["msg"].removeprefix("Value error, ")
        message = f"{folder.path / 'options.json'} is damaged: {place}: {why}"
        raise UsageError(message) from None


def games_of(
    folder: RunFolder, options: RunOptions, summary: Mapping[str, Any]
) -> tuple[list[float | None], list[Any], list[Mapping[str, Any]]]:
    """Exploitabilities, values and endings of all games of a run, as its summary says.

    Raises:
        UsageError: the summary is damaged, or has other numbers of games than the options.
    """
    games = len(options.batch.points())
    try:
        gap = summary.get("exploitability") or {}
        gaps = gap.get("per_game") or [gap.get("value")]
        values = summary["value"]
        values = values["mean"] if isinstance(values, dict) else values
        values = values if isinstance(values, list) else [values]
        endings = summary.get("endings") or [summary] * games
        whole = all({"iterations", "status"} <= ending.keys() for ending in endings)
    except (KeyError, TypeError, AttributeError):
        whole = False
    if not whole or {len(gaps), len(values), len(endings)} != {games}:
        raise UsageError(
            f"{folder.path / 'summary.json'} does not tell of the "
            f"{f'{games:,} games' if games > 1 else 'game'} of options.json",
            "solve again: a file of the run was changed",
        )
    return gaps, values, endings


def goes_along(options: RunOptions) -> bool:
    """Whether a run went along drawn paths of its common noise, and so has no tables."""
    return options.solver == ALONG and bool(options.options.get("paths"))


def open_run(path: Path) -> RunFolder:
    """The run in a folder.

    Raises:
        UsageError: the folder is not a run.
    """
    with explained():
        return RunFolder.open(path)


def same_game(game: "Game", options: RunOptions, folder: RunFolder) -> None:
    """Refuse to mix a run with another game.

    Raises:
        UsageError: the run is of another game, or of another version of this one.
    """
    if game.key != options.key:
        own = folder.path / "spec.mfg"
        kind = "another version of the game" if game.name == options.game else "another game"
        help_ = f"leave out the spec to use the run's own {own}"
        if game.compilation.name == own.as_posix():
            help_ = (
                f"{own}, a file beside it or options.json was changed after the run: solve again"
            )
        raise UsageError(f"{folder.path} is a run of {kind}, `{options.game}`", help_)


def job_of_run(
    game: "Game", folder: RunFolder, options: RunOptions, *, device: Literal["cpu", "cuda", "auto"]
) -> Job:
    """The job of a run as it was started.

    Raises:
        UsageError: the run is of another game, or its options no longer exist.
    """
    settings = settings_of_run(game, folder, options)
    job = prepare(
        game,
        settings,
        sweep=options.batch,
        seed=options.seed,
        device=device,
        dtype=options.dtype,
    )
    if options.start is None:
        return job
    return replace(job, license=license_from(job.license, job.settings.solver))


def start_of(given: str | Path | TabularPolicy, game: "Game") -> Start:
    """Where a solve of a game begins: `random`, at the policy of a run, or at one that is given.

    Raises:
        UsageError: the folder is no run, or one of another game or without a table.
    """
    if isinstance(given, TabularPolicy):
        return Start(GIVEN, given)
    if given == RANDOM:
        return Start(RANDOM)
    folder = open_run(Path(given))
    options = read_options(folder)
    if options.game != game.name:
        raise UsageError(f"{folder.path} is a run of `{options.game}`, and this is `{game.name}`")
    if options.solver not in SOLVERS or goes_along(options):
        raise UsageError(
            f"{folder.path} is a run of {options.solver}, which makes no table",
            "begin from a run of a solver of tables",
        )
    with explained():
        return Start(str(folder.path), folder.saved_policy())


def settings_of_run(game: "Game", folder: RunFolder, options: RunOptions) -> Settings:
    """The settings that a run was started with.

    Raises:
        UsageError: the run is of another game, or its options no longer exist.
    """
    same_game(game, options, folder)
    return resolve(
        game.model,
        options.solver,
        iterations=options.iterations,
        tolerance=options.tolerance,
        options=options.options | options.bins,
    )


def continued(
    job: Job, folder: RunFolder, *, iterations: int | None, tolerance: float | None
) -> Job:
    """The job with the state and history of its run, to go on with new limits, which are kept.

    Raises:
        UsageError: nothing was saved, a file is damaged, or the run has reached its limits.
    """
    with explained():
        state, history = folder.state(), folder.history()
    state = {name: value.to(job.device) for name, value in state.items()}
    settings = _limits(job.settings, iterations, tolerance)
    made = history[-1].iteration if history else 0
    if made >= settings.iterations:
        raise UsageError(
            f"the run has made all of its {made:,} iterations", f"give --iterations {2 * made}"
        )
    if history and history[-1].exploitability <= settings.tolerance:
        raise at_its_end(history[-1].exploitability)
    keep_limits(folder, settings)
    return replace(job, settings=settings, state=state, history=history)


def keep_limits(folder: RunFolder, settings: Settings) -> None:
    """Write down how far a run goes now, so that whoever does it again or resumes it gets as far.

    Raises:
        UsageError: the folder cannot be written to.
    """
    limits = {"iterations": settings.iterations, "tolerance": settings.tolerance}
    with explained():
        before = folder.options
        if before | limits != before:
            folder.write({"options.json": document_of(before | limits)})


def at_its_end(gap: float) -> UsageError:
    """Why a run does not go on that has come to a gap, and how it would."""
    way = f"give --tol {gap / 10:.1g}" if gap > 0 else "nobody gains by leaving: nothing is left"
    return UsageError(f"the run has converged to {gap:.3g}", way)


def _limits(settings: Settings, iterations: int | None, tolerance: float | None) -> Settings:
    return replace(
        settings,
        iterations=settings.iterations if iterations is None else iterations,
        tolerance=settings.tolerance if tolerance is None else tolerance,
    )


@contextmanager
def explained() -> Iterator[None]:
    """What the runtime refuses, as an error of usage with the same words."""
    try:
        yield
    except (RunError, ProgramError, SolverError) as error:
        raise UsageError(str(error)) from None
