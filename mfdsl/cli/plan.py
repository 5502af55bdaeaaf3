"""What `mfdsl solve --explain-plan` says: how a game would be solved, why, with what memory."""

from typing import Any

from mfdsl import api
from mfdsl.batches import Batch
from mfdsl.cli import pathwise
from mfdsl.cli.console import Console
from mfdsl.cli.failure import FINE
from mfdsl.cli.request import Request, job_of
from mfdsl.cli.solved import decisions_text
from mfdsl.paths_or_tables import along, routed
from mfdsl.runtime.learning.table import LEARNERS
from mfdsl.runtime.memory import gibibytes, machine_memory
from mfdsl.runtime.solvers.riccati.table import EXACT
from mfdsl.settings import Settings

Plan = dict[str, Any]

LEAST = 1 << 28  # bytes that are told in GiB


def explain(
    console: Console, game: api.Game, settings: Settings, request: Request, batch: Batch
) -> int:
    """Prepare a solve as it would be run, say how that is, and run nothing.

    Raises:
        UsageError: it could not be run.
    """
    settings = routed(game, settings)
    if settings.solver in LEARNERS:
        plan = _of_agents(console, game, settings, request)
    elif settings.solver in EXACT:
        plan = _exact(console, game, settings, request, batch)
    elif along(settings):
        plan = _of_paths(console, game, settings, request)
    else:
        plan = _of_tables(console, game, settings, request, batch)
    if "bytes" in plan:
        few = plan["bytes"] < LEAST
        text = f"{plan['bytes'] / 2**20:.1f} MiB" if few else gibibytes(plan["bytes"])
        text = f"{text} of {gibibytes(machine_memory())}"
        console.fields([("memory", text)])
    console.fields([("stops", f"after {plan['iterations']:,} iterations")])
    console.json_object({"spec": game.compilation.name, "plan": plan})
    return FINE


def _told(settings: Settings, way: str, **more: Any) -> Plan:
    return {
        "solver": settings.solver,
        "reason": settings.reason,
        "way": way,
        "options": settings.config.model_dump(),
        "iterations": settings.iterations,
        "tolerance": settings.tolerance,
        **more,
    }


def _of_paths(console: Console, game: api.Game, settings: Settings, request: Request) -> Plan:
    from mfdsl.pathwise import along_json, bytes_of, prepare_paths

    job = prepare_paths(
        game, settings, seed=request.seed, device=request.device, dtype=request.kind
    )
    pathwise.introduce(console, job)
    needed = bytes_of(job.course.game, job.config)
    return _told(job.settings, "paths", along=along_json(job), bytes=needed)


def _of_tables(
    console: Console, game: api.Game, settings: Settings, request: Request, batch: Batch
) -> Plan:
    from mfdsl.solving import bytes_of

    job = job_of(game, settings, request, batch)
    program, small = job.game.program, job.game.reduced
    axes = " x ".join(f"{name} {size}" for name, size in program.states.items())
    text = f"states {axes}, {program.action_count:,} actions, {program.horizon or 'no'} stages"
    games = f", {len(job.points):,} games" if len(job.points) > 1 else ""
    console.fields(
        [
            ("solver", f"{job.settings.solver}, {job.settings.reason}"),
            ("trust", job.license.text),
            *([] if job.start is None else [("start", job.start.text)]),
            ("tables", f"{text}{games}"),
            *(("", note) for note in (small.notes if small else ())),
            *(("", text) for text in (decisions_text(job),) if text is not None),
        ]
    )
    sizes = {"states": program.states, "actions": program.actions, "games": len(job.points)}
    start = {} if job.start is None else {"start": job.start.origin}
    return _told(job.settings, "tables", **sizes, **start, bytes=bytes_of(job))


def _of_agents(console: Console, game: api.Game, settings: Settings, request: Request) -> Plan:
    from mfdsl.learning import prepare_training

    dtype = request.kind or "float32"
    made = prepare_training(game, settings, seed=request.seed, device=request.device, dtype=dtype)
    weights = sum(p.numel() for p in made.learner.policy.parameters())
    lines = [("solver", f"{settings.solver}, {settings.reason}; it learns from agents")]
    console.fields([*lines, ("networks", f"{weights:,} weights, {dtype}")])
    return _told(settings, "agents", weights=weights)


def _exact(
    console: Console, game: api.Game, settings: Settings, request: Request, batch: Batch
) -> Plan:
    from mfdsl.exact import prepare_exact

    job = prepare_exact(game, settings, seed=request.seed, device=request.device, sweep=batch.sweep)
    text = f"{settings.solver}, {settings.reason}; one recursion, no tables"
    console.fields([("solver", text), ("trust", job.license.text)])
    return _told(settings, "exact", games=len(job.points))
