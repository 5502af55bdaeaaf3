"""Diagnostics as text for people; the forms for machines come from `compiler.exchange`."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from mfdsl.compiler.diagnostics import Diagnostic, Edit, Help, Label, Severity
from mfdsl.compiler.exchange import render_github, render_json, render_sarif
from mfdsl.compiler.fix import apply_edits
from mfdsl.compiler.snippet import excerpt, line_range, visible
from mfdsl.compiler.source import SourceFile, Span

__all__ = ["render_github", "render_json", "render_sarif", "render_text", "summary"]

Sources = Mapping[str, SourceFile]

_SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
MAX_MENDED = 240  # characters of a mended line that are shown
_COLOURS = {
    "error": "1;31",
    "warning": "1;33",
    "note": "1;36",
    "secondary": "1;34",
    "gutter": "1;34",
    "headline": "1",
    "help": "1;32",
}


def summary(diagnostics: Iterable[Diagnostic]) -> str:
    """How many there are of each severity: "2 errors, 1 warning"; errors are always named."""
    severities = [d.severity for d in diagnostics]
    parts = []
    for severity in _SEVERITIES:
        count = severities.count(severity)
        if count or severity == "error":
            parts.append(f"{count} {severity}{'' if count == 1 else 's'}")
    return ", ".join(parts)


def render_text(
    diagnostics: Sequence[Diagnostic], sources: Sources, *, color: bool = False, limit: int = 20
) -> str:
    """Each diagnostic with the source it points into, separated by blank lines.

    At most `limit` are shown, errors before the others; a last line counts the rest. A place in a
    file that `sources` lacks is named without an excerpt.
    """
    errors_first = sorted(
        range(len(diagnostics)), key=lambda i: _SEVERITIES.index(diagnostics[i].severity)
    )
    chosen = [diagnostics[i] for i in sorted(errors_first[:limit])]
    blocks = []
    explained: set[str] = set()
    for diagnostic in chosen:
        explain = diagnostic.severity == "error" and diagnostic.code not in explained
        explained.add(diagnostic.code)
        blocks.append("\n".join(_block(diagnostic, sources, color, explain)))
    hidden = [diagnostics[i] for i in errors_first[limit:]]
    if hidden:
        counts = [part for part in summary(hidden).split(", ") if not part.startswith("0 ")]
        blocks.append(f"... and {', '.join(counts)} more")
    return "\n\n".join(blocks)


def _block(diagnostic: Diagnostic, sources: Sources, color: bool, explain: bool) -> Iterator[str]:
    paint = _painter(diagnostic.severity, color)
    gutter = _gutter(diagnostic, sources)
    bar = paint(" " * gutter + " |", "gutter")
    head = paint(f"{diagnostic.severity}[{diagnostic.code}]", "primary")
    yield head + paint(f": {visible(diagnostic.message)}", "headline")
    arrow = "-->"
    remarks = list(_remarks(diagnostic, sources, gutter, paint))
    if explain:
        rules = f"for the rules, run `mfdsl explain {diagnostic.code}`"
        remarks.append(paint(" " * gutter + " =", "gutter") + " " + rules)
    groups = _by_file(diagnostic)
    for i, (file, labels) in enumerate(groups):
        source = sources.get(file)
        yield paint(" " * gutter + arrow, "gutter") + " " + _place(labels[0].span, source)
        if source is not None:
            yield bar
            yield from excerpt(source, labels, gutter, paint)
            if remarks or i + 1 < len(groups):
                yield bar
        arrow = ":::"
    yield from remarks


def _place(span: Span, source: SourceFile | None) -> str:
    if source is None:
        return visible(span.file)
    position = source.position(span.start)
    return f"{visible(span.file)}:{position.line}:{position.column}"


def _painter(severity: Severity, color: bool) -> Callable[[str, str], str]:
    def paint(text: str, role: str) -> str:
        if not color or not text.strip():
            return text
        return f"\x1b[{_COLOURS[severity if role == 'primary' else role]}m{text}\x1b[0m"

    return paint


def _gutter(diagnostic: Diagnostic, sources: Sources) -> int:
    """Width of the largest line number shown."""
    last = [
        line_range(sources[label.span.file], label.span)[1]
        for label in diagnostic.labels
        if label.span.file in sources
    ]
    return len(str(max(last, default=1)))


def _by_file(diagnostic: Diagnostic) -> list[tuple[str, list[Label]]]:
    """Labels grouped by file, the primary one's file and the primary one itself first."""
    groups: dict[str, list[Label]] = {}
    for label in sorted(diagnostic.labels, key=lambda label: not label.primary):
        groups.setdefault(label.span.file, []).append(label)
    return list(groups.items())


def _remarks(
    diagnostic: Diagnostic, sources: Sources, gutter: int, paint: Callable[[str, str], str]
) -> Iterator[str]:
    remarks = [("note", note) for note in diagnostic.notes]
    remarks += [("help", _help_text(help, sources)) for help in diagnostic.helps]
    for kind, text in remarks:
        first, *rest = visible(text).split("\n")
        lead = paint(" " * gutter + " =", "gutter")
        yield f"{lead} {paint(kind, 'help' if kind == 'help' else 'headline')}: {first}"
        for line in rest:
            yield (" " * (gutter + len(" = note: ")) + line).rstrip()


def _help_text(help: Help, sources: Sources) -> str:
    """The help, with the mended lines below it when its words do not spell out the edits."""
    texts = [edit.text.strip() for edit in help.edits]
    if not any(texts) or all(text in help.text for text in texts):
        return help.text
    mended = [
        line
        for file in dict.fromkeys(edit.span.file for edit in help.edits)
        if file in sources
        for line in _mended_lines(sources[file], [e for e in help.edits if e.span.file == file])
    ]
    return "\n".join([help.text, *mended])


def _mended_lines(source: SourceFile, edits: Sequence[Edit]) -> list[str]:
    """The lines that the edits touch, as they read afterwards, without leading blanks."""
    low = source.line_starts[line_range(source, edits[0].span)[0] - 1]
    high = low
    for edit in edits:
        first, last = line_range(source, edit.span)
        low = min(low, source.line_starts[first - 1])
        high = max(high, source.line_starts[last - 1] + len(source.line(last)))
    moved = [Edit(Span(e.span.file, e.span.start - low, e.span.end - low), e.text) for e in edits]
    lines = apply_edits(source.text[low:high], moved).split("\n")
    at = min(edit.span.start for edit in moved)
    return [_cropped(line, at if k == 0 else 0) for k, line in enumerate(lines) if line.strip()]


def _cropped(line: str, at: int) -> str:
    """A line without the blanks around it; of a very long one the part from column `at` on."""
    if len(line) <= MAX_MENDED:
        return line.strip()
    low = max(0, at - MAX_MENDED // 4)
    high = low + MAX_MENDED
    return f"{'...' if low else ''}{line[low:high].strip()}{'...' if high < len(line) else ''}"
