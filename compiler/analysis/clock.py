"""What a question has cost in processor time, to be told: budgets count steps (`counted`)."""

import time

from mfdsl.compiler.analysis.symbolic import gateway


def processor_time() -> float:
    """Processor seconds of this thread so far, with those of sympy's process for its jobs."""
    return time.thread_time() + gateway.spent()
