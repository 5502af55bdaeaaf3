"""Keeps the promise of applicable edits: one that does not mend its fault is only a hint."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from mfdsl.compiler.diagnostics import Diagnostic, Edit, Help
from mfdsl.compiler.source import SourceFile

# Each edit costs one more parse, so only some are tried, and only in files of ordinary size.
MAX_TRIED = 20
MAX_CHARACTERS = 50_000


def confirm_edits(
    source: SourceFile,
    diagnostics: Sequence[Diagnostic],
    count_errors: Callable[[SourceFile], int],
) -> list[Diagnostic]:
    """The diagnostics, with helps marked applicable only if their edits remove an error."""
    budget = MAX_TRIED if len(source.text) <= MAX_CHARACTERS else 0
    result = []
    for diagnostic in diagnostics:
        helps = []
        for help in diagnostic.helps:
            if help.applicable:
                works = budget > 0 and _mends(source, help, count_errors, len(diagnostics))
                budget -= 1
                help = replace(help, applicable=works)
            helps.append(help)
        result.append(replace(diagnostic, helps=tuple(helps)))
    return result


def _mends(
    source: SourceFile, help: Help, count_errors: Callable[[SourceFile], int], before: int
) -> bool:
    edited = SourceFile(source.name, applied(source.text, help.edits))
    return count_errors(edited) < before


def applied(text: str, edits: Sequence[Edit]) -> str:
    """`text` with all edits made; they must not overlap."""
    for edit in sorted(edits, key=lambda e: e.span.start, reverse=True):
        text = text[: edit.span.start] + edit.text + text[edit.span.end :]
    return text
