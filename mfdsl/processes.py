"""Whether this process is one of several that torchrun has started, read off the environment.

Only the first one speaks: what all find out alike is said once. Nothing here imports torch.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from mfdsl.errors import UsageError

SHARED = ("solve",)


def count() -> int:
    """How many processes there are."""
    return _number("WORLD_SIZE", 1) if "RANK" in os.environ else 1


def rank() -> int:
    """Which one this is, from 0."""
    return _number("RANK", 0)


def several() -> bool:
    """Whether there are others."""
    return count() > 1


def check_verb(arguments: Sequence[str]) -> None:
    """Refuse to do the same thing several times.

    Raises:
        UsageError: the verb cannot be shared by processes.
    """
    verb = next((argument for argument in arguments if not argument.startswith("-")), None)
    if several() and verb is not None and verb not in SHARED:
        raise UsageError(
            f"`mfdsl {verb}` cannot be shared by {count()} processes",
            "only `solve` under torchrun; run it alone",
        )


def check_shared(solver: str, shareable: bool) -> None:
    """Refuse what every process would do by itself.

    Raises:
        UsageError: there are several processes, and what is wanted is no table to share.
    """
    if several() and not shareable:
        raise UsageError(
            f"{count()} processes cannot share {solver}, nor an array of jobs",
            "they share the tables of one game or of a batch; run it in one process",
        )


@contextmanager
def one_voice() -> Iterator[None]:
    """Silence in all processes but the first, and of torch about connections that are gone."""
    if several():
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")
    if not several() or rank() == 0:
        yield
        return
    with Path(os.devnull).open("w") as nowhere:
        with redirect_stdout(nowhere), redirect_stderr(nowhere):
            yield


def aloud(message: str, hint: str | None = None) -> None:
    """Words of one process for all, also of one that is silent otherwise."""
    assert sys.__stderr__ is not None
    help = f"\n  = help: {hint}" if hint else ""
    print(f"error: {message}{help}", file=sys.__stderr__, flush=True)


def _number(name: str, otherwise: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else otherwise
