"""Functions of emitted modules as straight lines of arithmetic over one array of numbers.

A small game spends its time between tensor operations, not in them. Here a function runs once on
examples, and each operation is written down: what only moves data (views, reshapes, indexing with
known places) is done to tables of places and costs nothing from then on; what calculates becomes
an instruction, over the distinct combinations of its arguments only. `native_tape.py` runs them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor
from torch.overrides import TorchFunctionMode

MOST_PLACES = 1 << 20
Places = Int[Tensor, "..."]

# One number or more for each result; `native_tape.py` has the same list.
OPERATIONS = (
    "copy add sub mul div pow minimum maximum eq ne lt le remainder atan2 where neg abs exp log "
    "sqrt sin cos tanh softplus floor ceil round trunc fetch sum amax amin dot scatter"
).split()
CODES = {name: code for code, name in enumerate(OPERATIONS)}


class NotTaped(Exception):
    """An operation that has no instruction."""


class Line(NamedTuple):
    """Instructions [N, 7]: code, first result, how many, terms of each, places of arguments.

    `memory` has the constants; results are written behind them.
    """

    code: NDArray[np.int64]
    places: NDArray[np.int64]
    memory: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Tape:
    """The line of a function, where its inputs begin and where its results lie."""

    line: Line = field(repr=False)
    inputs: tuple[int, ...]
    results: tuple[Places, ...] = field(repr=False)

    @property
    def work(self) -> int:
        """Terms of all instructions together."""
        return int((self.line.code[:, 2] * self.line.code[:, 3]).sum())


def record(
    function: Callable[..., Sequence[Tensor]], *examples: Tensor, most: int = MOST_PLACES
) -> Tape | None:
    """The line of a function of float64 tensors, None where some operation has no instruction.

    Examples may be views: a number that stands at two places of an input is one place. Inputs must
    be dense in memory, and lie on the tape in that order. Lines of more than `most` places are
    given up.
    """
    recorder = Recorder(most)
    starts = tuple(recorder.input(example) for example in examples)
    try:
        with recorder:
            results = function(*examples)
        found = tuple(recorder.places_of(result) for result in results)
    except NotTaped:
        return None
    return Tape(recorder.line(), starts, found)


class Recorder(TorchFunctionMode):
    """Writes down what is done to tensors that depend on the inputs."""

    def __init__(self, most: int = MOST_PLACES) -> None:
        super().__init__()
        self._most = most
        self._at: dict[int, Places] = {}
        self._kept: list[Tensor] = []  # an id stays taken only while its tensor lives
        self._memory: list[NDArray[np.float64]] = []
        self._size = 0
        self._code: list[tuple[int, ...]] = []
        self._places: list[NDArray[np.int64]] = []
        self._length = 0
        self._done: dict[tuple[object, ...], int] = {}

    def input(self, example: Tensor) -> int:
        """Room for the numbers of an input; where it begins."""
        room = example.untyped_storage().nbytes() // example.element_size()
        start = self._room(np.zeros(room))
        places = torch.arange(start, start + room)
        self._keep(example, places.as_strided(example.shape, example.stride()))
        return start

    def places_of(self, value: object) -> Places:
        """Where the numbers of a value lie; those of a constant are placed now."""
        if isinstance(value, Tensor) and id(value) in self._at:
            return self._at[id(value)]
        given = value.detach() if isinstance(value, Tensor) else value
        numbers = torch.as_tensor(given, dtype=torch.float64)
        start = self._room(numbers.reshape(-1).numpy())
        return torch.arange(start, start + numbers.numel()).view(numbers.shape)

    def line(self) -> Line:
        """What was written down."""
        code = np.array(self._code, dtype=np.int64).reshape(-1, 7)
        places = np.concatenate([np.zeros(0, np.int64), *self._places])
        return Line(code, places, np.concatenate([np.zeros(0), *self._memory]))

    def calculated(self, name: str, *arguments: Places, terms: int = 1) -> Int[Tensor, " results"]:
        """Places of the results, in order, of an operation on flat places of its arguments.

        With several terms for each result these are adjacent.
        """
        table = torch.stack([places.reshape(-1, terms) for places in arguments])
        keys = table.permute(1, 0, 2).reshape(table.shape[1], -1).numpy()
        distinct, inverse = _distinct_rows(keys)
        rows = np.ascontiguousarray(
            distinct.reshape(len(distinct), len(arguments), terms).transpose(1, 0, 2)
        )
        key = (name, terms, rows.shape, rows.tobytes())
        if key not in self._done:
            self._done[key] = self._room(np.zeros(len(distinct)))
            self.instruct(name, self._done[key], len(distinct), terms, *rows)
        return torch.from_numpy(self._done[key] + inverse.reshape(-1).astype(np.int64))

    def instruct(
        self, name: str, start: int, count: int, terms: int, *rows: NDArray[np.int64]
    ) -> None:
        """Write an instruction down."""
        where = []
        for row in rows:
            where.append(self._length)
            self._places.append(row.reshape(-1))
            self._length += row.size
        if self._length + self._size > self._most:
            raise NotTaped("too long")
        self._code.append((CODES[name], start, count, terms, *where, *[0] * (3 - len(where))))

    def fresh(self, like: Places) -> Places:
        """New places that a caller writes, in the shape of others."""
        start = self._room(np.zeros(like.numel()))
        return torch.arange(start, start + like.numel()).view(like.shape)

    def written_over(self, value: Tensor, places: Places) -> None:
        """Note what was done to a tensor in place, which no other known tensor shares."""
        storage = value.untyped_storage().data_ptr()
        known = [x for x in self._kept if x is not value]
        if any(x.untyped_storage().data_ptr() == storage for x in known):
            raise NotTaped("several tensors are written over at once")
        self._keep(value, places)

    def knows(self, value: object) -> bool:
        """Whether the value, or part of it, depends on the inputs."""
        if isinstance(value, Tensor):
            return id(value) in self._at
        if isinstance(value, list | tuple):
            return any(self.knows(part) for part in value)
        return False

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Do the operation, and write it down where its result depends on the inputs."""
        from mfdsl.runtime.views.tape_rows import written  # the rows of the table need this class

        options = kwargs or {}
        value = func(*args, **options)
        if self.knows(args) or self.knows(tuple(options.values())):
            found = written(self, func, args, options, value)
            if found is not None:
                self._keep_all(value, found)
        return value

    def _keep_all(self, value: object, places: object) -> None:
        if isinstance(value, Tensor):
            found = cast(Tensor, places)
            if value.shape != found.shape or value.dtype not in KINDS:
                raise NotTaped(f"numbers of {value.dtype}")
            self._keep(value, found)
        else:
            for one, where in zip(cast(Any, value), cast(Any, places), strict=True):
                self._keep_all(one, where)

    def _keep(self, value: Tensor, places: Places) -> None:
        self._kept.append(value)
        self._at[id(value)] = places

    def _room(self, numbers: NDArray[np.float64]) -> int:
        start = self._size
        self._memory.append(numbers)
        self._size += len(numbers)
        return start


def _distinct_rows(rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct rows of places in order, and which of them each row is.

    Rows that fit into one number are compared as such, which takes a tenth of the time.
    """
    base = int(rows.max(initial=0)) + 1
    if base ** rows.shape[1] >= 1 << 63:
        distinct, inverse = np.unique(rows, axis=0, return_inverse=True)
        return distinct, inverse
    scale = np.array([base**k for k in reversed(range(rows.shape[1]))], dtype=np.int64)
    _, first, inverse = np.unique(rows @ scale, return_index=True, return_inverse=True)
    return rows[first], inverse


KINDS = (torch.float64, torch.int64, torch.bool)
