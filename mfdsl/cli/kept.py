"""What verbs without run folders leave with `--out`: what was found, and of which game."""

from collections.abc import Mapping
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mfdsl import __version__
from mfdsl.cli.console import Console
from mfdsl.errors import UsageError
from mfdsl.files import reason, write_text

if TYPE_CHECKING:
    from mfdsl.api import Game


def keep(
    console: Console,
    game: "Game",
    verb: str,
    out: Path,
    asked: Mapping[str, Any],
    found: Mapping[str, Any],
) -> str:
    """Write `<game>-<verb>.json`: what `--json` prints, beside what was asked and of which game.

    Raises:
        UsageError: the folder cannot be written to.
    """
    path = out / f"{game.name}-{verb}.json"
    content = {
        "verb": verb,
        "version": __version__,
        "key": game.key,
        "parameters": dict(game.parameters),
        "options": dict(asked),
        **found,
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write `{out}`: {reason(error)}") from None
    write_text(path, dumps(content, indent=2, allow_nan=False) + "\n")
    console.fields([("written", str(path))])
    return str(path)
