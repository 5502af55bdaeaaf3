"""Verbs that make files: compile, new. None of them imports torch."""

from pathlib import Path
from typing import Annotated

import typer

from mfdsl import api
from mfdsl.cli import options
from mfdsl.cli.console import Console
from mfdsl.cli.ending import solve_command
from mfdsl.cli.failure import FINE
from mfdsl.errors import UsageError
from mfdsl.files import write_text
from mfdsl.parameters import gather
from mfdsl.templates import TEMPLATES, fill


def compile(
    spec: options.Spec,
    set_: options.Set = [],  # noqa: B006  the command line reads it, nothing changes it
    params: options.Params = None,
    out: options.Out = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Compile a spec into a model and a torch module."""
    console = Console(json, quiet)
    artifact = api.compile(spec, out=out or Path("build"), params=gather(set_, params))
    console.fields([("compiled", spec), ("written", f"{artifact.path}/")])
    for file in artifact.files:
        console.line(f"          {file}")
    console.json_object(artifact.to_json())
    return FINE


def new(
    name: Annotated[str, typer.Argument(help="Name of the game.", show_default=False)],
    template: Annotated[
        str,
        typer.Option("--template", "-t", help=f"{', '.join(TEMPLATES)}, or a game of `specs`."),
    ] = "beach",
    out: options.Out = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Write a commented spec to start from."""
    console = Console(json, quiet)
    stem = Path(name).stem if name.endswith(".mfg") else name
    if not stem.isidentifier():
        raise UsageError(f"`{stem}` cannot name a game", "use letters, digits and underscores")
    path = (out or Path()) / f"{stem}.mfg"
    if path.exists():
        raise UsageError(f"`{path}` exists already", "choose another name")
    text = fill(template, stem)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    console.fields([("written", str(path)), ("next", solve_command(path))])
    console.json_object({"spec": str(path), "template": template})
    return FINE
