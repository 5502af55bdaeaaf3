"""Small games whose constants are worked out by hand, and slow statements of the algorithms."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

import mfdsl
from mfdsl.runtime.program import Program
from mfdsl.runtime.solution import Solution
from mfdsl.runtime.solvers.loop import solve
from tests.runtime import oracle

Array = np.ndarray

# Rock, paper, scissors over six stages: half of the moves fail and lead back to rock, so nobody is
# at the equilibrium at the start. Rows of the payoff have half span 0.4.
DYNAMIC_RPS = """
model dynamic_rps
enum Hand { rock, paper, scissors }
objective nash
horizon 6
population player as mu {
  state  hand : Hand = rock
  action show : Hand
  hand' ~ mix { 0.5 -> show, else -> rock }
  reward duel = 0.4 * match hand {
    rock     -> mu[scissors] - mu[paper],
    paper    -> mu[rock] - mu[scissors],
    scissors -> mu[paper] - mu[rock]
  }
  agents 1000
}
"""

# Congestion with a discount, masks and a final reward: a concave potential, slopes 2 mu and 1 mu.
RING = """
model ring
objective nash
discount 0.9
horizon 5
population walker as mu {
  state  x : int mod 5 = 0
  action a : int in -1..1 where not (x == 2 and a == 0)
  noise  e : int in 0..1 ~ mix { 0.8 -> 0, else -> 1 }
  x' = x + a + e
  reward place = -dist(x, 1)
  cost   crowd = 2 * mu[x]
  cost   move  = 0.2 * abs(a)
  final cost last = mu[x]
  agents 1000
}
"""

# Everybody likes company: a convex potential, so several equilibria.
COMPANY = """
model company
objective nash
horizon 4
population friend as mu {
  state  x : int in 0..3 ~ mix { 0.4 -> 0, 0.3 -> 1, 0.2 -> 2, else -> 3 }
  action a : int in -1..1
  x' = clip(x + a)
  reward company = mu[x]
  cost   move    = 0.1 * abs(a)
  agents 1000
}
"""

# Monotone, but neither a potential nor skew: congestion and a cycle of dominance.
CYCLE = """
model cycle
objective nash
horizon 4
population player as mu {
  state  x : int mod 3 = 0
  action a : int in 0..1
  noise  e : int in 0..1 ~ mix { 0.7 -> 0, else -> 1 }
  x' = x + a * (1 - e)
  cost   crowd = 0.5 * mu[x]
  reward cycle = 0.4 * (mu[x + 1] - mu[x - 1])
  agents 1000
}
"""


@dataclass(frozen=True)
class Game:
    """A spec with its constants.

    `modulus` is the sum over the stages of the l1 moduli (half spans of the slopes) of the
    discounted rewards, `largest` the largest of them, `span` bounds max - min of the rewards.
    """

    text: str
    stages: int
    actions: int
    modulus: float
    largest: float
    span: float


GAMES = {
    "dynamic_rps": Game(DYNAMIC_RPS, 6, 3, 6 * 0.4, 0.4, 0.8),
    # sum of 0.9^t for t < 5 is 4.0951, times 1; 0.9^5 = 0.59049, times 0.5.
    "ring": Game(RING, 5, 3, 4.0951 + 0.59049 * 0.5, 1.0, 4.2),
    "company": Game(COMPANY, 4, 3, 4 * 0.5, 0.5, 1.1),
    # slopes at x, x + 1, x - 1 are -0.5, 0.4, -0.4: half span 0.45.
    "cycle": Game(CYCLE, 4, 2, 4 * 0.45, 0.45, 1.3),
}


@cache
def program(name: str) -> Program:
    """A game of the table, or a shipped one."""
    return mfdsl.load(text=GAMES[name].text).program if name in GAMES else mfdsl.load(name).program


def run(game: Program, solver: str, iterations: int, **options: float | str) -> Solution:
    """A run that neither stalls nor converges before its last iteration."""
    return solve(game, None, solver, options, iterations=iterations, tolerance=-1, patience=None)


def gaps(solution: Solution) -> list[float]:
    return [record.exploitability for record in solution.history]


def soft_values(
    legal: Sequence[Array],
    rewards: Sequence[Array],
    kernels: Sequence[Array],
    final: Array,
    discount: float,
    prior: Array | None = None,
) -> Array:
    """The policy of soft dynamic programming, by sums over exponentials."""
    policy = np.zeros((len(rewards), *rewards[0].shape))
    value = final
    for t in reversed(range(len(rewards))):
        z = rewards[t] + discount * kernels[t] @ value
        weight = legal[t] * np.exp(z) * (1 if prior is None else prior[t])
        policy[t] = weight / weight.sum(-1, keepdims=True)
        value = np.log(weight.sum(-1))
    return policy


def tables(
    game: oracle.Game, joints: Sequence[Array]
) -> tuple[list[Array], list[Array], list[Array]]:
    """Masks, rewards and moves at the stages of a flow."""
    stages = range(game.stages)
    return (
        [game.legal(t) for t in stages],
        [game.reward(t, joints[t]) for t in stages],
        [game.kernel(t, joints[t]) for t in stages],
    )
