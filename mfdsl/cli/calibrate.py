"""Verbs between data and games: calibrate fits parameters, table writes what a run found."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mfdsl import api
from mfdsl.cli import options
from mfdsl.cli.console import Console
from mfdsl.cli.failure import FAILED, FINE
from mfdsl.entries import listed
from mfdsl.files import check_place, write_text
from mfdsl.parameters import gather

if TYPE_CHECKING:
    from mfdsl.calibrating import Calibration


class PartChoice(StrEnum):
    """What of a run to write."""

    flow = "flow"
    policy = "policy"
    games = "games"
    pasts = "pasts"


def calibrate(
    spec: options.Spec,
    data: Annotated[
        Path, typer.Argument(metavar="CSV", help="Columns: t, states, share.", show_default=False)
    ],
    fit: Annotated[
        str, typer.Option("--fit", metavar="NAMES", help="Parameters to fit: beta,gamma.")
    ],
    temperature: Annotated[
        float, typer.Option("--temperature", help="Of the logit equilibrium.")
    ] = 0.1,
    evaluations: Annotated[int, typer.Option(min=1, help="Equilibria to find, at most.")] = 100,
    set_: options.Set = [],  # noqa: B006  the command line reads it, nothing changes it
    params: options.Params = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="FILE", help="TOML file for --params.")
    ] = None,
    device: options.Device = options.DeviceChoice.cpu,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Fit parameters to an observed flow, in logit equilibrium."""
    from mfdsl.calibrating import calibrate as fitted

    console = Console(json, quiet)
    check_place(out)
    game = api.load(spec, params=gather(set_, params))
    names = listed(fit)
    found = fitted(
        game,
        data,
        names,
        temperature=temperature,
        evaluations=evaluations,
        device=device.value,
    )
    _show(console, found)
    if out is not None:
        write_text(out, found.as_toml())
        console.fields([("written", str(out))])
    console.json_object({"spec": game.compilation.name, **found.to_json()})
    return FINE if found.fit.converged else FAILED


def _show(console: Console, found: "Calibration") -> None:
    missing = "not seen" if found.fit.blurred else "not known"
    rows = [
        (name, f"{value:.8g}", missing if error != error else f"{error:.2g}")
        for (name, value), error in zip(
            found.fit.values.items(), found.fit.errors.values(), strict=True
        )
    ]
    console.table(("parameter", "value", "standard error"), rows)
    off, line = found.worst
    console.line(
        f"left      {found.fit.rms:.3g} in the root mean square of {found.rows:,} shares, "
        f"at most {abs(off):.3g} (line {line})"
    )
    if not found.fit.spare:
        console.line(
            "no spare  as many parameters as shares: what is left says nothing of the noise"
        )
    for way in found.fit.blurred:
        moved = " ".join(f"{step:+.3g} {name}" for name, step in way.items())
        console.line(f"blurred   no share moves along {moved}")
    if found.fit.at_end:
        names = ", ".join(found.fit.at_end)
        console.line(f"at an end {names}: the data ask for more than the range in the spec has")
    if not found.fit.converged:
        console.line("stopped   before it settled: give more --evaluations")


def table(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Folders of runs of one game.", show_default=False),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE", help="A .csv or .npz file.")],
    part: Annotated[PartChoice, typer.Option("--part", help="What to write.")] = PartChoice.flow,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Write the flow, policy, games or pasts of runs as one table with named columns."""
    from mfdsl.gathering import table_of_runs
    from mfdsl.named_tables import write_table

    console = Console(json, quiet)
    found = table_of_runs(runs, part.value)
    write_table(found, out)
    rows = f"{len(found.rows):,} row{'' if len(found.rows) == 1 else 's'}"
    console.fields([("written", f"{out}, {rows}: {', '.join(found.columns)}")])
    entries = {"file": str(out), "columns": list(found.columns), "rows": len(found.rows)}
    console.json_object(entries)
    return FINE
