"""The sweeps of one small game as compiled loops over its table (extra `native`, numba).

A game of a hundred states spends its time between tensor operations, not in them. For one game on
a CPU whose moves read neither time nor the law, the forward and the backward pass are each one
call here; batches, devices and other games use the tensor code, which stays the reference.
"""

import importlib
import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

MOST_ENTRIES = 1 << 22
Function = Callable[..., Any]


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


@dataclass(frozen=True, eq=False)
class Entries:
    """A table of moves by rows: row action * S + state holds `places[starts[row]:starts[row + 1]]`
    with the probabilities `chances` there.
    """

    starts: NDArray[np.int64] = field(repr=False)
    places: NDArray[np.int64] = field(repr=False)
    chances: NDArray[Any] = field(repr=False)


def entries_of(table: Tensor) -> Entries | None:
    """The entries of a coalesced sparse table [A * S, S], None where compiled loops do not pay."""
    if table.device.type != "cpu" or table._nnz() > MOST_ENTRIES or not available():
        return None
    rows, places = table.indices().numpy()
    starts = np.searchsorted(rows, np.arange(table.shape[0] + 1)).astype(np.int64)
    return Entries(starts, places.astype(np.int64), table.values().numpy())


def push_forward(
    entries: Entries,
    probs: Float[Tensor, "stages actions states 1"],
    laws: Float[Tensor, "laws states 1"],
    joint: Float[Tensor, "stages actions states 1"],
) -> None:
    """Write the laws after the first one, and the joint laws."""
    tables = [tensor.numpy()[..., 0] for tensor in (probs, laws, joint)]
    _compiled("_push_forward")(entries.starts, entries.places, entries.chances, *tables)


def sweep(
    entries: Entries,
    rewards: Float[Tensor, "stages actions states 1"],
    probs: Float[Tensor, "stages actions states 1"] | None,
    final: Float[Tensor, "states 1"] | None,
    discount: float,
) -> Float[Tensor, "stages actions states 1"]:
    """Q of the policy, or of the best response without one, against the rewards."""
    q = torch.empty_like(rewards)
    value = np.zeros(rewards.shape[2], dtype=q.numpy().dtype)
    if final is not None:
        value[:] = final.numpy()[:, 0]
    table = (entries.starts, entries.places, entries.chances)
    paid, out = rewards.numpy()[..., 0], q.numpy()[..., 0]
    played = paid if probs is None else probs.numpy()[..., 0]
    _compiled("_sweep")(*table, paid, value, out, played, probs is None, discount)
    return q


@cache
def _compiled(name: str) -> Function:
    import numba

    return cast(Function, numba.njit(cache=True)(globals()[name]))


def _push_forward(starts, places, chances, probs, laws, joint):  # type: ignore[no-untyped-def]
    stages, actions, states = probs.shape
    for t in range(stages):
        laws[t + 1, :] = 0
        for a in range(actions):
            for s in range(states):
                mass = laws[t, s] * probs[t, a, s]
                joint[t, a, s] = mass
                row = a * states + s
                for k in range(starts[row], starts[row + 1]):
                    laws[t + 1, places[k]] += chances[k] * mass


def _sweep(starts, places, chances, rewards, value, q, probs, best, discount):  # type: ignore[no-untyped-def]
    stages, actions, states = rewards.shape
    ahead = value.copy()
    for t in range(stages - 1, -1, -1):
        value[:] = -np.inf if best else 0
        for a in range(actions):
            for s in range(states):
                row = a * states + s
                expected = 0 * discount
                for k in range(starts[row], starts[row + 1]):
                    expected += chances[k] * ahead[places[k]]
                total = rewards[t, a, s] + discount * expected
                q[t, a, s] = total
                if best:
                    value[s] = max(value[s], total)
                else:
                    value[s] += probs[t, a, s] * total
        ahead[:] = value
