"""The games that come with mfdsl: `mfdsl solve sis` works without a path."""

from importlib.resources import files
from pathlib import Path

from mfdsl.errors import UsageError, did_you_mean


def shipped_specs() -> dict[str, Path]:
    """Path of each shipped game by its name, in alphabetical order."""
    folder = Path(str(files("mfdsl.specs")))
    return {path.stem: path for path in sorted(folder.glob("*.mfg"))}


def find_spec(spec: str | Path) -> Path:
    """The path itself, or the shipped game of that name when no such file is here.

    Raises:
        UsageError: a bare word that is neither a file nor a shipped game.
    """
    path = Path(spec)
    if path.exists() or path.suffix or path.name != str(spec):
        return path
    shipped = shipped_specs()
    if str(spec) in shipped:
        return _from_here(shipped[str(spec)])
    hint = did_you_mean(str(spec), shipped) or "`mfdsl specs` lists the games that come with mfdsl"
    raise UsageError(f"`{spec}` is neither a file nor a shipped game", hint)


def _from_here(path: Path) -> Path:
    """The path relative to the working folder when it lies inside."""
    path = path.resolve()
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
