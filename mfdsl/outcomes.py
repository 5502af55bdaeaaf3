"""What a solve found, as the JSON of `mfdsl solve`."""

from typing import Any

from mfdsl.batches import OPTION
from mfdsl.runtime.solution import Solution, finite
from mfdsl.runtime.solvers.table import SOLVERS
from mfdsl.solving import Job


def solution_json(job: Job, solution: Solution, run: str | None) -> dict[str, Any]:
    """The JSON contract of `mfdsl solve`; a batch adds `games`, one entry for each point."""
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
    """Where each game of a batch lies on its axes, its exploitability, value and end."""
    gaps, found = solution.exploitability.per_game, []
    rows = zip(job.points, gaps, solution.value, solution.endings, strict=True)
    for point, gap, value, ending in rows:
        own = {name: v for name, v in point.items() if name in job.batch.parameters}
        options = {n.removeprefix(OPTION): v for n, v in point.items() if n.startswith(OPTION)}
        others = {n: v for n, v in point.items() if n not in own and not n.startswith(OPTION)}
        entries = {"parameters": own, **({"options": options} if options else {}), **others}
        measured = {"exploitability": finite(gap), "value": finite(value)}
        found.append({**entries, **measured, **ending.to_json()})
    return found
