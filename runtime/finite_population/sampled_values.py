"""How far values that N agents learn from their own games can be from those of the induced game.

Three statements of the shared design note, "approximate symmetry", 2.7 and 2.8: the bias of what
one agent's trajectories can tell at all, the error of finitely many of them, and what mirror
descent with such values reaches. Yardim and He 2025 (arXiv:2408.15173), Theorems 11 and 13, leave
the constants open; these are explicit, and mostly too large to say anything.
"""

import math
from dataclasses import dataclass

import numpy as np

from mfdsl.runtime.finite_population.grid import FloatArray


@dataclass(frozen=True)
class Moduli:
    """Constants of a game in l1: of the moves (`kernel`) and of the rewards (`reward`) in the law,
    of the moves in the own state and action (`mixing`), how far one agent is from the average
    (`alpha`, `beta`; `mean_alpha` over the others), and how many `cells` the law has.
    """

    kernel: float
    reward: float
    mixing: float
    alpha: float
    mean_alpha: float
    beta: float
    cells: int


def value_bias(moduli: Moduli, spans: FloatArray, players: int, discount: float) -> FloatArray:
    """Bounds [H] of the root mean square, over the visits of one agent, of Q* - Q at each stage.

    Q* is what its trajectories converge to, Q the value in the induced game, `spans` [H + 1] those
    of the values V of the stages and at the end. Stage by stage backwards beta + L E + span(V) / 2
    (alpha + K E) is added, with E the root mean square distance between the others and the flow.

    Raises:
        ValueError: there are fewer than two players.
    """
    if players < 2:
        raise ValueError(f"{players} player has no others to learn among")
    others = players - 1
    stages = len(spans) - 1
    apart, away = np.zeros(stages), 0.0
    sampling = math.sqrt((moduli.cells - 1) / others)
    for h in range(stages):
        apart[h] = min(2.0, sampling + away)
        pull = moduli.kernel * (apart[h] + 2 / others) + 1 / math.sqrt(others)
        away = min(2.0, moduli.mixing * away + moduli.mean_alpha + pull)
    found, ahead = np.zeros(stages), 0.0
    for h in reversed(range(stages)):
        moved = moduli.alpha + moduli.kernel * apart[h]
        now = moduli.beta + moduli.reward * apart[h] + discount * 0.5 * spans[h + 1] * moved
        ahead = now + discount * ahead
        found[h] = ahead
    return found


def sample_error(
    visits: FloatArray,
    spans: FloatArray,
    reward_range: float,
    discount: float,
    confidence: float = 0.95,
) -> FloatArray:
    """Bounds [H] of the largest error of backward means, which hold with a probability.

    `visits` [H, S, A] are those of one agent in independent games (agents of one game depend on
    each other), `spans` [H + 1] those of the learned values. By Hoeffding for rewards and Weissman
    et al. 2003 for moves; infinite from where an action was never taken.
    """
    stages, states, actions = visits.shape
    least = visits.reshape(stages, -1).min(1)
    chance = 1 - confidence
    cells = states * actions
    paid = math.log(4 * stages * cells / chance)
    moves = 2 * (states * math.log(2) + math.log(2 * stages * cells / chance))
    found, ahead = np.zeros(stages), 0.0
    for h in reversed(range(stages)):
        if least[h] == 0:
            found[: h + 1] = math.inf
            break
        rewards = reward_range * math.sqrt(paid / (2 * least[h]))
        moved = 0.5 * spans[h + 1] * math.sqrt(moves / least[h])
        ahead = rewards + discount * (moved + ahead)
        found[h] = ahead
    return found


def divergence_bound(
    steps: FloatArray, temperature: float, start: float, square_spans: float, errors: float
) -> float:
    """A bound of the divergence sum_h E KL(equilibrium, policy) after mirror steps of these sizes.

    Phi <- (1 - temperature * step / 2) Phi + C step^2 + step B^2 / (4 temperature), from `start`,
    with C half of `square_spans`, the sum over stages of the largest squared spans of learned
    values, and B^2 = `errors`, the sum of mean squared spans of their errors. For monotone games
    whose moves do not read the law, without a share of the uniform policy.

    Raises:
        ValueError: a step forgets more than all of the old policy, or entropy is free.
    """
    if temperature <= 0 or (len(steps) and temperature * steps.max() > 1):
        raise ValueError("steps times the temperature lie between 0 and 1")
    divergence = start
    for step in steps:
        shrunk = (1 - temperature * step / 2) * divergence
        divergence = shrunk + 0.5 * square_spans * step**2 + step * errors / (4 * temperature)
    return divergence


def gain_bound(
    divergence: float,
    temperature: float,
    stages: int,
    actions: int,
    reward_modulus: float,
    reward_span: float,
) -> float:
    """The exploitability in the induced game that follows from a divergence:
    temperature H log|A| + (2 L + span(R) / 2) H sqrt(2 H Phi).
    """
    bias = temperature * stages * math.log(actions)
    slope = 2 * reward_modulus + 0.5 * reward_span
    return bias + slope * stages * math.sqrt(2 * stages * divergence)
