"""The verb that checks a proof again: recheck."""

from pathlib import Path
from typing import Annotated

import typer

from mfdsl import api
from mfdsl.cli import options
from mfdsl.cli.console import Console
from mfdsl.cli.failure import FAILED, FINE
from mfdsl.parameters import gather

ProofFile = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", help="A proof of `mfdsl check --keep-proof`.", show_default=False
    ),
]


def recheck(
    spec: options.Spec,
    proof: ProofFile,
    set_: options.Set = [],  # noqa: B006  the command line reads it, nothing changes it
    params: options.Params = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Check a proof again, without a search."""
    console = Console(json, quiet)
    found = api.recheck(spec, proof, params=gather(set_, params))
    console.line(found.screen())
    console.json_object(found.to_json())
    return FINE if found.ok else FAILED
