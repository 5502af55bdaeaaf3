"""A solve in three steps: prepare a job, run it, and turn its solution into JSON."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.tabular.reduce import reduced
from mfdsl.errors import UsageError
from mfdsl.game import Device, Dtype, Game
from mfdsl.licence import licence_for, licence_text
from mfdsl.parameters import Sweep, check_sweep, combinations
from mfdsl.planning import check_tables
from mfdsl.runtime.memory import gibibytes, memory_of
from mfdsl.runtime.program import Params
from mfdsl.runtime.simulator import SimulationError
from mfdsl.runtime.solution import License, Record, Solution, finite
from mfdsl.runtime.solvers.base import SolverError, make_solver
from mfdsl.runtime.solvers.episodes import Crowd
from mfdsl.runtime.solvers.loop import PATIENCE, solve as run_loop
from mfdsl.runtime.solvers.needs import refusal
from mfdsl.runtime.solvers.table import SOLVERS, SampledConfig
from mfdsl.settings import Settings, licensed
from mfdsl.structural import case_of, with_structure
from mfdsl.trials import tried

# Tables [B, T, S, A] that every solver holds at once: rewards, policy, values, and its own state.
TABLES = 4


@dataclass(frozen=True, eq=False)
class Job:
    """All that a run needs. `points` has the swept values of each game of the batch, one empty
    entry without a sweep; `state` and `history` continue an earlier run.
    """

    game: Game
    settings: Settings
    license: License
    params: Params
    points: tuple[Mapping[str, float], ...]
    seed: int
    device: torch.device
    dtype: Dtype
    state: Mapping[str, torch.Tensor] | None = None
    history: tuple[Record, ...] = field(default=())


def prepare(
    game: Game,
    settings: Settings,
    *,
    sweep: Sweep,
    seed: int = 0,
    device: Device = "cpu",
    dtype: Dtype = "float64",
) -> Job:
    """Load the program and bind its parameters, one game for each point of the sweep.

    Raises:
        UsageError: the sweep does not fit the model, the solver is not defined on it, the device is
            not there, or its memory is too small.
    """
    check_tables(game.model, settings.bins)
    game = replace(game, bins=settings.bins)
    check_sweep(game.model, sweep)
    settings = licensed(settings, game.model, _certificates(game, swept=bool(sweep)))
    settings = _seeded(settings, seed)
    _check_fixed(game, sweep)
    _check_defined(game, settings, swept=bool(sweep))
    points = combinations(sweep)
    place = find_device(device)
    columns = {name: [point[name] for point in points] for name in sweep}
    params = game.program.params(columns, dtype=getattr(torch, dtype), device=place)
    if not sweep:
        settings = tried(settings, game.program, params)
    license = license_of(game, settings, swept=bool(sweep))
    job = Job(game, settings, license, params, tuple(points), seed, place, dtype)
    _check_memory(job)
    _check_playable(job)
    return job


def _seeded(settings: Settings, seed: int) -> Settings:
    """The settings of a solver that draws, with the seed of the run unless its option has one."""
    config = settings.config
    if "seed" not in type(config).model_fields or "seed" in config.model_fields_set:
        return settings
    return replace(settings, config=config.model_copy(update={"seed": seed}))


def _check_fixed(game: Game, sweep: Sweep) -> None:
    fixed = game.reduced.fixed if game.reduced else frozenset()
    for name in sweep:
        if name in fixed:
            raise UsageError(
                f"`{name}` moves the common state, whose pasts are worked out beforehand",
                f"solve one value at a time: `--set {name}={sweep[name][0]:g}`",
            )


def run(
    job: Job,
    *,
    on_progress: Callable[[Record], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Solution:
    """Run the solver of a job.

    Raises:
        UsageError: the tables of the game do not fit into memory, the solver is not defined on it,
            or the state that it continues is of another one.
    """
    settings = job.settings
    try:
        return run_loop(
            job.game.program,
            job.params,
            settings.solver,
            settings.config,
            iterations=settings.iterations,
            tolerance=settings.tolerance,
            # A promise is kept at its count, however long the way there looks hopeless.
            patience=None if job.license.verdict == "proved" else PATIENCE,
            seed=job.seed,
            on_progress=on_progress,
            stop=stop,
            state=job.state,
            history=job.history,
            license=job.license,
            crowd=crowd_of(job),
        )
    except (SolverError, SimulationError) as error:
        raise UsageError(str(error)) from None
    except (torch.OutOfMemoryError, MemoryError):
        raise _too_large(job) from None
    except RuntimeError as error:
        if "allocate memory" not in str(error):
            raise
        raise _too_large(job) from None


def crowd_of(job: Job) -> Crowd | None:
    """The agents of the game, for solvers that learn from their play."""
    if not SOLVERS[job.settings.solver].plays:
        return None
    game, program = job.game, job.game.program
    return Crowd(
        game.agents,
        game.agents.params(dtype=getattr(torch, job.dtype), device=job.device),
        game.reduced or reduced(game.model, game.bins),
        program.state_axes(),
        program.action_axes(),
        job.seed,
    )


def _check_playable(job: Job) -> None:
    """Refuse games that a solver that plays cannot be played by, before anything is written."""
    crowd, config = crowd_of(job), job.settings.config
    if crowd is None:
        return
    assert isinstance(config, SampledConfig)
    try:
        make_solver(job.settings.solver, config, crowd)
        crowd.places()
        crowd.simulator(config.games, config.agents or None)
    except (SolverError, SimulationError, ValueError) as error:
        raise UsageError(str(error)) from None


def _check_memory(job: Job) -> None:
    """Refuse tables that the device cannot hold."""
    program, unit = job.game.program, job.params.unit
    entries = program.state_count * program.action_count * (program.horizon or 1)
    needed = TABLES * entries * len(job.points) * unit.element_size()
    held = memory_of(unit.device)
    if needed > held:
        raise _too_large(job, f": its tables need {gibibytes(needed)}, there are {gibibytes(held)}")


def find_device(device: Device) -> torch.device:
    """The device of that name; `auto` takes CUDA when it is there.

    Raises:
        UsageError: CUDA was asked for and there is none.
    """
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise UsageError("there is no CUDA device here", "--device auto takes what there is")
    return torch.device("cuda" if device != "cpu" and there else "cpu")


def license_of(game: Game, settings: Settings, *, swept: bool = False) -> License:
    """What the solver needs in order to converge for certain, and what is known of that here.

    Certificates hold at the parameters of the spec, so a sweep leaves only what its structure says.
    """
    certificates = _certificates(game, swept=swept)
    case = case_of(game.model, settings.tolerance)
    entry = licence_for(settings.solver, settings.config, certificates, case)
    needs = " and ".join(entry.needs) or SOLVERS[settings.solver].requires
    text = licence_text(entry, settings.tolerance)
    if entry.status == "licensed":
        return License(needs, "proved", text)
    text = f"{text}: a heuristic here"
    return License(needs, entry.verdict, f"{text}, for swept values" if swept else text)


def _certificates(game: Game, *, swept: bool) -> tuple[Certificate, ...]:
    return with_structure(game.model, () if swept else game.certificates)


def _check_defined(game: Game, settings: Settings, *, swept: bool) -> None:
    row = SOLVERS[settings.solver]
    if game.model.objective == "team" and not row.social:
        planners = [name for name, other in SOLVERS.items() if other.social]
        raise UsageError(
            f"{settings.solver} finds an equilibrium, and the players of {game.name} are a team",
            f"--solver {' or '.join(planners)}, or a learner",
        )
    if SOLVERS[settings.solver].plays and swept:
        raise UsageError(
            f"{settings.solver} learns from the agents of one game, and a sweep has several",
            "solve one value at a time with --set",
        )
    reason = refusal(settings.solver, game.program)
    if reason is not None:
        others = [name for name, row in SOLVERS.items() if not row.averages_flows]
        raise UsageError(reason, f"--solver {' or '.join(others[:2])}")


def solution_json(job: Job, solution: Solution, run: str | None) -> dict[str, Any]:
    """The JSON contract of `mfdsl solve`; a sweep adds `games`, one entry for each point."""
    entries = {"spec": job.game.compilation.name, **solution.to_json(), "run": run}
    if job.game.reduced is not None:
        entries["tables"] = tables_json(job)
    if SOLVERS[job.settings.solver].social:
        entries["social"] = social_json(job, solution)
    return entries | ({"games": games_json(job, solution)} if job.points[0] else {})


def social_json(job: Job, solution: Solution) -> dict[str, Any]:
    """What all earn together, and what the optimum is at most where that is proved."""
    gaps, certified = solution.exploitability.per_game, job.license.verdict == "proved"
    most = [value + gap for value, gap in zip(solution.value, gaps, strict=True)]
    found = {
        "value": list(solution.value),
        "gap": list(gaps),
        "certified": certified,
        "optimum_at_most": most if certified else None,
    }
    return {name: finite(entry) for name, entry in found.items()}


def tables_json(job: Job) -> dict[str, Any]:
    """The axes of the tables that stand for a game, and what was done to get there."""
    program, small = job.game.program, job.game.reduced
    assert small is not None
    return {
        "states": dict(program.states),
        "actions": dict(program.actions),
        "notes": list(small.notes),
    }


def games_json(job: Job, solution: Solution) -> list[dict[str, Any]]:
    """Parameters, exploitability and value of each game of a sweep."""
    gaps = solution.exploitability.per_game
    return [
        {"parameters": dict(point), "exploitability": finite(gap), "value": finite(value)}
        for point, gap, value in zip(job.points, gaps, solution.value, strict=True)
    ]


def _too_large(job: Job, why: str = "") -> UsageError:
    return UsageError(
        f"not enough memory for {len(job.points)} game{'' if len(job.points) == 1 else 's'} "
        f"of {job.game.name}{why}",
        "sweep fewer values at once" if len(job.points) > 1 else "make the state space smaller",
    )
