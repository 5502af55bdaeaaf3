"""The command line: one typer application, one file for each group of verbs."""

from collections.abc import Sequence
from typing import Annotated

import typer

import mfdsl
from mfdsl.cli import (
    anarchy,
    calibrate,
    check,
    compile,
    correlate,
    draw,
    recheck,
    reproduce,
    simplex,
    simulate,
    solve,
    solvers,
    tables,
    validate,
)
from mfdsl.cli.failure import guarded, interruptible
from mfdsl.processes import check_verb, one_voice

__all__ = ["app", "run"]

app = typer.Typer(
    name="mfdsl",
    help="Write down a mean-field game, check it, compile it, solve it.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for verb in (
    check.check,
    recheck.recheck,
    compile.compile,
    solve.solve,
    simulate.simulate,
    validate.validate,
    reproduce.reproduce,
    check.fmt,
    check.fix,
    check.explain,
    compile.new,
    draw.graph,
    draw.render,
    anarchy.anarchy,
    simplex.simplex,
    correlate.correlate,
    calibrate.calibrate,
    calibrate.table,
    solvers.solvers,
    tables.specs,
    tables.doctor,
):
    app.command()(interruptible(verb))


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"mfdsl {mfdsl.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version."),
    ] = False,
) -> None:
    """Write down a mean-field game, check it, compile it, solve it."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; nothing is raised."""
    command = typer.main.get_command(app)

    def action() -> int | None:
        check_verb(arguments)
        code = command.main(args=list(arguments), prog_name="mfdsl", standalone_mode=False)
        return code if isinstance(code, int) else None

    with one_voice():
        return guarded(action, arguments)
