"""Constructs of the language whose meaning comes with a later release: one placed error each."""

from collections.abc import Iterator

from mfdsl.compiler.diagnostics import Sink
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast


def report_unsupported(sink: Sink, unit: ast.Unit) -> bool:
    """Report every construct of `unit` that this release does not give a meaning to."""
    found = list(_constructs(unit))
    for span, what, note in found:
        sink.report("MFG706", f"{what} with a later release", span, note)
    return bool(found)


def _constructs(unit: ast.Unit) -> Iterator[tuple[Span, str, str]]:
    populations = 0
    for declaration in unit.declarations:
        if not isinstance(declaration, ast.Player):
            continue
        if declaration.kind == "major":
            yield declaration.name.span, "major players come", "a major player"
        elif declaration.kind == "environment":
            yield declaration.name.span, "common states and common noise come", "an environment"
        else:
            populations += 1
            if populations > 1:
                yield declaration.name.span, "games of several populations come", "the second one"
        if declaration.family is not None:
            yield declaration.family.span, "families of players come", "one player for each index"
        for member in declaration.members:
            if isinstance(member, ast.Trait):
                yield member.name.span, "traits come", "differs between agents"
