"""Proved bounds on the exploitability after T iterations, as functions of T. No torch here.

`modulus` is the sum over the stages of the l1 moduli of the discounted rewards in the law, final
rewards included: sum_t |R_t(., L) - R_t(., L')|_inf <= modulus * max_t |L_t - L'_t|_1. `stages` is
H, `actions` the number |A| of actions, at least 2. All but the last are for a finite horizon and
moves that do not read the law; the derivations are in the docstrings of the solvers.

Several populations are one game on the product of their flows, whose exploitability is the sum of
theirs. Let M_kj be the modulus of the rewards of population k in the law of population j, summed
over the stages as above. With `modulus` the sum of all M_kj, `actions` the product of the |A_k|,
and spans added up, the same bounds hold, since all that the proofs use adds up: the divergences of
the trajectories are at most H sum_k log|A_k|; with x_j and y_k the largest l1 changes of two laws
over the stages, sum_k <R_k(L) - R_k(L'), D_k> <= sum_kj M_kj x_j y_k, which is at most 4 `modulus`,
and at most `modulus` (|x|^2 + |y|^2) / 2, which is at most `modulus` times the sum of both
divergences (Pinsker); rewards are monotone, skew or a gradient on the product; and a soft response
moves at most as that of one population with the modulus max_k sum_j M_kj <= `modulus`.
"""

import math
from collections.abc import Callable

Bound = Callable[[int], float]

MOST_ITERATIONS = 1 << 200


def mirror_prox_bound(
    iterations: int, modulus: float, stages: int, actions: int, *, skew_affine: bool
) -> float:
    """Of the average flow, with steps of at least 1 / modulus.

    G = modulus * H * log|A| / T bounds the dual gap. A reward that is affine and skew makes it the
    exploitability. A monotone one gives min over 0 < c <= 1 of G / c + 4 c * modulus, which is
    4 sqrt(G * modulus) once G <= 4 * modulus.
    """
    if iterations == 0:
        return math.inf
    gap = modulus * stages * math.log(actions) / iterations
    if skew_affine:
        return gap
    return 4 * math.sqrt(gap * modulus) if gap <= 4 * modulus else gap + 4 * modulus


def frank_wolfe_bound(iterations: int, modulus: float) -> float:
    """Least exploitability of the first T >= 2 iterates, concave potential (Jaggi 2013)."""
    return 27 * 4 * modulus / (4 * (iterations + 2)) if iterations >= 2 else math.inf


def frank_wolfe_short_bound(iterations: int, modulus: float, height: float) -> float:
    """Least exploitability of the iterates 0..T with short steps, any potential.

    `height` bounds max F - F(L_0) (Lacoste-Julien 2016, arXiv 1607.00345).
    """
    return max(2 * height, 4 * modulus) / math.sqrt(iterations + 1)


def pmd_bound(
    iterations: int, temperature: float, modulus: float, stages: int, actions: int, span: float
) -> float:
    """Of the last iterate with the rate 4 / (temperature (t + 4)), monotone, no discount.

    `span` bounds max - min of the rewards of a stage at any law. At least one step.
    """
    if iterations == 0:
        return math.inf
    entropy = math.log(actions)
    spans = (k * span + (k - 1) * temperature * entropy for k in range(1, stages + 1))
    noise = sum(s * s for s in spans) / 2
    divergence = max(16 * noise / temperature**2, 4 * stages * entropy) / (iterations + 4)
    slope = 2 * modulus + span * stages / 2
    return temperature * stages * entropy + slope * math.sqrt(2 * stages * divergence)


def contraction(laws: int, modulus: float) -> tuple[float, tuple[float, ...]]:
    """tau* and the weights w_1..w_H of the norm where flows contract by tau* / temperature.

    `laws` is H, the number of stages whose rewards read the law, `modulus` that of each. The soft
    best response changes at stage k by at most sum_{j >= k} modulus |dL_j| / temperature, flows at
    stage h by the sum over k <= h: together the matrix modulus * min(h, j), whose Perron root is
    modulus / (2 sin(pi / (4 H + 2)))^2 and whose Perron vector is sin(h pi / (2 H + 1)).
    """
    root = modulus / (2 * math.sin(math.pi / (4 * laws + 2))) ** 2
    return root, tuple(math.sin(h * math.pi / (2 * laws + 1)) for h in range(1, laws + 1))


def soft_fixed_point_bound(
    iterations: int, temperature: float, modulus: float, stages: int, actions: int, laws: int
) -> float:
    """Of the last iterate at a temperature above tau*; `modulus` is that of each stage here.

    `laws` is the number of laws that rewards read: H, and one more with final rewards.
    The bias temperature * H * log|A|, and twice the change of the returns while the flow moves:
    |L_{T} - L_{T-1}|_h <= w_h (tau* / temperature)^(T - 1) * 2 / min w.
    """
    root, weights = contraction(laws, modulus)
    if iterations == 0 or temperature <= root:
        return math.inf
    moved = 2 * sum(weights) / min(weights) * (root / temperature) ** (iterations - 1)
    return temperature * stages * math.log(actions) + 2 * modulus * moved


def soft_stationary_bound(
    iterations: int,
    temperature: float,
    threshold: float,
    modulus: float,
    discount: float,
    actions: int,
) -> float:
    """Of the last iterate on a stationary horizon, at a temperature above `threshold` = tau*.

    For moves that do not read the law, `modulus` that of the reward. The laws that two policies in
    turn keep are at most 2 (tau* / temperature)^(T - 1) apart. The last policy is the soft best
    response to the law before, where the returns of all policies differ from those at its own law
    by at most modulus / (1 - discount) times that; the bias temperature log|A| / (1 - discount) is
    what entropies are worth.
    """
    if iterations == 0 or temperature <= threshold:
        return math.inf
    moved = 2 * (threshold / temperature) ** (iterations - 1)
    return (temperature * math.log(actions) + 2 * modulus * moved) / (1 - discount)


def least_iterations(bound: Bound, tolerance: float) -> int | None:
    """The least T with bound(T) <= tolerance for a bound that falls; None if there is none."""
    high = 1
    while not bound(high) <= tolerance:
        high *= 2
        if high > MOST_ITERATIONS:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if bound(middle) <= tolerance else (middle, high)
    return high
