"""What the compiler found, as editors show it: every diagnostic at a place of the open text."""

from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

from lsprotocol import types

from mfdsl.compiler.diagnostics import Diagnostic, Edit
from mfdsl.compiler.driver import Compilation
from mfdsl.compiler.explain.pages import codes_with_pages
from mfdsl.compiler.fix import applicable_edits
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast
from mfdsl.lsp.documents import Document
from mfdsl.lsp.positions import range_of

SEVERITIES = {
    "error": types.DiagnosticSeverity.Error,
    "warning": types.DiagnosticSeverity.Warning,
    "note": types.DiagnosticSeverity.Information,
}
UNUSED = frozenset({"MFG801"})
Uri = Callable[[str], str]


def found_in(document: Document, compilation: Compilation) -> tuple[Diagnostic, ...]:
    """The diagnostics that an editor shows: that a library is no model is known of a library."""
    header = document.unit.header
    return tuple(
        d
        for d in compilation.diagnostics
        if not (
            document.library
            and header is not None
            and d.code == "MFG111"
            and d.primary is not None
            and d.primary.span == header.span
        )
    )


def shown(
    diagnostic: Diagnostic, document: Document, compilation: Compilation, uri: Uri
) -> types.Diagnostic:
    """One diagnostic; a fault of an imported file stands at the import, with its true place beside.

    `uri` makes the address of a file that the compiler names.
    """
    primary = diagnostic.primary
    place = _here(primary.span, document) if primary is not None else None
    related = []
    for label in diagnostic.labels:
        source = compilation.sources.get(label.span.file)
        elsewhere = label.primary and label.span.file != document.name
        if source is not None and (elsewhere or not label.primary):
            where = types.Location(uri(label.span.file), range_of(source.text, label.span))
            said = label.text or diagnostic.message
            related.append(types.DiagnosticRelatedInformation(where, said))
    return types.Diagnostic(
        range=range_of(document.text, place or Span(document.name, 0, 0)),
        message="\n".join(_lines(diagnostic)),
        severity=SEVERITIES[diagnostic.severity],
        code=diagnostic.code,
        code_description=_explained(diagnostic.code),
        source="mfdsl",
        related_information=related or None,
        tags=[types.DiagnosticTag.Unnecessary] if diagnostic.code in UNUSED else None,
    )


def _explained(code: str) -> types.CodeDescription | None:
    """The page of `mfdsl explain` as a file, which editors open from the code."""
    if code not in codes_with_pages():
        return None
    path = Path(str(files("mfdsl.compiler.explain") / f"{code}.md"))
    return types.CodeDescription(path.resolve().as_uri())


def _lines(diagnostic: Diagnostic) -> Iterator[str]:
    """The message, what is marked, notes and helps."""
    yield diagnostic.message
    if diagnostic.primary is not None and diagnostic.primary.text:
        yield diagnostic.primary.text
    yield from (f"note: {note}" for note in diagnostic.notes)
    yield from (f"help: {help.text}" for help in diagnostic.helps)
    if diagnostic.severity == "error":
        yield f"for the rules, run `mfdsl explain {diagnostic.code}`"


def _here(span: Span, document: Document) -> Span:
    """The span itself, or the path of the import that leads to its file."""
    if span.file == document.name:
        return span
    for node in document.unit.declarations:
        if isinstance(node, ast.Import):
            target = document.index.imports.get(node.path.value, "")
            if span.file in _reached(target, document, frozenset()):
                return node.path.span
    return Span(document.name, 0, 0)


def _reached(file: str, document: Document, seen: frozenset[str]) -> frozenset[str]:
    """A file and all that it imports."""
    found = document.files.get(file)
    if found is None or file in seen:
        return seen
    seen |= {file}
    for target in found.imports.values():
        seen |= _reached(target, document, seen)
    return seen


def actions(
    document: Document, diagnostics: tuple[Diagnostic, ...], span: Span, uri: str
) -> Iterator[types.CodeAction]:
    """The helps that mend a diagnostic touching `span`, and one that mends all at once."""
    for diagnostic in diagnostics:
        place = diagnostic.primary
        if place is None or place.span.file != document.name:
            continue
        if place.span.start <= span.end and span.start <= place.span.end:
            for help in diagnostic.helps:
                inside = all(edit.span.file == document.name for edit in help.edits)
                if help.applicable and help.edits and inside:
                    yield _action(help.text, list(help.edits), document, uri)
    edits = applicable_edits(diagnostics, document.name)
    if edits:
        kind = types.CodeActionKind.SourceFixAll
        yield _action("mend what can be mended", edits, document, uri, kind)


def _action(
    title: str,
    edits: list[Edit],
    document: Document,
    uri: str,
    kind: types.CodeActionKind = types.CodeActionKind.QuickFix,
) -> types.CodeAction:
    changes = [types.TextEdit(range_of(document.text, e.span), e.text) for e in edits]
    return types.CodeAction(
        title=title,
        kind=kind,
        edit=types.WorkspaceEdit(changes={uri: changes}),
        is_preferred=True if kind is types.CodeActionKind.QuickFix else None,
    )
