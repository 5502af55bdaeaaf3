"""What a user can do wrong around a spec: wrong flags, folders that are not runs, full disks."""

from collections.abc import Iterable

from mfdsl.compiler.syntax.nearest import nearest


class UsageError(Exception):
    """A request that cannot be met as it stands; `hint` says what to do instead."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        self.message = message
        self.hint = hint
        super().__init__(message, hint)

    def __str__(self) -> str:
        return f"{self.message}\n  = help: {self.hint}" if self.hint else self.message


def no_policy(policy: object) -> UsageError:
    """The error for what Python code gave as a policy and is of no kind that plays or begins."""
    return UsageError(
        f"what is of type {type(policy).__name__} is no policy here",
        "of an array of chances `mfdsl.evaluate(game, array).policy` is the policy",
    )


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A question that names the closest known word, or None when nothing is close."""
    match = nearest(word, known)
    return f"did you mean `{match}`?" if match is not None else None


def unknown(kind: str, word: str, known: Iterable[str]) -> UsageError:
    """The error for a name that is none of `known`: the nearest one, or all of them."""
    names = list(known)
    hint = did_you_mean(word, names) or f"known: {', '.join(names) if names else 'none'}"
    return UsageError(f"unknown {kind} `{word}`", hint)
