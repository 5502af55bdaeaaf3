"""Verbs for what a reader takes away from a run: report, cite."""

from pathlib import Path
from typing import Annotated

import typer

from mfdsl.cli import options
from mfdsl.cli.console import Console
from mfdsl.cli.failure import FINE

Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.", show_default=False)]
File = Annotated[
    Path | None,
    typer.Option("-o", "--out", metavar="FILE", help="Write here, not to RUN/report.html."),
]


def report(
    run: Run, out: File = None, json: options.Json = False, quiet: options.Quiet = False
) -> int:
    """Write a run as one HTML file: the game, what is proved, the result, plots, papers."""
    from mfdsl.reporting.report import write_report

    console = Console(json, quiet)
    path = write_report(run, out)
    console.fields([("written", str(path))])
    console.json_object({"run": str(run), "file": str(path)})
    return FINE


def cite(run: Run, json: options.Json = False) -> int:
    """Print BibTeX of the papers behind a run, its game's among them, and of mfdsl."""
    from mfdsl.reporting import papers

    console = Console(json)
    text = papers.cite(run)
    console.result(text.rstrip("\n"))
    console.json_object({"run": str(run), "bibtex": text})
    return FINE
