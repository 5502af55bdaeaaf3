"""Checks again whenever a file changes: the spec, what it imports, and the data that they read."""

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from mfdsl.cli.failure import FINE
from mfdsl.compiler.diagnostics import CompileError, Sink
from mfdsl.compiler.syntax.read import read_source
from mfdsl.compiler.syntax.tokens import iterate
from mfdsl.errors import UsageError
from mfdsl.runtime.interruption import is_interruption

MAX_FILES = 200
PAUSE = 0.2  # seconds between looks at the files
Stamps = Mapping[Path, tuple[int, int] | None]


def watch(
    check: Callable[[], object], paths: Callable[[], set[Path]], *, quiet: bool = False
) -> int:
    """Run `check` at once, and again whenever one of `paths` changes, appears or goes away.

    Ends by Ctrl-C, which is how watching ends, and so with exit code 0. A file that is written
    while it is checked is checked once more. What cannot be checked at first ends it at once.
    """
    first = True
    try:
        while True:
            before = stamps_of(paths())
            try:
                check()
            except (CompileError, UsageError) as error:
                if first:
                    raise
                print(error, file=sys.stderr)
            first = False
            after = stamps_of(paths())
            if after == before and not quiet:
                print("waiting for a change, Ctrl-C ends", file=sys.stderr, flush=True)
            while after == before:
                time.sleep(PAUSE)
                after = stamps_of(before)
    except (KeyboardInterrupt, SystemError) as error:
        if not is_interruption(error):
            raise
        return FINE


def stamps_of(paths: Iterable[Path]) -> Stamps:
    """When each file was written last, in nanoseconds, and its size; None where there is none."""
    return {path: _stamp(path) for path in paths}


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size


def files_of(*specs: Path) -> set[Path]:
    """The specs, what they import, and every other path that one of these files writes in quotes.

    So files are watched, too, that are not there yet, or stand in a declaration with a fault.
    """
    found, left = set(specs), [path for path in specs if path.suffix == ".mfg"]
    while left and len(found) <= MAX_FILES:
        path = left.pop()
        source = read_source(path, path.name, Sink())
        for token in iterate(source.text) if source is not None else ():
            if token.kind == "string" and token.text.strip('"'):
                other = path.parent / token.text.strip('"')
                if other not in found and other.suffix == ".mfg":
                    left.append(other)
                found.add(other)
    return found
