"""Files and folders written whole: each is complete or it is not there."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from mfdsl.errors import UsageError


def read_text(path: Path) -> str:
    """The text of `path`, without the mark that some editors and spreadsheets begin UTF-8 with.

    Raises:
        UsageError: there is no such file, it is a folder, or it is not UTF-8 text.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"`{path}` is not UTF-8 text") from None
    except OSError as error:
        raise UsageError(f"cannot read `{path}`: {reason(error)}") from None


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` in one step, as `write_bytes` does."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step: written beside, then renamed.

    Raises:
        UsageError: the folder cannot be written to, or the disk is full; `path` is unchanged.
    """
    target = path.resolve()
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        if target.exists():
            os.chmod(temporary, target.stat().st_mode)
        else:
            os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise UsageError(f"cannot write `{path}`: {reason(error)}") from None


def check_place(path: Path | None) -> None:
    """Say before long work that its file cannot be written; nothing is left there.

    Raises:
        UsageError: the folder is not there or cannot be written to, or `path` is a folder.
    """
    if path is None:
        return
    if path.is_dir():
        raise UsageError(f"cannot write `{path}`: it is a folder", "name a file in it")
    try:
        with tempfile.NamedTemporaryFile(prefix=".mfdsl-", dir=path.resolve().parent):
            pass
    except OSError as error:
        raise UsageError(f"cannot write `{path}`: {reason(error)}") from None


def write_folder(target: Path, files: Mapping[str, bytes]) -> None:
    """Put a folder with `files` in the place of `target`: written beside, then renamed.

    Raises:
        UsageError: the place cannot be written to, or the disk is full; nothing is left behind.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".mfdsl-", dir=target.parent) as scratch:
            fresh, old = Path(scratch) / "new", Path(scratch) / "old"
            for name, content in files.items():
                (fresh / name).parent.mkdir(parents=True, exist_ok=True)
                (fresh / name).write_bytes(content)
            if target.exists():
                target.rename(old)
            fresh.rename(target)
    except OSError as error:
        raise UsageError(f"cannot write `{target}`: {reason(error)}") from None


def write_into(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write `files` into a folder, which is made if it is not there; other files in it stay.

    Raises:
        UsageError: the folder cannot be written to, it is a file, or the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UsageError(f"cannot write `{folder}`: it is a file, not a folder") from None
    except OSError as error:
        raise UsageError(f"cannot write `{folder}`: {reason(error)}") from None
    for name, content in files.items():
        write_bytes(folder / name, content)


def reason(error: OSError) -> str:
    """Why the system refused, in lower case."""
    return (error.strerror or str(error)).lower()
