"""Games along drawn paths of their common noise: prepared, run, kept, played, as JSON."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from mfdsl.compiler.tabular.grids import Bins
from mfdsl.compiler.tabular.reduce import reduced
from mfdsl.drawn import path_game
from mfdsl.errors import UsageError
from mfdsl.game import Device, Dtype, Game
from mfdsl.records import (
    at_its_end,
    explained,
    keep_limits,
    read_options,
    settings_of_run,
    start_folder,
)
from mfdsl.runtime.behaviours import Behaviour
from mfdsl.runtime.memory import gibibytes, machine_memory
from mfdsl.runtime.runs import RunFolder
from mfdsl.runtime.solution import License
from mfdsl.runtime.solvers.networks.along import PathGame
from mfdsl.runtime.solvers.networks.options import StructuralConfig
from mfdsl.runtime.solvers.networks.path_behaviour import PathPlayers
from mfdsl.runtime.solvers.networks.path_course import PathCourse, climbed
from mfdsl.runtime.solvers.networks.path_gradient import MEASURED, PathPolicy, fresh_policy
from mfdsl.runtime.solvers.networks.path_keeping import ITERATION, keep, policy_of, reports_of
from mfdsl.runtime.solvers.networks.path_solution import PathReport, PathSolution
from mfdsl.runtime.solvers.table import SOLVERS
from mfdsl.runtime.tabled import Places
from mfdsl.settings import Settings

EXACT_BYTES, BYTES = 12, 8  # of an outcome of a move, place and chance in double and in single


@dataclass(frozen=True, eq=False)
class PathJob:
    """A game that is about to be solved along paths, or in the middle of it."""

    game: Game
    settings: Settings
    course: PathCourse
    seed: int

    @property
    def config(self) -> StructuralConfig:
        """The options of the solver."""
        return self.course.config


def prepare_paths(
    game: Game,
    settings: Settings,
    *,
    seed: int = 0,
    device: Device = "cpu",
    dtype: Dtype | None = None,
) -> PathJob:
    """Load the tables along a path, and who draws paths.

    Raises:
        UsageError: the game has no paths, they do not fit into memory, or they are asked for on
            another device or in another precision than there is.
    """
    solver = settings.solver
    if game.model.objective == "team":
        raise UsageError(
            f"{solver} finds an equilibrium, and the players of {game.name} are a team",
            "take a learner of teams: `mfdsl solvers`",
        )
    if device == "cuda":
        raise UsageError(f"{solver} goes along paths on the CPU", "--device cpu")
    if dtype == "float64":
        raise UsageError(
            f"{solver} trains in float32 along paths; its last bounds are in float64",
            "leave --dtype out",
        )
    config = settings.config
    assert isinstance(config, StructuralConfig)
    if "seed" not in config.model_fields_set:
        config = config.model_copy(update={"seed": seed})
    settings = replace(settings, config=config)
    found = path_game(game, config.seed)
    needed = bytes_of(found, config)
    if needed > machine_memory():
        raise UsageError(
            f"not enough memory for {config.paths} paths of {game.name}: they need"
            f" {gibibytes(needed)}, there are {gibibytes(machine_memory())}",
            "fewer of `--opt paths=` and `--opt evaluate_paths=`, or a smaller state space",
        )
    license = License(SOLVERS[solver].requires, "unknown", "no theorem here: a heuristic here")
    course = PathCourse(solver, found, config, settings.iterations, settings.tolerance, license)
    return PathJob(game, settings, course, config.seed)


def bytes_of(game: PathGame, config: StructuralConfig) -> int:
    """The memory of what is held at once: paths of training, and measured ones in double."""
    program = game.program
    pairs = game.stages * program.state_count * program.action_count
    each = program.noise_count * BYTES + 2 * 4, program.noise_count * EXACT_BYTES + 3 * 8
    return pairs * (config.paths * each[0] + config.evaluate_paths * each[1])


def run_paths(
    job: PathJob,
    *,
    on_progress: Callable[[PathReport], None] | None = None,
    stop: Callable[[], bool] | None = None,
    save: Callable[[PathSolution], None] | None = None,
) -> PathSolution:
    """Run the course of a job; `save` gets what was found on the way.

    Raises:
        UsageError: the machine has too little memory.
    """
    try:
        return climbed(replace(job.course, on_progress=on_progress, stop=stop, save=save))
    except MemoryError:
        raise _too_large() from None
    except RuntimeError as error:
        if "allocate memory" not in str(error):
            raise
        raise _too_large() from None


def _too_large() -> UsageError:
    return UsageError("not enough memory", "fewer paths: `--opt paths=4 --opt evaluate_paths=4`")


def paths_of_run(game: Game, folder: RunFolder, *, device: Device = "cpu") -> PathJob:
    """The job of a run as it was started.

    Raises:
        UsageError: the run is of another game, or its options no longer exist.
    """
    options = read_options(folder)
    settings = settings_of_run(game, folder, options)
    return prepare_paths(game, settings, seed=options.seed, device=device)


def continued_paths(
    job: PathJob, folder: RunFolder, *, iterations: int | None, tolerance: float | None
) -> PathJob:
    """The job with the state and the reports of its run, to go on with new limits, which are kept.

    Raises:
        UsageError: nothing was saved, a file is damaged, or the run has reached its limits.
    """
    with explained():
        state, history = folder.state(), reports_of(folder)
        bounded = folder.summary.get("exploitability", {}).get("kind") == "between"
    if ITERATION not in state:
        path = folder.path / "state.safetensors"
        raise UsageError(f"{path} is damaged: it has no `{ITERATION}`")
    made = int(state[ITERATION])
    history = tuple(report for report in history if report.iteration <= made)
    limit = job.settings.iterations if iterations is None else iterations
    goal = job.settings.tolerance if tolerance is None else tolerance
    if made > limit or (made == limit and bounded):
        raise UsageError(
            f"the run has made all of its {made:,} iterations", f"give --iterations {2 * made}"
        )
    if history and bounded and history[-1].exploitability <= goal:
        raise at_its_end(history[-1].exploitability)
    with explained():
        policy_of(_fresh(job).shape, state)
    course = replace(job.course, iterations=limit, tolerance=goal, state=state, history=history)
    settings = replace(job.settings, iterations=limit, tolerance=goal)
    keep_limits(folder, settings)
    return replace(job, settings=settings, course=course)


def _fresh(job: PathJob) -> PathPolicy:
    game = job.course.game
    with torch.no_grad():
        return fresh_policy(game, job.config, game.drawn(MEASURED, 1))


def solved(
    game: Game,
    settings: Settings,
    seed: int,
    device: Device,
    dtype: Dtype | None,
    out: str | Path | None,
    on_progress: Callable[[PathReport], None] | None,
) -> PathSolution:
    """A game solved along drawn paths, and saved where a folder is asked for.

    Raises:
        UsageError: it has no paths, or the folder cannot be written.
    """
    job = prepare_paths(game, settings, seed=seed, device=device, dtype=dtype)
    if out is None:
        return run_paths(job, on_progress=on_progress)
    folder = start_folder(game, job.settings, job.seed, "float32", Path(out))
    return run_into(folder, job, on_progress)


def resumed(
    game: Game,
    folder: RunFolder,
    iterations: int | None,
    tolerance: float | None,
    device: Device,
    on_progress: Callable[[PathReport], None] | None,
) -> PathSolution:
    """A run continued, and saved in its folder.

    Raises:
        UsageError: the folder is damaged, of another game, or the run has reached its limits.
    """
    job = paths_of_run(game, folder, device=device)
    job = continued_paths(job, folder, iterations=iterations, tolerance=tolerance)
    return run_into(folder, job, on_progress)


def run_into(
    folder: RunFolder, job: PathJob, on_progress: Callable[[PathReport], None] | None
) -> PathSolution:
    """Run a job and save it, on the way and at the end.

    Raises:
        UsageError: the machine has too little memory, or a file cannot be written.
    """

    def save(found: PathSolution) -> None:
        with explained():
            keep(folder, found)

    found = run_paths(job, on_progress=on_progress, save=save)
    save(found)
    return replace(found, run=folder.path)


@dataclass(frozen=True, eq=False)
class PathRun:
    """A saved solution along paths: its job, its policy, how that is played, and its folder."""

    job: PathJob
    policy: PathPolicy
    behaviour: Behaviour
    folder: RunFolder


def path_run(game: Game, folder: RunFolder) -> PathRun:
    """The saved solution of a run.

    Raises:
        UsageError: the run is damaged or of another game.
    """
    job = paths_of_run(game, folder)
    with explained():
        policy = policy_of(_fresh(job).shape, folder.tensors("policy.safetensors"))
    return PathRun(job, policy, _players(game, job.course.game, policy), folder)


def path_behaviour(game: Game, solution: PathSolution) -> Behaviour:
    """How a solution is played in its game.

    Raises:
        UsageError: it is of another game.
    """
    found = path_game(game, solution.seed)
    shape, reading = solution.policy.shape, solution.policy.shape.reading
    sizes = (found.stages, tuple(found.program.states.values()))
    told = (len(found.seen), found.program.action_count)
    if (reading.stages, reading.states) != sizes or (shape.law, shape.actions) != told:
        raise UsageError(f"the policy is of another game than `{game.name}`")
    return _players(game, found, solution.policy)


def _players(game: Game, found: PathGame, policy: PathPolicy) -> PathPlayers:
    program = found.program
    assert program.model is not None
    small = reduced(program.model, Bins())
    places = Places(program.state_axes(), program.action_axes(), small, game.model)
    return PathPlayers(policy, found, places)


def along_json(job: PathJob) -> dict[str, Any]:
    """What paths are drawn of, what all see along them, and how many there are in a step."""
    game = job.course.game
    states = [f"{player}.{name}" for player, name in game.parameters.values()]
    return {"states": states, "seen": list(game.seen), "paths": job.config.paths}


def path_json(job: PathJob, solution: PathSolution, run: str | None) -> dict[str, Any]:
    """The JSON contract of `mfdsl solve` along paths."""
    spec = job.game.compilation.name
    return {"spec": spec, **solution.to_json(), "along": along_json(job), "run": run}
