"""The typed certificate: each type's best response against the flow of all types together.

Players have types, P^j = p(.; theta_j, mu) and R^j = r(.; theta_j, mu), and are anonymous. Along
any policy the laws of the types are pushed forward against their mean; then a player of type theta
gains at most Expl_theta + 2 D, with D of theorem A at alpha = beta = 0. What types change about
each other is second order, so this is much sharper than alpha and beta.
Design note "approximate symmetry", 2.3.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mfdsl.runtime.finite_population.constants import Constants
from mfdsl.runtime.finite_population.grid import FloatArray
from mfdsl.runtime.finite_population.recursion import Crowd, MajorSlopes, Seen
from mfdsl.runtime.finite_population.theorem_a import Bound, bound_gain, reward_cap

Composition = Literal["fixed", "drawn"]


@dataclass(frozen=True)
class TypedGame:
    """A game of finitely many types.

    `initial` [types, states], `shares` [types] sum to 1. `kernel(h, joint)` gives [types, states,
    actions, next] and `reward(h, joint)` [types, states, actions] at the mean joint law [states,
    actions] of step h. `legal` [states, actions] is 1 where an action may be taken.
    """

    steps: int
    initial: FloatArray
    shares: FloatArray
    kernel: Callable[[int, FloatArray], FloatArray]
    reward: Callable[[int, FloatArray], FloatArray]
    legal: FloatArray | None = None
    discount: float = 1.0

    def __post_init__(self) -> None:
        if self.shares.shape != (len(self.initial),) or not (self.shares >= 0).all():
            raise ValueError("give each type one share, not below 0")
        if abs(self.shares.sum() - 1) > 1e-9 or (np.abs(self.initial.sum(-1) - 1) > 1e-9).any():
            raise ValueError("shares and initial laws must sum to 1")


@dataclass(frozen=True)
class TypedFlow:
    """`laws` [types, steps, states], `joint` [steps, states, actions] their mean, and what a player
    of each type meets there: `kernels` [types, steps, states, actions, next], `rewards` [types,
    steps, states, actions].
    """

    laws: FloatArray
    joint: FloatArray
    kernels: FloatArray
    rewards: FloatArray


def typed_flow(game: TypedGame, policy: FloatArray) -> TypedFlow:
    """Push all types forward; `policy` [steps, states, actions], or [types, steps, ...]."""
    tables = _per_type(game, policy)
    law = game.initial
    laws, joints, kernels, rewards = [], [], [], []
    for h in range(game.steps):
        joint_by_type = law[..., None] * tables[:, h]
        joint = np.einsum("k,ksa->sa", game.shares, joint_by_type)
        kernel = game.kernel(h, joint)
        laws.append(law)
        joints.append(joint)
        kernels.append(kernel)
        rewards.append(game.reward(h, joint))
        law = np.einsum("ksa,ksat->kt", joint_by_type, kernel)
    return TypedFlow(
        np.stack(laws, 1), np.stack(joints), np.stack(kernels, 1), np.stack(rewards, 1)
    )


def typed_gains(game: TypedGame, flow: TypedFlow, policy: FloatArray) -> FloatArray:
    """Expl_theta [types]: best-response value minus policy value, both against the flow."""
    tables = _per_type(game, policy)
    own = best = np.zeros_like(game.initial)
    for h in reversed(range(game.steps)):
        kernel, reward = flow.kernels[:, h], flow.rewards[:, h]
        own_q = reward + game.discount * np.einsum("ksat,kt->ksa", kernel, own)
        best_q = reward + game.discount * np.einsum("ksat,kt->ksa", kernel, best)
        if game.legal is not None:
            best_q = np.where(game.legal > 0, best_q, -np.inf)
        own, best = (own_q * tables[:, h]).sum(-1), best_q.max(-1)
    gains: FloatArray = np.maximum((game.initial * (best - own)).sum(-1), 0.0)
    return gains


def theorem_b(
    constants: Constants,
    players: int,
    gains: FloatArray,
    reward_range: FloatArray,
    *,
    composition: Composition,
    solver_gap: FloatArray | float | None = None,
    seen: Seen = "others",
    majors: MajorSlopes | None = None,
) -> Bound:
    """The bound for a player of each type; `gains` and `reward_range` [types].

    `composition` is "fixed" where the N players have the types in exactly the shares of the flow
    (as N goes up, by whole copies), and "drawn" where the type of each player is drawn by them;
    then the bound is for the mean over the types of the others. `solver_gap`, the exploitability
    of the policy where every player has the mean type, is only used to split the gains.
    """
    kinds = np.arange(len(gains))
    one = len(constants.own_mixing) == 1
    gap = {"type incentive": gains}
    if solver_gap is not None:
        solved = np.minimum(gains, solver_gap)
        gap = {"solver gap": solved, "type incentive": gains - solved}
    cap = np.array([reward_cap(constants, width) for width in reward_range])
    return bound_gain(
        constants,
        Crowd(players, seen, mixed=composition == "fixed"),
        gap,
        cap,
        types=np.zeros_like(kinds) if one else kinds,
        majors=majors,
    )


def _per_type(game: TypedGame, policy: FloatArray) -> FloatArray:
    if policy.ndim == 3:
        policy = np.broadcast_to(policy, (len(game.initial), *policy.shape))
    if policy.shape[:3] != (len(game.initial), game.steps, game.initial.shape[1]):
        raise ValueError(f"a policy of shape {policy.shape} does not fit the game")
    return policy
