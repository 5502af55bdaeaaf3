"""The recursion behind the bounds: how far N players get from their mean-field limit, by cause.

Every other player j has a shadow that starts and moves as in the limit, by maximal coupling; the
shadows are independent whatever the deviating player i does. Along the steps are bounded, in l1,

* u: twice the mean probability that another player has left its shadow,
* e: the mean distance between the others and the flow, sampling + u,
* d: the distance between the law of player i and the limit chain with the same policy,
* q: the probability that the majors have left their limit path (`majors.py`),

and D, the sum of what is lost in rewards. All are linear in what causes them until a distance
reaches its largest possible value, so each is carried as a vector over the causes.
Shared design note, "approximate symmetry", 2.2, 2.3 and 2.6.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mfdsl.runtime.finite_population.constants import FULL, Constants
from mfdsl.runtime.finite_population.grid import FloatArray, IntArray

CAUSES = (
    "initial laws",
    "transition asymmetry",
    "reward asymmetry",
    "sampling",
    "own influence",
)
INITIAL, TRANSITION, REWARD, SAMPLING, INFLUENCE = range(len(CAUSES))

Seen = Literal["others", "everyone"]


@dataclass(frozen=True)
class Asymmetry:
    """How far the players of each row are from the induced game, in l1; rows are players or types.

    `transitions` [rows, steps]: alpha of the row, `rewards` [rows, steps]: beta or centred beta,
    `initial` [rows]: l1 distance of the initial laws. `others_transitions` [rows, steps] and
    `others_initial` [rows]: means over the other players.
    """

    transitions: FloatArray
    rewards: FloatArray
    initial: FloatArray
    others_transitions: FloatArray
    others_initial: FloatArray

    def __post_init__(self) -> None:
        rows, steps = self.transitions.shape
        shapes = {
            "rewards": (rows, steps),
            "initial": (rows,),
            "others_transitions": (rows, steps),
            "others_initial": (rows,),
        }
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, not {shape}")
        for name in ("transitions", *shapes):
            if not (getattr(self, name) >= 0).all():
                raise ValueError(f"{name} has an entry that is negative or not a number")


def no_asymmetry(rows: int, steps: int) -> Asymmetry:
    """Players that are all exactly those of the induced game."""
    table = np.zeros((rows, steps))
    return Asymmetry(table, table, np.zeros(rows), table, np.zeros(rows))


def asymmetry_of_players(
    transitions: FloatArray, rewards: FloatArray, initial: FloatArray | None = None
) -> Asymmetry:
    """One row for each of at least two players, alpha and beta [players, steps], eta [players].

    Raises:
        ValueError: there is one player only.
    """
    others = len(transitions) - 1
    if others < 1:
        raise ValueError("one player alone has no others to be unlike")
    start = np.zeros(len(transitions)) if initial is None else initial
    return Asymmetry(
        transitions=transitions,
        rewards=rewards,
        initial=start,
        others_transitions=(transitions.sum(0) - transitions) / others,
        others_initial=(start.sum() - start) / others,
    )


@dataclass(frozen=True)
class Crowd:
    """The population around a player.

    `seen`: kernels and rewards read the law of the N - 1 others, or that of everyone. `mixed`: the
    players are of fixed types in exactly the shares of the flow, so that their shadows are
    independent but not alike, and leaving one out moves their mean law. Types that are drawn for
    each player are not mixed: then the shadows are alike.
    """

    players: int
    seen: Seen = "others"
    mixed: bool = False


@dataclass(frozen=True)
class MajorSlopes:
    """How the majors, or common states, feel the population and how much they matter.

    `slope` [steps, gauges]: l1 change of the next law of the majors per unit of the gauge, added
    over the majors; 0 for common noise. `reward_range` [rows, steps]: span of the reward over all
    states, actions, laws and states of the majors. `at_once` where rewards read what the majors
    draw in the same step.
    """

    slope: FloatArray
    reward_range: FloatArray
    at_once: bool = False


@dataclass(frozen=True)
class Deviations:
    """The causes [rows, causes] of D, and the trajectories of e, d, u [rows, steps] and q.

    `crowd` is that of the first gauge.
    """

    causes: FloatArray
    crowd: FloatArray
    own: FloatArray
    decoupled: FloatArray
    split: FloatArray

    @property
    def total(self) -> FloatArray:
        """D [rows]: bound of the difference between N-player return and limit value."""
        total: FloatArray = self.causes.sum(-1)
        return total


def deviations(
    constants: Constants,
    asymmetry: Asymmetry,
    crowd: Crowd,
    types: IntArray | None = None,
    majors: MajorSlopes | None = None,
) -> Deviations:
    """Run the recursion forward for all rows at once; `types` [rows] picks the constants.

    Raises:
        ValueError: a block has fewer than two players, or steps or rows do not match.
    """
    rows = len(asymmetry.transitions)
    kind = np.zeros(rows, dtype=np.int64) if types is None else types
    _check(constants, asymmetry, crowd, kind)
    noise, swap, joining, leaving = _finite_size(constants, crowd)
    causes, own, decoupled, split = (np.zeros((rows, len(CAUSES))) for _ in range(4))
    own[:, INITIAL] = asymmetry.initial
    decoupled[:, INITIAL] = asymmetry.others_initial
    history = []
    for h in range(constants.steps):
        width = constants.width[h]
        away = 0.5 * width[:, None] * decoupled[:, None]
        away[..., SAMPLING] += noise[h]
        away[..., INFLUENCE] += leaving[h]
        away = _capped(away, width)
        seen = _capped(_plus(away, INFLUENCE, joining[h]), width)
        history.append([x.sum(-1) for x in (away[:, 0], own, decoupled, split)])
        lost = np.einsum("rg,rgc->rc", constants.reward_slope[kind, h], seen)
        lost += 0.5 * constants.reward_span[kind, h, None] * own
        lost[:, REWARD] += asymmetry.rewards[:, h]
        if majors is not None:
            before = split
            everyone = _capped(_plus(away, INFLUENCE, _one_more(constants, crowd)[h]), width)
            felt = np.einsum("g,rgc->rc", majors.slope[h], everyone)
            split = _capped(split + 0.5 * felt, 1.0)
            met = split if majors.at_once else before
            lost += _range_lost(majors.reward_range[:, h, None], met)
        causes += constants.weights[h] * lost
        pull = np.einsum("rg,rgc->rc", constants.own_slope[kind, h], seen)
        own = constants.own_mixing[kind, h, None] * own + pull
        own[:, TRANSITION] += asymmetry.transitions[:, h]
        own = _capped(own, FULL)
        theirs = _capped(_plus(away, INFLUENCE, swap[h]), width)
        pull = np.einsum("g,rgc->rc", constants.crowd_slope[h], theirs)
        decoupled = constants.crowd_mixing[h] * decoupled + pull
        decoupled[:, TRANSITION] += asymmetry.others_transitions[:, h]
        decoupled = _capped(decoupled, FULL)
    return Deviations(causes, *np.array(history).transpose(1, 2, 0))


def _finite_size(
    constants: Constants, crowd: Crowd
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """What N does [steps, gauges]: sampling, and how far one player moves what is seen.

    `swap`: from the others of player i to what another player sees; `joining`: from the others
    to what i sees; `leaving`: from the mean law of all types to that of the others.
    """
    weight = 1 / len(constants.shares)
    sizes = constants.shares * crowd.players
    factors = np.sqrt(sizes) / (sizes - 1) if crowd.mixed else 1 / np.sqrt(sizes - 1)
    noise = weight * np.einsum("b,bhg->hg", factors, constants.spread)
    everyone = _one_more(constants, crowd)
    alone = len(sizes) == 1
    others = constants.width / (crowd.players - 1) if alone else 2 * everyone
    joining = everyone if crowd.seen == "everyone" else np.zeros_like(everyone)
    swap = everyone if crowd.seen == "everyone" else others
    leaving = everyone if crowd.mixed else np.zeros_like(everyone)
    return noise, swap, joining, leaving


def _one_more(constants: Constants, crowd: Crowd) -> FloatArray:
    """How far the law of everyone is from that of the others, at most [steps, gauges]."""
    smallest = float(constants.shares.min()) * crowd.players
    moved: FloatArray = constants.width / (len(constants.shares) * smallest)
    return moved


def _plus(parts: FloatArray, cause: int, amount: FloatArray) -> FloatArray:
    more = parts.copy()
    more[..., cause] += amount
    return more


def _range_lost(width: FloatArray, chance: FloatArray) -> FloatArray:
    """Products; a range without a bound costs nothing where its chance is 0."""
    return np.multiply(width, chance, where=chance > 0, out=np.zeros(chance.shape))


def _capped(parts: FloatArray, cap: FloatArray | float) -> FloatArray:
    """The parts scaled down where their sum exceeds the largest possible value."""
    total = parts.sum(-1)
    limit = np.broadcast_to(cap, total.shape)
    return (
        parts * np.where(total > limit, limit / np.maximum(total, limit + 1e-300), 1.0)[..., None]
    )


def _check(constants: Constants, asymmetry: Asymmetry, crowd: Crowd, types: IntArray) -> None:
    rows, steps = asymmetry.transitions.shape
    if steps != constants.steps or len(types) != rows:
        raise ValueError(
            f"asymmetry of {rows} rows and {steps} steps, for {len(types)} rows and "
            f"{constants.steps} steps"
        )
    if (constants.shares * crowd.players).min() < 2:
        raise ValueError(f"{crowd.players} players: each population needs at least two")
