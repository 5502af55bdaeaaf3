"""Values that are continuous in a law because they are made of continuous operations.

A square root has slopes without end next to 0, and so have powers below 1 and x log x, and is
continuous all the same. What the language lets have a root or a real power is never below 0.
"""

import numpy as np

from mfdsl.compiler.analysis.intervals import Interval
from mfdsl.compiler.analysis.slopes.domain import root_rows
from mfdsl.compiler.analysis.slopes.forward import Forward
from mfdsl.compiler.analysis.slopes.law_slope import LawSlope
from mfdsl.compiler.analysis.slopes.tape import Step

EVERYWHERE = frozenset(
    "add neg mul exp logistic logistic_down softplus tanh sin cos abs max min real sqrt xlogx"
    " softmax norm ring_gap sum_over prod_over min_over max_over".split()
)


def is_composed(problem: LawSlope) -> bool:
    """Whether each step of a value stands still in the law, has finite slopes and no branches that
    may not meet, or is an operation that is continuous wherever its arguments are.

    Raises:
        Unsupported: a step has no enclosure.
    """
    tape, rows = problem.tape, root_rows(problem.tape)
    forward = Forward(tape, rows, problem.moves_in(rows), None, problem.spaces)
    for root in tape.roots:
        forward.tangent(root)
    return all(
        tangent is None
        or (_finite(tangent) and index not in forward.joints | forward.jumps)
        or (_finite(forward.values[index]) and _continuous(forward, tape.steps[index]))
        for index, tangent in forward.tangents.items()
    )


def _continuous(forward: Forward, step: Step) -> bool:
    """Whether an operation is continuous at all values that its arguments may have."""
    args = [forward.values[a] for a in step.args]
    if step.op in EVERYWHERE:
        return True
    if step.op == "div":
        return _away(args[1])
    if step.op == "log":
        return bool((args[0].lo > 0).all())
    if step.op == "pow":
        return bool(((args[0].lo > 0) | (args[1].lo > 0)).all())
    if step.op == "if":
        return forward.tangents[step.args[0]] is None
    return step.op == "statistic" and len(step.args) == 1


def _finite(value: Interval) -> bool:
    return bool(np.isfinite(value.lo).all() and np.isfinite(value.hi).all())


def _away(value: Interval) -> bool:
    return bool(((value.lo > 0) | (value.hi < 0)).all())
