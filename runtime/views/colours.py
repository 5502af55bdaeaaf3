"""Which inputs each number on a tape depends on, and columns that can share a derivative.

A derivative in all states of a law has a column for each state, but a chance that reads the
density of one cell has one number in its row. Columns that no row has together are carried along
the tape as one (Curtis, Powell and Reid 1974, doi 10.1093/imamat/13.1.117), and told apart
afterwards by the row.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfdsl.runtime.views.tape import CODES, Line

Where = NDArray[np.int64]
Pattern = NDArray[np.bool_]
CONDITIONS = {CODES[name] for name in "eq ne lt le floor ceil round trunc".split()}  # of slope 0


class Colours(NamedTuple):
    """Columns by colour [S], and those in each row: `columns[starts[r]:starts[r + 1]]`."""

    of_column: Where
    starts: Where
    columns: Where


def coloured(rows: Pattern) -> Colours:
    """Colours, from 0 on, such that no row [R, S] has two columns of one colour."""
    count = rows.shape[1]
    numbers = rows.astype(np.float32)
    meets = (numbers.T @ numbers) > 0
    colours = np.full(count, -1)
    for column in range(count):
        taken = set(colours[meets[column]].tolist())
        colours[column] = next(c for c in range(count) if c not in taken)
    starts = np.concatenate([[0], rows.sum(1).cumsum()])
    return Colours(colours.astype(np.int64), starts.astype(np.int64), np.nonzero(rows)[1])


def straight(line: Line, inputs: NDArray[np.bool_]) -> int:
    """How many instructions, from the first on, have the same slopes whatever the inputs are.

    `inputs` [places] marks those; what is multiplied or divided by constants has such slopes.
    """
    varies = inputs.copy()
    for n, (operation, start, count, terms, *offsets) in enumerate(line.code.tolist()):
        first, second, third = (varies[line.places[at : at + count * terms]] for at in offsets)
        bent = {
            CODES["mul"]: (first & second).any(),
            CODES["div"]: second.any(),
            CODES["where"]: first.any(),
            **{CODES[name]: False for name in "copy add sub neg sum".split()},
        }.get(operation, True)
        if bent:
            return n
        of_two = operation in {CODES[name] for name in "add sub mul".split()}
        chosen = second | third if operation == CODES["where"] else first
        met = chosen | second if of_two else chosen
        varies[start : start + count] = met.reshape(count, terms).any(1)
    return len(line.code)


def dependence(line: Line, inputs: Pattern) -> Pattern:
    """What the numbers on a line depend on [places, S], given what the inputs among them do.

    A number that is fetched from a place that is worked out may depend on everything.
    """
    found = inputs.copy()
    for operation, start, count, terms, *offsets in line.code.tolist():
        first, second, third = (line.places[at : at + count * terms] for at in offsets)
        here = slice(start, start + count)
        if operation in CONDITIONS:
            continue
        if operation == CODES["fetch"]:
            found[here] = True
        elif operation == CODES["scatter"]:
            np.logical_or.at(found, second, found[first])
        elif operation == CODES["where"]:
            found[here] = found[second] | found[third]
        elif operation < CODES["where"] and operation != CODES["copy"]:
            found[here] = found[first] | found[second]
        else:
            terms_of = found[first]
            if operation == CODES["dot"]:
                terms_of = terms_of | found[second]
            found[here] = terms_of.reshape(count, terms, -1).any(1)
    return found
