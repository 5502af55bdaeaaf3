"""The part of `mfdsl solve` for exact solvers of continuous games: what is shown and saved."""

from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from mfdsl import api
from mfdsl.cli.console import WIDTH, Console
from mfdsl.cli.ending import play_command, show_files
from mfdsl.cli.failure import FINE
from mfdsl.errors import UsageError
from mfdsl.parameters import Sweep

if TYPE_CHECKING:
    from mfdsl.exact import ExactJob
    from mfdsl.runtime.runs import RunFolder
    from mfdsl.runtime.solvers.riccati.forms import Array
    from mfdsl.runtime.solvers.riccati.solution import ExactSolution
    from mfdsl.runtime.solvers.riccati.sweep import ExactSweep
    from mfdsl.settings import Settings

MOST_GAMES = 20
MOST_TERMS = 12  # of an action, on the screen
NEGLIGIBLE = 1e-12  # of the largest gain of an action


def start(
    console: Console,
    game: "api.Game",
    settings: "Settings",
    seed: int,
    device: api.Device,
    dtype: api.Dtype,
    out: Path,
    sweep: Sweep,
) -> int:
    """Solve, save, and say what was found.

    Raises:
        UsageError: the game is not linear-quadratic for certain, or has no solution, or not one.
    """
    from mfdsl.exact import exact_json, keep_exact, prepare_exact, run_exact, run_sweep
    from mfdsl.records import start_folder
    from mfdsl.runtime.solvers.riccati.sweep import ExactSweep

    job = prepare_exact(game, settings, seed=seed, device=device, dtype=dtype, sweep=sweep)
    text = f"{settings.solver}, {settings.reason}; exact"
    console.fields([("solver", f"{text:<{WIDTH}} cpu · {dtype}")])
    found = run_sweep(job) if sweep else run_exact(job)
    folder = start_folder(game, settings, seed, dtype, out, dict(sweep))
    keep_exact(folder, job, found)
    if isinstance(found, ExactSweep):
        _games(console, found)
        console.fields([("written", f"{folder.path}/")])
    else:
        _conclude(console, job, found, folder)
    console.json_object(exact_json(job, found, str(folder.path)))
    return FINE


def _games(console: Console, found: "ExactSweep") -> None:
    """One row for each game of a sweep."""
    gap = found.exploitability
    text = f"worst exploitability {gap.value:.3g} ({gap.kind}), {len(found.points)} games"
    console.result(f"solved    {text:<{WIDTH}} {found.seconds:.1f} s")
    names = [*found.points[0], "exploitability", "value", "anarchy", "margin"]
    widths = [max(len(name), 12) for name in names]
    console.line("  " + "  ".join(f"{n:>{w}}" for n, w in zip(names, widths, strict=True)))
    for point, solution in list(zip(found.points, found.solutions, strict=True))[:MOST_GAMES]:
        ratio = solution.social.price_of_anarchy
        cells = [*point.values(), solution.exploitability.value, solution.value[0], ratio]
        cells.append(float(abs(solution.policy.margins).min()))
        shown = ["-" if cell is None else format(cell, ".6g") for cell in cells]
        console.line("  " + "  ".join(f"{c:>{w}}" for c, w in zip(shown, widths, strict=True)))
    if len(found.points) > MOST_GAMES:
        console.line(f"  ... and {len(found.points) - MOST_GAMES} more in summary.json")


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
    show_files(console, folder.path)
    command = play_command(job.game.compilation.name, folder.path, batch=100)
    console.fields([("next", command)])


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
