"""Folders of the verbs that do not solve, with `--out`: what was found, and of which game."""

from collections.abc import Callable, Mapping
from hashlib import sha256
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mfdsl import __version__
from mfdsl.bundle import bundle_of
from mfdsl.cli.console import Console
from mfdsl.cli.ending import show_files
from mfdsl.errors import UsageError
from mfdsl.files import write_folder, write_text

if TYPE_CHECKING:
    from mfdsl.api import Game

FOUND = "found.json"


def keep(
    console: Console,
    game: "Game",
    verb: str,
    out: Path,
    asked: Mapping[str, Any],
    found: Mapping[str, Any],
    arrays: tuple[str, Callable[[Path], None]] | None = None,
) -> dict[str, str]:
    """Write a new folder `<game>-<verb>-<4 hex digits>` under `out`; a taken name is never written
    over. `found.json` has what `--json` prints beside what was asked and of which game, `spec.mfg`
    and `files` are the game; `arrays` are the name of another file and who writes it.

    Returns the folder as `written`, and the other file as `file`.

    Raises:
        UsageError: the folder cannot be written to.
    """
    content = {
        "verb": verb,
        "version": __version__,
        "key": game.key,
        "parameters": dict(game.parameters),
        "options": dict(asked),
        **found,
    }
    text = dumps(content, indent=2, allow_nan=False) + "\n"
    folder = _free(out, f"{game.name}-{verb}", text)
    write_folder(folder, bundle_of(game.compilation))
    places = {"written": str(folder)}
    if arrays is not None:
        name, write = arrays
        write(folder / name)
        places["file"] = str(folder / name)
    write_text(folder / FOUND, text)
    show_files(console, folder)
    return places


def _free(out: Path, name: str, text: str) -> Path:
    """A place under `out` that nothing takes."""
    for attempt in range(1 << 16):
        digest = sha256(f"{attempt}\n{text}".encode()).hexdigest()[:4]
        if not (path := out / f"{name}-{digest}").exists():
            return path
    raise UsageError(f"`{out}` has no free name for another {name}", "remove old folders")
