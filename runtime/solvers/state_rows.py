"""States of solvers game by game: every tensor of a state has one row for each game of the batch.

Tables keep the order of the arithmetic in memory (`runtime/layout.py`).
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from mfdsl.runtime.layout import inner, outer
from mfdsl.runtime.program import Params, Program
from mfdsl.runtime.solvers.base import S

TABLE_AXES = 4


def taken(state: S, places: Sequence[int]) -> S:
    """The state of some of the games, in this order."""
    index = torch.tensor(places, device=state.probs.device)
    changes: dict[str, Any] = {}
    for name, value in _tensors(state).items():
        if value.ndim == TABLE_AXES:
            changes[name] = outer(inner(value).index_select(-1, index))
        else:
            changes[name] = value.index_select(0, index)
    return replace(state, **changes)


def joined(parts: Sequence[S]) -> S:
    """One state of all the games of several, at the iteration of the first."""
    if len(parts) == 1:
        return parts[0]
    changes: dict[str, Any] = {}
    for name, value in _tensors(parts[0]).items():
        rows = [getattr(part, name) for part in parts]
        if value.ndim == TABLE_AXES:
            changes[name] = outer(torch.cat([inner(row) for row in rows], -1))
        else:
            changes[name] = torch.cat(rows)
    return replace(parts[0], **changes)


def repeated(state: S, games: int) -> S:
    """The state of one game for each game of a batch; that of a batch as it is."""
    if games == 1 or len(state.probs) == games:
        return state
    changes: dict[str, Any] = {}
    for name, value in _tensors(state).items():
        if len(value) == games:
            continue
        if value.ndim == TABLE_AXES:
            changes[name] = outer(
                inner(value).expand(*(-1,) * (TABLE_AXES - 1), games).contiguous()
            )
        else:
            changes[name] = value.expand(games, *value.shape[1:]).contiguous()
    return replace(state, **changes)


def params_of(program: Program, params: Params, places: Sequence[int]) -> Params:
    """The parameters of some of the games; the same where all games share them."""
    index = torch.tensor(places, device=params.unit.device)
    changes = {
        name: getattr(params, name).index_select(0, index) for name in program.batched(params)
    }
    found: Params = params._replace(**changes)
    return found


def _tensors(state: S) -> dict[str, Tensor]:
    return {
        entry.name: getattr(state, entry.name)
        for entry in fields(state)
        if entry.name != "iteration"
    }
