"""When a text is checked: once after a run of keys, and never for a text that is gone."""

import asyncio

import pytest

pytest.importorskip("pygls")

from mfdsl.lsp.checking import Checked, Checks
from mfdsl.lsp.documents import Document, document_of

GAME = """\
model walk
objective nash
horizon 2
population walker as mu {
  state x : int mod 3 ~ uniform
  action a : int in -1..1
  x' = x + a
  cost crowd = mu[x]
}
"""


def published(*texts: str, pause: float, closed: bool = False) -> list[str]:
    """The last lines of the texts whose results are shown when they come after `pause` seconds."""
    shown: list[str] = []

    def show(uri: str, found: Checked) -> None:
        shown.append(found.document.text.splitlines()[-1])

    def failed(uri: str, error: Exception) -> None:
        shown.append(f"{type(error).__name__}: {error}")

    async def keys() -> None:
        checks = Checks(show, failed)
        for text in texts:
            checks.begin("game", lambda text=text: _read(text), delay=0.02)
            await asyncio.sleep(pause)
        if closed:
            checks.close("game")
        await asyncio.sleep(0.3)
        while any(not task.done() for task in checks._tasks.values()):
            await asyncio.sleep(0.01)

    asyncio.run(keys())
    return shown


def _read(text: str) -> Document:
    if "broken" in text:
        raise RuntimeError(text)
    return document_of(text)


def test_only_the_last_of_a_run_of_keys_is_checked() -> None:
    assert published(GAME + "# 1\n", GAME + "# 2\n", GAME + "# 3\n", pause=0.0) == ["# 3"]


def test_a_closed_text_is_not_shown() -> None:
    assert published(GAME, pause=0.0, closed=True) == []


def test_a_fault_of_ours_is_told_and_the_next_text_is_checked() -> None:
    found = published("broken", GAME + "# 2\n", pause=0.1)
    assert found == ["RuntimeError: broken", "# 2"]
