"""A report as plain blocks, and its two printers: LaTeX and Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass

from mfdsl.compiler.typeset.escape import escape_latex, escape_markdown, plain


@dataclass(frozen=True, slots=True)
class Heading:
    """A title; level 1 is that of the whole report."""

    text: str
    level: int


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Words."""

    text: str


@dataclass(frozen=True, slots=True)
class Formulas:
    """Rows of LaTeX, aligned at `&`."""

    rows: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under a header; a cell that starts and ends with `$` is a formula."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Block = Heading | Paragraph | Formulas | Table

PREAMBLE = r"""\documentclass{article}
\usepackage{amsmath, amssymb, booktabs, longtable}
\begin{document}"""


def print_markdown(blocks: Sequence[Block]) -> str:
    """The report as Markdown with formulas between dollars."""
    return "\n\n".join(_markdown(block) for block in blocks) + "\n"


def _markdown(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {escape_markdown(text)}"
        case Paragraph(text):
            return escape_markdown(text)
        case Formulas(rows):
            body = " \\\\\n".join(rows)
            return f"$$\n\\begin{{aligned}}\n{body}\n\\end{{aligned}}\n$$"
        case Table(header, rows):
            lines = [header, tuple("---" for _ in header), *rows]
            return "\n".join(f"| {' | '.join(map(_markdown_cell, line))} |" for line in lines)


def _markdown_cell(text: str) -> str:
    if _is_formula(text):
        return plain(text).replace("|", r"\vert ")
    return text if text == "---" else escape_markdown(text)


def print_latex(blocks: Sequence[Block]) -> str:
    """The report as a LaTeX document that stands alone."""
    return "\n".join([PREAMBLE, *(_latex(block) for block in blocks), r"\end{document}"]) + "\n"


def _latex(block: Block) -> str:
    match block:
        case Heading(text, level):
            command = ("section", "subsection", "subsubsection")[min(level, 3) - 1]
            return rf"\{command}*{{{escape_latex(text)}}}"
        case Paragraph(text):
            return escape_latex(text) + "\n"
        case Formulas(rows):
            body = " \\\\\n".join(rows)
            return f"\\begin{{align*}}\n{body}\n\\end{{align*}}"
        case Table(header, rows):
            lines = [
                rf"\begin{{longtable}}{{{'l' * len(header)}}}",
                r"\toprule",
                " & ".join(map(escape_latex, header)) + r" \\",
                r"\midrule",
                *(" & ".join(map(_latex_cell, row)) + r" \\" for row in rows),
                r"\bottomrule",
                r"\end{longtable}",
            ]
            return "\n".join(lines)


def _latex_cell(text: str) -> str:
    return plain(text) if _is_formula(text) else escape_latex(text)


def _is_formula(text: str) -> bool:
    return len(text) > 1 and text.startswith("$") and text.endswith("$")
