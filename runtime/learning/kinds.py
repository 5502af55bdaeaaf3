"""Agents who see the same: networks compute once for each kind of them that is there.

In a game with few own states many agents are exchangeable beyond their names, so that a network
has as many rows as there are kinds, however many the agents are.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

MOST = 0.8  # kinds for each agent beyond which finding them does not pay


@dataclass(frozen=True, eq=False)
class Kinds:
    """Which agents stand for all: `rows` [U] are places of agents among all, game after game, and
    `of` [B * N] says for each agent which of these it is like.
    """

    rows: Tensor
    of: Tensor


def kinds_of(alike: Tensor) -> Kinds | None:
    """The kinds of agents with numbers [..., N] from 0, equal where agents of a game are alike.

    None where there are few of a kind, and off processors, where counting them would wait for the
    device.
    """
    number = alike.shape[-1]
    if alike.device.type != "cpu" or number < 2:
        return None
    size = int(alike.max()) + 1
    if size > 2 * number:
        return None
    games = alike.reshape(-1, number)
    key = (games + size * torch.arange(len(games))[:, None]).flatten()
    stands = torch.full((len(games) * size,), -1).index_put_((key,), torch.arange(len(key)))
    there = stands >= 0
    rows = stands[there]
    if len(rows) > MOST * len(key):
        return None
    return Kinds(rows, (there.cumsum(0) - 1).index_select(0, key))
