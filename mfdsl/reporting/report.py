"""The report of a run: one file of HTML that says what was solved, how, and what came out."""

from collections.abc import Iterator
from html import escape
from pathlib import Path

from mfdsl.compiler.typeset.blocks import Block, Formulas, Heading, Paragraph, Table
from mfdsl.compiler.typeset.report import report_blocks
from mfdsl.errors import UsageError
from mfdsl.files import write_text
from mfdsl.reporting.command import again
from mfdsl.reporting.flows import flow_parts
from mfdsl.reporting.html import folded, page, paragraph, section, table, verbatim
from mfdsl.reporting.mathml import aligned, inline
from mfdsl.reporting.papers import bibliography
from mfdsl.reporting.reading import ReadRun
from mfdsl.reporting.results import course_parts, result_parts
from mfdsl.summary import certificate_text, headline

NAME = "report.html"


def write_report(run: str | Path, out: str | Path | None = None) -> Path:
    """Write the report of a run, by default as `report.html` into its folder; gives its place.

    Raises:
        CompileError: the spec of the run has errors.
        UsageError: the folder is no run or is damaged, or the file exists or cannot be written.
    """
    folder = Path(run)
    path = folder / NAME if out is None else Path(out)
    if path.exists():
        raise UsageError(f"`{path}` exists already", "remove it, or choose another name with -o")
    write_text(path, report_of(folder))
    return path


def report_of(run: Path) -> str:
    """The report of a run as a page.

    Raises:
        CompileError: the spec of the run has errors.
        UsageError: the folder is no run, or is damaged.
    """
    read = ReadRun.open(run)
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
    yield from map(_block, blocks)
    swept = ", ".join(run.points[0])
    yield (
        paragraph(f"The games of the batch differ in {swept}: see the table above.")
        if swept
        else ""
    )
    yield folded("spec.mfg", verbatim(run.folder.spec))


def _block(block: Block) -> str:
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
    options = run.options
    yield paragraph(f"{options.solver}: {run.row.summary}.")
    yield paragraph(f"What it needs: {run.row.requires}. Paper: {run.row.reference}.")
    given = {
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
    yield table(("", ""), [(escape(name), escape(str(value))) for name, value in given.items()])


def _again(run: ReadRun) -> Iterator[str]:
    command = again(run)
    if command is None:
        needs = "the policy that it began at" if run.options.start else "the parameter files"
        yield paragraph(f"The run folder does not hold {needs}, so no command alone repeats it.")
        return
    yield paragraph("In the folder of the run, with these versions:")
    yield verbatim(command)
