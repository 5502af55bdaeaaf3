"""Records of a course as events that TensorBoard reads, in the run folder beside metrics.jsonl.

The package `tensorboard` is an extra, and imported only here.
"""

import importlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mfdsl.runtime.learning.loop import LearningRecord


class EventsError(ImportError):
    """The package that writes events is not installed."""


def event_writer() -> Callable[..., Any]:
    """What makes a writer of events.

    Raises:
        EventsError: the package is missing.
    """
    try:
        writer: Callable[..., Any] = importlib.import_module(
            "torch.utils.tensorboard"
        ).SummaryWriter
    except ImportError as error:
        raise EventsError("the package `tensorboard` is not installed") from error
    return writer


@contextmanager
def events(folder: Path, made: int) -> Iterator[Callable[[LearningRecord], None]]:
    """Writes each record that it is given; `made` iterations were made before, and events of later
    ones, of a run that was killed, no longer count.

    Raises:
        EventsError: the package is missing.
    """
    writer = event_writer()(str(folder), purge_step=made + 1 if made else None)

    def write(record: LearningRecord) -> None:
        values = {"return/training": record.value, "return/measured": record.measured}
        values |= {f"training/{name}": value for name, value in record.details.items()}
        for name, value in values.items():
            if math.isfinite(value):
                writer.add_scalar(name, value, record.iteration)

    try:
        yield write
    finally:
        writer.close()
