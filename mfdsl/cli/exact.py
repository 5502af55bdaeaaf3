"""The part of `mfdsl solve` for exact solvers of continuous games: what is shown and saved."""

from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from mfdsl import api
from mfdsl.cli.console import Console
from mfdsl.cli.failure import FINE
from mfdsl.errors import UsageError

if TYPE_CHECKING:
    from mfdsl.exact import ExactJob
    from mfdsl.runtime.runs import RunFolder
    from mfdsl.runtime.solvers.riccati.forms import Array
    from mfdsl.runtime.solvers.riccati.solution import ExactSolution
    from mfdsl.settings import Settings

WIDTH = 84
MOST_TERMS = 12  # of an action, on the screen
NEGLIGIBLE = 1e-12  # of the largest gain of an action


def start(
    console: Console,
    game: "api.Game",
    settings: "Settings",
    seed: int,
    dtype: api.Dtype,
    out: Path,
    *,
    swept: bool = False,
) -> int:
    """Solve, save, and say what was found.

    Raises:
        UsageError: the game is not linear-quadratic for certain, or has no solution, or not one.
    """
    from mfdsl.exact import exact_json, keep_exact, prepare_exact, run_exact
    from mfdsl.records import start_folder

    if swept:
        raise UsageError(
            f"{settings.solver} solves one game at a time", "solve once for each value, with --set"
        )
    job = prepare_exact(game, settings, seed=seed, dtype=dtype)
    text = f"{settings.solver}, {settings.reason}; exact"
    console.fields([("solver", f"{text:<{WIDTH}} cpu · {dtype}")])
    solution = run_exact(job)
    folder = start_folder(game, settings, seed, dtype, out)
    keep_exact(folder, job, solution)
    _conclude(console, job, solution, folder)
    console.json_object(exact_json(job, solution, str(folder.path)))
    return FINE


def finished(path: Path) -> UsageError:
    """The error of going on with an exact run."""
    from mfdsl.exact import finished as error

    return error(path)


def _conclude(
    console: Console, job: "ExactJob", solution: "ExactSolution", folder: "RunFolder"
) -> None:
    gap = solution.exploitability
    what = "regret of the planner" if solution.game.team else "exploitability"
    each = ", ".join(f"{name} {cost:.12g}" for name, cost in solution.costs.items())
    word = "solved" if solution.status.name == "converged" else "stopped"
    text = f"{what} {gap.value:.3g} ({gap.kind}); cost {each}"
    console.result(f"{word:<9} {text:<{WIDTH}} {solution.seconds:.1f} s")
    if solution.message:
        console.fields([("", line) for line in wrap(solution.message, WIDTH)])
    console.fields([("at t = 0" if k == 0 else "", row) for k, row in enumerate(_gains(solution))])
    if solution.among is not None:
        console.fields(_among(solution))
    ratio = solution.social.price_of_anarchy
    if ratio is not None:
        social = solution.social
        pair = f"{social.equilibrium:.12g} at equilibrium, {social.optimum:.12g} at the optimum"
        console.fields([("anarchy", f"all together pay {pair}: {ratio:.12g}")])
    files = "  ".join(sorted(path.name for path in folder.path.iterdir()))
    console.fields([("written", f"{folder.path}/")])
    console.fields([("", line) for line in wrap(files, WIDTH)])
    spec = job.game.compilation.name
    console.fields([("next", f"mfdsl simulate {spec} --policy {folder.path} --batch 100")])


def _among(solution: "ExactSolution") -> list[tuple[str, str]]:
    among = solution.among
    assert among is not None
    count = " and ".join(f"{number:,} {name}" for name, number in among.agents.items())
    costs = ", ".join(f"{name} {cost:.12g}" for name, cost in among.costs.items())
    if solution.game.team:
        return [("among", f"{count}: cost {costs}; the least together is {among.least:.12g}")]
    gains = ", ".join(f"{name} {gain:.3g}" for name, gain in among.gains.items())
    return [("among", f"{count}: cost {costs}; one who leaves gains {gains}")]


def _gains(solution: "ExactSolution") -> list[str]:
    """The policies of t = 0 in words, those of few terms."""
    from numpy import concatenate

    game, policy, found = solution.game, solution.policy, []
    reads = [_name(solution, name) for name in game.common]
    for single in game.singles:
        rows = policy.controls[0][single.acts]
        found += [_row(f"{single.name}.{a}", reads, r) for a, r in _pairs(single.actions, rows)]
    for k, crowd in enumerate(game.crowds):
        rows = concatenate([policy.own[k][0], policy.common[k][0]], axis=1)
        names = [*crowd.states, *reads]
        found += [_row(f"{crowd.name}.{a}", names, r) for a, r in _pairs(crowd.actions, rows)]
    return found


def _pairs(actions: tuple[str, ...], rows: "Array") -> list[tuple[str, "Array"]]:
    return list(zip(actions, rows, strict=True))


def _name(solution: "ExactSolution", name: str) -> str:
    """How an entry of the common vector is called: means in words, 1 as nothing."""
    owner = name.rpartition(".")[0]
    means = owner in {crowd.name for crowd in solution.game.crowds}
    return f"mean({name})" if means else "" if name == "1" else name


def _row(action: str, names: list[str], row: "Array") -> str:
    largest = max((abs(float(g)) for g in row), default=0.0)
    terms = [
        f"{float(g):+.12g} {name}".rstrip()
        for name, g in zip(names, row, strict=True)
        if abs(float(g)) > NEGLIGIBLE * largest
    ]
    more = f" and {len(terms) - MOST_TERMS} more" if len(terms) > MOST_TERMS else ""
    return f"{action} = {' '.join(terms[:MOST_TERMS]) or '0'}{more}"
