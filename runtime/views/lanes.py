"""Chains of many games with the same moves, eliminated side by side.

Games that share their moves share where their chains have numbers, so which state to eliminate
next (the one that joins the fewest pairs: Markowitz 1957, doi 10.1287/mnsc.3.3.255) and where each
product goes are worked out once. What remains is arithmetic on rows of numbers, one for each game,
in compiled loops (`native_lanes.py`). Rooms behind doors need a tenth of the products of a band.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from mfdsl.runtime.views import native
from mfdsl.runtime.views.chains import LEAVING, MOST_STEPS

FEW_GAMES = 4  # from where lanes pay
MOST_STATES = 512
MOST_PRODUCTS = 1 << 22
KEPT = 8  # plans
UNMOVED = 32  # units of rounding: the last of many games to stand still would take all steps
Where = NDArray[np.int64]
Table = Float[Tensor, "actions states batch"]
Laws = Float[Tensor, "states batch"]


class Plan(NamedTuple):
    """The steps of an elimination over `slots` numbers of a chain, the last one of no interest.

    Step n eliminates the state `order[n]`. Its row has `later[starts[n]:starts[n + 1]]` slots and
    those `ahead` states; its column `earlier[ends[n]:ends[n + 1]]` slots and those `behind`
    states. Products of column and row go to `targets`, column by column. Move k of action a in
    state s is added to slot `filled[first[a, s] + k]`.
    """

    slots: int
    order: Where
    starts: Where
    later: Where
    ahead: Where
    ends: Where
    earlier: Where
    behind: Where
    targets: Where
    first: Where
    filled: Where


def plan_of(banded: native.Banded | None, games: int) -> Plan | None:
    """The plan for so many games with these moves, None where other code is used."""
    if banded is None or games < FEW_GAMES or len(banded.band) > MOST_STATES:
        return None
    return _planned(banded)


def limit_laws(plan: Plan, banded: native.Banded, probs: Table, laws: Laws) -> tuple[Laws, float]:
    """`native.limit_laws` for many games."""
    from mfdsl.runtime.views.native_lanes import limits  # needs numba

    found = laws.clone(memory_format=torch.contiguous_format)
    kind = found.numpy().dtype.type
    unmoved = kind(UNMOVED * torch.finfo(found.dtype).eps)
    shares = (kind(1 - LEAVING), kind(LEAVING), MOST_STEPS, unmoved)
    return found, float(limits(plan, banded.moves, probs.numpy(), found.numpy(), *shares))


def policy_values(
    plan: Plan, banded: native.Banded, probs: Table, paid: Laws, discount: float
) -> Laws:
    """`native.discounted_values` for many games."""
    from mfdsl.runtime.views.native_lanes import values_of  # needs numba

    found = paid.clone(memory_format=torch.contiguous_format)
    kind = found.numpy().dtype.type
    values_of(plan, banded.moves, probs.numpy(), found.numpy(), kind(discount), kind(1 - discount))
    return found


def best_values(
    plan: Plan,
    banded: native.Banded,
    rewards: Table,
    discount: float,
    most: int,
    tolerance: float,
) -> Table | None:
    """Q of the best responses by at most so many improvements each, else None.

    Rewards are -inf at illegal actions. `tolerance` is relative to 1 + the largest value.
    """
    from mfdsl.runtime.views.native_lanes import improved  # needs numba

    q = torch.empty(rewards.shape, dtype=rewards.dtype)
    paid = rewards.contiguous().numpy()
    kind = paid.dtype.type
    shares = (kind(discount), kind(1 - discount))
    return q if improved(plan, banded.moves, paid, *shares, most, tolerance, q.numpy()) else None


@lru_cache(maxsize=KEPT)
def _planned(banded: native.Banded) -> Plan | None:
    landing, starts, places, _ = banded.moves
    actions, states = landing.shape
    ahead: list[set[int]] = [set() for _ in range(states)]
    for s in range(states):
        for row in landing[:, s].tolist():
            ahead[s].update(places[starts[row] : starts[row + 1]].tolist())
        ahead[s].discard(s)
    behind: list[set[int]] = [set() for _ in range(states)]
    for s in range(states):
        for to in ahead[s]:
            behind[to].add(s)
    steps = _steps(ahead, behind)
    pairs = {(s, to) for s, row, _ in steps for to in row} | {
        (s, to) for to, _, column in steps for s in column
    }
    products = sum(len(row) * len(column) for _, row, column in steps)
    if products > MOST_PRODUCTS:
        return None
    at = {pair: slot for slot, pair in enumerate(sorted(pairs))}
    none = len(at)

    def slot(pair: tuple[int, int]) -> int:
        return at.get(pair, none)

    counts = [int(starts[r + 1] - starts[r]) for r in landing.reshape(-1).tolist()]
    return Plan(
        slots=none + 1,
        order=_array([s for s, _, _ in steps]),
        starts=_ends([len(row) for _, row, _ in steps]),
        later=_array([slot((s, to)) for s, row, _ in steps for to in row]),
        ahead=_array([to for _, row, _ in steps for to in row]),
        ends=_ends([len(column) for _, _, column in steps]),
        earlier=_array([slot((i, s)) for s, _, column in steps for i in column]),
        behind=_array([i for _, _, column in steps for i in column]),
        targets=_array([slot((i, j)) for _, row, column in steps for i in column for j in row]),
        first=_ends(counts)[:-1].reshape(actions, states),
        filled=_array(
            [
                slot((s, to))
                for a in range(actions)
                for s in range(states)
                for to in places[starts[landing[a, s]] : starts[landing[a, s] + 1]].tolist()
            ]
        ),
    )


def _steps(ahead: list[set[int]], behind: list[set[int]]) -> list[tuple[int, list[int], list[int]]]:
    """States in the order of elimination, each with its row and its column at that time.

    Both sets of states are used up.
    """
    left, found = set(range(len(ahead))), []
    while left:
        s = min(left, key=lambda k: (len(ahead[k]) * len(behind[k]), k))
        left.remove(s)
        row, column = sorted(ahead[s]), sorted(behind[s])
        found.append((s, row, column))
        for i in column:
            ahead[i].discard(s)
            ahead[i].update(to for to in row if to != i)
        for to in row:
            behind[to].discard(s)
            behind[to].update(i for i in column if i != to)
    return found


def _array(numbers: list[int]) -> Where:
    return np.array(numbers, dtype=np.int64)


def _ends(counts: list[int]) -> Where:
    """0, and the sums of the first counts."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
