"""What reaches the screen: results on standard output, everything else on standard error.

Colour and moving lines appear on a terminal only, and `NO_COLOR` is honoured.
"""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from mfdsl.compiler.diagnostics import Diagnostic
from mfdsl.compiler.render import render_text
from mfdsl.compiler.source import SourceFile

WIDTH = 84  # of the text between a label and a remark at the right edge of the screen


@dataclass(frozen=True, slots=True)
class Console:
    """Where a verb prints: with `json` the screen moves to standard error, `quiet` empties it."""

    json: bool = False
    quiet: bool = False

    @property
    def stream(self) -> TextIO:
        """Where text for people goes."""
        return sys.stderr if self.json else sys.stdout

    @property
    def live(self) -> bool:
        """True when a moving progress line would be seen."""
        return not self.quiet and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def line(self, text: str = "") -> None:
        """One line for people, left out when quiet."""
        if not self.quiet:
            print(text, file=self.stream, flush=True)

    def result(self, text: str) -> None:
        """A line that is the result itself, printed even when quiet; JSON takes its place."""
        if not self.json:
            print(text, flush=True)
        else:
            self.line(text)

    def fields(self, rows: Iterable[tuple[str, str]]) -> None:
        """Lines of a label and its text, the texts aligned."""
        for label, text in rows:
            self.line(f"{label:<9} {text}".rstrip())

    def table(self, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Columns as wide as their longest entry, the last one free."""
        lines = [tuple(header), *map(tuple, rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(header) - 1)]
        for line in lines:
            cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=False)]
            self.result("  ".join([*cells, line[-1]]).rstrip())

    def json_object(self, entries: Mapping[str, Any]) -> None:
        """The one JSON object of a verb that was asked for JSON."""
        if self.json:
            print(json.dumps({"schema": 1, **entries}, allow_nan=False), flush=True)

    def diagnostics(
        self, diagnostics: Sequence[Diagnostic], sources: Mapping[str, SourceFile]
    ) -> None:
        """Diagnostics as text on standard error."""
        if diagnostics:
            text = render_text(diagnostics, sources, color=colored(sys.stderr))
            print(text, file=sys.stderr, flush=True)


def colored(stream: TextIO) -> bool:
    """Whether colour is welcome on `stream`."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


def complain(message: str, hint: str | None = None) -> None:
    """One error that has no place in a spec, on standard error."""
    head = "\x1b[1;31merror\x1b[0m" if colored(sys.stderr) else "error"
    print(f"{head}: {message}", file=sys.stderr)
    if hint:
        print(f"  = help: {hint}", file=sys.stderr)
