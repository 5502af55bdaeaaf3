"""The command line: a typer application of the verbs in `verbs.py`, one file for each group."""

import os
import sys
from collections.abc import Container, Sequence
from typing import Annotated

import typer

import mfdsl
from mfdsl.cli.failure import guarded, interruptible
from mfdsl.cli.verbs import VERBS, load
from mfdsl.processes import check_verb, one_voice

__all__ = ["run"]


def application(wanted: Container[str]) -> typer.Typer:
    """The application with the verbs wanted; the others are in its list only."""
    app = typer.Typer(
        name="mfdsl",
        help="Write down a mean-field game, check it, compile it, solve it.",
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for name, verb in VERBS.items():
        if name in wanted:
            app.command(name)(interruptible(load(name)))
        else:
            app.command(name, help=verb.summary)(_listed)
    app.callback()(_of_no_verb)
    return app


def _listed() -> None:
    """Stands for a verb that the command line does not name."""


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"mfdsl {mfdsl.__version__}")
        raise typer.Exit


def _of_no_verb(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version."),
    ] = False,
) -> None:
    """Write down a mean-field game, check it, compile it, solve it."""


def _explain_waits() -> None:
    """Say to who sits at a terminal what takes long for once, as loops that are compiled."""
    if sys.stderr is None or not sys.stderr.isatty():
        return
    import logging

    log = logging.getLogger("mfdsl")
    if not log.handlers:
        log.addHandler(logging.StreamHandler(sys.stderr))
        log.setLevel(logging.INFO)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; nothing is raised."""

    def action() -> int | None:
        check_verb(arguments)
        _explain_waits()
        completes = "_MFDSL_COMPLETE" in os.environ  # the verb is named elsewhere then
        command = typer.main.get_command(application(VERBS if completes else arguments))
        words = list(arguments) if arguments or completes else ["--help"]
        code = command.main(args=words, prog_name="mfdsl", standalone_mode=False)
        return code if isinstance(code, int) else None

    with one_voice():
        return guarded(action, arguments)
