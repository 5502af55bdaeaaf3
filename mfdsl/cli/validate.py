"""The verb that plays a game against what is claimed of it: validate."""

from typing import TYPE_CHECKING, Annotated

import typer

from mfdsl.cli import options
from mfdsl.cli.console import Console, complain
from mfdsl.cli.failure import FAILED, FINE
from mfdsl.errors import UsageError
from mfdsl.parameters import gather

if TYPE_CHECKING:
    from mfdsl.validating.outcome import Row, Validation

EXCEEDED = 3
NAME_WIDTH, VERDICT_WIDTH = 15, 14

Target = Annotated[
    str,
    typer.Argument(
        metavar="SPEC|RUN",
        help="A .mfg file, a shipped game, or the folder of a run.",
        show_default=False,
    ),
]


def validate(
    target: Target,
    policy: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|RUN",
            help="uniform, still, or a run; by default the run, or uniform.",
            show_default=False,
        ),
    ] = None,
    agents: Annotated[
        str, typer.Option(metavar="N,N,...", help="Numbers of agents to compare.")
    ] = "10,100,1000",
    games: Annotated[
        int | None,
        typer.Option(min=1, help="Games played side by side; by default what fits the time."),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Time for all checks together.")] = 20.0,
    gain: Annotated[
        float | None,
        typer.Option(
            metavar="EPS", help="Print the least N for which no gain is larger.", show_default=False
        ),
    ] = None,
    set_: options.Set = [],  # noqa: B006  the command line reads it, nothing changes it
    params: options.Params = None,
    seed: options.Seed = 0,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Play a game against its tables, its certificates, its limit and its equilibrium."""
    from mfdsl.validating.trial import trial_of
    from mfdsl.validating.validate import validate as run

    console = Console(json, quiet)
    trial = trial_of(
        target,
        policy=policy,
        params=gather(set_, params),
        agents=numbers(agents),
        games=games,
        seed=seed,
        seconds=seconds,
        gain=gain,
    )
    played = f"the policy of {trial.run}" if trial.run is not None else f"the {trial.policy} policy"
    console.line(f"{trial.game.compilation.name}: {played}, seed {seed}")
    found = run(trial, on_row=lambda row: console.line(_text(row)))
    return _concluded(console, found)


def _concluded(console: Console, found: "Validation") -> int:
    """The verdict over all checks, and its exit code."""
    from mfdsl.validating.excess import CODE, MESSAGE

    failed = [row.name for row in found.rows if row.verdict == "failed"]
    passed = sum(row.verdict == "passed" for row in found.rows)
    others = len(found.rows) - passed - len(failed)
    rest = f", {others} not applicable" if others else ""
    words = f"failed: {', '.join(failed)}; " if failed else "ok: "
    console.result(f"{words}{passed} of {len(found.rows)} checks passed{rest}")
    console.json_object(found.to_json())
    if found.exceeded:
        where = found.reproduction
        complain(f"{CODE}: {MESSAGE}", None if where is None else f"please report it with {where}")
        return EXCEEDED
    return FINE if found.ok else FAILED


def numbers(text: str) -> list[int]:
    """Numbers of agents from `10,100,1000`.

    Raises:
        UsageError: one of them is not a whole number.
    """
    found = []
    for word in text.split(","):
        digits = word.strip()
        if not (digits.isascii() and digits.isdigit()) or len(digits) > 18:
            raise UsageError(
                f"'--agents': `{digits}` is no number of agents", "write `--agents 10,100,1000`"
            )
        found.append(int(digits))
    return found


def _text(row: "Row") -> str:
    line = f"  {row.name:<{NAME_WIDTH}}  {row.verdict:<{VERDICT_WIDTH}}  {row.detail}"
    return "\n".join([line, *(f"    {more}".rstrip() for more in row.table.splitlines())])
