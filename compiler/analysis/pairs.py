"""Pairs of values of a finite variable: the largest distance of two values of an expression.

All pairs whose values are k places apart are looked at in one search, with the variable as an axis
of its grid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from mfdsl.compiler.analysis.certificate import Witness
from mfdsl.compiler.analysis.counted import counted, late
from mfdsl.compiler.analysis.slopes.tape import Tape, Unsupported, with_distance
from mfdsl.compiler.analysis.slopes.taping import Root, make_tape
from mfdsl.compiler.analysis.slopes.value import LargestValue
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.analysis.witness import leaf_name, value_name, value_witness
from mfdsl.compiler.ir.types import INT, Type

if TYPE_CHECKING:
    from mfdsl.compiler.analysis.lipschitz import Question

ALMOST = 1 - 1e-9  # of the largest possible distance: no search is needed beyond

Largest = tuple[float, float, int, Witness | None]
"""Both bounds, boxes, and the pair that has the largest distance."""


def shifts(type_: Type) -> range:
    """Shifts on the ring of values that meet all pairs at distance 1: neighbours of numbers, any
    two values of other types.
    """
    if type_.size < 2:
        return range(0)
    return range(1, 2) if type_.kind == "int" else range(1, type_.size // 2 + 1)


def shifted(copies: Copies, leaf: int, by: int) -> int:
    """The value of a finite variable `by` places further on, after the last the first."""
    kind, whole = copies.types[copies.nodes[leaf].type], copies.type_place(INT)

    def number(value: int) -> int:
        return copies.add("const", (), value, whole)

    moved = copies.add("add", (leaf, number(by - kind.first)), None, whole)
    place = copies.add("rem", (moved, number(kind.size)), None, whole)
    return copies.add("add", (place, number(kind.first)), None, copies.nodes[leaf].type)


def pairs_at(tape: Tape, leaf: int, by: int) -> np.ndarray:
    """Grid points [grid] at which a value and the shifted one are a pair.

    Raises:
        Unsupported: the values are not enumerated.
    """
    if leaf not in tape.grid:
        raise Unsupported("a variable whose values are not enumerated")
    type_ = tape.facts.types[tape.facts.nodes[leaf].type]
    count = int(np.prod(tape.sizes))
    if type_.kind != "int" or type_.periodic:
        return np.ones(count, bool)
    place = np.unravel_index(np.arange(count), tape.sizes)[tape.grid.index(leaf)]
    return np.asarray(place + by < type_.size)


def farthest(question: Question, copies: Copies, roots: Sequence[Root], leaf: int) -> Largest:
    """The largest Euclidean distance of two values of a vector over that of two values of a finite
    variable.

    Raises:
        Unsupported: an expression has no tape.
    """

    def tape_of(by: int) -> Tape:
        entries = [(r, ()) if isinstance(r, int) else r for r in roots]
        instead = {leaf: shifted(copies, leaf, by)}
        moved = [(copies.replaced(node, instead), entry) for node, entry in entries]
        tape = make_tape(copies.facts, [*entries, *moved], question.free, [leaf])
        numbers = np.tile(np.arange(len(roots)), 2)
        here = np.where(pairs_at(tape, leaf, by)[:, None], numbers, -1)
        return with_distance(tape, here, "l2")

    return over_pairs(question, leaf, tape_of, inf)


def over_pairs(
    question: Question, leaf: int, tape_of: Callable[[int], Tape], most: float
) -> Largest:
    """The largest value of the tapes of all shifts of a variable, none of which is above `most`."""
    facts = question.facts
    tries = list(shifts(facts.types[facts.nodes[leaf].type]))
    deadline = counted() + question.budget.seconds
    budget = replace(question.budget, seconds=question.budget.seconds / max(1, len(tries)))
    lower, upper, boxes = 0.0, 0.0, 0
    witness: Witness | None = None
    for by in tries:
        problem = LargestValue(tape_of(by))
        found = problem.found(budget)
        boxes, upper = boxes + found.boxes, max(upper, found.upper)
        if found.lower > lower and problem.place is not None:
            lower = found.lower
            witness = (value_witness(problem) or {}) | _pair(problem, leaf, by)
        ended = by != tries[-1] and question.budget.by is None and late(deadline)
        if lower >= most * ALMOST or ended:
            upper = most
            break
    return lower, max(min(upper, most), lower), boxes, witness


def _pair(problem: LargestValue, leaf: int, by: int) -> Witness:
    """The two values of a variable between which the largest distance is."""
    tape = problem.tape
    assert problem.place is not None
    axis = tape.grid.index(leaf)
    places = (problem.place[axis], (problem.place[axis] + by) % tape.sizes[axis])
    ends = [value_name(tape, leaf, int(k)) for k in places]
    return {leaf_name(tape, leaf): f"{ends[0]} and {ends[1]}"}
