"""Whether the branches of an `if` meet wherever its condition changes.

On the boundary of a condition that compares a and b they are equal. So the branches meet if their
difference is a multiple of a - b, if it vanishes with b in the place of a, or if it is 0 on all
boxes where the condition is not decided.
"""

from collections.abc import Sequence

import numpy as np

from mfdsl.compiler.analysis.counted import counted, late
from mfdsl.compiler.analysis.intervals import RULES, add
from mfdsl.compiler.analysis.slopes.domain import (
    STILL,
    feasible_in,
    root_rows,
    spaces_of,
    templates_of,
)
from mfdsl.compiler.analysis.slopes.forward import Forward, Rows
from mfdsl.compiler.analysis.slopes.search import split, splittable
from mfdsl.compiler.analysis.slopes.tape import Tape
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.ir.build import TooManyNodes
from mfdsl.compiler.ir.model import Node
from mfdsl.compiler.ir.walk import reachable

MAX_BOXES = 4000
NARROWEST = 1e-6  # of a box that is split, relative to the first


def continuous_at(tape: Tape, step: int, deadline: float) -> bool:
    """Whether both branches of an `if` are proved equal wherever its condition changes, as far as
    both are continuous there.
    """
    return divided_at(tape, step, deadline) or equal_at(tape, step, deadline)


def divided_at(tape: Tape, step: int, deadline: float) -> bool:
    """The quick proof: the branches differ by a multiple of what the condition compares."""
    nodes = tape.facts.nodes
    condition, one, other = nodes[tape.steps[step].node].args
    compared = _comparisons(nodes, condition)
    return compared is not None and all(
        _divided(tape, pair, one, other, deadline) for pair in compared
    )


def equal_at(tape: Tape, step: int, deadline: float) -> bool:
    """Whether the branches are equal where the condition changes, by substitution or on boxes."""
    nodes = tape.facts.nodes
    condition, one, other = nodes[tape.steps[step].node].args
    compared = _comparisons(nodes, condition)
    if compared is not None and all(
        any(_substituted(tape, sides, one, other, deadline) for sides in (pair, pair[::-1]))
        for pair in compared
    ):
        return True
    return equal_where_open(tape, step, deadline)


def _divided(tape: Tape, pair: tuple[int, int], one: int, other: int, deadline: float) -> bool:
    """Whether the difference of the branches is a multiple of that of the sides, and nothing in it
    is unbounded there.
    """
    from mfdsl.compiler.analysis.symbolic.identities import divides
    from mfdsl.compiler.analysis.symbolic.terms import UnsupportedError, difference, written_out

    left = deadline - counted()
    if left <= 0:
        return False
    try:
        terms, found = written_out(tape.facts, [one, other, *pair], bind=True)
    except (UnsupportedError, TooManyNodes):
        return False
    apart, guard = difference(terms, *found[:2]), difference(terms, *found[2:])
    answer = divides(terms, guard, apart, seconds=left)
    return bool(answer.divides) and not answer.nonzero and not answer.positive


def _substituted(tape: Tape, sides: tuple[int, int], one: int, other: int, deadline: float) -> bool:
    """Whether the branches are equal once one side of a comparison is written for the other."""
    from mfdsl.compiler.analysis.symbolic.identities import is_zero
    from mfdsl.compiler.analysis.symbolic.terms import UnsupportedError, difference, written_out

    left = deadline - counted()
    nodes = tape.facts.nodes
    if left <= 0 or nodes[sides[0]].op in ("const", "param"):
        return False
    if sides[0] in reachable(nodes, [sides[1]]):
        return False
    copies = Copies(tape.facts)
    parts = [copies.replaced(branch, {sides[0]: sides[1]}) for branch in (one, other)]
    try:
        terms, found = written_out(copies.facts, parts, bind=True)
        return is_zero(terms, difference(terms, *found), count=0, seconds=left).holds is True
    except (UnsupportedError, TooManyNodes, ZeroDivisionError):
        return False


def _comparisons(nodes: Sequence[Node], condition: int) -> list[tuple[int, int]] | None:
    """The sides of all comparisons below a condition; None where it is more than those."""
    found, waiting = [], [condition]
    while waiting:
        node = nodes[waiting.pop()]
        if node.op in ("lt", "le"):
            found.append((node.args[0], node.args[1]))
        elif node.op in ("and", "or", "not"):
            waiting.extend(node.args)
        else:
            return None
    return found


def equal_where_open(tape: Tape, step: int, deadline: float) -> bool:
    """Whether both branches are the same number on all boxes where the condition is not decided."""
    condition, one, other = tape.steps[step].args
    spaces, templates = spaces_of(tape), templates_of(tape)
    whole = np.array([c.whole for c in tape.coordinates], bool)
    rows, boxes = root_rows(tape), 0
    first = np.maximum(rows.hi - rows.lo, 0.0).max(0)
    first[..., list(tape.several)] = 0.0
    while len(rows):
        boxes += len(rows)
        if boxes > MAX_BOXES or late(deadline):
            return False
        rows = rows.take(_differ(Forward(tape, rows, STILL, None, spaces), condition, one, other))
        if not splittable(rows, first, NARROWEST, whole).all():
            return False
        rows = split(rows, first, whole)
        rows = rows.take(feasible_in(tape, templates, rows))
    return True


def _differ(forward: Forward, condition: int, one: int, other: int) -> np.ndarray:
    """Rows on which the condition is not decided and the branches may not be equal."""
    truth = forward.value(condition)
    apart = add(forward.value(one), RULES["neg"](forward.value(other)))
    same = (apart.lo == 0) & (apart.hi == 0)
    if one == other:
        same = np.ones_like(same)
    open_ = (truth.lo != truth.hi) & ~same
    rows: Rows = forward.rows
    wide = np.broadcast_to(open_, (len(rows), *open_.shape[1:]))
    return np.asarray(wide.reshape(len(rows), -1).any(1))
