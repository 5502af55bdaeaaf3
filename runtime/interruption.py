"""Ctrl-C that waits for the end of an iteration, and as it arrives from compiled loops."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def patient() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed meanwhile; pressed once more it is a KeyboardInterrupt at once.

    So an iteration ends as a whole, and compiled loops are not met while they hand their results
    over, where an exception is taken for a fault of the loop. Where Python's own handler is not in
    force, or outside of the main thread, nothing changes.
    """
    pressed = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield pressed.is_set
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def is_interruption(error: BaseException) -> bool:
    """Whether Ctrl-C is behind an error: itself, or what compiled loops took for a fault."""
    behind: BaseException | None = error
    while isinstance(behind, SystemError):
        behind = behind.__cause__
    return isinstance(behind, KeyboardInterrupt)
