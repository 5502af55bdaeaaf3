"""The part of `mfdsl solve` that goes along drawn paths: what is shown and saved on the way."""

from pathlib import Path
from typing import TYPE_CHECKING

from mfdsl import api
from mfdsl.cli.console import Console
from mfdsl.cli.ending import play_command, resume_command, show_files
from mfdsl.cli.failure import FAILED, FINE, INTERRUPTED
from mfdsl.cli.mending import mending_command
from mfdsl.cli.progress import course
from mfdsl.cli.solved import right

if TYPE_CHECKING:
    from mfdsl.pathwise import PathJob
    from mfdsl.runtime.runs import RunFolder
    from mfdsl.runtime.solvers.networks.path_solution import PathSolution
    from mfdsl.settings import Settings

VERDICTS = {"converged": "solved", "not_finite": "failed"}


def start(
    console: Console,
    game: "api.Game",
    settings: "Settings",
    seed: int,
    device: api.Device,
    dtype: api.Dtype | None,
    out: Path,
) -> int:
    """A new run in a new folder."""
    from mfdsl.pathwise import prepare_paths
    from mfdsl.records import start_folder

    job = prepare_paths(game, settings, seed=seed, device=device, dtype=dtype)
    folder = start_folder(game, job.settings, job.seed, "float32", out)
    return _finish(console, job, folder)


def resume(
    console: Console,
    game: "api.Game",
    folder: "RunFolder",
    iterations: int | None,
    tolerance: float | None,
    device: api.Device,
) -> int:
    """Go on with a run."""
    from mfdsl.pathwise import continued_paths, paths_of_run

    job = paths_of_run(game, folder, device=device)
    job = continued_paths(job, folder, iterations=iterations, tolerance=tolerance)
    return _finish(console, job, folder)


def introduce(console: Console, job: "PathJob") -> None:
    """The solver, the paths that it goes along, and what its policies see."""
    game, config, settings = job.course.game, job.config, job.settings
    text = f"{settings.solver}, {settings.reason}; a heuristic here"
    console.fields([("solver", right(text, f"cpu · float32 · seed {job.seed}"))])
    states = " and ".join(f"{player}.{name}" for player, name in game.parameters.values())
    each = f", {config.updates} steps an iteration" if config.updates > 1 else ""
    lines = [
        f"{config.paths} of {states} for each step of Adam, other ones each time{each}",
        f"policies see {', '.join((*game.program.states, 't', *game.seen))}",
        f"exploitability below is that of who knows the path, over {config.evaluate_paths} others",
    ]
    console.fields([("paths" if k == 0 else "", line) for k, line in enumerate(lines)])


def _finish(console: Console, job: "PathJob", folder: "RunFolder") -> int:
    from mfdsl.pathwise import path_json, run_into

    introduce(console, job)
    with course(console, job.settings.iterations) as shown:
        found = run_into(folder, job, shown.report)
    _conclude(console, job, found, folder)
    console.json_object(path_json(job, found, str(folder.path)))
    return {"interrupted": INTERRUPTED, "not_finite": FAILED}.get(found.status.name, FINE)


def _conclude(console: Console, job: "PathJob", found: "PathSolution", folder: "RunFolder") -> None:
    gap, verdict = found.exploitability, VERDICTS.get(found.status.name, "stopped")
    text = f"exploitability at most {gap.value:.5g} ± {gap.std_error:.2g} ({gap.kind})"
    if gap.causal is not None:
        high, error = gap.causal.above
        low = f"{gap.causal.least:.5g} ± {gap.causal.least_error:.2g}"
        low = low if gap.causal.least > 0 else "0"
        text = f"exploitability between {low} and {high:.5g} ± {error:.2g}"
    ending = right(f"{text} after {found.iterations:,} iterations", f"{found.seconds:.1f} s")
    console.result(f"{verdict:<9} {ending}")
    if gap.causal is not None:
        who = f"who leaves it and knows no shock to come; means over {gap.causal.paths} paths"
        console.fields([("", f"what one gains {who}")])
        if gap.causal.least <= 0:
            fitted = f"its fitted response gains {gap.causal.least:.3g}: more `evaluate_paths` fit"
            console.fields([("", f"{fitted} better ones")])
    if found.message:
        console.fields([("", found.message)])
    show_files(console, folder.path)
    console.fields([("next", _next_command(job, found, folder))])


def _next_command(job: "PathJob", found: "PathSolution", folder: "RunFolder") -> str:
    """What to try now: play the policy, go on, or begin again."""
    spec = job.game.compilation.name
    match found.status.name:
        case "interrupted":
            return resume_command(spec, folder.path)
        case "max_iterations":
            return resume_command(spec, folder.path, 2 * max(found.iterations, 1))
        case "not_finite":
            return mending_command(job.game, job.settings)
    return play_command(spec, folder.path, batch=100)
