"""Mends a text by the edits of applicable helps: the work of `mfdsl fix`."""

from collections.abc import Iterable

from mfdsl.compiler.diagnostics import Diagnostic, Edit


def applicable_edits(diagnostics: Iterable[Diagnostic], file: str) -> list[Edit]:
    """Edits of the first applicable help of each diagnostic, in order of place.

    A help is taken whole or not at all: one that reaches into another file, or that overlaps the
    edits already taken, is left for a later round.
    """
    taken: list[Edit] = []
    for diagnostic in diagnostics:
        help = next((h for h in diagnostic.helps if h.applicable and h.edits), None)
        if help is None or any(edit.span.file != file for edit in help.edits):
            continue
        new = [edit for edit in help.edits if edit not in taken]
        if not any(_overlap(edit, other) for edit in new for other in taken):
            taken += new
    return sorted(taken, key=lambda edit: (edit.span.start, edit.span.end))


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """The text after the edits; of edits that overlap only the first in the list is made.

    Spans are those of the text as given, so that order does not matter otherwise.
    """
    made: list[Edit] = []
    for edit in edits:
        if not any(_overlap(edit, other) for other in made):
            made.append(edit)
    for edit in sorted(made, key=lambda edit: (edit.span.start, edit.span.end), reverse=True):
        text = text[: edit.span.start] + edit.text + text[edit.span.end :]
    return text


def _overlap(one: Edit, other: Edit) -> bool:
    """True when both touch a character, or both write at one place."""
    if one.span.start == other.span.start:
        return True
    return one.span.start < other.span.end and other.span.start < one.span.end
