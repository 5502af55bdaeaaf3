"""A solve in three steps: prepare a job, run it, and turn its solution into JSON."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from mfdsl.errors import UsageError
from mfdsl.game import Device, Dtype, Game
from mfdsl.parameters import Sweep, check_sweep, combinations
from mfdsl.runtime.memory import gibibytes, memory_of
from mfdsl.runtime.program import Params
from mfdsl.runtime.solution import License, Record, Solution, finite
from mfdsl.runtime.solvers.loop import solve as run_loop
from mfdsl.runtime.solvers.table import SOLVERS
from mfdsl.settings import Settings, reads_law

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
        UsageError: the sweep does not fit the model, the device is not there, or its memory is too
            small.
    """
    game = replace(game, bins=settings.bins)
    check_sweep(game.model, sweep)
    _check_fixed(game, sweep)
    points = combinations(sweep)
    place = find_device(device)
    columns = {name: [point[name] for point in points] for name in sweep}
    params = game.program.params(columns, dtype=getattr(torch, dtype), device=place)
    license = license_of(game, settings)
    job = Job(game, settings, license, params, tuple(points), seed, place, dtype)
    _check_memory(job)
    return job


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
        UsageError: the tables of the game do not fit into memory.
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
            seed=job.seed,
            on_progress=on_progress,
            stop=stop,
            state=job.state,
            history=job.history,
            license=job.license,
        )
    except (torch.OutOfMemoryError, MemoryError):
        raise _too_large(job) from None
    except RuntimeError as error:
        if "allocate memory" not in str(error):
            raise
        raise _too_large(job) from None


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


def license_of(game: Game, settings: Settings) -> License:
    """What the solver needs in order to converge for certain, and whether that is known here."""
    if not reads_law(game.model):
        text = "nothing depends on the population, so one best response is an equilibrium"
        return License("independent of the population", "proved", text)
    needs = SOLVERS[settings.solver].requires
    return License(needs, "unknown", f"{needs}: not proved here, so a heuristic")


def solution_json(job: Job, solution: Solution, run: str | None) -> dict[str, Any]:
    """The JSON contract of `mfdsl solve`; a sweep adds `games`, one entry for each point."""
    entries = {"spec": job.game.compilation.name, **solution.to_json(), "run": run}
    if job.game.reduced is not None:
        entries["tables"] = tables_json(job)
    return entries | ({"games": games_json(job, solution)} if job.points[0] else {})


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
