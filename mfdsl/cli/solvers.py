"""The verb that says which solvers there are, and which of them are proved to work on a game."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

import typer

from mfdsl import api
from mfdsl.cli import options
from mfdsl.cli.console import Console
from mfdsl.cli.failure import FINE
from mfdsl.errors import UsageError
from mfdsl.fitting_learners import NO_EQUILIBRIUM, Suitability, suitable
from mfdsl.licence import Licence, count_text, licences
from mfdsl.parameters import gather
from mfdsl.planning import ALONG, drawn_states
from mfdsl.runtime.learning.table import LEARNERS, LearnerRow
from mfdsl.runtime.solvers.riccati.table import EXACT, RICCATI, ExactRow
from mfdsl.runtime.solvers.table import SOLVERS, Row
from mfdsl.settings import Settings, licensed, resolve
from mfdsl.structural import case_of, with_structure

AnyRow = Row | LearnerRow | ExactRow


def solvers(
    spec: options.OptionalSpec = None,
    tol: Annotated[
        float | None, typer.Option("--tol", min=0, help="The exploitability to promise.")
    ] = None,
    set_: options.Set = [],  # noqa: B006  the command line reads it, nothing changes it
    params: options.Params = None,
    json: options.Json = False,
) -> int:
    """List the solvers; with a spec, which are proved to work on it and why not the others."""
    console = Console(json)
    if spec is None:
        _list(console)
    else:
        _judge(console, api.load(spec, params=gather(set_, params)), tol)
    return FINE


def _list(console: Console) -> None:
    """What solvers and learners need, their options, their papers."""
    rows: list[AnyRow] = [*SOLVERS.values(), *EXACT.values(), *LEARNERS.values()]
    for row in rows:
        console.result(f"{row.name}: {row.summary}")
        console.result(f"  needs   {row.requires}")
        for name, default, meaning in _options(row):
            console.result(f"  --opt {name}={default}  {meaning}")
        console.result(f"  paper   {row.reference}")
    console.json_object(
        {
            "solvers": [_solver_json(row) for row in SOLVERS.values()],
            "exact": [_solver_json(row) for row in EXACT.values()],
            "learners": [_solver_json(row) for row in LEARNERS.values()],
        }
    )


def _judge(console: Console, game: api.Game, tol: float | None) -> None:
    """The decision table on one game: who applies, because of what, with which guarantee."""
    settings = resolve(game.model, tolerance=tol)
    learners = suitable(game)
    certificates = with_structure(game.model, game.certificates)
    found = licences(certificates, case_of(game.model, settings.tolerance))
    if game.model.objective == "team":
        found = _with_tables(game, found)
        entries = [entry.to_json() for entry in found]
        _of_a_team(console, found, learners)
        other = ""
    else:
        settings = licensed(settings, game.model, certificates)
        found = _along_paths(game, found)
        entries = [entry.to_json() for entry in found]
        _of_a_game(console, found, learners, settings)
        tabled = settings.solver in SOLVERS and settings.solver != ALONG
        tried = tabled and settings.open and game.model.horizon.kind == "finite"
        other = ", or another heuristic that is ahead after 100 iterations" if tried else ""
    exact = _exact(game)
    console.line(f"{exact['solver']}: {exact['applies']}, {exact['because']}")
    tables = settings.solver in SOLVERS and settings.solver != ALONG
    missing = _missing_tables(game) if tables else None
    if missing:
        console.line(f"without --solver: none, {missing}")
    else:
        console.line(f"without --solver: {settings.solver}, {settings.reason}{other}")
    console.json_object(
        {
            "spec": game.compilation.name,
            "tolerance": settings.tolerance,
            "chosen": {"solver": settings.solver, "reason": settings.reason},
            "solvers": entries,
            "exact": [exact],
            "learners": [entry.to_json() for entry in learners],
        }
    )


def _of_a_game(
    console: Console,
    entries: tuple[Licence, ...],
    learners: tuple[Suitability, ...],
    settings: Settings,
) -> None:
    promised = f"iterations to {settings.tolerance:g}"
    header = ("solver", "applies", promised, "because", "guarantee")
    console.table(header, [_cells(entry) for entry in entries])
    for entry in entries:
        if entry.options:
            console.line(f"--solver {entry.solver} {_flags(entry)}")
    mine = [entry for entry in learners if LEARNERS[entry.learner].objective == "nash"]
    rows = [(entry.learner, entry.status, entry.because) for entry in mine]
    console.table(("learner", "applies", "because"), rows)
    others = [entry for entry in learners if entry not in mine]
    console.line(f"not for games: {_names(others)}; {others[0].because}")


def _with_tables(game: api.Game, entries: tuple[Licence, ...]) -> tuple[Licence, ...]:
    """The entries of a team, where what needs tables says why there are none."""
    from mfdsl.runtime.solvers.needs import refusal

    try:
        program = game.program
    except UsageError as error:
        return tuple(e if e.status == "no" else _refused(e, error.message) for e in entries)
    reasons = {e.solver: refusal(e.solver, program) for e in entries if e.status != "no"}
    return tuple(_refused(e, reason) if (reason := reasons.get(e.solver)) else e for e in entries)


def _along_paths(game: api.Game, entries: tuple[Licence, ...]) -> tuple[Licence, ...]:
    """The entries of a game, where drawn paths of a common noise take the place of tables."""
    states = drawn_states(game.model)
    if states is None or (missing := _missing_tables(game, hint=False)) is None:
        return entries
    why = f"along drawn paths of {states}: {missing}"
    along = [replace(e, because=why) for e in entries if e.solver == ALONG]
    others = (e for e in entries if e.solver != ALONG)
    return (*along, *(e if e.status == "no" else _refused(e, missing) for e in others))


def _missing_tables(game: api.Game, *, hint: bool = True) -> str | None:
    """Why a game has no tables, which nearly all solvers need, and what would give it some."""
    try:
        _ = game.reduced
    except UsageError as error:
        return f"{error.message} ({error.hint})" if error.hint and hint else error.message
    return None


def _refused(entry: Licence, because: str) -> Licence:
    return replace(entry, status="no", because=because)


def _of_a_team(
    console: Console, entries: tuple[Licence, ...], learners: tuple[Suitability, ...]
) -> None:
    social = [entry for entry in entries if SOLVERS[entry.solver].social]
    mine = [entry for entry in learners if LEARNERS[entry.learner].objective == "team"]
    rows = [(entry.solver, entry.status, entry.because) for entry in social]
    rows += [(entry.learner, entry.status, entry.because) for entry in mine]
    console.table(("solver", "applies", "because"), rows)
    names = [entry.solver for entry in entries if entry not in social]
    console.line(f"not for teams: {', '.join(names)}; {NO_EQUILIBRIUM}")
    others = [entry for entry in learners if entry not in mine]
    console.line(f"not for teams: {_names(others)}; {others[0].because}")


def _names(entries: Sequence[Suitability]) -> str:
    return ", ".join(entry.learner for entry in entries)


def _cells(entry: Licence) -> tuple[str, ...]:
    guarantee = entry.guarantee if entry.status == "licensed" else ""
    return (entry.solver, entry.status, count_text(entry), entry.because, guarantee)


def _flags(entry: Licence) -> str:
    """The options in full: a proof is for these numbers, not for rounded ones."""
    return " ".join(f"--opt {name}={value}" for name, value in entry.options.items())


def _exact(game: api.Game) -> dict[str, Any]:
    """Whether the exact solver of linear-quadratic games is licensed, and why."""
    from mfdsl.quadratic import quadratics

    reason = quadratics(game.model).reason
    return {
        "solver": RICCATI,
        "applies": "licensed" if reason is None else "no",
        "because": "linear_quadratic proved of every player" if reason is None else reason,
    }


def _options(row: AnyRow) -> list[tuple[str, Any, str]]:
    fields = row.config.model_fields.items()
    return [(name, field.default, field.description or "") for name, field in fields]


def _solver_json(row: AnyRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "summary": row.summary,
        "requires": row.requires,
        "reference": row.reference,
        "options": [
            {"name": name, "default": default, "meaning": meaning}
            for name, default, meaning in _options(row)
        ],
    }
