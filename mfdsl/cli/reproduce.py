"""The verb that runs the experiments of a paper: reproduce."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mfdsl.cli import options
from mfdsl.cli.console import Console
from mfdsl.cli.failure import FAILED, FINE, INTERRUPTED
from mfdsl.errors import unknown
from mfdsl.experiments import PAPERS, TITLES

if TYPE_CHECKING:
    from mfdsl.experiments import Experiment
    from mfdsl.runtime.learning.loop import LearningRecord


class BudgetChoice(StrEnum):
    """How long everything takes: minutes, or hours."""

    small = "small"
    paper = "paper"


def reproduce(
    paper: Annotated[
        str | None,
        typer.Argument(metavar="PAPER", help="One of those listed.", show_default=False),
    ] = None,
    budget: Annotated[
        BudgetChoice,
        typer.Option("--budget", help="small: one seed, short; paper: as long as needed."),
    ] = BudgetChoice.small,
    only: Annotated[
        list[str], typer.Option("--only", metavar="NAME", help="This experiment (repeatable).")
    ] = [],  # noqa: B006  the command line reads it, nothing changes it
    scale: Annotated[
        float, typer.Option("--scale", min=0, help="Multiply the numbers of iterations.")
    ] = 1.0,
    out: options.Out = None,
    device: options.Device = options.DeviceChoice.cpu,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Train and measure the experiments of a paper beside known figures; list them without one."""
    console = Console(json, quiet)
    if paper is None:
        _list(console)
        return FINE
    if paper not in PAPERS:
        raise unknown("paper", paper, PAPERS)
    from mfdsl import reproducing

    request = reproducing.Request(budget.value, out or Path("reproduced"), scale, device.value)
    chosen = reproducing.experiments_of(paper, only)
    results: list[reproducing.Result] = []
    for result in reproducing.reproduced(chosen, request, _shown(console)):
        results.append(result)
        written = reproducing.write_tables(paper, TITLES[paper], request, results)
    rows = [cells for result in results for cells in reproducing.cells(result)]
    console.table(reproducing.HEADER, rows)
    console.fields([("written", "  ".join(map(str, written)))])
    console.json_object(reproducing.table_json(paper, request, results))
    if results[-1].interrupted:
        return INTERRUPTED
    return FAILED if any(result.status == "not_finite" for result in results) else FINE


def _list(console: Console) -> None:
    """The experiments of all papers."""
    for paper, experiments in PAPERS.items():
        console.result(f"{paper}: {TITLES[paper]}")
        for found in experiments:
            counts = ", ".join(
                f"{name}: {course.iterations} iterations, seeds {course.seeds}"
                for name, course in found.courses.items()
            )
            console.result(f"  --only {found.name}  {found.solver} on {found.spec}; {counts}")
    listed = {paper: [one.name for one in experiments] for paper, experiments in PAPERS.items()}
    console.json_object({"papers": listed})


def _shown(console: Console) -> "Callable[[Experiment, int, LearningRecord], None]":
    """Shows every measurement."""

    def shown(experiment: "Experiment", seed: int, record: "LearningRecord") -> None:
        if record.measured == record.measured:
            value = f"{record.measured:.5g} ± {record.std_error:.2g}"
            place = f"{experiment.name} seed {seed} iteration {record.iteration:,}"
            console.line(f"  {place}: {value} after {record.seconds:.0f} s")

    return shown
