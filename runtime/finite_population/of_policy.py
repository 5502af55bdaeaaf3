"""The bounds for a policy of a program: constants along its own flow, then theorem A or B.

Arithmetic is float64 without outward rounding. The Lipschitz constants are the caller's (the
compiler certifies them), except for games that are affine in the law, where they are exact here.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from mfdsl.runtime.evaluate import Evaluation
from mfdsl.runtime.finite_population.constants import (
    Constants,
    along_flow,
    of_populations,
)
from mfdsl.runtime.finite_population.grid import FloatArray, IntArray
from mfdsl.runtime.finite_population.recursion import Asymmetry, Crowd, Seen
from mfdsl.runtime.finite_population.slopes import LARGEST_TABLE, Slopes
from mfdsl.runtime.finite_population.theorem_a import Bound, bound_gain, reward_cap
from mfdsl.runtime.finite_population.theorem_b import Composition, theorem_b
from mfdsl.runtime.layout import outer
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.views.finite import FiniteView


@dataclass(frozen=True)
class Along:
    """One game along the flow of a policy, as arrays; a final reward is one more step.

    `kernels` [steps, states, actions, states], `rewards`, `joint`, `policy` and `legal` [steps,
    states, actions]. `stages` counts the steps with a decision.
    """

    kernels: FloatArray
    rewards: FloatArray
    joint: FloatArray
    policy: FloatArray
    legal: FloatArray
    discount: float
    stages: int


def along(view: FiniteView, policy: TabularPolicy) -> Along:
    """The game along the flow of the policy.

    Raises:
        ValueError: there is more than one game in the batch, or dense kernels are too large.
    """
    program = view.program
    if view.tables.games != 1 or len(policy.probs) != 1:
        raise ValueError("bounds are for one game and one policy, not for a batch")
    states, actions, stages = program.state_count, program.action_count, view.stages
    if (size := stages * states**2 * actions) > LARGEST_TABLE:
        raise ValueError(f"{size} kernel entries along the flow, more than {LARGEST_TABLE}")
    flow = view.flow(policy)
    joint = flow.joint
    problem = flow.problem
    assert problem is not None
    public = joint.reshape(stages, 1, *program.states.values(), *program.actions.values())
    kernels = [
        program.module.kernel(view.tables.params, torch.tensor(t), law).reshape(
            states, actions, states
        )
        for t, law in enumerate(public)
    ]
    legal = torch.ones_like(joint[0])
    if problem.legal is not None:
        legal = outer(problem.legal)[0].expand_as(joint[0]).to(joint.dtype)
    found = Along(
        kernels=torch.stack(kernels).numpy(),
        rewards=outer(problem.rewards)[0].numpy(),
        joint=joint[0].numpy(),
        policy=policy.probs[0].numpy(),
        legal=legal.numpy(),
        discount=view.discount,
        stages=stages,
    )
    if problem.final is None or view.truncation is not None:
        return found
    return _with_final(found, problem.final[:, 0].numpy(), flow.laws[0, -1].numpy())


def _with_final(game: Along, final: FloatArray, law: FloatArray) -> Along:
    """The last states as one more step, with one action that pays the final reward."""
    states, actions = game.rewards.shape[1:]
    first = np.eye(actions)[0]
    stay = np.broadcast_to(np.eye(states)[:, None], (1, states, actions, states))
    only = np.broadcast_to(first, (1, states, actions))

    def longer(table: FloatArray, last: FloatArray) -> FloatArray:
        return np.concatenate([table, last])

    return replace(
        game,
        kernels=longer(game.kernels, stay),
        rewards=longer(game.rewards, final[None, :, None] * only),
        joint=longer(game.joint, law[None, :, None] * only),
        policy=longer(game.policy, only),
        legal=longer(game.legal, only),
    )


def policy_constants(game: Along, slopes: Slopes, *, exact_mixing: bool = True) -> Constants:
    """The constants of one population along the flow."""
    kernel, reward = _slopes_of_steps(game, slopes)
    return along_flow(
        game.kernels[None],
        game.rewards[None],
        game.joint,
        game.policy,
        kernel[None],
        reward[None],
        statistics=slopes.statistics,
        groups=slopes.groups,
        legal=game.legal,
        discount=game.discount,
        exact_mixing=exact_mixing,
    )


def _slopes_of_steps(game: Along, slopes: Slopes) -> tuple[FloatArray, FloatArray]:
    gauges = 1 if slopes.statistics is None else len(slopes.statistics)
    shape = (*game.rewards.shape[1:], gauges)
    kernel = np.broadcast_to(slopes.kernel, (game.stages, *shape))
    reward = np.broadcast_to(slopes.reward, (game.stages, *shape))
    if len(game.rewards) == game.stages:
        return kernel, reward
    final = np.broadcast_to(slopes.final, (shape[0], gauges))
    last = np.broadcast_to(final[None, :, None], (1, *shape))
    return np.concatenate([kernel, np.zeros((1, *shape))]), np.concatenate([reward, last])


def certify(
    view: FiniteView,
    policy: TabularPolicy,
    slopes: Slopes,
    players: int | Mapping[str, int],
    reward_range: float,
    *,
    seen: Seen = "everyone",
    asymmetry: Asymmetry | None = None,
    exact_mixing: bool = True,
) -> Bound:
    """Theorem A for a policy of a program, with one row for each population.

    `players` is the number of agents of the one population, or of each. `reward_range` is the
    span of the rewards of an agent over everything, in each step. The laws that the agents of a
    program see are those of everyone. With `asymmetry`, of the steps along the flow, there is one
    row for each of its players. A horizon without end is cut; the rest is in the solver gap.

    Raises:
        ValueError: numbers of players or asymmetry do not fit the program, the range is smaller
            than what is met along the flow, or there is a batch.
    """
    program = view.program
    game = along(view, policy)
    sizes = _sizes(players, program.populations)
    _check_range(game, reward_range)
    if asymmetry is not None and len(sizes) > 1:
        raise ValueError("an asymmetry of players is for a game of one population")
    constants = _by_population(game, slopes, sizes, exact_mixing)
    rows = len(sizes) if asymmetry is None else len(asymmetry.transitions)
    gains = _gains(view, policy, reward_range)
    return bound_gain(
        constants,
        Crowd(int(sizes.sum()), seen),
        {"solver gap": np.broadcast_to(gains, (rows,))},
        np.full(rows, _cap(view, constants, reward_range)),
        asymmetry=asymmetry,
        types=np.arange(len(sizes)) if asymmetry is None else None,
    )


def certify_types(
    view: FiniteView,
    policy: TabularPolicy,
    traits: Sequence[str],
    slopes: Slopes,
    players: int,
    reward_range: float,
    *,
    composition: Composition = "drawn",
    seen: Seen = "everyone",
    solver_gap: float | None = None,
    exact_mixing: bool = True,
) -> Bound:
    """Theorem B where the traits are state variables that never change; one row for each type.

    The policy may read the traits or not: every type's best response is against the flow of all.
    Types that nobody has are left out. `composition` is that of `theorem_b`.

    Raises:
        ValueError: a trait is not a state variable, or changes during play, or the range is
            smaller than what is met along the flow.
    """
    program = view.program
    if len(program.populations) > 1:
        raise ValueError("types are for a game of one population")
    game = along(view, policy)
    _check_range(game, reward_range)
    places = _types(program.states, traits)
    mass = game.joint[0].sum(-1)[places].sum(-1)
    places = places[mass > 0]
    stays = np.stack([game.kernels[:, rows][..., rows] for rows in places])
    if np.abs(stays.sum(-1) - 1).max() > 1e-9:
        raise ValueError(f"{', '.join(traits)} changes during play, so it is not a type")
    evaluation = Evaluation(view, policy)
    best = evaluation.best_q[0, 0].amax(-1)
    own = (evaluation.q[0, 0] * policy.probs[0, 0]).nan_to_num(0.0).sum(-1)
    lost = (game.joint[0].sum(-1) * (best - own).numpy())[places].sum(-1) / mass[mass > 0]
    whole = policy_constants(game, slopes, exact_mixing=False)
    one = [_of_type(game, slopes, rows, whole, exact_mixing) for rows in places]
    joined = of_populations(one, np.ones(len(one)))
    constants = replace(joined, spread=whole.spread, shares=np.ones(1))
    tail = _tail(view, reward_range)
    return theorem_b(
        constants,
        players,
        np.maximum(lost, 0.0) + tail,
        np.full(len(one), _cap(view, constants, reward_range) / constants.weights.sum()),
        composition=composition,
        solver_gap=solver_gap,
        seen=seen,
    )


def _of_type(
    game: Along, slopes: Slopes, rows: IntArray, whole: Constants, exact_mixing: bool
) -> Constants:
    """The constants of the agents whose states are `rows`; their law is that of the type."""
    kernel, reward = _slopes_of_steps(game, slopes)
    joint = game.joint[:, rows]
    part = replace(
        game,
        kernels=game.kernels[:, rows][..., rows],
        rewards=game.rewards[:, rows],
        joint=joint / joint.sum((1, 2), keepdims=True),
        policy=game.policy[:, rows],
        legal=game.legal[:, rows],
        stages=len(game.rewards),
    )
    own = Slopes(
        kernel[:, rows],
        reward[:, rows],
        np.zeros(()),
        None if slopes.statistics is None else slopes.statistics[:, rows],
        None if slopes.groups is None else slopes.groups[rows],
    )
    # A statistic has the width that it has over the agents of all types.
    return replace(policy_constants(part, own, exact_mixing=exact_mixing), width=whole.width)


def _by_population(game: Along, slopes: Slopes, sizes: FloatArray, exact_mixing: bool) -> Constants:
    if len(sizes) == 1:
        return policy_constants(game, slopes, exact_mixing=exact_mixing)
    whole = policy_constants(game, slopes, exact_mixing=False)
    blocks = np.arange(game.rewards.shape[1]).reshape(len(sizes), -1)
    parts = [_of_type(game, slopes, rows, whole, exact_mixing) for rows in blocks]
    return of_populations(parts, sizes)


def _types(states: Mapping[str, int], traits: Sequence[str]) -> IntArray:
    """Flat states [types, other states] for each combination of the traits."""
    names = list(states)
    missing = [name for name in traits if name not in names]
    if missing or not traits:
        raise ValueError(f"{missing or 'nothing'}: name state variables among {names}")
    table = np.arange(math.prod(states.values()), dtype=np.int64).reshape(*states.values())
    front = [names.index(name) for name in traits]
    moved = np.moveaxis(table, front, range(len(front)))
    return moved.reshape(math.prod(states[name] for name in traits), -1)


def _check_range(game: Along, reward_range: float) -> None:
    """The range cannot be smaller than what is met along the flow."""
    met = max(
        float(np.ptp(rewards[legal > 0]))
        for rewards, legal in zip(game.rewards, game.legal, strict=True)
    )
    if met > reward_range * (1 + 1e-9):
        raise ValueError(f"rewards span {met:g} along the flow, more than the range given")


def _sizes(players: int | Mapping[str, int], populations: Sequence[str]) -> FloatArray:
    if isinstance(players, int):
        if len(populations) > 1:
            raise ValueError(f"give the players of each of {', '.join(populations)}")
        return np.array([float(players)])
    if set(players) != set(populations):
        raise ValueError(f"players of {sorted(players)}, but populations {sorted(populations)}")
    return np.array([float(players[name]) for name in populations])


def _gains(view: FiniteView, policy: TabularPolicy, reward_range: float) -> FloatArray:
    """Exploitability [populations] in the limit, with what lies beyond a cut horizon."""
    evaluation = Evaluation(view, policy)
    gaps = view.values(evaluation.flow, evaluation.best_q) - evaluation.values
    gains: FloatArray = np.maximum(gaps[0].numpy(), 0.0) + _tail(view, reward_range)
    return gains


def _tail(view: FiniteView, reward_range: float) -> float:
    if view.truncation is None:
        return 0.0
    rest: float = view.discount**view.stages / (1 - view.discount)
    return rest * reward_range


def _cap(view: FiniteView, constants: Constants, reward_range: float) -> float:
    return reward_cap(constants, reward_range) + _tail(view, reward_range)
