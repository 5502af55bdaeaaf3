"""Major players and common noise: what the population does to their path.

The majors' next state has a law P0(y' | y, mu) with their policies folded in, and the flow is a
function of their path. True and limit path are coupled; they split at a step with probability at
most half of K0 times the distance of the law of everyone from the flow. Before that the shadows
are independent given the limit path, and everything of `recursion.py` holds; afterwards a step
costs at most the whole range of the reward. Several majors add their K0; common noise has K0 = 0
and costs nothing. The exploitability in the limit is that against responses that may follow the
path. Design note "approximate symmetry", 2.6; the step from the others to everyone, 2 / N, which
the majors see and a deviating player moves, is added here.
"""

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np

from mfdsl.runtime.finite_population.constants import Constants
from mfdsl.runtime.finite_population.grid import FloatArray
from mfdsl.runtime.finite_population.recursion import Crowd, MajorSlopes
from mfdsl.runtime.finite_population.theorem_a import Bound, bound_gain, reward_cap


def worst_of(constants: Sequence[Constants]) -> Constants:
    """The largest of each constant, over the states or the paths of the majors.

    Raises:
        ValueError: there are none, or they differ in weights, widths or shares.
    """
    if not constants:
        raise ValueError("no constants to take the worst of")
    first = constants[0]
    for name in ("weights", "width", "shares"):
        if any(not np.array_equal(getattr(c, name), getattr(first, name)) for c in constants):
            raise ValueError(f"the {name} differ along the paths")
    names = [field.name for field in fields(first)]
    largest = {name: np.max([getattr(c, name) for c in constants], axis=0) for name in names}
    return replace(first, **largest)


def several_majors(majors: Sequence[MajorSlopes]) -> MajorSlopes:
    """Majors that move independently given the past: their slopes add up.

    Raises:
        ValueError: there are none.
    """
    if not majors:
        raise ValueError("no majors to add up")
    return MajorSlopes(
        np.sum([major.slope for major in majors], axis=0),
        np.max([major.reward_range for major in majors], axis=0),
        any(major.at_once for major in majors),
    )


def bound_major(
    constants: Constants,
    players: int,
    majors: MajorSlopes,
    solver_gap: float,
    reward_slope: FloatArray,
    reward_range: float,
) -> Bound:
    """How much a major can gain when N minors keep their policy; one row.

    `constants` are those of the minors, `majors` the slopes of all majors at their worst actions,
    `reward_slope` [steps, gauges] and `reward_range` those of the major's own reward.
    `solver_gap` is its exploitability in the limit, where the flow follows its path. What a minor
    does has no part in the major's reward but through the law.
    """
    steps = constants.steps
    none = np.zeros((1, steps))
    own = replace(
        constants,
        reward_slope=reward_slope[None],
        own_slope=np.zeros((1, *constants.width.shape)),
        own_mixing=none,
        reward_span=none,
    )
    return bound_gain(
        own,
        Crowd(players, "everyone"),
        {"solver gap": np.array([solver_gap])},
        np.array([reward_cap(constants, reward_range)]),
        majors=replace(majors, reward_range=np.full((1, steps), reward_range)),
    )
