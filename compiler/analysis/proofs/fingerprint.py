"""The identity of a problem that is searched, so that a proof cannot be taken for another one's."""

import hashlib
import json
from collections.abc import Iterator

import numpy as np

from mfdsl.compiler.analysis.slopes.law_slope import LawSlope
from mfdsl.compiler.analysis.slopes.point_slope import PointSlope
from mfdsl.compiler.analysis.slopes.tape import Tape
from mfdsl.compiler.analysis.slopes.value import LargestValue
from mfdsl.compiler.ir.walk import reachable

Problem = LawSlope | PointSlope | LargestValue


def fingerprint(problem: Problem) -> str:
    """A hash of what is searched: the tape, the expressions that it stands for, and of which slope.

    Numbers of parameters and arrays are those of the model, which a proof names besides.
    """
    digest = hashlib.sha256(type(problem).__name__.encode())
    for part in (*_tape(problem.tape), *_question(problem)):
        digest.update(_bytes(part))
        digest.update(b"\0")
    return digest.hexdigest()


def _question(problem: Problem) -> Iterator[object]:
    if isinstance(problem, LawSlope):
        yield problem.population
        yield problem.outcomes
    elif isinstance(problem, PointSlope):
        yield tuple(problem.moving)
        yield problem.concentrated
    else:
        yield problem.least


def _tape(tape: Tape) -> Iterator[object]:
    yield tuple(tape.roots)
    yield (tape.grid, tape.inner, sorted(tape.free.items()), sorted(tape.several))
    for step in tape.steps:
        yield (step.op, step.args, step.node)
        yield getattr(step.attr, "values", step.attr)  # of a table: its numbers
    for c in tape.coordinates:
        yield (c.node, c.entry, c.lo, c.hi, c.whole, c.statistic)
    nodes = tape.facts.nodes
    for i in reachable(nodes, sorted({s.node for s in tape.steps if s.node >= 0})):
        yield (i, nodes[i].op, nodes[i].args, nodes[i].attr, nodes[i].type)


def _bytes(part: object) -> bytes:
    if isinstance(part, np.ndarray):
        return repr((part.shape, part.dtype.str)).encode() + np.ascontiguousarray(part).tobytes()
    return json.dumps(part, default=lambda number: number.item()).encode()
