"""How much a player of the N-player game can gain by leaving a policy: the bound and its parts.

For any common policy, with E its exploitability in the induced game and D from `recursion.py`,
a player gains at most E + D + D', also with deviations that see the whole history of everybody.
D is for the player who deviates, D' <= D for one that follows the policy: its actions are drawn
by the states, so that K^pi and delta^pi take the place of K and delta. The N-player return of a
player who follows differs from its limit value by at most D' (with beta itself in place of the
centred one).

Source: Yardim and He, L4DC 2025, theorem 9, for the shape; the constants and the proof are those
of the design note "approximate symmetry", 2.2.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mfdsl.runtime.finite_population.constants import Constants
from mfdsl.runtime.finite_population.grid import FloatArray, IntArray
from mfdsl.runtime.finite_population.recursion import (
    CAUSES,
    Asymmetry,
    Crowd,
    Deviations,
    MajorSlopes,
    Seen,
    deviations,
    no_asymmetry,
)

LARGEST = 10**15


@dataclass(frozen=True)
class Bound:
    """What each row (player or type) can gain at most, [rows] each.

    `epsilon` is the smaller of `cap`, which holds for any policy, and the sum of `terms`: the gap
    in the limit and the causes of `deviations` for the player who deviates and `followed` for one
    that does not.
    """

    players: int
    epsilon: FloatArray
    cap: FloatArray
    terms: dict[str, FloatArray]
    deviations: Deviations
    followed: Deviations

    @property
    def vacuous(self) -> FloatArray:
        """Where the terms say no more than the cap, 1, else 0."""
        return (sum(self.terms.values()) >= self.cap).astype(np.float64)

    @property
    def worst(self) -> float:
        """The largest of all rows."""
        return float(self.epsilon.max())


def reward_cap(constants: Constants, reward_range: float) -> float:
    """Most that any deviation can gain: the sum over the steps of the span of the own rewards."""
    return float(constants.weights.sum() * reward_range)


def following(constants: Constants) -> Constants:
    """The constants for a player who follows the policy: no worse than those of the others."""
    return replace(
        constants,
        own_slope=np.minimum(constants.own_slope, constants.crowd_slope),
        own_mixing=np.minimum(constants.own_mixing, constants.crowd_mixing),
    )


def bound_gain(
    constants: Constants,
    crowd: Crowd,
    limit_gap: dict[str, FloatArray],
    cap: FloatArray,
    *,
    asymmetry: Asymmetry | None = None,
    types: IntArray | None = None,
    majors: MajorSlopes | None = None,
) -> Bound:
    """Theorem A for all rows: epsilon = min(cap, sum of `limit_gap` + D + D').

    `limit_gap` [rows] by name adds up to the exploitability in the limit ("solver gap", and "type
    incentive" in theorem B). `asymmetry` has the centred beta; without it the players are exactly
    those of the induced game.

    Raises:
        ValueError: shapes do not fit, or a population has fewer than two players.
    """
    rows = len(cap)
    unlike = no_asymmetry(rows, constants.steps) if asymmetry is None else asymmetry
    drift = deviations(constants, unlike, crowd, types, majors)
    followed = deviations(following(constants), unlike, crowd, types, majors)
    terms = {name: np.asarray(gap, dtype=np.float64) for name, gap in limit_gap.items()}
    if any(gap.shape != (rows,) for gap in terms.values()) or len(drift.causes) != rows:
        raise ValueError(f"gaps, caps and asymmetry must have one row each, here {rows} caps")
    causes = drift.causes + followed.causes
    terms |= {name: causes[:, k] for k, name in enumerate(CAUSES)}
    total = np.sum(list(terms.values()), axis=0)
    return Bound(crowd.players, np.minimum(cap, total), cap, terms, drift, followed)


def theorem_a(
    constants: Constants,
    players: int,
    solver_gap: float,
    reward_range: float,
    *,
    asymmetry: Asymmetry | None = None,
    seen: Seen = "others",
    majors: MajorSlopes | None = None,
) -> Bound:
    """The bound for a common policy of exploitability `solver_gap` in the induced game.

    `reward_range` is the largest span of the reward of a single player over everything. Without
    `asymmetry` the game is exactly symmetric, and there is one row.

    Raises:
        ValueError: there is an asymmetry of a game of another length, or fewer than two players.
    """
    rows = 1 if asymmetry is None else len(asymmetry.transitions)
    cap = np.full(rows, reward_cap(constants, reward_range))
    gap = {"solver gap": np.full(rows, solver_gap)}
    crowd = Crowd(players, seen)
    return bound_gain(constants, crowd, gap, cap, asymmetry=asymmetry, majors=majors)


def least_players(bound: Callable[[int], Bound], target: float, *, start: int = 2) -> int | None:
    """The least N at or above `start` where the worst row gains at most `target`, or None.

    The bound must not grow with N. None where not even 10^15 players are enough: what is left is
    then the gap in the limit and the asymmetry.
    """
    if bound(LARGEST).worst > target:
        return None
    low, high = start - 1, start
    while bound(high).worst > target:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if bound(middle).worst > target else (low, middle)
    return high
