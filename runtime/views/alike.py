"""The small games of a batch for compiled loops: one tape for all that differ in parameters only.

Writing the functions of a module down takes milliseconds, more than many iterations of a small
game. So parameters that differ stand on the tape as inputs, and what reads nothing but them is
worked out once for each game: the line that is left is as long as that of one game with known
parameters. `small.py` is the reference.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mfdsl.runtime.views.legal_ranks import Ranks, ranked_with, ranks_of
from mfdsl.runtime.views.shortening import steps_of
from mfdsl.runtime.views.small import Small
from mfdsl.runtime.views.tables import Tables, doubled
from mfdsl.runtime.views.tape import CODES, Line
from mfdsl.runtime.views.walk import Walk, Written, written_with

MOST_MEMORY = 1 << 24  # numbers on the lines of all games together


def alike(tables: Tables, discount: float, *, endless: bool) -> tuple[Small, ...] | None:
    """Each game of a batch for the compiled loops, None where tensors are used."""
    legal = tables.legal
    if legal is not None and bool((legal != legal[..., :1]).any()):
        return None
    given = tuple(tables.program.batched(tables.params))
    exact = doubled(tables)
    first = written_with(_alone(exact, 0), given, endless=endless)
    if first is None or first.walk.line.memory.size * tables.games > MOST_MEMORY:
        return None
    sizes = [getattr(exact.params, name)[0].numel() for name in given]
    ranks = ranks_of(first.walk.legal)
    begins = zip(first.given, sizes, strict=True)
    places = np.concatenate([np.arange(begin, begin + size) for begin, size in begins])
    walk, places = ranked_with(first.walk, ranks, places)
    early, late = parted(walk.line, np.append(walk.joints, walk.time))
    shared = first._replace(walk=walk._replace(line=late))
    return tuple(
        Small(
            _alone(exact, b), _own(exact, b, given, places, shared, early, ranks), ranks, discount
        )
        for b in range(tables.games)
    )


def parted(line: Line, inputs: NDArray[np.int64]) -> tuple[Line, Line]:
    """The instructions that need no input, and the others, on the same memory.

    Places to which terms are added that need one are set to 0 with the others.
    """
    steps, moving = steps_of(line), np.zeros(len(line.memory), dtype=bool)
    moving[inputs] = True
    late, before = np.zeros(len(steps), dtype=bool), -1
    while int(late.sum()) != before:
        before = int(late.sum())
        for n, step in enumerate(steps):
            written = step.arguments[1] if step.name == "scatter" else step.results
            read = moving[step.arguments].any() or moving[written].any()
            if read or line.code[n, 0] == CODES["fetch"]:  # who knows which places are fetched
                late[n], moving[written] = True, True
    return line._replace(code=line.code[~late]), line._replace(code=line.code[late])


def _own(
    tables: Tables,
    game: int,
    given: Sequence[str],
    places: NDArray[np.int64],
    shared: Written,
    early: Line,
    ranks: Ranks,
) -> Walk:
    """The walk of one game: that of the first one, at its own parameters."""
    from mfdsl.runtime.views.native_tape import play  # needs numba

    walk = shared.walk
    values = [getattr(tables.params, name)[game].reshape(-1).double().numpy() for name in given]
    memory, last = walk.line.memory.copy(), walk.last_line.memory.copy()
    read = places >= 0
    memory[places[read]] = np.concatenate(values)[read]
    play(early, memory)
    for begin, value in zip(shared.last_given, values, strict=bool(shared.last_given)):
        last[begin : begin + len(value)] = value
    known = walk.known
    if tables.rewards is not None:
        known = ranks.narrow(np.ascontiguousarray(_of(tables.rewards, game)[..., 0].numpy()))
    return walk._replace(
        line=walk.line._replace(memory=memory),
        last_line=walk.last_line._replace(memory=last),
        initial=tables.initial[:, game].contiguous().numpy(),
        known=known,
    )


def _alone(tables: Tables, game: int) -> Tables:
    """The tables of one game; moves are those of the batch, which only shared ones are read of."""
    names = tables.program.batched(tables.params)
    own = {name: getattr(tables.params, name)[game : game + 1].clone() for name in names}
    return replace(
        tables,
        params=tables.params._replace(**own),
        games=1,
        initial=tables.initial[:, game : game + 1],
        legal=None if tables.legal is None else _of(tables.legal, game),
        rewards=None if tables.rewards is None else _of(tables.rewards, game),
    )


def _of(table: Tensor, game: int) -> Tensor:
    """One game of a table whose last axis is the batch, or 1."""
    return table if table.shape[-1] == 1 else table[..., game : game + 1]
