"""The moves of a small game whose chances read the law, on a tape for compiled loops.

Derivatives in the law of S states are carried along the tape in as many columns as they need
(`colours.py`). Where all chances read the same few numbers of the law, as prices that means make,
that would be S columns for the whole tape: there the tape is cut behind these numbers, what comes
before it has S columns, what comes after it a column for each number that is read, and the
derivative in the law is the product.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._pytree import tree_leaves

from mfdsl.runtime.views import native
from mfdsl.runtime.views.colours import Pattern, Where, coloured, dependence, straight
from mfdsl.runtime.views.tables import Tables
from mfdsl.runtime.views.tape import CODES, Line, record

MOST_ENTRIES = 1 << 21  # of the derivatives of a tape
MOST_SEEN = 1 << 26  # of what places depend on


class Moves(NamedTuple):
    """Moves for compiled loops: to `places` [S, A, K], with what stands at `chances` on the line.

    `joint` is where the joint law [S, A] begins there. Derivatives are carried in columns: in the
    states of the law, or, where chances read no more than the numbers at the places `read` [F], in
    these. Of S or F columns those with the same of the `colours` [S or F] are carried as one; the
    first instructions, as many as are `straight`, have the same derivatives at all laws. Distinct
    chances stand at `distinct` [D]; that of a move is number `rows` [S, A, K] of these, which reads
    the columns `columns[starts[d]:starts[d + 1]]`. The derivative of a push has `band` numbers
    below and above its diagonal. States are those of `populations` side by side, each with the same
    mass. The numbers at `read` are there after the first of the two numbers `early` of
    instructions, which read and write below the second of them.
    """

    line: Line
    joint: int
    chances: NDArray[np.int64]
    places: NDArray[np.int64]
    straight: int
    colours: NDArray[np.int64]
    distinct: NDArray[np.int64]
    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    columns: NDArray[np.int64]
    band: tuple[int, int]
    populations: int
    read: NDArray[np.int64]
    early: tuple[int, int]


class Cut(NamedTuple):
    """Few numbers at places `read` [F] through which a line reads the law, as in `Moves`.

    They depend on the states as in `below` [F, S], the distinct chances on them as in `above`
    [D, F].
    """

    read: Where
    early: tuple[int, int]
    below: Pattern
    above: Pattern


def moves_of(tables: Tables) -> Moves | None:
    """The moves for compiled loops, None where these are not there or the chances do not fit."""
    unit, program = tables.unit, tables.program
    plain = unit.dtype == torch.float64 and unit.device.type == "cpu" and native.available()
    if not plain or tables.successors is None:
        return None
    module, time = program.module, tables.times(1)[0]
    shape = (*program.states.values(), *program.actions.values())

    def chances(joint: Tensor) -> list[Tensor]:
        field = module.field(tables.params, time, joint.view(1, *shape))
        return [module.weights(tables.params, time, field), *tree_leaves(field)]

    states, actions = program.state_count, program.action_count
    tape = record(chances, unit.new_full((states, actions), 1 / (states * actions)))
    if tape is None or len(tape.line.memory) * states > MOST_SEEN:
        return None
    places = tables.successors[0].permute(2, 1, 0).contiguous()
    chance = tape.results[0].expand(1, *places.shape)[0].contiguous()
    numbers = [x.reshape(-1).numpy() for x in tape.results[1:]]
    where = chance.numpy(), places.numpy(), np.unique(np.concatenate([np.zeros(0, int), *numbers]))
    return _told_apart(tape.line, tape.inputs[0], *where, len(program.populations))


def _told_apart(
    line: Line,
    joint: int,
    chances: Where,
    places: Where,
    numbers: Where,
    populations: int,
) -> Moves | None:
    """The moves with what their chances depend on, None where derivatives are too many.

    The chances read the law through the numbers at the places `numbers` at most.
    """
    states, actions, _ = places.shape
    inputs = np.zeros((len(line.memory), states), dtype=bool)
    inputs[joint : joint + states * actions] = np.repeat(np.eye(states, dtype=bool), actions, 0)
    distinct, rows = np.unique(chances, return_inverse=True)
    rows = rows.reshape(chances.shape)
    met = dependence(line, inputs)
    reads, same = met[distinct], straight(line, np.logical_or.reduce(inputs, axis=1))
    told, few, early = coloured(reads), np.zeros(0, np.int64), (0, 0)
    width, size = told.of_column.max() + 1, len(line.memory)
    if (cut := _cut(line, inputs, met, numbers, distinct)) is not None and len(cut.read) < width:
        told, few, early = coloured(cut.above), cut.read, cut.early
        same = min(same, early[0])
    entries = len(few) * size + early[1] * states if len(few) else width * size
    if entries > MOST_ENTRIES:
        return None
    touched = np.zeros((states, states), dtype=bool)
    np.logical_or.at(touched, places.reshape(-1), reads[rows.reshape(-1)])
    touched[places, np.arange(states)[:, None, None]] = True
    to, source = np.nonzero(touched)
    band = int((to - source).max()), int((source - to).max())
    parts = same, told.of_column, distinct, rows, told.starts, told.columns, band
    return Moves(line, joint, chances, places, *parts, populations, few, early)


def _cut(line: Line, inputs: Pattern, met: Pattern, numbers: Where, distinct: Where) -> Cut | None:
    """Where a line has come to the numbers that all else reads; None where there is no such place.

    `inputs` and `met` [places, S] are what places depend on, at first and in the end.
    """
    read = numbers[met[numbers].any(1)]
    firsts, lasts = line.code[:, 1], line.code[:, 1] + line.code[:, 2]
    writing = ((firsts[:, None] <= read) & (read < lasts[:, None])).any(1)
    if not writing.any():
        return None
    end = int(np.flatnonzero(writing)[-1]) + 1
    if (line.code[:end, 0] == CODES["fetch"]).any():
        return None  # a place that is worked out may be any
    before = dependence(line._replace(code=line.code[:end]), inputs)
    marks = np.zeros((len(before), len(read) + 1), dtype=np.bool_)
    marks[:, -1] = before.any(1)
    marks[read] = np.eye(len(read), len(read) + 1, dtype=np.bool_)
    above = dependence(line._replace(code=line.code[end:]), marks)[distinct]
    if above[:, -1].any():
        return None
    return Cut(read, (end, _highest(line, end)), met[read], above[:, :-1])


def _highest(line: Line, end: int) -> int:
    """One more than the highest place that the first instructions read or write."""
    highest = 0
    for _, start, count, terms, *offsets in line.code[:end].tolist():
        given = [line.places[at : at + count * terms] for at in offsets]
        highest = max(highest, start + count, *(int(x.max()) + 1 for x in given if len(x)))
    return highest
