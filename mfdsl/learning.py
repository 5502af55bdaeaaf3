"""A course of learning in three steps: prepare it, run it, and turn what it found into JSON."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mfdsl.compiler.driver import ParameterValue
from mfdsl.compiler.tabular.reduce import reduced
from mfdsl.errors import UsageError
from mfdsl.game import Device, Dtype, Game, load
from mfdsl.misfits import difference, misfit
from mfdsl.records import explained, keep_limits, read_options
from mfdsl.runtime.agents import AgentProgram
from mfdsl.runtime.behaviours import Behaviour
from mfdsl.runtime.learning.base import Learner, Lesson, LessonError, make_learner
from mfdsl.runtime.learning.keeping import networks_of, records_of
from mfdsl.runtime.learning.loop import MADE, Course, Learned, LearningRecord, learn
from mfdsl.runtime.learning.placed import MOST_ENTRIES, Tables
from mfdsl.runtime.learning.table import LEARNERS, LearnerConfig
from mfdsl.runtime.program import Params
from mfdsl.runtime.runs import RunFolder
from mfdsl.runtime.simulator import SimulationError
from mfdsl.settings import Settings, resolve
from mfdsl.solving import find_device

BESIDE = ("best.", "reached", MADE, "optimizer")  # what a state has beside an untrained learner's
SEEDS = 1 << 40  # of draws: seeds are multiplied on the way to 64 bits


@dataclass(frozen=True, eq=False)
class Training:
    """A learner at the start of its course, or in the middle of one that goes on."""

    game: Game
    settings: Settings
    learner: Learner
    course: Course
    device: torch.device
    dtype: Dtype


def learns(settings: Settings) -> bool:
    """Whether the solver of these settings learns from agents, instead of from tables."""
    return settings.solver in LEARNERS


def prepare_training(
    game: Game,
    settings: Settings,
    *,
    seed: int = 0,
    device: Device = "cpu",
    dtype: Dtype = "float32",
) -> Training:
    """Load the module of agents and make the networks.

    Raises:
        UsageError: the learner is not defined on this game, a number is out of range, or the
            device is not there.
    """
    assert isinstance(settings.config, LearnerConfig)
    _check_objective(game, settings.solver)
    if not 0 <= seed < SEEDS:
        raise UsageError(f"a seed is a whole number from 0 and below {SEEDS:,}, not {seed:,}")
    place = find_device(device)
    params = game.agents.params(dtype=getattr(torch, dtype), device=place)
    try:
        lesson = Lesson(
            game.agents,
            params,
            seed,
            settings.iterations,
            weighted_of(game),
            cache(lambda: tables_of(replace(game, bins=settings.bins), params)),
        )
        learner = make_learner(settings.solver, settings.config, lesson)
    except LessonError as error:
        raise UsageError(str(error), error.hint) from None
    except (SimulationError, ValueError) as error:
        raise UsageError(str(error)) from None
    course = Course(settings.solver, lesson, settings.tolerance)
    return Training(game, settings, learner, course, place, dtype)


def _check_objective(game: Game, solver: str) -> None:
    wanted, found = LEARNERS[solver].objective, game.model.objective
    if wanted == found:
        return
    if wanted == "team":
        raise UsageError(
            f"`{solver}` learns what is best for a team, and `{game.name}` is a game",
            "write `objective team`, or take a solver of games: `mfdsl solvers`",
        )
    raise UsageError(
        f"`{solver}` learns an equilibrium of a game, and `{game.name}` is a team",
        "write `objective nash`, or take a learner of teams: `mfdsl solvers`",
    )


def weighted_of(game: Game) -> AgentProgram | None:
    """The game whose agents have weights, None where they cannot."""
    try:
        return game.agents_of("weighted")
    except UsageError:
        return None


def tables_of(game: Game, params: Params) -> Tables | None:
    """The tables of a game at these parameters of its agents, None where it has none that fit.

    Networks choose among the actions of the game, so tables over ranks do not fit either.
    """
    try:
        small = reduced(game.model, game.bins) if game.reduced is None else game.reduced
        program = game.program
    except UsageError:
        return None
    if small.choices is not None:
        return None
    unit = params.unit
    bound = program.params(dtype=torch.float64, device=unit.device)
    found = Tables(game.agents, params, program, bound, small)
    return found if found.entries(program.horizon or 1) <= MOST_ENTRIES else None


def train(
    training: Training,
    *,
    on_progress: Callable[[LearningRecord], None] | None = None,
    stop: Callable[[], bool] | None = None,
    save: Callable[[Learned], None] | None = None,
) -> Learned:
    """Run the course; `save` gets what was learned so far at each measurement.

    Raises:
        UsageError: the device has too little memory, or what the course begins with does not fit.
    """
    course = replace(training.course, on_progress=on_progress, stop=stop, save=save)
    try:
        return learn(training.learner, course)
    except LessonError as error:
        raise UsageError(str(error), error.hint) from None
    except (torch.OutOfMemoryError, MemoryError):
        raise _too_large() from None
    except RuntimeError as error:
        if "allocate memory" not in str(error):
            raise
        raise _too_large() from None


def _too_large() -> UsageError:
    return UsageError(
        "not enough memory", "train with fewer games or agents: `--opt games=4`, `--opt agents=50`"
    )


def continued_training(
    training: Training,
    folder: RunFolder,
    *,
    iterations: int | None,
    tolerance: float | None = None,
) -> Training:
    """The course with the state and the records of its run, whose new limits are kept.

    Raises:
        UsageError: nothing was saved, a file is damaged, or the run has reached its end.
    """
    with explained():
        state, history = folder.state(), records_of(folder)
    if MADE not in state:
        raise UsageError(f"{folder.path / 'state.safetensors'} is damaged: it has no `{MADE}`")
    made = int(state[MADE])
    history = tuple(record for record in history if record.iteration <= made)
    limit = training.settings.iterations if iterations is None else iterations
    if made >= limit:
        raise UsageError(
            f"the run has made all of its {made:,} iterations", f"give --iterations {2 * made}"
        )
    state = {name: value.to(training.device) for name, value in state.items()}
    try:
        training.learner.restore(state)
    except (RuntimeError, ValueError, KeyError) as error:
        own = training.learner.state()
        trained = {k: v for k, v in state.items() if k in own or not k.startswith(BESIDE)}
        raise misfit(folder.path, training.settings.solver, own, trained, error) from None
    lesson = replace(training.course.lesson, iterations=limit)
    goal = training.settings.tolerance if tolerance is None else tolerance
    settings = replace(training.settings, iterations=limit, tolerance=goal)
    course = replace(training.course, lesson=lesson, tolerance=goal, state=state, history=history)
    training.learner.extend(limit)
    keep_limits(folder, settings)
    return replace(training, settings=settings, course=course)


def training_elsewhere(
    training: Training, spec: str | Path, values: Mapping[str, ParameterValue]
) -> Training:
    """The same learner in its game at other values of parameters, for its networks to play there.

    Raises:
        CompileError: the game cannot have these values.
        UsageError: the learner is not defined on the game with these values.
    """
    game = load(spec, params={**training.game.parameters, **values})
    seed = training.course.lesson.seed
    place: Device = "cuda" if training.device.type == "cuda" else "cpu"
    return prepare_training(game, training.settings, seed=seed, device=place, dtype=training.dtype)


def trained_behaviour(training: Training, folder: RunFolder) -> Behaviour:
    """How the networks of a run play, as is likeliest.

    Raises:
        UsageError: the file is missing or damaged, or holds other networks.
    """
    with explained():
        networks = networks_of(folder)
    try:
        return _with_networks(training, networks)
    except RuntimeError as error:
        own = training.learner.policy.state_dict()
        trained = dict(read_options(folder).parameters)
        moved = {k: v for k, v in training.game.parameters.items() if trained.get(k) != v}
        if not moved:
            solver = training.settings.solver
            raise misfit(folder.path, solver, own, networks, error) from None
        values = " ".join(f"{name}={value}" for name, value in moved.items())
        raise UsageError(
            f"the networks of {folder.path} do not fit the game with {values}:"
            f" {difference(own, networks)}",
            "networks read any number of agents, but a fixed number of values of each",
        ) from None


def _with_networks(training: Training, networks: Mapping[str, Tensor]) -> Behaviour:
    training.learner.policy.load_state_dict(dict(networks))
    return training.learner.behaviour(mode=True)


def learned_behaviour(game: Game, learned: Learned) -> Behaviour:
    """How what was learned plays, as is likeliest.

    Raises:
        UsageError: it was learned in another game.
    """
    settings = resolve(game.model, learned.solver, options=learned.options)
    training = prepare_training(game, settings, seed=learned.seed)
    try:
        return _with_networks(training, learned.networks)
    except RuntimeError:
        own = training.learner.policy.state_dict()
        found = difference(own, learned.networks)
        raise UsageError(f"this holds networks of another game: {found}") from None


def training_json(training: Training, learned: Learned, run: str | None) -> dict[str, Any]:
    """The JSON contract of `mfdsl solve` for learners."""
    return {"spec": training.game.compilation.name, **learned.to_json(), "run": run}
