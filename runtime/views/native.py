"""The passes over a table as compiled loops (extra `native`, numba), where they pay.

A game of a hundred states spends its time between tensor operations, not in them; on a large grid
tensor operations write tables to memory that loops keep in registers. On a CPU, games whose moves
read neither time nor the law, and that share them with the whole batch, run each pass as one call
here; devices and other games use the tensor code, which stays the reference.
"""

import importlib
import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from mfdsl.runtime.views.rows import SharedRows

MOST_ENTRIES = 1 << 28
MOST_BANDED = 2048  # states of a chain that is eliminated
MOST_WORK = 1 << 25  # multiplications of one elimination
LONG = 8  # numbers in a run, on average, from where runs are faster than entries
Function = Callable[..., Any]
Numbers = NDArray[Any]


@cache
def available() -> bool:
    """Whether numba is installed and fits the other packages; warns when it does not fit."""
    if importlib.util.find_spec("numba") is None:
        return False
    try:
        importlib.import_module("numba")
    except ImportError as error:
        warnings.warn(f"numba is installed but does not load: {error}", stacklevel=2)
        return False
    return True


class Entries(NamedTuple):
    """Moves one by one: row `landing[a, s]` goes to `places[starts[row]:starts[row + 1]]` with the
    probabilities `chances` there.
    """

    landing: NDArray[np.int64]
    starts: NDArray[np.int64]
    places: NDArray[np.int64]
    chances: Numbers


class Runs(NamedTuple):
    """Moves side by side. Action a has the runs `landing[actions[a]:actions[a + 1]]`, each its
    first state, its first row and a length; those of `spread` have a first row, a first place and
    a length, and one chance.
    """

    actions: NDArray[np.int64]
    landing: NDArray[np.int64]
    spread: NDArray[np.int64]
    chances: Numbers


@dataclass(frozen=True, eq=False)
class Loops:
    """What compiled loops know of moves with so many distinct `rows`."""

    rows: int
    moves: Entries | Runs


@dataclass(frozen=True, eq=False)
class Banded:
    """Moves whose chains are eliminated inside of `band` [S, 2], first states and ends of rows."""

    moves: Entries | Runs
    band: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Choice:
    """Moves by shared rows, made ready for compiled loops when they are first asked for."""

    rows: SharedRows = field(repr=False)

    def loops(self, games: int) -> Loops | None:
        """The moves for compiled loops over so many games, None where they do not pay."""
        runs = self._runs.moves
        assert isinstance(runs, Runs)
        if games * _size(self.rows) >= LONG * (len(runs.landing) + len(runs.spread)):
            return self._runs
        return self._entries if games == 1 else None

    @property
    def entries(self) -> Entries:
        """The moves one by one."""
        moves = self._entries.moves
        assert isinstance(moves, Entries)
        return moves

    @cached_property
    def banded(self) -> "Banded | None":
        """The moves for elimination, None where the band is large."""
        if self.rows.landing.shape[1] > MOST_BANDED:
            return None
        moves = self._entries.moves
        band = _compiled("envelope")(moves)
        work = ((band[:, 1] - band[:, 0]).astype(float) ** 2).sum()
        return Banded(moves, band) if work <= MOST_WORK else None

    @cached_property
    def _runs(self) -> Loops:
        rows = self.rows
        return Loops(rows.places.shape[1], _runs_of(rows))

    @cached_property
    def _entries(self) -> Loops:
        rows = self.rows
        return Loops(rows.places.shape[1], _entries_of(rows))


def choice_of(rows: SharedRows) -> Choice | None:
    """The moves for compiled loops, None on a device, without numba, or of very many entries."""
    if rows.places.device.type != "cpu" or _size(rows) > MOST_ENTRIES or not available():
        return None
    return Choice(rows)


def _size(rows: SharedRows) -> int:
    return rows.landing.numel() + rows.places.numel()


def push_forward(
    loops: Loops,
    probs: Float[Tensor, "stages actions states batch"],
    laws: Float[Tensor, "laws states batch"],
) -> None:
    """Write the laws after the first one."""
    games = laws.shape[-1]
    middle = _middle(loops, laws)
    tables = [tensor.flatten(-2).numpy() for tensor in (probs, laws)]
    if isinstance(loops.moves, Runs):
        _compiled("push_runs")(loops.moves, games, *tables, middle)
    else:
        _compiled("push_entries")(loops.moves, *tables, middle)


def sweep(
    loops: Loops,
    rewards: Float[Tensor, "stages actions states batch"],
    probs: Float[Tensor, "stages actions states batch"] | None,
    value: Float[Tensor, "states batch"],
    discount: float,
    q: Float[Tensor, "stages actions states batch"] | None = None,
) -> None:
    """Take `value` from after the last stage to the first, of the policy or of the best response.

    Rewards are -inf at illegal actions. `q` is written where it is given.
    """
    games = rewards.shape[-1]
    paid, now = rewards.flatten(-2).numpy(), value.flatten().numpy()
    kept = paid[:0] if q is None else q.flatten(-2).numpy()
    played = paid if probs is None else probs.flatten(-2).numpy()
    tables = (paid, paid.dtype.type(discount), played, now, kept)
    rest = (*tables, _middle(loops, rewards), probs is None)
    if isinstance(loops.moves, Runs):
        _compiled("sweep_runs")(loops.moves, games, *rest)
    else:
        _compiled("sweep_entries")(loops.moves, *rest)


def stretch(
    loops: Loops,
    probs: Float[Tensor, "actions states batch"],
    laws: Float[Tensor, "laws states batch"],
) -> None:
    """Write the laws after the first one, all under the same policy."""
    games = laws.shape[-1]
    rest = (probs[None].flatten(-2).numpy(), laws.flatten(-2).numpy(), _middle(loops, laws))
    if isinstance(loops.moves, Runs):
        _compiled("stretch_runs")(loops.moves, games, *rest)
    else:
        _compiled("stretch_entries")(loops.moves, *rest)


def limit_laws(
    banded: Banded,
    probs: Float[Tensor, "actions states batch"],
    laws: Float[Tensor, "states batch"],
    leaving: float,
    most: int,
) -> tuple[Float[Tensor, "states batch"], float]:
    """The limits of laws by elimination (`chains.py`) and at most so many steps each.

    Also the largest l1 change that a push makes to one of them.
    """
    found = laws.clone(memory_format=torch.contiguous_format)
    kind = found.numpy().dtype.type
    unmoved = kind(4 * torch.finfo(found.dtype).eps)
    shares = (kind(1 - leaving), kind(leaving), most, unmoved)
    moved = _compiled("settled")(banded.moves, banded.band, probs.numpy(), found.numpy(), *shares)
    return found, float(moved)


def discounted_values(
    banded: Banded,
    probs: Float[Tensor, "actions states batch"],
    paid: Float[Tensor, "states batch"],
    discount: float,
) -> Float[Tensor, "states batch"]:
    """Values without end of policies whose mean rewards are `paid`, by elimination."""
    found = paid.clone(memory_format=torch.contiguous_format)
    kind = found.numpy().dtype.type
    shares = (kind(discount), kind(1 - discount))
    _compiled("values_of")(banded.moves, banded.band, probs.numpy(), found.numpy(), *shares)
    return found


def endless(
    loops: Loops,
    rewards: Float[Tensor, "actions states batch"],
    probs: Float[Tensor, "actions states batch"] | None,
    value: Float[Tensor, "states batch"],
    discount: float,
    most: int,
    tolerance: float,
) -> Float[Tensor, "actions states batch"] | None:
    """Discounted Q of the policy, or of the best response, by so many sweeps at most, else None.

    Sweeps start from `value` and leave the last one there. Rewards are -inf at illegal actions.
    `tolerance` is relative to 1 + the largest value.
    """
    games = rewards.shape[-1]
    q = torch.empty(rewards.shape, dtype=rewards.dtype)[None]
    paid = rewards[None].flatten(-2).numpy()
    played = paid if probs is None else probs[None].flatten(-2).numpy()
    tables = (
        paid,
        paid.dtype.type(discount),
        played,
        value.view(-1).numpy(),
        q.flatten(-2).numpy(),
    )
    rest = (*tables, _middle(loops, rewards), probs is None, most, tolerance)
    if isinstance(loops.moves, Runs):
        found = _compiled("endless_runs")(loops.moves, games, *rest)
    else:
        found = _compiled("endless_entries")(loops.moves, *rest)
    return q[0] if found else None


def _middle(loops: Loops, like: Tensor) -> Numbers:
    """Room for a number for each row and game."""
    return np.empty(loops.rows * like.shape[-1], dtype=like.numpy().dtype)


@cache
def _compiled(name: str) -> Function:
    from mfdsl.runtime.views import (  # need numba
        native_chains,
        native_endless,
        native_loops,
        native_values,
    )

    for source in (native_loops, native_endless, native_chains, native_values):
        if hasattr(source, name):
            return cast(Function, getattr(source, name))
    raise AttributeError(name)


def compiled_loops(kernel: object, games: int) -> Loops | None:
    """The moves of a kernel for compiled loops, None where the tensor code is used."""
    choice = getattr(kernel, "choice", None)
    return choice.loops(games) if isinstance(choice, Choice) else None


def banded(kernel: object) -> Banded | None:
    """The moves of a kernel for elimination, None where other code is used."""
    choice = getattr(kernel, "choice", None)
    return choice.banded if isinstance(choice, Choice) else None


def _entries_of(rows: SharedRows) -> Entries:
    """Entries of a row with the same place are summed, those of chance 0 left out."""
    noises, count = rows.places.shape
    at = torch.arange(count).expand(noises, -1)
    places = torch.stack([at.reshape(-1), rows.places.reshape(-1)])
    chances = rows.chances.reshape(-1)
    table = torch.sparse_coo_tensor(
        places[:, chances != 0], chances[chances != 0], check_invariants=False
    ).coalesce()
    row, place = table.indices().numpy()
    starts = np.searchsorted(row, np.arange(count + 1)).astype(np.int64)
    landing = rows.landing.contiguous().numpy()
    return Entries(landing, starts, np.ascontiguousarray(place), table.values().numpy())


def _runs_of(rows: SharedRows) -> Runs:
    landing, actions = [], [0]
    for row in rows.landing.numpy():
        first, count = _stretches(row[1:] == row[:-1] + 1)
        landing.append(np.stack([first, row[first], count], 1))
        actions.append(actions[-1] + len(first))
    spread, weights = [], []
    for place, chance in zip(rows.places.numpy(), rows.chances.numpy(), strict=True):
        level = chance[1:] == chance[:-1]
        first, count = _stretches((place[1:] == place[:-1] + 1) & level)
        some = chance[first] != 0
        spread.append(np.stack([first, place[first], count], 1)[some])
        weights.append(chance[first][some])
    stacked = np.ascontiguousarray(np.concatenate(landing)), np.concatenate(spread)
    return Runs(np.array(actions), *stacked, np.concatenate(weights))


def _stretches(joined: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First places and lengths of maximal stretches, where each place is joined to the next."""
    first = np.concatenate([[0], np.flatnonzero(~joined) + 1]).astype(np.int64)
    return first, np.diff(np.append(first, len(joined) + 1))
