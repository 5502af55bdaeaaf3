"""Ctrl-C as it arrives from compiled loops."""


def is_interruption(error: BaseException) -> bool:
    """Whether Ctrl-C is behind an error: itself, or the cause of a SystemError.

    Pressed while a compiled loop hands its results over to Python, it is taken for a fault of the
    loop.
    """
    if isinstance(error, SystemError):
        return isinstance(error.__cause__, KeyboardInterrupt)
    return isinstance(error, KeyboardInterrupt)
