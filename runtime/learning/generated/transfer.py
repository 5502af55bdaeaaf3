"""What a run of `gd_mfrl` left for another course to begin with."""

from pathlib import Path

from torch import Tensor

from mfdsl.runtime.learning.base import LessonError
from mfdsl.runtime.runs import RunError, RunFolder

HINT = "the folder of a run of `gd_mfrl` with the same `vary`"


def state_of(path: str, vary: str) -> dict[str, Tensor]:
    """The tensors from which the run in a folder continues, a family with these ranges.

    Raises:
        LessonError: there is no such run, nothing was saved, or it was of something else.
    """
    try:
        folder = RunFolder.open(Path(path))
        state, options = folder.state(), folder.options
    except RunError as error:
        raise LessonError(f"`begin`: {error}", HINT) from None
    if options.get("solver") != "gd_mfrl":
        raise LessonError(f"`begin`: {path} was solved by `{options.get('solver')}`", HINT)
    ranges = options.get("options", {}).get("vary", "")
    if ranges.split() != vary.split():
        raise LessonError(
            f"`begin`: {path} has `vary` = `{ranges}`, and this course `{vary}`", HINT
        )
    return state
