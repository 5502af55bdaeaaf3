"""A tube around the flow that the others do not leave, with high probability.

r_0 = noise and r_{h+1} = modulus_h r_h + alpha + 2 K / (N - 1) + noise, where noise = sqrt((cells -
1) / (N - 1)) + sqrt(2 ln(H / delta) / (N - 1)): with probability 1 - delta the others are within
r_h of the flow at all steps h at once, in l1. Given the past the next states of the others are
independent; their law has that mean error, and moves by at most 2 / (N - 1) with one of them
(McDiarmid 1989). Unlike the recursion of theorem A it speaks about paths, and lets distances
cancel in the modulus of the push. Design note "approximate symmetry", 2.4.
"""

import math

import numpy as np

from mfdsl.runtime.finite_population.constants import FULL
from mfdsl.runtime.finite_population.grid import FloatArray


def tube(
    modulus: FloatArray,
    slope: FloatArray,
    cells: int,
    players: int,
    delta: float,
    *,
    others_transitions: FloatArray | None = None,
    others_initial: float = 0.0,
) -> FloatArray:
    """Radii [steps] around the flow of a policy.

    `modulus` [steps]: l1 modulus of the push of step h between the flow and any law on the cells,
    `slope` [steps]: how much of it comes from kernels that read the law. The cells are states with
    actions, or states where only their law is read. `others_transitions` [steps] and
    `others_initial`: means over the others of alpha and of the l1 distance of initial laws.

    Raises:
        ValueError: fewer than two players, delta not between 0 and 1, or shapes that differ.
    """
    if players < 2 or not 0 < delta < 1:
        raise ValueError(f"{players} players and delta = {delta:g}: give two, and 0 < delta < 1")
    steps = len(modulus)
    alpha = np.zeros(steps) if others_transitions is None else others_transitions
    if slope.shape != (steps,) or alpha.shape != (steps,):
        raise ValueError(f"give {steps} slopes and {steps} asymmetries")
    others = players - 1
    noise = math.sqrt((cells - 1) / others) + math.sqrt(2 * math.log(steps / delta) / others)
    radii = np.zeros(steps)
    radius = noise + others_initial
    for h in range(steps):
        radii[h] = min(FULL, radius)
        radius = modulus[h] * radii[h] + alpha[h] + slope[h] * 2 / others + noise
    return radii
