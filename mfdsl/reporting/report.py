"""The report of a run: a page that says what was solved, how, and what came out; its numbers."""

import json
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from mfdsl.compiler.typeset.blocks import Block, Formulas, Heading, Paragraph, Table
from mfdsl.compiler.typeset.report import report_blocks
from mfdsl.errors import UsageError
from mfdsl.files import write_text
from mfdsl.reporting.command import again
from mfdsl.reporting.flows import flow_parts, flows_of
from mfdsl.reporting.html import folded, page, paragraph, section, table, verbatim
from mfdsl.reporting.mathml import aligned, inline
from mfdsl.reporting.papers import bibliography
from mfdsl.reporting.reading import ReadRun
from mfdsl.reporting.results import course_parts, result_parts
from mfdsl.runtime.solution import finite
from mfdsl.summary import certificate_text, headline

NAME = "report.html"


def write_report(run: str | Path, out: str | Path | None = None) -> Path:
    """Write the report of a run, by default as `report.html` into its folder, and its numbers as
    JSON under the same name beside it; gives the place of the page.

    Raises:
        CompileError: the spec of the run has errors.
        UsageError: the folder is no run or is damaged, or a file exists or cannot be written.
    """
    folder = Path(run)
    path = folder / NAME if out is None else Path(out)
    if path.is_dir():
        raise UsageError(f"`{path}` is a folder", "name a file that ends in .html with -o")
    numbers = path.with_suffix(".json")
    if numbers == path:
        raise UsageError(f"`{path}` is to be a page", "choose a name that ends in .html with -o")
    for place in (path, numbers):
        if place.exists():
            raise UsageError(
                f"`{place}` exists already", "remove it, or choose another name with -o"
            )
    read = ReadRun.open(folder)
    write_text(path, _page(read))
    write_text(numbers, json.dumps(figures_of(read), indent=1, ensure_ascii=False) + "\n")
    return path


def figures_of(run: ReadRun) -> dict[str, Any]:
    """The numbers of the page: `result` as in the summary of the run, `course` line by line, `flow`
    with an entry for each chart; null stands for what is not finite.
    """
    figures = {
        "game": run.game.model.name,
        "solver": run.options.solver,
        "result": {k: v for k, v in run.summary.items() if k != "history"} or None,
        "games": [dict(point) for point in run.points] if run.points[0] else None,
        "course": run.history,
        "flow": [part.to_json() for part in flows_of(run)],
        "certificates": [c.model_dump(mode="json") for c in run.game.compilation.certificates],
        "given": _given(run),
        "command": again(run),
        "bibtex": bibliography(run),
    }
    return {name: finite(entry) for name, entry in figures.items()}


def _page(read: ReadRun) -> str:
    name = read.game.model.name
    return page(
        f"{name} by {read.options.solver}",
        (
            f"<h1>{escape(name)}</h1>",
            paragraph(headline(read.game.model), "quiet"),
            section("Result", result_parts(read)),
            section("Course", course_parts(read)),
            section("Flow and play", flow_parts(read)),
            section("The game", _game(read)),
            section("What is proved", _proved(read)),
            section("How it was solved", _solved(read)),
            section("Once more", _again(read)),
            section("To cite", (verbatim(bibliography(read)),)),
        ),
    )


def _game(run: ReadRun) -> Iterator[str]:
    """The model as it is typeset, and the text of the spec."""
    unit = run.game.compilation.unit
    assert unit is not None
    first, *blocks = report_blocks(unit, run.game.model)
    assert isinstance(first, Heading)
    yield from map(block_html, blocks)
    swept = ", ".join(run.points[0])
    yield (
        paragraph(f"The games of the batch differ in {swept}: see the table above.")
        if swept
        else ""
    )
    yield folded("spec.mfg", verbatim(run.folder.spec))


def block_html(block: Block) -> str:
    """A part of a typeset game."""
    match block:
        case Heading(text, level):
            return f"<h{level + 1}>{escape(text)}</h{level + 1}>"
        case Paragraph(text):
            return paragraph(text)
        case Formulas(rows):
            return aligned(rows)
        case Table(header, rows):
            return table(header, [tuple(map(_cell, row)) for row in rows])


def _cell(text: str) -> str:
    formula = len(text) > 1 and text[0] == text[-1] == "$"
    return inline(text[1:-1]) if formula else escape(text)


def _proved(run: ReadRun) -> Iterator[str]:
    """What the compiler established, and what that says of the solver."""
    rows = dict.fromkeys(
        (escape(c.claim), escape(certificate_text(c)), c.verdict)
        for c in run.game.compilation.certificates
    )
    yield table(("claim", "", "verdict"), list(rows))
    license = run.summary.get("license")
    if license:
        yield paragraph(f"{run.options.solver} needs: {license['property']}. {license['text']}.")


def _solved(run: ReadRun) -> Iterator[str]:
    """The solver and everything it was given."""
    yield paragraph(f"{run.options.solver}: {run.row.summary}.")
    yield paragraph(f"What it needs: {run.row.requires}. Paper: {run.row.reference}.")
    rows = [(escape(name), escape(str(value))) for name, value in _given(run).items()]
    yield table(("", ""), rows)


def _given(run: ReadRun) -> dict[str, Any]:
    """Everything that the solver was given, by the names of the page."""
    options = run.options
    return {
        "iterations at most": options.iterations,
        "ends at exploitability": f"{options.tolerance:g}",
        **{f"option {name}": value for name, value in options.options.items()},
        **{f"grid {name}": value for name, value in options.bins.items()},
        **{f"parameter {name}": value for name, value in options.parameters.items()},
        "seeds" if options.seeds else "seed": ", ".join(map(str, options.seeds)) or options.seed,
        "numbers": options.dtype,
        **({"began at": options.start} if options.start is not None else {}),
        **{f"version of {name}": text for name, text in run.versions.items()},
    }


def _again(run: ReadRun) -> Iterator[str]:
    command = again(run)
    if command is None:
        needs = "the policy that it began at" if run.options.start else "the parameter files"
        yield paragraph(f"The run folder does not hold {needs}, so no command alone repeats it.")
        return
    yield paragraph("In the folder of the run, with these versions:")
    yield verbatim(command)
