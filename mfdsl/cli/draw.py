"""Verbs that show a game on paper: graph, render. None of them imports torch."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mfdsl.cli import options
from mfdsl.cli.console import Console
from mfdsl.cli.failure import FINE
from mfdsl.compiler.typeset.blocks import print_latex, print_markdown
from mfdsl.compiler.typeset.diagram import diagram, print_dot, print_mermaid
from mfdsl.compiler.typeset.report import report_blocks
from mfdsl.errors import unknown
from mfdsl.files import write_text
from mfdsl.game import load
from mfdsl.parameters import gather


class Picture(StrEnum):
    """Languages of diagrams."""

    mermaid = "mermaid"
    dot = "dot"


class Paper(StrEnum):
    """Languages of reports."""

    markdown = "markdown"
    latex = "latex"


File = Annotated[
    Path | None, typer.Option("-o", "--out", metavar="FILE", help="Write to a file instead.")
]


def graph(
    spec: options.Spec,
    format: Annotated[Picture, typer.Option(help="Language of the diagram.")] = Picture.mermaid,
    focus: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only what leads to this name, or to `reward`."),
    ] = None,
    set_: options.Set = [],  # noqa: B006  the command line reads it, nothing changes it
    params: options.Params = None,
    out: File = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Draw who depends on what: players as clusters, reads of a law dashed."""
    model = load(spec, params=gather(set_, params)).model
    try:
        shown = diagram(model, focus)
    except KeyError:
        known = ["reward", *(box.name for box in diagram(model).boxes)]
        raise unknown("name", focus or "", dict.fromkeys(known)) from None
    print_ = {Picture.mermaid: print_mermaid, Picture.dot: print_dot}[format]
    return _deliver(Console(json, quiet), print_(model, shown), out, spec, format)


def render(
    spec: options.Spec,
    format: Annotated[Paper, typer.Option(help="Language of the report.")] = Paper.markdown,
    set_: options.Set = [],  # noqa: B006  the command line reads it, nothing changes it
    params: options.Params = None,
    out: File = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Write the game as a report: sets, dynamics, rewards, parameters, certificates."""
    compilation = load(spec, params=gather(set_, params)).compilation
    assert compilation.unit is not None
    blocks = report_blocks(compilation.unit, compilation.require_model(), compilation.certificates)
    print_ = {Paper.markdown: print_markdown, Paper.latex: print_latex}[format]
    return _deliver(Console(json, quiet), print_(blocks), out, spec, format)


def _deliver(console: Console, text: str, out: Path | None, spec: str, format: StrEnum) -> int:
    """Print the text, or write it where it is asked for."""
    entries = {"spec": spec, "format": format.value}
    if out is None:
        console.json_object(entries | {"text": text})
        if not console.json:
            print(text, end="")
        return FINE
    write_text(out, text)
    console.fields([("written", str(out))])
    console.json_object(entries | {"file": str(out)})
    return FINE
