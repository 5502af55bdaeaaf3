"""Why the tensors of a run do not fit the learner that its options make here, and what to do."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from mfdsl.errors import UsageError

FEW = 3  # names that a message lists
CHANGED = {
    "m3f_ppo": "planners of before 2026-11-22 read histograms of `bins` cells of every variable,"
    " also where `cells` says how many",
    "gd_mfrl": "generators of before 2026-11-22 were fitted otherwise (now to moments first, on"
    " finite spaces to counts) and kept other tensors",
}


def misfit(
    run: Path, solver: str, own: Mapping[str, Tensor], saved: Mapping[str, Tensor], error: Exception
) -> UsageError:
    """The error for a run whose tensors `saved` are not those of the learner made here, `own`."""
    changed = f"{CHANGED[solver]}; " if solver in CHANGED else ""
    return UsageError(
        f"{run} does not fit: the `{solver}` that its options make here has other tensors than it"
        f" saved: {difference(own, saved) or str(error).splitlines()[-1].strip()}",
        f"{changed}unless its files were changed, an earlier mfdsl made the run: train again"
        f" (`mfdsl solve {run / 'spec.mfg'} --solver {solver}`; its options are in"
        f" {run / 'options.json'}), or go on with that version",
    )


def difference(own: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> str | None:
    """The first tensors that differ in size, or that only one side has; None where all agree."""
    sizes = [
        f"`{name}` is {list(saved[name].shape)} there and {list(value.shape)} here"
        for name, value in own.items()
        if name in saved and saved[name].shape != value.shape
    ]
    missing = [f"`{name}` is missing there" for name in own if name not in saved]
    further = [f"`{name}` is there only" for name in saved if name not in own]
    found = sizes or missing or further
    rest = f", and {len(found) - FEW} more" if len(found) > FEW else ""
    return ", ".join(found[:FEW]) + rest if found else None
