"""Checks of open texts in a thread of their own, some moments after the last key.

A text that changes drops what is known of it: a check that waits is not begun, and of one that runs
the result is thrown away. It is not stopped inside, since it may be talking to sympy's process,
whose next answer would then be taken for that to another question.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.regularity import regularity
from mfdsl.compiler.diagnostics import Diagnostic
from mfdsl.compiler.driver import Compilation
from mfdsl.lsp.diagnosing import found_in
from mfdsl.lsp.documents import Document, compiled
from mfdsl.lsp.hovering import Known
from mfdsl.settings import with_settings_checked

DELAY = 0.15  # seconds after the last key
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checked:
    """What the last whole check of a text found; `known` goes into hovers."""

    document: Document
    compilation: Compilation
    diagnostics: tuple[Diagnostic, ...]
    known: Known


def check(document: Document) -> Checked:
    """Compile a text as `mfdsl check` does, without the claims that nobody requires."""
    compilation = with_settings_checked(compiled(document))
    known = Known(compilation.model, compilation.certificates)
    return Checked(document, compilation, found_in(document, compilation), known)


def certificates(checked: Checked) -> tuple[Certificate, ...]:
    """What is proved of the game without being asked, as `mfdsl check` shows it."""
    model = checked.compilation.model
    if model is None or not checked.compilation.ok:
        return ()
    return (*checked.compilation.certificates, *regularity(model))


@dataclass
class Checks:
    """The checks of all open texts, one after another; `publish` is called with each result."""

    publish: Callable[[str, Checked], None]
    failed: Callable[[str, Exception], None]
    last: dict[str, Checked] = field(default_factory=dict)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "mfdsl"))

    def begin(self, uri: str, read: Callable[[], Document], delay: float = DELAY) -> None:
        """Check the text under `uri` after a while; an earlier check of it is dropped."""
        self.drop(uri)
        self._tasks[uri] = asyncio.create_task(self._run(uri, read, delay))

    def drop(self, uri: str) -> None:
        """Forget the check of a text that is under way."""
        task = self._tasks.pop(uri, None)
        if task is not None:
            task.cancel()

    def close(self, uri: str) -> None:
        """Forget a text."""
        self.drop(uri)
        self.last.pop(uri, None)

    async def _run(self, uri: str, read: Callable[[], Document], delay: float) -> None:
        await asyncio.sleep(delay)
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._thread, lambda: check(read()))
            self.last[uri] = found
            self.publish(uri, found)
            more = await loop.run_in_executor(self._thread, certificates, found)
            known = Known(found.known.model, more or found.known.certificates)
            self.last[uri] = Checked(found.document, found.compilation, found.diagnostics, known)
        except Exception as error:
            LOG.exception("the check of %s failed", uri)
            self.failed(uri, error)
