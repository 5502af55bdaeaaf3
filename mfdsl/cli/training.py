"""The part of `mfdsl solve` that learns from agents: what is shown and saved on the way."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from mfdsl import api
from mfdsl.cli.console import WIDTH, Console
from mfdsl.cli.ending import play_command, resume_command, show_files
from mfdsl.cli.failure import FAILED, FINE, INTERRUPTED
from mfdsl.cli.mending import mending_command
from mfdsl.cli.progress import is_round
from mfdsl.errors import UsageError

if TYPE_CHECKING:
    from mfdsl.learning import Training
    from mfdsl.runtime.learning.loop import Learned, LearningRecord
    from mfdsl.runtime.runs import RunFolder
    from mfdsl.settings import Settings


def start(
    console: Console,
    game: "api.Game",
    settings: "Settings",
    seed: int,
    device: api.Device,
    dtype: api.Dtype,
    out: Path,
    *,
    tensorboard: bool = False,
) -> int:
    """A new course in a new run folder."""
    from mfdsl.learning import prepare_training
    from mfdsl.records import start_folder

    _check(tensorboard)
    training = prepare_training(game, settings, seed=seed, device=device, dtype=dtype)
    folder = start_folder(game, settings, seed, dtype, out)
    return _finish(console, training, folder, tensorboard)


def resume(
    console: Console,
    game: "api.Game",
    folder: "RunFolder",
    iterations: int | None,
    tolerance: float | None,
    device: api.Device,
    *,
    tensorboard: bool = False,
) -> int:
    """Go on with the course of a run."""
    from mfdsl.learning import continued_training
    from mfdsl.simulating import training_of_run

    _check(tensorboard)
    training = training_of_run(game, folder, device=device)
    training = continued_training(training, folder, iterations=iterations, tolerance=tolerance)
    return _finish(console, training, folder, tensorboard)


def _check(tensorboard: bool) -> None:
    """Before anything is trained: can events be written where they are asked for?"""
    from mfdsl.runtime.learning.events import EventsError, event_writer

    if not tensorboard:
        return
    try:
        event_writer()
    except EventsError as error:
        raise UsageError(str(error), "`pip install 'mfdsl[tensorboard]'`") from None


def _watched(
    training: "Training", folder: "RunFolder", tensorboard: bool
) -> "AbstractContextManager[Callable[[LearningRecord], None]]":
    """Who gets each record besides the screen."""
    from mfdsl.runtime.learning.events import events

    if not tensorboard:
        return nullcontext(lambda record: None)
    history = training.course.history
    return events(folder.path, history[-1].iteration if history else 0)


def _finish(console: Console, training: "Training", folder: "RunFolder", tensorboard: bool) -> int:
    from mfdsl.learning import train, training_json
    from mfdsl.records import explained
    from mfdsl.runtime.learning.keeping import keep
    from mfdsl.runtime.status import Status

    settings = training.settings
    where = f"{training.device.type} · {training.dtype} · seed {training.course.lesson.seed}"
    text = f"{settings.solver}, {settings.reason}; a heuristic here"
    console.fields([("solver", f"{text:<{WIDTH}} {where}")])
    rows = _Rows(console)
    with _watched(training, folder, tensorboard) as watch:

        def report(record: "LearningRecord") -> None:
            rows.report(record)
            watch(record)

        learned = train(training, on_progress=report, save=lambda f: _checkpoint(folder, f))
    with explained():
        keep(folder, learned)
    _conclude(console, training, learned, folder)
    console.json_object(training_json(training, learned, str(folder.path)))
    match learned.status:
        case Status.interrupted:
            return INTERRUPTED
        case Status.not_finite:
            return FAILED
    return FINE


def _checkpoint(folder: "RunFolder", learned: "Learned") -> None:
    from mfdsl.records import explained
    from mfdsl.runtime.learning.keeping import keep

    with explained():
        keep(folder, learned)


class _Rows:
    """A row for each round iteration and for each measurement."""

    def __init__(self, console: Console) -> None:
        self.console, self.begun = console, False

    def report(self, record: "LearningRecord") -> None:
        if not self.begun:
            self.console.line("  iteration   return in training   measured            seconds")
            self.begun = True
        found = record.measured == record.measured
        if not found and not is_round(record.iteration):
            return
        value = f"{record.measured:.5g} ± {record.std_error:.2g}" if found else ""
        self.console.line(
            f"  {record.iteration:>9,}   {record.value:>18.6g}   {value:<18} "
            f" {record.seconds:>7.1f}"
        )


def _conclude(
    console: Console, training: "Training", learned: "Learned", folder: "RunFolder"
) -> None:
    from mfdsl.runtime.learning.generated.auditor import fault_of

    value, agents = learned.value, " and ".join(f"{n:,} {k}" for k, n in learned.agents.items())
    text = f"return {value.mean:.6g} ± {value.std_error:.2g} with {agents}"
    gap = learned.exploitability
    if gap is not None:
        text = f"exploitability {gap.value:.3g} ({gap.kind}), {text}"
    words = {"max_iterations": "learned", "converged": "solved"}
    word = words.get(learned.status.name, "stopped")
    ending = f"{text} after {learned.iterations:,} iterations"
    console.result(f"{word:<9} {ending:<{WIDTH}} {learned.seconds:.1f} s")
    if learned.message:
        console.fields([("", learned.message)])
    fault = fault_of(learned.history[-1].details) if learned.history else ""
    if fault:
        console.fields([("auditor", line) for line in wrap(f"the law is off: {fault}", WIDTH)])
    show_files(console, folder.path)
    console.fields([("next", _next_command(training, learned, folder))])


def _next_command(training: "Training", learned: "Learned", folder: "RunFolder") -> str:
    """What to try now: play the networks, go on, or begin again."""
    spec = training.game.compilation.name
    match learned.status.name:
        case "interrupted":
            return resume_command(spec, folder.path)
        case "not_finite":
            return mending_command(training.game, training.settings)
    return play_command(spec, folder.path, batch=100)
