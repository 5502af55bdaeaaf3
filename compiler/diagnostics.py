"""Diagnostics as data: what is wrong, where, why, and how to mend it.

Passes report into a `Sink` and go on; wording is chosen where the fault is found, layout in
`compiler.render`. Codes live in `compiler.codes`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from mfdsl.compiler.source import SourceFile, Span

Severity = Literal["error", "warning", "note"]

MAX_LABELS = 10


@dataclass(frozen=True, slots=True)
class Label:
    """A marked stretch of source; the primary one says what is wrong here."""

    span: Span
    text: str = ""
    primary: bool = False


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the text under `span` by `text`; an empty span inserts."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Help:
    """One way to mend the fault; `applicable` edits compile when applied."""

    text: str
    edits: tuple[Edit, ...] = ()
    applicable: bool = False


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One message with its code, places, facts and helps."""

    code: str
    severity: Severity
    message: str
    labels: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    helps: tuple[Help, ...] = ()

    @property
    def primary(self) -> Label | None:
        """The label that names the place, or None for a message without one."""
        return next((label for label in self.labels if label.primary), None)


@dataclass(slots=True)
class Sink:
    """Collects the diagnostics of one compilation."""

    diagnostics: list[Diagnostic] = field(default_factory=list)
    _known: set[Diagnostic] = field(default_factory=set)

    def report(
        self,
        code: str,
        message: str,
        span: Span | None = None,
        label: str = "",
        *,
        also: Iterable[tuple[Span, str]] = (),
        notes: Iterable[str] = (),
        helps: Iterable[Help | str] = (),
        severity: Severity = "error",
    ) -> None:
        """Add one diagnostic: `span` with `label` is the primary place, `also` the others."""
        labels = [Label(span, label, primary=True)] if span is not None else []
        labels += [Label(where, text) for where, text in also]
        diagnostic = Diagnostic(
            code,
            severity,
            message,
            tuple(labels[:MAX_LABELS]),
            tuple(notes),
            tuple(help if isinstance(help, Help) else Help(help) for help in helps),
        )
        if diagnostic not in self._known:
            self._known.add(diagnostic)
            self.diagnostics.append(diagnostic)

    @property
    def failed(self) -> bool:
        """True when at least one error was reported."""
        return any(d.severity == "error" for d in self.diagnostics)

    def sorted(self) -> tuple[Diagnostic, ...]:
        """All diagnostics by file and place; those without a place come first."""

        def key(d: Diagnostic) -> tuple[str, int, str, str]:
            where = d.primary
            place = (where.span.file, where.span.start) if where else ("", -1)
            return (*place, d.code, d.message)

        return tuple(sorted(self.diagnostics, key=key))


class CompileError(Exception):
    """The spec has errors; `diagnostics` holds them all, `sources` the texts they point into.

    Printing it gives the same text as the command line.
    """

    def __init__(
        self, diagnostics: tuple[Diagnostic, ...], sources: Mapping[str, SourceFile]
    ) -> None:
        self.diagnostics = diagnostics
        self.sources = sources
        super().__init__(diagnostics, sources)

    def __str__(self) -> str:
        from mfdsl.compiler.render import render_text  # the renderer imports this module

        return render_text(self.diagnostics, self.sources)
