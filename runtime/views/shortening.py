"""Shorter tapes: without what nobody reads, what is done twice, and products that are only summed.

A function of a module says something of every pair of state and action. Where most pairs are
illegal, or alike, or a sum of products is written as products and a sum, most of its tape is work
for nothing. The numbers that are left are the same to the bit.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mfdsl.runtime.views.tape import CODES, OPERATIONS, Line

Where = NDArray[np.int64]
Mask = NDArray[np.bool_]
Numbers = NDArray[np.float64]
TWO = "add sub mul div pow minimum maximum eq ne lt le remainder atan2 dot scatter".split()
ARGUMENTS = {name: 2 if name in TWO else 3 if name == "where" else 1 for name in OPERATIONS}
ONE_TERM = ("sum", "amax", "amin")


@dataclass(frozen=True)
class Step:
    """One instruction: the places of its results [N] and of its arguments [M, N, terms]."""

    name: str
    results: Where
    arguments: Where


def shortened(line: Line, inputs: Where, zeros: Where, read: Where) -> tuple[Line, Where]:
    """The line that writes the same at the places that are read, and where all places went.

    Nothing but 0 is ever written to `zeros`, which are among the places of inputs. Places that are
    gone are at -1. A line that works places out stays as it is.
    """
    size = len(line.memory)
    steps = steps_of(line)
    if any(step.name == "fetch" for step in steps):
        return line, np.arange(size)
    changing, fixed, never = (np.zeros(size, dtype=bool) for _ in range(3))
    fixed[:], fixed[inputs], never[zeros] = True, False, True
    for step in steps:
        fixed[step.results] = False
        if step.name == "scatter":
            changing[step.arguments[1].reshape(-1)] = True
    memory = line.memory
    steps, stands_for = _merged(steps, memory, fixed & ~changing, changing)
    steps = _with_products(steps, stands_for[read], changing)
    steps, live = _alive(steps, stands_for[read], never)
    moved = np.where(live, np.cumsum(live) - 1, -1)
    return _line(steps, moved, memory[live]), moved[stands_for]


def settled(line: Line, inputs: Where) -> tuple[Line, Where]:
    """The line without what reads no input, whose numbers are constants, and where places went.

    Constants lie before all that is calculated. Needs numba, which works them out.
    """
    from mfdsl.runtime.views.native_tape import play

    size = len(line.memory)
    steps = steps_of(line)
    if any(step.name in ("fetch", "scatter") for step in steps):
        return line, np.arange(size)
    memory = line.memory.copy()
    play(line, memory)
    known = np.ones(size, dtype=bool)
    known[inputs] = False
    kept = []
    for step in steps:
        left = ~known[step.arguments].all((0, 2))
        known[step.results] = ~left
        if left.any():
            kept.append(Step(step.name, step.results[left], step.arguments[:, left]))
    order = np.argsort(~known, kind="stable")
    moved = np.empty(size, dtype=np.int64)
    moved[order] = np.arange(size)
    return _line(kept, moved, memory[order]), moved


def steps_of(line: Line) -> list[Step]:
    """The instructions of a line with their places."""
    found = []
    for code, start, count, terms, *where in line.code:
        name = OPERATIONS[code]
        parts = [line.places[w : w + count * terms] for w in where[: ARGUMENTS[name]]]
        arguments = np.stack(parts).reshape(len(parts), count, terms)
        found.append(Step(name, np.arange(start, start + count), arguments))
    return found


def _merged(
    steps: list[Step], memory: Numbers, fixed: Mask, changing: Mask
) -> tuple[list[Step], Where]:
    """The steps that calculate, and for each place the one that has its number.

    Constants (`fixed`) of equal value are one. Places that are `changing` are added to.
    """
    stands_for = np.arange(len(memory))
    constants = np.flatnonzero(fixed)
    _, first, same = np.unique(
        memory[constants].view(np.int64), return_index=True, return_inverse=True
    )
    stands_for[constants] = constants[first[same]]
    kept = []
    for step in steps:
        arguments = stands_for[step.arguments]
        if step.name == "scatter":
            arguments[1] = step.arguments[1]
        else:
            stands_for[step.results] = _stand_ins(step, arguments, memory, fixed, changing)
        left = stands_for[step.results] == step.results
        if step.name == "scatter" or left.all():
            kept.append(Step(step.name, step.results, arguments))
        elif left.any():
            kept.append(Step(step.name, step.results[left], arguments[:, left]))
    return kept, stands_for


def _stand_ins(step: Step, arguments: Where, memory: Numbers, fixed: Mask, changing: Mask) -> Where:
    """For each result a place with the same number: itself, an argument, or an earlier result."""
    rows = arguments.transpose(1, 0, 2).reshape(len(step.results), -1)
    _, first, same = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    found = step.results[first[same.reshape(-1)]]
    alike = np.full(len(found), False)
    source = arguments[0, :, 0]
    if step.name == "copy" or (step.name in ONE_TERM and arguments.shape[2] == 1):
        alike[:] = True
    elif step.name == "where":
        alike = fixed[source]
        source = np.where(memory[source] != 0, arguments[1, :, 0], arguments[2, :, 0])
    found = np.where(alike & ~changing[source], source, found)
    return np.where(changing[step.results], step.results, found)


def _with_products(steps: list[Step], read: Where, changing: Mask) -> list[Step]:
    """Sums of products that nobody else reads take the factors."""
    uses = np.bincount(read, minlength=len(changing))
    factors = np.full((2, len(changing)), -1)
    for step in steps:
        uses += np.bincount(step.arguments.reshape(-1), minlength=len(changing))
        steady = ~changing[step.arguments].any((0, 2))
        if step.name == "mul":
            factors[:, step.results[steady]] = step.arguments[:, steady, 0]
    found = []
    for step in steps:
        terms = step.arguments[0]
        if step.name == "sum" and (uses[terms] == 1).all() and (factors[0, terms] >= 0).all():
            found.append(Step("dot", step.results, factors[:, terms]))
        else:
            found.append(step)
    return found


def _alive(steps: list[Step], read: Where, never: Mask) -> tuple[list[Step], Mask]:
    """What leads to the places that are read, and all places that it touches."""
    live = np.zeros(len(never), dtype=bool)
    live[read] = True
    kept = []
    for step in reversed(steps):
        if step.name == "scatter":
            needed = live[step.arguments[1, :, 0]] & ~never[step.arguments[0, :, 0]]
        else:
            needed = live[step.results]
        live[step.arguments[:, needed].reshape(-1)] = True
        if needed.any():
            kept.append(Step(step.name, step.results[needed], step.arguments[:, needed]))
    return kept[::-1], live


def _line(steps: list[Step], moved: Where, memory: Numbers) -> Line:
    """The steps as instructions on the places that are left."""
    code, places, length = [], [np.zeros(0, dtype=np.int64)], 0
    for step in steps:
        count, terms = step.arguments.shape[1:]
        starts = [length + i * count * terms for i in range(len(step.arguments))]
        places.append(moved[step.arguments].reshape(-1))
        length += step.arguments.size
        first = 0 if step.name == "scatter" else moved[step.results[0]]
        code.append((CODES[step.name], first, count, terms, *starts, *[0] * (3 - len(starts))))
    table = np.array(code, dtype=np.int64).reshape(-1, 7)
    return Line(table, np.concatenate(places), memory)
