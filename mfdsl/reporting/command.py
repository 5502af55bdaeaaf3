"""The command that makes a run again, to be typed in its folder."""

from collections.abc import Iterator, Mapping
from shlex import join
from typing import Any

from mfdsl.batches import RANDOM
from mfdsl.reporting.reading import ReadRun
from mfdsl.runtime.learning.table import LEARNERS
from mfdsl.runtime.solvers.riccati.table import EXACT

SEED = "seed"  # an option that follows the seed of the run


def again(run: ReadRun) -> str | None:
    """`mfdsl solve spec.mfg ...`; None where that needs files that the folder does not hold: the
    policy that a run began at, or parameter files.
    """
    options = run.options
    if options.sets or options.start not in (None, RANDOM):
        return None
    words = ["mfdsl", "solve", "spec.mfg", "--solver", options.solver]
    if options.solver not in EXACT:
        words += ["--iterations", str(options.iterations)]
        learner = LEARNERS.get(options.solver)
        if learner is None or learner.objective != "team":
            words += ["--tol", repr(options.tolerance)]
    words += _flags("--set", options.parameters)
    words += _flags("--opt", _chosen(run) | options.bins)
    for name, values in options.sweep.items():
        words += ["--sweep", f"{name}={','.join(map(_text, values))}"]
    words += ["--seed", str(options.seed)]
    if options.seeds:
        words += ["--seeds", str(len(options.seeds))]
    if options.share != (0, 1):
        words += ["--share", f"{options.share[0]}/{options.share[1]}"]
    if options.start is not None:
        words += ["--start", options.start]
    return join([*words, "--dtype", options.dtype])


def _chosen(run: ReadRun) -> dict[str, Any]:
    """The options of the solver that differ from what it takes by itself, but for swept ones."""
    fields = run.row.config.model_fields
    swept = run.options.batch.options
    return {
        name: value
        for name, value in run.options.options.items()
        if name not in swept
        and value is not None
        and not (name in fields and value == fields[name].default)
        and not (name == SEED and value == run.options.seed)
    }


def _flags(flag: str, values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        yield from (flag, f"{name}={_text(value)}")


def _text(value: Any) -> str:
    """A value as the command line reads it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{','.join(map(repr, value))}]"
    return value if isinstance(value, str) else repr(value)
